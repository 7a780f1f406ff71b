"""Crowds whose truth and whose workers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hits.consensus import UNKNOWN, Votes


@dataclass(frozen=True)
class SimulatedCrowd:
    """Votes, the truth of each task, and each worker's confusion matrix (worker, true label, label)."""

    votes: Votes
    truth: NDArray[np.int64]
    confusion: NDArray[np.float64]


def simulated_crowd(
    seed: int,
    *,
    n_tasks: int = 1000,
    n_workers: int = 40,
    votes_a_task: int = 3,
    prevalence: tuple[float, ...] = (0.6, 0.4),
    accuracy: tuple[float, float] = (0.55, 0.95),
    controls: float = 0.0,
    together: float = 0.0,
    tied: bool = False,
    **votes: Any,
) -> SimulatedCrowd:
    """Workers of uniformly drawn accuracy, label by label or (`tied`) the same on all labels; `controls` of the tasks
    are known, drawn at random.

    On `together` of the tasks all workers see something misleading and are as good as a coin.
    """
    generator = np.random.default_rng(seed)
    labels = len(prevalence)
    truth = generator.choice(labels, n_tasks, p=prevalence)
    right = generator.uniform(*accuracy, (n_workers, 1 if tied else labels)).repeat(
        labels if tied else 1, axis=1
    )
    confusion = np.repeat(((1 - right) / (labels - 1))[:, :, None], labels, axis=2)
    confusion[:, np.arange(labels), np.arange(labels)] = right
    worker = np.concatenate(
        [generator.choice(n_workers, votes_a_task, replace=False) for _ in range(n_tasks)]
    )
    task = np.arange(n_tasks).repeat(votes_a_task)
    misled = np.flatnonzero(generator.random(n_tasks) < together)
    seen = truth.copy()
    seen[misled] = generator.integers(0, labels, misled.size)
    chance = confusion[worker, seen[task]].cumsum(axis=1)
    label = (generator.random(task.size)[:, None] > chance).sum(axis=1).clip(0, labels - 1)
    known = np.where(generator.random(n_tasks) < controls, truth, UNKNOWN)
    return SimulatedCrowd(Votes(task, worker, label, n_tasks, labels, known=known, **votes), truth, confusion)
