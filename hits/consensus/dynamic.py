"""ImageNet's own rule (Deng et al. 2009, section 3.2): a confidence table for each category, then just enough votes.

A first random subset of each category gets ten votes a task: as two HITs of five, because a tenth assignment on one
HIT doubles the fee. They make the table P(label is true | votes for it, votes against it). The rest is voted on
until the table says that the threshold is passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .majority import count
from .votes import ABSTAINED, UNKNOWN, Consensus, Parameters, Votes, respecting_known

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

SUBSET_VOTES = 10
VOTES_A_HIT = 5
# Fewer tasks than these make no table.
SUBSET_LEAST = 10
# A category's own cells against the whole set's, and the whole set's against the model, in tasks.
BORROWED_TASKS = 3.0


@dataclass(frozen=True, slots=True)
class Dynamic:
    """A label is decided once the confidence table of its category gives it `threshold` or more.

    The table is made from the tasks with ten votes or more; where there are fewer than ten such tasks, from the
    tenth of the tasks with the most votes.
    `most` is where `wanting` gives a task up. Raises ValueError for a threshold outside ½ … 1 or no votes.
    """

    threshold: float = 0.95
    most: int = SUBSET_VOTES

    def __post_init__(self) -> None:
        if not 0.5 < self.threshold < 1:
            raise ValueError(f"a threshold is above 0.5 and below 1, not {self.threshold!r}")
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise ValueError(f"at most so many votes must be a positive number, not {self.most!r}")

    @property
    def name(self) -> str:
        return "dynamic"

    @property
    def parameters(self) -> Parameters:
        return {"threshold": self.threshold, "most": self.most}

    def decide(self, votes: Votes) -> Consensus:
        """Look every task up in the confidence table of its category."""
        counts = count(votes)
        total = counts.sum(axis=1)
        confidence = confidences(votes, counts)
        label = confidence.argmax(axis=1) if votes.n_tasks else np.zeros(0, dtype=np.int64)
        best = confidence.max(axis=1) if votes.n_tasks else np.zeros(0)
        alone = (confidence >= best[:, None] - 1e-12).sum(axis=1) == 1
        return respecting_known(
            votes,
            Consensus(
                label=np.where(total > 0, label, ABSTAINED),
                probability=confidence,
                decided=alone & (best >= self.threshold) & (total > 0),
                votes=total,
            ),
        )

    def wanting(self, votes: Votes) -> Mask:
        """Mark the tasks that need another vote: those not decided that have fewer than `most`."""
        found = self.decide(votes)
        return ~found.decided & (found.votes < self.most)


def first_subset(group: Indices, tasks: int, generator: np.random.Generator) -> Mask:
    """Mark `tasks` random tasks of each group (all of a smaller one): those that are to get ten votes."""
    order = np.lexsort((generator.random(group.size), group))
    ordered = group[order]
    rank = np.arange(group.size) - np.searchsorted(ordered, ordered)
    chosen = np.zeros(group.size, dtype=np.bool_)
    chosen[order[rank < tasks]] = True
    return chosen


def confidences(votes: Votes, counts: NDArray[np.int64]) -> Floats:
    """Return P(label | the task's votes for and against it) from the table of its group, (tasks, labels).

    Rows sum to one; a task without votes has the group's prevalence.
    """
    total = counts.sum(axis=1)
    if not votes.n_tasks or not total.any():
        return np.full((votes.n_tasks, votes.n_labels), 1 / votes.n_labels)
    subset = total >= _least_votes(total)
    truth = _subset_truth(votes, counts)
    group = votes.groups()
    pairs = _pairs(int(total.max()))
    found = np.empty(counts.shape, dtype=np.float64)
    for label in range(votes.n_labels):
        learn = _Subset(truth[subset, label], counts[subset, label], total[subset], group[subset])
        table = _monotone(learn.table(pairs, int(group.max()) + 1), pairs)
        found[:, label] = table[group, _place(counts[:, label], total)]
    found /= found.sum(axis=1, keepdims=True)
    return found


def _pairs(most: int) -> NDArray[np.int64]:
    """All (votes for, votes against) of at most so many votes, by their number: (cells, 2)."""
    return np.array([(yes, every - yes) for every in range(most + 1) for yes in range(every + 1)])


def _place(yes: NDArray[np.int64], every: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a pair stands in `_pairs`."""
    return every * (every + 1) // 2 + yes


def _monotone(table: Floats, pairs: NDArray[np.int64]) -> Floats:
    """Let no vote speak against what it is for, in cells that few tasks made; (groups, cells)."""
    for cell, (yes, no) in enumerate(pairs):
        if yes:
            before = _place(yes - 1, yes + no - 1)
            table[:, cell] = np.maximum(table[:, cell], table[:, before])
        if no:
            before = _place(yes, yes + no - 1)
            table[:, cell] = np.minimum(table[:, cell], table[:, before])
    return table


def _least_votes(total: NDArray[np.int64]) -> int:
    """How many votes a task of the subset has: ten; where hardly any has ten, as many as one task in ten has."""
    if np.count_nonzero(total >= SUBSET_VOTES) >= SUBSET_LEAST:
        return SUBSET_VOTES
    return int(np.quantile(total[total > 0], 0.9, method="lower"))


def _subset_truth(votes: Votes, counts: NDArray[np.int64]) -> Floats:
    """What is true of each task as far as the table is concerned: its known label, else its majority; ties split."""
    top = counts == counts.max(axis=1, keepdims=True)
    truth: Floats = top / top.sum(axis=1, keepdims=True)
    known = votes.truth()
    sure = known != UNKNOWN
    truth[sure] = np.eye(votes.n_labels)[known[sure]]
    return truth


@dataclass(frozen=True, slots=True, eq=False)
class _Subset:
    """The tasks that make one label's table: is it true, how many votes name it, how many there are, which group."""

    truth: Floats
    named: NDArray[np.int64]
    total: NDArray[np.int64]
    group: Indices

    def table(self, pairs: NDArray[np.int64], n_groups: int) -> Floats:
        """P(true | pair of votes for and against) for each group and pair, (groups, pairs)."""
        base = self._model(pairs)
        confidence = np.empty((n_groups, len(pairs)))
        for cell, (yes, no) in enumerate(pairs):
            chance = _hypergeometric(yes, no, self.named, self.total)
            seen = np.bincount(self.group, chance, minlength=n_groups)
            true = np.bincount(self.group, chance * self.truth, minlength=n_groups)
            pooled = (true.sum() + BORROWED_TASKS * base[cell]) / (seen.sum() + BORROWED_TASKS)
            confidence[:, cell] = (true + BORROWED_TASKS * pooled) / (seen + BORROWED_TASKS)
        return confidence

    def _model(self, pairs: NDArray[np.int64]) -> Floats:
        """What independent votes would say, for counts that the subset hardly shows."""
        yes, no = pairs[:, 0], pairs[:, 1]
        right = (self.named @ self.truth + 3) / (self.total @ self.truth + 4)
        wrong = (self.named @ (1 - self.truth) + 1) / (self.total @ (1 - self.truth) + 4)
        share = (self.truth.sum() + 1) / (self.truth.size + 2)
        odds = np.log(share / (1 - share)) + yes * np.log(right / wrong)
        odds = odds + no * np.log((1 - right) / (1 - wrong))
        model: Floats = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        return model


def _hypergeometric(yes: int, no: int, named: NDArray[np.int64], total: NDArray[np.int64]) -> Floats:
    """P(the first yes+no votes of a task hold `yes` of its `named` among `total`), votes coming in any order."""
    chance: Floats = _choose(named, yes) * _choose(total - named, no)
    return chance / np.maximum(_choose(total, yes + no), 1.0)


def _choose(among: NDArray[np.int64], number: int) -> Floats:
    """Binomial coefficients; nothing can be chosen from fewer."""
    chosen = np.ones(among.shape)
    for step in range(number):
        chosen *= np.maximum(among - step, 0) / (step + 1)
    return chosen
