"""Dawid and Skene's model (1979) with priors on workers: every worker has a confusion matrix of their own.

What is added to it, each for a reason:

- Workers have a Dirichlet prior that the set itself teaches (`worker_prior`): most workers answer little.
- A task is judged by what its workers said of *other* tasks: its own share is taken out of their counts (as in
  collapsed variational inference, CVB0: Teh et al. 2006, Asuncion et al. 2009). That keeps certainty honest, and
  what is said of a control owes nothing to its known label.
- Likelihoods are tempered (`tempering`), because votes on one task err together.
- Controls are certain while workers are measured; they also teach the temper and, if fair, prevalence.
- "Not sure" is a response like any other: where doubt comes with one of the labels, it tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import prevalence, tempering, worker_prior
from .majority import count
from .precision import decided_at
from .votes import ABSTAINED, UNKNOWN, Consensus, Parameters, Votes, respecting_known

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MAX_ROUNDS = 100
# The fit has settled when the probabilities of unknown tasks move by less than this on average.
SETTLED = 1e-4
# Rounds before tempers and worker prior are learned: the first probabilities are only vote shares.
FIRST_ROUNDS = 3
# Standard deviation of log temper: firm while it feeds back into the fit, loose for the last word.
FIRM, LOOSE = 0.25, 1.0
# A temper is one number: that many controls or votes are plenty to learn it from.
TEMPER_SAMPLE = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What the model says; `probability` (tasks, labels) is of every task without its own known label.

    `confusion` (workers, true label, response) is each worker's expected confusion matrix, rows summing to one;
    its last response is "not sure" if anybody said so. `prevalence` is (groups, labels). `vote_weight` is how far
    a typical vote moves the log-odds of a task. `rounds` counts the iterations.
    """

    probability: Floats
    confusion: Floats
    prevalence: Floats
    temper: float
    vote_weight: float
    rounds: int


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """Weighs each vote by what its worker's other votes and the controls say of that worker.

    With `precision` above 0 it stands by as many labels as it can while those that it stands by are right that
    often, in expectation; else by every likeliest label. Raises ValueError for a precision outside 0 … 1.
    """

    precision: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.precision < 1:
            raise ValueError(f"a precision is at least 0 and below 1, not {self.precision!r}")

    @property
    def name(self) -> str:
        return "dawid-skene"

    @property
    def parameters(self) -> Parameters:
        return {"precision": self.precision}

    def decide(self, votes: Votes) -> Consensus:
        """Return what the fitted model says of each task; O(rounds × votes × labels)."""
        named = count(votes).sum(axis=1)
        found = fit(votes)
        voted = named > 0
        return respecting_known(
            votes,
            Consensus(
                label=np.where(voted, found.probability.argmax(axis=1), ABSTAINED),
                probability=found.probability,
                decided=voted & decided_at(found.probability, self.precision, voted),
                votes=named,
            ),
        )


def fit(votes: Votes) -> Fit:
    """Fit the model to all votes, abstentions included; the same votes in any order give the same fit."""
    return _Fitting(votes).run()


