"""Which tasks are worth another vote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import dawid_skene
from .majority import count
from .votes import UNKNOWN, Votes


@dataclass(frozen=True, slots=True)
class Stopping:
    """Asks for the next vote only where the verdict is not sure enough, and can still change or become so.

    `target` is the probability of being right at which a task needs no more votes; no task gets more than `most`.
    Raises ValueError for a target outside ½ … 1 or fewer votes than one.
    """

    target: float = 0.9
    most: int = 5

    def __post_init__(self) -> None:
        if not 0.5 < self.target < 1:
            raise ValueError(f"a target is above 0.5 and below 1, not {self.target!r}")
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise ValueError(f"at most so many votes must be a positive number, not {self.most!r}")

    def wanting(self, votes: Votes) -> NDArray[np.bool_]:
        """Mark the tasks that need another vote, by Dawid and Skene's model of all votes so far.

        Every task gets a first vote; known tasks need none.
        """
        cast = np.bincount(votes.task.astype(np.int64), minlength=votes.n_tasks)
        unknown = votes.truth() == UNKNOWN
        if not votes.task.size or not count(votes).any():
            first: NDArray[np.bool_] = unknown & (cast < self.most)
            return first
        found = dawid_skene.fit(votes)
        undecided = may_change(
            found.probability,
            self.most - cast,
            target=self.target,
            vote_weight=found.vote_weight,
            ceiling=1 - found.misled,
        )
        asked: NDArray[np.bool_] = unknown & (undecided | (cast == 0))
        return asked


def may_change(
    probability: NDArray[np.float64],
    left: NDArray[np.int64],
    *,
    target: float,
    vote_weight: float,
    ceiling: float = 1.0,
) -> NDArray[np.bool_]:
    """Mark the tasks below `target` whose likeliest label `left` more votes could overturn or confirm.

    `probability` is (tasks, labels); `vote_weight` is how far one typical vote moves the log-odds between two
    labels; no number of votes makes a label likelier than `ceiling`. A task that can reach neither another label nor
    the target in the votes that are left is given up: asking on would cost votes and change no verdict.
    """
    ordered = np.sort(np.clip(probability, 1e-12, 1.0), axis=1)
    gap = np.log(ordered[:, -1] / ordered[:, -2])
    sure = ordered[:, -1] >= target
    missing = np.full(gap.shape, np.inf)
    if target < ceiling:
        missing = _log_odds(np.asarray(target / ceiling)) - _log_odds(ordered[:, -1] / ceiling)
    reach = left * vote_weight
    possible: NDArray[np.bool_] = (left > 0) & ~sure & ((gap <= reach) | (missing <= reach))
    return possible


def _log_odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.minimum(share, 1 - 1e-12)
    odds: NDArray[np.float64] = np.log(share / (1 - share))
    return odds
