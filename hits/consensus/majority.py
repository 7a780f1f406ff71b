"""Majority of a set number of votes: the default rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .votes import ABSTAINED, Consensus, Parameters, Votes, respecting_known

# Add-one (Laplace): three of three is 0.8 and not certainty, and a task without votes is uniform.
PSEUDO_VOTES = 1.0
# So many that what is between their counts and their labels stays in a processor's cache.
TASKS_AT_ONCE = 32_768


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
        found = Consensus(
            label=np.zeros(votes.n_tasks, dtype=np.int64),
            probability=np.empty((votes.n_labels, votes.n_tasks)).T,
            decided=np.empty(votes.n_tasks, dtype=np.bool_),
            votes=np.empty(votes.n_tasks, dtype=np.int64),
        )
        for start in range(0, votes.n_tasks, TASKS_AT_ONCE):
            some = slice(start, start + TASKS_AT_ONCE)
            self._fill(counts[some], found.chosen(some))
        return respecting_known(votes, found)

    def _fill(self, counts: NDArray[np.int64], found: Consensus) -> None:
        """Write into `found` what the counts of its tasks, (tasks, labels), say; its labels are 0 before."""
        # Label by label: labels are few, and numpy is slow along short rows.
        label, total = found.label, found.votes
        most = counts[:, 0].copy()
        alone = np.ones(most.size, dtype=np.bool_)
        total[:] = most
        for one in range(1, counts.shape[1]):
            named = counts[:, one]
            total += named
            more = named > most
            alone &= named != most
            alone |= more
            label[more] = one
            np.maximum(most, named, out=most)
        label[total == 0] = ABSTAINED
        shared = total + PSEUDO_VOTES * counts.shape[1]
        np.divide(counts + PSEUDO_VOTES, shared[:, None], out=found.probability)
        np.logical_and(alone, 2 * most > self.needed, out=found.decided)


def count(votes: Votes) -> NDArray[np.int64]:
    """Return how many votes name each label of each task, (n_tasks, n_labels)."""
    task, label = votes.task, votes.label
    if label.size and label.min() == ABSTAINED:
        named = label != ABSTAINED
        task, label = task[named], label[named]
    # In int64: a narrow array would wrap around. A label's tasks lie together.
    place = np.multiply(label, votes.n_tasks, dtype=np.int64)
    place += task
    counts = np.bincount(place, minlength=votes.n_tasks * votes.n_labels)
    return counts.astype(np.int64, copy=False).reshape(votes.n_labels, votes.n_tasks).T
