"""Which tasks are worth another vote."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import dawid_skene
from .majority import count
from .votes import UNKNOWN, Votes

Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]

# Of the votes that a mean leaves, so many are asked for at once: what they say tells where the others are worth most.
AT_ONCE = 0.5
# But where that is less than one vote for so many tasks, all: the last few votes are not worth rounds of their own.
LEAST_TASKS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Wants:
    """Marks of the tasks to be asked about `now`, and of those that may be `later`, when these votes are there."""

    now: Mask
    later: Mask


@dataclass(frozen=True, slots=True)
class Stopping:
    """Asks for the next vote only where the verdict is not sure enough, and can still change or become so.

    `target` is the probability of being right at which a task needs no more votes; no task gets more than `most`.
    With a `mean`, the unknown tasks together get no more than so many votes each on average: where it does not
    reach for all, the least sure are asked about first, half of what is left at a time. Raises ValueError for a
    target outside ½ … 1, fewer votes than one, or a mean outside 1 … `most`.
    """

    target: float = 0.9
    most: int = 5
    mean: float | None = None

    def __post_init__(self) -> None:
        if not 0.5 < self.target < 1:
            raise ValueError(f"a target is above 0.5 and below 1, not {self.target!r}")
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise ValueError(f"at most so many votes must be a positive number, not {self.most!r}")
        if self.mean is not None and not 1 <= self.mean <= self.most:
            raise ValueError(
                f"a mean of votes is at least 1 and no more than the most, {self.most}, not {self.mean!r}"
            )

    def wanting(self, votes: Votes) -> Mask:
        """Mark the tasks that need another vote now, by Dawid and Skene's model of all votes so far.

        Every task gets a first vote; known tasks need none. Once nothing is marked, nothing will be.
        """
        return self.wants(votes).now

    def wants(self, votes: Votes, *, cast: Integers | None = None, waiting: Mask | None = None) -> Wants:
        """Say which tasks need another vote, now or later.

        `cast` counts the votes on each task, where some of them say nothing of its label and are not in `votes`;
        the tasks `waiting` have been asked about, and their next vote is on its way.
        """
        said = np.bincount(votes.task.astype(np.int64), minlength=votes.n_tasks)
        if cast is None:
            cast = said
        if waiting is None:
            waiting = np.zeros(votes.n_tasks, dtype=np.bool_)
        unknown = votes.truth() == UNKNOWN
        first = unknown & (said == 0) & (cast < self.most)
        undecided, sure = self._undecided(votes, cast)
        undecided &= unknown & ~first
        now, later = (first | undecided) & ~waiting, np.zeros(votes.n_tasks, dtype=np.bool_)
        if self.mean is not None:
            n_tasks = int(np.count_nonzero(unknown))
            # First votes are not weighed against others: every task gets one.
            left = int(self.mean * n_tasks) - int(cast[unknown].sum()) - int(np.count_nonzero(first))
            coming = int(np.count_nonzero(waiting & unknown & ~first))
            at_once = math.ceil(AT_ONCE * left)
            if at_once * LEAST_TASKS < n_tasks:
                at_once = left
            number = max(at_once - coming, 0)
            rows = np.flatnonzero(now & ~first)
            rest = rows[np.argsort(sure[rows], kind="stable")][number:]
            now[rest] = False
            later[rest] = left > number + coming
        return Wants(now, later)

    def _undecided(self, votes: Votes, cast: Integers) -> tuple[Mask, NDArray[np.float64]]:
        """The tasks that more votes could decide, and how sure each task's likeliest label is."""
        left = self.most - cast
        if not count(votes).any():
            # Nobody has named a label yet: nothing is known of any task.
            return left > 0, np.full(votes.n_tasks, 1 / votes.n_labels)
        found = dawid_skene.fit(votes)
        undecided = may_change(
            found.probability,
            left,
            target=self.target,
            vote_weight=found.vote_weight,
            ceiling=1 - found.misled,
        )
        return undecided, found.probability.max(axis=1)


def may_change(
    probability: NDArray[np.float64],
    left: Integers,
    *,
    target: float,
    vote_weight: float,
    ceiling: float = 1.0,
) -> Mask:
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
    possible: Mask = (left > 0) & ~sure & ((gap <= reach) | (missing <= reach))
    return possible


def _log_odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.minimum(share, 1 - 1e-12)
    odds: NDArray[np.float64] = np.log(share / (1 - share))
    return odds
