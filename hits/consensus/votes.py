"""What every rule takes and gives, and what a rule is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

NO = 0
YES = 1
ABSTAINED = -1

Parameters = dict[str, str | int | float]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """Votes as three integer arrays of one length: vote i is `worker[i]` saying `label[i]` of `task[i]`.

    Tasks are 0 … n_tasks-1, labels 0 … n_labels-1 (of two: NO, YES) or ABSTAINED; workers from 0 up. That a
    worker votes once on a task is the caller's to see to. Raises ValueError for other shapes, types or
    ranges.
    """

    task: Integers
    worker: Integers
    label: Integers
    n_tasks: int
    n_labels: int = 2

    def __post_init__(self) -> None:
        if self.n_tasks < 0 or self.n_labels < 2:
            raise ValueError(
                f"votes need two labels or more and tasks, not {self.n_labels} and {self.n_tasks}"
            )
        for name, array, least, end in (
            ("task", self.task, 0, self.n_tasks),
            ("worker", self.worker, 0, None),
            ("label", self.label, ABSTAINED, self.n_labels),
        ):
            if array.ndim != 1 or array.shape != self.task.shape or array.dtype.kind not in "iu":
                raise ValueError(f"{name} must be an integer array of shape {self.task.shape}")
            if array.size and (array.min() < least or (end is not None and array.max() >= end)):
                raise ValueError(f"{name} holds {array.min()} … {array.max()}, outside its range")


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """What a rule says of every task; all arrays have n_tasks rows.

    `label` is the likeliest label, or ABSTAINED where no vote named one; `probability` has a column a label,
    its rows sum to one; `decided` says whether the rule stands by its label; `votes` counts those that named
    a label.
    """

    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    decided: NDArray[np.bool_]
    votes: NDArray[np.int64]


class Rule(Protocol):
    """Turns votes into a consensus; the order of the votes and the run change nothing."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Parameters: ...

    def decide(self, votes: Votes) -> Consensus: ...
