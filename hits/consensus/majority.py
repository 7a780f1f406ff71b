"""Majority of a set number of votes: the default rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .votes import ABSTAINED, Consensus, Parameters, Votes, respecting_known

# Add-one (Laplace): three of three is 0.8 and not certainty, and a task without votes is uniform.
PSEUDO_VOTES = 1.0


@dataclass(frozen=True, slots=True)
class Majority:
    """A label is decided once more than half of `needed` votes name it and no other label has as many.

    Two of three therefore decide whatever the third says; abstentions never decide, and ties stay
    undecided. The probabilities are add-one smoothed vote shares: (votes for the label + 1) /
    (votes + labels). Raises ValueError unless `needed` is a positive integer.
    """

    needed: int = 3

    def __post_init__(self) -> None:
        if isinstance(self.needed, bool) or not isinstance(self.needed, int) or self.needed < 1:
            raise ValueError(f"a majority needs a positive number of votes, not {self.needed!r}")

    @property
    def name(self) -> str:
        return "majority"

    @property
    def parameters(self) -> Parameters:
        return {"needed": self.needed}

    def decide(self, votes: Votes) -> Consensus:
        """Return the majority of each task's votes; O(votes + tasks × labels)."""
        counts = count(votes)
        total = counts.sum(axis=1)
        label = counts.argmax(axis=1)
        most = counts.max(axis=1)
        alone = (counts == most[:, None]).sum(axis=1) == 1
        return respecting_known(
            votes,
            Consensus(
                label=np.where(total > 0, label, ABSTAINED),
                probability=(counts + PSEUDO_VOTES) / (total[:, None] + PSEUDO_VOTES * votes.n_labels),
                decided=alone & (2 * most > self.needed),
                votes=total,
            ),
        )


def count(votes: Votes) -> NDArray[np.int64]:
    """Return how many votes name each label of each task, (n_tasks, n_labels)."""
    named = votes.label != ABSTAINED
    # int64 before multiplying: a narrow task array would wrap around.
    place = votes.task[named].astype(np.int64) * votes.n_labels + votes.label[named]
    size = votes.n_tasks * votes.n_labels
    return np.bincount(place, minlength=size).astype(np.int64).reshape(votes.n_tasks, votes.n_labels)
