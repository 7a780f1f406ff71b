"""How far workers can be trusted; arrays in, figures out.

A worker has two accuracies: how often a picture that shows the concept is called "yes", and how often one that does
not is called "no". Each has a beta posterior, because most workers answer few controls.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .consensus import ABSTAINED, NO, UNKNOWN, YES, Votes
from .consensus.workers import RIGHT, WRONG
from .model import Exclusion

Floats = NDArray[np.float64]

# Agreeing with everybody else on a question tells half as much as a control: they may all be wrong.
AGREEMENT_WORTH = 0.5
OTHERS_NEEDED = 2
# Central 95 % of a posterior.
TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Limits:
    """When a worker gets no more work. Nobody is excluded on less than `evidence` controls' worth of answers.

    `accuracy`: the mean of both accuracies, which is ½ for guessing, is surely below it. `seconds`: more than half of
    three pages or more took less time a picture, by a worker not surely `trusted`. `same_share`: so large a share of
    at least `same_votes` answers were one and the same, where others gave it to fewer than `others_share`.
    `unreadable_pages`: so many pages, and more than half of all, cannot be read; they need no controls as evidence.
    """

    evidence: float = 10.0
    accuracy: float = 0.7
    seconds: float = 0.25
    pages: int = 3
    trusted: float = 0.85
    same_share: float = 0.98
    same_votes: int = 60
    others_share: float = 0.8
    unreadable_pages: int = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean and central 95 % of a posterior; `evidence` is how many answers, in controls' worth, are behind it."""

    mean: float
    low: float
    high: float
    evidence: float


@dataclass(frozen=True, slots=True)
class Conduct:
    """What one worker's answers show. `seconds` is the median time a picture (None: not measured).

    `pages` are those that can be read, and all other figures are about them; `unreadable_pages` are the others.
    `hasty_pages` took less than the limit; `repeats` are votes on questions that the worker had voted on before;
    `same_share` is the share of the most frequent answer, `others_share` that of others giving it there.
    """

    worker: int
    pages: int
    votes: int
    yes: Estimate
    no: Estimate
    balanced: Estimate
    seconds: float | None
    hasty_pages: int
    unreadable_pages: int
    repeats: int
    same_share: float
    others_share: float