class _Fitting:
    """The arrays of one fit. Votes are sorted by task. Of arrays (tasks, labels) a label's tasks lie together."""

    def __init__(self, votes: Votes) -> None:
        self.n_tasks, self.n_labels = votes.n_tasks, votes.n_labels
        # The worker is in the key too: sums must not depend on the order in which votes came.
        order = np.lexsort((votes.label, votes.worker, votes.task))
        self.task = votes.task[order].astype(np.int64)
        self.votes_a_task = np.bincount(self.task, minlength=self.n_tasks)
        response = votes.label[order].astype(np.int64)
        unsure = response == ABSTAINED
        self.n_responses = votes.n_labels + int(unsure.any())
        self.response = np.where(unsure, votes.n_labels, response)
        self.worker = votes.worker[order].astype(np.int64)
        self.n_workers = int(self.worker.max()) + 1 if self.worker.size else 0
        self.cell = self.worker * self.n_responses + self.response
        self.truth = votes.truth()
        self.known = self.truth != UNKNOWN
        self.group = votes.groups()
        self.n_groups = int(self.group.max()) + 1 if self.n_tasks else 1
        self.named = count(votes)
        self.first = worker_prior.first_belief(self.n_labels, self.n_responses)
        self.fair_controls = self._fair_controls()

    def _fair_controls(self) -> Floats | None:
        total = self.named.sum(axis=1)
        voted = total > 0
        shares = self.named[voted] / total[voted, None]
        if not prevalence.controls_are_fair(shares, self.known[voted]):
            return None
        return np.bincount(self.truth[self.known], minlength=self.n_labels).astype(np.float64)

    def run(self) -> Fit:
        belief, temper = self.first, 1.0
        probability = self._settle_known(
            (self.named + 0.5) / (self.named.sum(axis=1, keepdims=True) + 0.5 * self.n_labels)
        )
        own = self._own(probability)
        counts = self._counts(own)
        likelihood = np.zeros((self.n_labels, self.task.size))
        scores = np.zeros((self.n_tasks, self.n_labels))
        share = self._prevalence(probability)
        rounds = 0
        for rounds in range(1, MAX_ROUNDS + 1):
            if rounds > FIRST_ROUNDS:
                belief = worker_prior.learned(belief, self.first, counts)
            likelihood = self._likelihood(own, counts, belief)
            scores = self._task_sums(likelihood)
            if rounds > FIRST_ROUNDS and self.known.any():
                temper = self._temper_from_controls(scores, FIRM)
            judged = self._judge(scores, share, temper)
            share = self._prevalence(judged)
            judged = self._settle_known(judged)
            moved = float(np.abs(judged - probability).mean()) if self.n_tasks else 0.0
            probability = judged
            own = self._own(probability)
            counts = self._counts(own)
            if moved < SETTLED and rounds > FIRST_ROUNDS + 1:
                break
        temper = self._last_temper(scores, likelihood, share)
        trust = counts + belief
        return Fit(
            probability=self._judge(scores, share, temper),
            confusion=trust / trust.sum(axis=2, keepdims=True),
            prevalence=share,
            temper=temper,
            vote_weight=temper * float(np.log(np.diag(belief).mean() / belief[0, 1])),
            rounds=rounds,
        )

    def _settle_known(self, probability: Floats) -> Floats:
        if not self.known.any():
            return probability
        settled = probability.copy(order="K")
        settled[self.known] = np.eye(self.n_labels)[self.truth[self.known]]
        return settled

    def _own(self, probability: Floats) -> Floats:
        """The probability of each label for each vote's task, (labels, votes)."""
        own = np.empty((self.n_labels, self.task.size))
        for label in range(self.n_labels - 1):
            own[label] = np.repeat(probability[:, label], self.votes_a_task)
        np.subtract(1.0, own[0], out=own[-1])
        for label in range(1, self.n_labels - 1):
            own[-1] -= own[label]
        return np.maximum(own, 0.0, out=own)

    def _counts(self, own: Floats) -> Floats:
        """How often each worker gave each response to each true label, (workers, labels, responses)."""
        size = self.n_workers * self.n_responses
        counts = np.empty((self.n_workers, self.n_labels, self.n_responses))
        for label in range(self.n_labels):
            column = np.bincount(self.cell, own[label], minlength=size)
            counts[:, label, :] = column.reshape(self.n_workers, self.n_responses)
        return counts

    def _likelihood(self, own: Floats, counts: Floats, belief: Floats) -> Floats:
        """Log-likelihood of each vote under each label, from its worker's votes on other tasks; (labels, votes)."""
        trust = counts + belief
        every = trust.sum(axis=2)
        likelihood = np.empty((self.n_labels, self.task.size))
        for label, column in enumerate(likelihood):
            np.take(np.ascontiguousarray(trust[:, label, :]).ravel(), self.cell, out=column)
            column -= own[label]
            # Whatever rounding says, taking a task out leaves no less than the prior.
            np.maximum(column, belief[label].min(), out=column)
            rest = np.take(every[:, label], self.worker)
            rest -= own[label]
            column /= rest
            np.log(column, out=column)
        return likelihood

    def _task_sums(self, likelihood: Floats) -> Floats:
        sums = np.empty((self.n_labels, self.n_tasks))
        for row, column in zip(sums, likelihood, strict=True):
            row[:] = np.bincount(self.task, column, minlength=self.n_tasks)
        return sums.T

    def _judge(self, scores: Floats, share: Floats, temper: float) -> Floats:
        if not self.n_tasks:
            return scores
        prior = np.log(share)[0] if self.n_groups == 1 else np.take(np.log(share.T), self.group, axis=1).T
        return tempering.softmax(temper * scores + prior)

    def _prevalence(self, probability: Floats) -> Floats:
        group = self.group
        if self.known.any():
            unknown = ~self.known
            probability, group = probability.T[:, unknown].T, group[unknown]
        return prevalence.by_group(probability, group, self.n_groups, self.fair_controls)

    def _temper_from_controls(self, scores: Floats, spread: float) -> float:
        controls = _some(np.flatnonzero(self.known))
        return tempering.from_controls(scores[controls], self.truth[controls], spread)

    def _last_temper(self, scores: Floats, likelihood: Floats, share: Floats) -> float:
        if self.known.any():
            return self._temper_from_controls(scores, LOOSE)
        some = _some(np.arange(self.task.size))
        task, ours = self.task[some], likelihood[:, some].T
        return tempering.from_votes(scores[task] - ours, ours, share[self.group[task]])


def _some(rows: Indices) -> Indices:
    """At most TEMPER_SAMPLE of the rows, evenly spread: chosen without chance."""
    return rows[:: max(1, len(rows) // TEMPER_SAMPLE)]
