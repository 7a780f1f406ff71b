"""What every rule takes and gives, and what a rule is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

NO = 0
YES = 1
ABSTAINED = -1
UNKNOWN = -1

Parameters = dict[str, str | int | float]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """Votes as three integer arrays of one length: vote i is `worker[i]` saying `label[i]` of `task[i]`.

    Tasks are 0 … n_tasks-1, labels 0 … n_labels-1 (of two: NO, YES) or ABSTAINED; workers from 0 up. That a
    worker votes once on a task is the caller's to see to.

    `known` is the true label of each task, or UNKNOWN: a rule that can learn from controls does. `group` is the
    category of each task, from 0 up: tasks of one category share how often each label is true. Both may be left
    out. Raises ValueError for other shapes, types or ranges.
    """

    task: Integers
    worker: Integers
    label: Integers
    n_tasks: int
    n_labels: int = 2
    known: Integers | None = None
    group: Integers | None = None

    def __post_init__(self) -> None:
        if self.n_tasks < 0 or self.n_labels < 2:
            raise ValueError(
                f"votes need two labels or more and tasks, not {self.n_labels} and {self.n_tasks}"
            )
        each, every = (self.task.size,), (self.n_tasks,)
        _check("task", self.task, each, 0, self.n_tasks)
        _check("worker", self.worker, each, 0, None)
        _check("label", self.label, each, ABSTAINED, self.n_labels)
        if self.known is not None:
            _check("known", self.known, every, UNKNOWN, self.n_labels)
        if self.group is not None:
            _check("group", self.group, every, 0, None)

    def truth(self) -> NDArray[np.int64]:
        """The known label of each task, UNKNOWN where there is none."""
        if self.known is None:
            return np.full(self.n_tasks, UNKNOWN, dtype=np.int64)
        return self.known.astype(np.int64)

    def groups(self) -> NDArray[np.int64]:
        """The group of each task, counted 0, 1, 2 … without gaps; one group if none were given."""
        if self.group is None:
            return np.zeros(self.n_tasks, dtype=np.int64)
        return np.unique(self.group, return_inverse=True)[1].astype(np.int64)

    def chosen(self, keep: NDArray[np.bool_]) -> Votes:
        """The same tasks with only the votes that `keep` marks, one mark a vote."""
        return replace(self, task=self.task[keep], worker=self.worker[keep], label=self.label[keep])


def _check(name: str, array: Integers, shape: tuple[int, ...], least: int, end: int | None) -> None:
    if array.shape != shape or array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be an integer array of shape {shape}")
    if array.size and (array.min() < least or (end is not None and array.max() >= end)):
        raise ValueError(f"{name} holds {array.min()} … {array.max()}, outside its range")


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """What a rule says of every task; all arrays have n_tasks rows.

    `label` is the likeliest label, or ABSTAINED where no vote named one; `probability` has a column a label,
    its rows sum to one; `decided` says whether the rule stands by its label; `votes` counts those that named
    a label. A task whose label is known is decided for it with probability one, votes or none.
    """

    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    decided: NDArray[np.bool_]
    votes: NDArray[np.int64]

    def chosen(self, tasks: slice) -> Consensus:
        """These tasks alone, in views of the same arrays."""
        return Consensus(self.label[tasks], self.probability[tasks], self.decided[tasks], self.votes[tasks])


class Rule(Protocol):
    """Turns votes into a consensus; the order of the votes and the run change nothing."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Parameters: ...

    def decide(self, votes: Votes) -> Consensus: ...


def respecting_known(votes: Votes, found: Consensus) -> Consensus:
    """Return `found` with every known task decided for its known label, with certainty."""
    if votes.known is None:
        return found
    truth = votes.truth()
    known = truth != UNKNOWN
    probability = found.probability.copy()
    probability[known] = np.eye(votes.n_labels)[truth[known]]
    return Consensus(
        label=np.where(known, truth, found.label),
        probability=probability,
        decided=found.decided | known,
        votes=found.votes,
    )
