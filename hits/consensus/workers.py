"""What is believed of workers before their answers, and what each answer then says of a task.

Two beliefs, of which controls choose (`dawid_skene.fit`):

- `Free`: a worker's accuracy on one label says nothing of that on another. How good workers typically are is learned
  from the set itself.
- `Tied`: a worker is about as good on every label, and many answers are needed to believe otherwise. Where pictures,
  and not workers, are what errors come from, free workers are credited with the pictures' errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# A worker is thought three times as likely right as wrong, on the strength of four answers.
RIGHT, WRONG, UNSURE = 3.0, 1.0, 0.5
# How many workers' worth of evidence the first belief has against the set's own.
FIRST_BELIEF = 30.0
# So many answers to one label are as good as what a tied worker's answers to all labels say of it.
TIED_ANSWERS = 100.0


class Telling(Protocol):
    """What answers tell of their tasks, after one count of everybody's answers."""

    def above_first(self, cell: Indices, own: Sequence[Floats]) -> Iterator[Floats]:
        """Label by label, but for the first: the log-likelihood of each answer above that under the first label.

        An answer is its `cell`, worker × responses + response. It is judged by its worker's answers to *other* tasks:
        `own` is the probability of each label for the task of each answer, which is its share in the counts.
        """


class Belief(Protocol):
    """Turns counts of answers (workers, true label, response) into likelihoods of further ones."""

    def learn(self, counts: Floats) -> None:
        """Take one step towards what all workers together show."""

    def confusion(self, counts: Floats) -> Floats:
        """Each worker's expected confusion matrix, (workers, true label, response); rows sum to one."""

    def telling(self, counts: Floats) -> Telling: ...


class Free:
    """Each row of a worker's confusion matrix has a Dirichlet prior, whose strength all workers teach."""

    def __init__(self, n_labels: int, n_responses: int) -> None:
        self.first = first_belief(n_labels, n_responses)
        self.belief = self.first

    def learn(self, counts: Floats) -> None:
        """Minka's fixed point for the Dirichlet-multinomial (2000), with FIRST_BELIEF workers' worth of `first`.

        Being right is one parameter for all labels and being wrong another: with few votes a task, nothing else tells
        the labels apart. "Not sure" has one for each true label, because doubt may well come with one of them.
        """
        belief, n_labels = self.belief, self.first.shape[0]
        gain = (digamma(counts + belief) - digamma(belief)).sum(axis=0)
        total = belief.sum(axis=1)
        cost = (digamma(counts.sum(axis=2) + total) - digamma(total)).sum(axis=0)
        right = np.eye(*belief.shape) > 0
        wrong = ~right
        wrong[:, n_labels:] = False
        for alike in (right, wrong):
            gain[alike] = gain[alike].mean()
        costs = np.broadcast_to(cost[:, None], belief.shape).copy()
        costs[:, :n_labels] = cost.mean()
        self.belief = (belief * gain + FIRST_BELIEF * self.first) / (costs + FIRST_BELIEF)

    def confusion(self, counts: Floats) -> Floats:
        trust = counts + self.belief
        confusion: Floats = trust / trust.sum(axis=2, keepdims=True)
        return confusion

    def telling(self, counts: Floats) -> _FreeTelling:
        trust = counts + self.belief
        return _FreeTelling(_by_label(trust), _by_label(_each_response(trust.sum(axis=2), counts.shape[2])))


class _FreeTelling:
    """Tables (labels, cells): how often the worker was seen to give this response, and to answer, with the prior."""

    def __init__(self, trust: Floats, every: Floats) -> None:
        self.trust, self.every = trust, every

    def above_first(self, cell: Indices, own: Sequence[Floats]) -> Iterator[Floats]:
        first = (self.every[0][cell] - own[0]) / (self.trust[0][cell] - own[0])
        for trust, every, share in zip(self.trust[1:], self.every[1:], own[1:], strict=True):
            column = trust[cell] - share
            column /= every[cell] - share
            column *= first
            yield np.log(column, out=column)