@dataclass(frozen=True, slots=True, eq=False)
class _Estimates:
    """An Estimate of every worker: a column a figure."""

    mean: Floats
    low: Floats
    high: Floats
    evidence: Floats

    def listed(self, chosen: NDArray[np.int64] | slice = slice(None)) -> list[Estimate]:
        """The estimates of chosen workers, one by one."""
        columns = (self.mean, self.low, self.high, self.evidence)
        return [Estimate(*row) for row in zip(*(column[chosen].tolist() for column in columns), strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class _Figures:
    """What of a Conduct is counted of every worker: a column a figure."""

    pages: NDArray[np.int64]
    votes: NDArray[np.int64]
    balanced: _Estimates
    hasty_pages: NDArray[np.int64]
    unreadable_pages: NDArray[np.int64]
    repeats: NDArray[np.int64]
    same_share: Floats
    others_share: Floats

    def described(
        self, chosen: NDArray[np.int64], yes: _Estimates, no: _Estimates, seconds: Floats
    ) -> list[Conduct]:
        """The conduct of chosen workers, of whom the accuracies and the seconds a picture are given."""
        rows = zip(
            chosen.tolist(),
            yes.listed(),
            no.listed(),
            self.balanced.listed(chosen),
            seconds.tolist(),
            strict=True,
        )
        return [
            Conduct(
                worker=one,
                pages=int(self.pages[one]),
                votes=int(self.votes[one]),
                yes=of_yes,
                no=of_no,
                balanced=both,
                seconds=None if isnan(median) else median,
                hasty_pages=int(self.hasty_pages[one]),
                unreadable_pages=int(self.unreadable_pages[one]),
                repeats=int(self.repeats[one]),
                same_share=float(self.same_share[one]),
                others_share=float(self.others_share[one]),
            )
            for one, of_yes, of_no, both, median in rows
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """Finished pages that can be read: whose, and seconds a picture (NaN: not measured)."""

    worker: NDArray[np.int64]
    seconds: Floats


def measure(
    votes: Votes,
    pages: Pages,
    repeats: NDArray[np.int64],
    limits: Limits | None = None,
    *,
    unreadable: NDArray[np.int64] | None = None,
    suspects: bool = False,
) -> list[Conduct]:
    """Return the conduct of every worker, by number; `repeats` counts each one's repeated votes.

    `unreadable` counts each one's pages that cannot be read (None: nobody has any). Votes of higher numbers than
    `repeats` has are somebody else's: what others said, of whom nothing is measured.

    `votes` are two-class, controls being the tasks that are `known`. A worker's answers to other questions are
    compared with what all others said, where two or more did and agree. With `suspects`, only those against whom
    `verdict_on` has a reason are described, without the intervals of `yes` and `no` (NaN), which take scipy.
    """
    limits = limits or Limits()
    n_workers = repeats.size
    asked = votes.worker < n_workers
    worker, label = votes.worker[asked].astype(np.int64), votes.label[asked]
    worth, truth, others = _evidence(votes, asked)
    shown = _summed(worker, worth, truth, n_workers)
    agreed = truth == label
    right = _summed(worker[agreed], worth[agreed], truth[agreed], n_workers)
    same, others_same = _same_answers(worker, label, others, n_workers)
    every = _Figures(
        pages=np.bincount(pages.worker, minlength=n_workers),
        votes=np.bincount(worker, minlength=n_workers),
        balanced=_balanced(right, shown),
        hasty_pages=np.bincount(pages.worker[pages.seconds < limits.seconds], minlength=n_workers),
        unreadable_pages=np.zeros(n_workers, dtype=np.int64) if unreadable is None else unreadable,
        repeats=repeats,
        same_share=same,
        others_share=others_same,
    )
    chosen = np.arange(n_workers)
    if suspects:
        chosen = np.flatnonzero(np.any(list(_reasons(every, limits).values()), axis=0))
    no, yes = (_estimates(right[true, chosen], shown[true, chosen], not suspects) for true in (NO, YES))
    medians = _medians(pages, n_workers)[chosen]
    return every.described(chosen, yes, no, medians)


def verdict_on(conduct: Conduct, limits: Limits | None = None) -> tuple[Exclusion, str] | None:
    """Return why a worker should get no more work, and the figures in words; None if there is no reason."""
    limits = limits or Limits()
    for reason, given in _reasons(conduct, limits).items():
        if given:
            return reason, _words(reason, conduct, limits)
    return None


def _reasons(one: Conduct | _Figures, limits: Limits) -> dict[Exclusion, Any]:
    """Whether each reason is given, the first first: of one worker, or an array of many."""
    return {
        Exclusion.UNREADABLE: (one.unreadable_pages >= limits.unreadable_pages)
        & (one.unreadable_pages > one.pages),
        Exclusion.INACCURATE: (one.balanced.evidence >= limits.evidence)
        & (one.balanced.high < limits.accuracy),
        Exclusion.TOO_FAST: (one.pages >= limits.pages)
        & (2 * one.hasty_pages > one.pages)
        & (one.balanced.low < limits.trusted),
        Exclusion.SAME_ANSWER: (one.votes >= limits.same_votes)
        & (one.same_share >= limits.same_share)
        & (one.others_share < limits.others_share),
    }


def _words(reason: Exclusion, conduct: Conduct, limits: Limits) -> str:
    """What makes the worker's conduct this reason."""
    broken = conduct.unreadable_pages
    if reason == Exclusion.UNREADABLE:
        return f"{broken} of {broken + conduct.pages} pages cannot be read"
    if reason == Exclusion.INACCURATE:
        return (
            f"of known pictures about {conduct.yes.mean:.0%} of those that show it and {conduct.no.mean:.0%} of those "
            "that do not were answered rightly"
        )
    if reason == Exclusion.TOO_FAST:
        return f"{conduct.hasty_pages} of {conduct.pages} pages took less than {limits.seconds:g} seconds a picture"
    return (
        f"{conduct.same_share:.0%} of {conduct.votes} answers were the same, where others gave it to "
        f"{conduct.others_share:.0%}"
    )


def _evidence(votes: Votes, asked: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Of the votes `asked` about: how much each tells, the label as far as is known, the others' share of "yes"."""
    task, label = votes.task[asked], votes.label[asked]
    no, yes = (
        np.bincount(votes.task[votes.label == one], minlength=votes.n_tasks)[task] - (label == one)
        for one in (NO, YES)
    )
    number = no + yes
    share = np.divide(yes, number, out=np.full(task.size, np.nan), where=number > 0)
    known = votes.truth()[task]
    control = known != UNKNOWN
    agreed = (number >= OTHERS_NEEDED) & ((no == 0) | (yes == 0))
    truth = np.where(control, known, np.where(agreed, np.where(no == 0, YES, NO), UNKNOWN))
    # Not sure is neither right nor wrong.
    truth[label == ABSTAINED] = UNKNOWN
    share[control] = np.nan
    return np.where(control, 1.0, AGREEMENT_WORTH), truth, share


def _summed(worker: NDArray[np.int64], worth: Floats, truth: NDArray[np.int64], n_workers: int) -> Floats:
    """What votes are worth together, (labels, workers): by their worker and the true label, where it is known."""
    each = [np.bincount(worker[truth == true], worth[truth == true], n_workers) for true in (NO, YES)]
    # Without a vote they would be whole numbers.
    return np.array(each, dtype=np.float64)


def _medians(pages: Pages, n_workers: int) -> Floats:
    medians = np.full(n_workers, np.nan)
    timed = ~np.isnan(pages.seconds)
    order = np.lexsort((pages.seconds[timed], pages.worker[timed]))
    seconds = pages.seconds[timed][order]
    workers, starts, number = np.unique(pages.worker[timed][order], return_index=True, return_counts=True)
    medians[workers] = (seconds[starts + (number - 1) // 2] + seconds[starts + number // 2]) / 2
    return medians


def _same_answers(
    worker: NDArray[np.int64], label: NDArray[np.integer], others: Floats, n_workers: int
) -> tuple[Floats, Floats]:
    """Of each worker: the share of the more frequent of yes and no, and how large a share of others gave it there."""
    said = np.stack([np.bincount(worker[label == one], minlength=n_workers) for one in (NO, YES)])
    every = np.bincount(worker, minlength=n_workers)
    most = said.argmax(axis=0)
    same = np.divide(said.max(axis=0), every, out=np.zeros(n_workers), where=every > 0)
    seen = ~np.isnan(others)
    yes = np.bincount(worker[seen], others[seen], n_workers)
    number = np.bincount(worker[seen], minlength=n_workers)
    # Without anybody to compare with, the crowd is taken to agree.
    share = np.divide(yes, number, out=most.astype(np.float64), where=number > 0)
    return same, np.where(most == YES, share, 1 - share)


def _estimates(right: Floats, shown: Floats, intervals: bool) -> _Estimates:
    first, second = RIGHT + right, WRONG + shown - right
    low = high = np.full(first.shape, np.nan)
    if intervals:
        from scipy.special import betaincinv

        low, high = (betaincinv(first, second, share) for share in (TAIL, 1 - TAIL))
    return _Estimates(first / (first + second), low, high, shown)


def _balanced(right: Floats, shown: Floats) -> _Estimates:
    """The mean of both accuracies, (labels, workers) in; its interval from the variances of the two."""
    first, second = RIGHT + right, WRONG + shown - right
    every = first + second
    mean = (first / every).mean(axis=0)
    spread = 1.96 * np.sqrt((first * second / (every**2 * (every + 1))).sum(axis=0)) / 2
    return _Estimates(mean, np.maximum(mean - spread, 0), np.minimum(mean + spread, 1), shown.sum(axis=0))
