"""Expectation and maximisation for Dawid and Skene's model: votes in, each task's likelihood of each label out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from . import calibration, prevalence, tempering
from .calibration import Calibration
from .majority import count
from .votes import ABSTAINED, UNKNOWN, Votes
from .workers import Belief, Free, Tied

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MAX_ROUNDS = 100
# The fit has settled when the probabilities of unknown tasks move by less than this on average.
SETTLED = 1e-4
# Rounds before temper and belief are learned: the first probabilities are only vote shares.
FIRST_ROUNDS = 3
# A temper is one number: that many controls or votes are plenty to learn it from.
SAMPLE = 20_000
# Tasks whose votes are weighed at once: what lies between fits into a processor's own memory.
TASKS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """One model's word: `probability` (tasks, labels), and what it thinks of workers.

    `scores` are the log-likelihoods behind it, and `mistaken` is `calibration.mistaken_for`.
    """

    probability: Floats
    scores: Floats
    mistaken: Floats
    confusion: Floats
    prevalence: Floats
    calibration: Calibration
    rounds: int


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Some tasks or votes that are looked at more closely: their votes, and which of the tasks each is on."""

    rows: Indices
    task: Indices
    tasks: Indices


class Fitting:
    """The arrays that all models of the same votes share.

    Votes are sorted by task. Arrays (tasks, labels) have a label's tasks together. A task is judged by its workers'
    answers to other tasks alone (`workers.Telling`): where votes are few they would else confirm themselves.
    """

    def __init__(self, votes: Votes) -> None:
        self.n_tasks, self.n_labels = votes.n_tasks, votes.n_labels
        unsure = votes.label == ABSTAINED
        self.n_responses = votes.n_labels + int(unsure.any())
        self.n_workers = int(votes.worker.max()) + 1 if votes.worker.size else 0
        # Sorted by task, worker and answer together: sums must not depend on the order in which votes came.
        key = votes.task.astype(np.int64)
        key *= max(self.n_workers, 1)
        key += votes.worker
        key *= self.n_responses
        key += np.where(unsure, votes.n_labels, votes.label) if unsure.any() else votes.label
        key.sort()
        n_cells = max(self.n_workers * self.n_responses, 1)
        self.task = key // n_cells
        key -= self.task * n_cells
        self.cell = key
        self.cast = np.bincount(self.cell, minlength=self.n_workers * self.n_responses).astype(np.float64)
        self.votes_a_task = np.bincount(self.task, minlength=self.n_tasks)
        ends = np.append(0, np.cumsum(self.votes_a_task))
        self.blocks = [
            (slice(start, end), slice(int(ends[start]), int(ends[end])))
            for start, end in pairwise([*range(0, self.n_tasks, TASKS_AT_ONCE), self.n_tasks])
        ]
        self.truth = votes.truth()
        self.known = self.truth != UNKNOWN
        self.group = votes.groups()
        self.n_groups = int(self.group.max()) + 1 if self.n_tasks else 1
        self.named = count(votes)
        self.controls_are_fair = self._controls_are_fair()
        self.controls = self._controls()

    def _controls_are_fair(self) -> bool:
        if not self.known.any():
            return False
        total = self.named.sum(axis=1)
        voted = total > 0
        return prevalence.controls_are_fair(self.named[voted] / total[voted, None], self.known[voted])

    def _controls(self) -> _Sample:
        tasks = some(np.flatnonzero(self.known))
        number = np.full(self.n_tasks, -1, dtype=np.int64)
        number[tasks] = np.arange(tasks.size)
        rows = np.flatnonzero(number[self.task] >= 0) if tasks.size else tasks
        return _Sample(rows, number[self.task[rows]], tasks)

    def free_workers(self) -> Free:
        return Free(self.n_labels, self.n_responses)

    def tied_workers(self) -> Tied:
        return Tied(self.n_labels, self.n_responses)

    def fit(self, belief: Belief) -> Fitted:
        """Fit the model with this belief on workers, calibrated by controls or else by the votes themselves."""
        every = self.named.sum(axis=1, keepdims=True)
        self.belief, self.temper, self.rounds = belief, 1.0, 0
        self.probability = self._settle_known((self.named + 0.5) / (every + 0.5 * self.n_labels))
        self.share = self._prevalence(self.probability)
        self.counts = self._counts(self.probability)
        for self.rounds in range(1, MAX_ROUNDS + 1):
            if self.rounds > FIRST_ROUNDS:
                self.belief.learn(self.counts)
                if self.known.any():
                    self.temper = self._temper_from_controls()
            judged = self._judge(self._scores(), self.temper)
            self.share = self._prevalence(judged)
            judged = self._settle_known(judged)
            moved = float(np.abs(judged - self.probability).mean()) if self.n_tasks else 0.0
            self.probability = judged
            self.counts = self._counts(judged)
            if moved < SETTLED and self.rounds > FIRST_ROUNDS + 1:
                break
        return self._last_word()

    def _last_word(self) -> Fitted:
        mistaken = calibration.mistaken_for(self.counts[:, :, : self.n_labels].sum(axis=0))
        if self.known.any():
            controls = self.controls.tasks
            found = calibration.from_controls(self._control_scores(), self.truth[controls], mistaken)
        else:
            found = Calibration(self._temper_from_votes())
        scores = self._scores()
        judged = self._judge(scores, found.temper)
        return Fitted(
            probability=calibration.corrected(judged, found.misled, mistaken),
            scores=scores,
            mistaken=mistaken,
            confusion=self.belief.confusion(self.counts),
            prevalence=self.share,
            calibration=found,
            rounds=self.rounds,
        )

    def _settle_known(self, probability: Floats) -> Floats:
        if not self.known.any():
            return probability
        settled = probability.copy(order="K")
        settled[self.known] = np.eye(self.n_labels)[self.truth[self.known]]
        return settled

    def _counts(self, probability: Floats) -> Floats:
        """How often each worker gave each response to each true label, (workers, labels, responses)."""
        counts = np.empty((self.n_workers, self.n_labels, self.n_responses))
        rest = self.cast.copy()
        for label in range(1, self.n_labels):
            own = np.repeat(probability[:, label], self.votes_a_task)
            column = np.bincount(self.cell, own, minlength=rest.size)
            rest -= column
            counts[:, label, :] = column.reshape(self.n_workers, self.n_responses)
        counts[:, 0, :] = np.maximum(rest, 0.0).reshape(self.n_workers, self.n_responses)
        return counts

    def _scores(self) -> Floats:
        """The log-likelihood of each label above that of the first, from what workers said of other tasks."""
        scores = np.zeros((self.n_labels, self.n_tasks))
        telling = self.belief.telling(self.counts)
        for tasks, votes in self.blocks:
            task = self.task[votes] - tasks.start
            own = [column[tasks][task] for column in self.probability.T]
            columns = telling.above_first(self.cell[votes], own)
            for row, column in zip(scores[1:], columns, strict=True):
                row[tasks] = np.bincount(task, column, minlength=tasks.stop - tasks.start)
        return scores.T

    def _control_scores(self) -> Floats:
        sample = self.controls
        own = np.eye(self.n_labels)[:, self.truth[sample.tasks]][:, sample.task]
        scores = np.zeros((sample.tasks.size, self.n_labels))
        columns = self.belief.telling(self.counts).above_first(self.cell[sample.rows], list(own))
        for label, column in enumerate(columns, start=1):
            scores[:, label] = np.bincount(sample.task, column, minlength=sample.tasks.size)
        return scores

    def _judge(self, scores: Floats, temper: float) -> Floats:
        if not self.n_tasks:
            return scores
        log_share = np.log(self.share)
        prior = log_share[0] if self.n_groups == 1 else np.take(log_share.T, self.group, axis=1).T
        return tempering.softmax(temper * scores + prior)

    def _prevalence(self, probability: Floats) -> Floats:
        group, controls = self.group, None
        if self.known.any():
            unknown = ~self.known
            probability, group = probability.T[:, unknown].T, group[unknown]
        if self.controls_are_fair:
            controls = np.bincount(self.truth[self.known], minlength=self.n_labels).astype(np.float64)
        return prevalence.by_group(probability, group, self.n_groups, controls)

    def _temper_from_controls(self) -> float:
        return tempering.from_controls(self._control_scores(), self.truth[self.controls.tasks])

    def _temper_from_votes(self) -> float:
        """By how well the other votes on a task foretell each vote."""
        chosen = np.zeros(self.n_tasks, dtype=np.bool_)
        chosen[some(np.flatnonzero(self.votes_a_task > 1))] = True
        rows = np.flatnonzero(chosen[self.task])
        task = self.task[rows]
        own = [column[task] for column in self.probability.T]
        columns = self.belief.telling(self.counts).above_first(self.cell[rows], own)
        ours = np.stack([np.zeros(rows.size), *columns], axis=1)
        tasks, place = np.unique(task, return_inverse=True)
        scores = np.zeros((tasks.size, self.n_labels))
        for label, column in enumerate(ours.T):
            scores[:, label] = np.bincount(place, column, minlength=tasks.size)
        return tempering.from_votes(scores[place] - ours, ours, self.share[self.group[task]])


def some(rows: Indices) -> Indices:
    """At most about SAMPLE of the rows, evenly spread: chosen without chance."""
    return rows[:: max(1, len(rows) // SAMPLE)]