class Tied:
    """The prior of each row is the worker's accuracy over all labels, worth TIED_ANSWERS answers."""

    def __init__(self, n_labels: int, n_responses: int) -> None:
        self.n_labels, self.n_responses = n_labels, n_responses

    def learn(self, counts: Floats) -> None:
        """Nothing: what a worker's other labels say is the whole prior."""

    def confusion(self, counts: Floats) -> Floats:
        right, named, every = self.totals(counts)
        accuracy, unsure = self.shares(right, named, every)
        believed = np.repeat((1 - accuracy)[:, None] / (self.n_labels - 1), self.n_responses, axis=1)
        rows = np.repeat(believed[:, None, :], self.n_labels, axis=1)
        rows[:, np.arange(self.n_labels), np.arange(self.n_labels)] = accuracy[:, None]
        rows *= (1 - unsure)[:, None, None]
        rows[:, :, self.n_labels :] = unsure[:, None, None]
        trust = counts + TIED_ANSWERS * rows
        confusion: Floats = trust / trust.sum(axis=2, keepdims=True)
        return confusion

    def telling(self, counts: Floats) -> _TiedTelling:
        return _TiedTelling(self, counts)

    def totals(self, counts: Floats) -> tuple[Floats, Floats, Floats]:
        """Of each worker: right answers, answers that name a label, all answers."""
        labels = np.arange(self.n_labels)
        right = counts[:, labels, labels].sum(axis=1)
        return right, counts[:, :, : self.n_labels].sum(axis=(1, 2)), counts.sum(axis=(1, 2))

    def shares(self, right: Floats, named: Floats, every: Floats) -> tuple[Floats, Floats]:
        """How often a worker who names a label is right, and how often one names none."""
        accuracy = (np.maximum(right, 0.0) + RIGHT) / (np.maximum(named, right) + RIGHT + WRONG)
        doubt = self.n_responses - self.n_labels
        unsure = doubt * (every - named + UNSURE) / (every + RIGHT + WRONG + UNSURE)
        return accuracy, unsure


class _TiedTelling:
    """Tables (labels, cells) of counts, and of each worker's totals, (cells)."""

    def __init__(self, belief: Tied, counts: Floats) -> None:
        self.belief = belief
        self.counts = _by_label(counts)
        self.every = _by_label(_each_response(counts.sum(axis=2), counts.shape[2]))
        self.totals = [np.repeat(total, counts.shape[2]) for total in belief.totals(counts)]

    def above_first(self, cell: Indices, own: Sequence[Floats]) -> Iterator[Floats]:
        n_labels = self.belief.n_labels
        response = cell % self.belief.n_responses
        is_named = response < n_labels
        was_right = sum((response == label) * share for label, share in enumerate(own))
        right, named, answers = (total[cell] for total in self.totals)
        accuracy, unsure = self.belief.shares(right - was_right, named - is_named, answers - 1)
        first = None
        for label, share in enumerate(own):
            said = np.where(response == label, accuracy, (1 - accuracy) / (n_labels - 1))
            trust = TIED_ANSWERS * np.where(is_named, said * (1 - unsure), unsure)
            # Rounding must not make counts negative.
            trust += np.maximum(self.counts[label][cell] - share, 0.0)
            column = np.log(trust / (np.maximum(self.every[label][cell] - share, 0.0) + TIED_ANSWERS))
            if first is None:
                first = column
            else:
                yield column - first


def _by_label(table: Floats) -> Floats:
    """(workers, labels, responses) as (labels, cells), each label's cells together."""
    return np.ascontiguousarray(table.transpose(1, 0, 2)).reshape(table.shape[1], -1)


def _each_response(table: Floats, n_responses: int) -> Floats:
    """(workers, labels) said of each response, (workers, labels, responses)."""
    return np.repeat(table[:, :, None], n_responses, axis=2)


def first_belief(n_labels: int, n_responses: int) -> Floats:
    """Return Dirichlet parameters (true label, response); a response beyond the labels is "not sure"."""
    belief = np.full((n_labels, n_responses), WRONG / (n_labels - 1))
    belief[np.arange(n_labels), np.arange(n_labels)] = RIGHT
    belief[:, n_labels:] = UNSURE
    return belief


def digamma(x: Floats) -> Floats:
    """The logarithmic derivative of the gamma function for x > 0, to about 1e-9 (Abramowitz & Stegun 6.3.18)."""
    shift = np.zeros_like(x)
    x = x.astype(np.float64, copy=True)
    for _ in range(6):
        small = x < 6
        shift[small] -= 1 / x[small]
        x[small] += 1
    square = 1 / x**2
    tail = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    series: Floats = np.log(x) - 0.5 / x - tail + shift
    return series
