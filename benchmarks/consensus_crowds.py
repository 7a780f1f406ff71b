"""Public and simulated crowds whose truth is known, and random votes of them: for benchmarks/consensus.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hits.consensus import UNKNOWN, Votes

CONTROL_EVERY = 8
# Simulated: tasks, workers, answers a task.
TASKS, WORKERS, ANSWERS = 800, 100, 10
# So many workers hardly know anything; the others are right in 60 to 95 % of cases, label by label.
IGNORANT = 0.15
# Name → the share of each label, whether labels are mistaken for each other in pairs, the share of tasks on which half
# of the workers see another label.
SIMULATED: dict[str, tuple[tuple[float, ...], bool, float]] = {
    "two labels": ((0.5, 0.5), False, 0.1),
    "two, one rare": ((0.8, 0.2), False, 0.1),
    "four labels": ((0.25,) * 4, False, 0.1),
    "four in pairs": ((0.25,) * 4, True, 0.15),
}


@dataclass(frozen=True)
class Crowd:
    """One set: every answer, and the truth of every task."""

    name: str
    task: Any
    worker: Any
    label: Any
    truth: Any
    n_labels: int


@dataclass(frozen=True)
class Draw:
    """Some answers of a crowd, in a random order; `rank` counts the answers of a task, `control` marks tasks."""

    crowd: Crowd
    votes: Votes
    rank: Any
    control: Any

    def first(self, wanted: Any) -> Votes:
        """The first `wanted` votes of each task."""
        return self.votes.chosen(self.rank < wanted[self.votes.task])


def read_crowd(folder: Path) -> Crowd:
    answers = pd.read_csv(folder / "answers.csv").drop_duplicates(["worker", "task"])
    truth = pd.read_csv(folder / "truth.csv")
    place = pd.Series(np.arange(len(truth)), index=truth["task"])
    answers = answers[answers["task"].isin(place.index)]
    labels = int(max(answers["label"].max(), truth["truth"].max())) + 1
    return Crowd(
        folder.name,
        place[answers["task"]].to_numpy(),
        pd.factorize(answers["worker"])[0],
        answers["label"].to_numpy(),
        truth["truth"].to_numpy(),
        labels,
    )


def simulated(name: str, seed: int) -> Crowd:
    """A crowd of SIMULATED: some workers answer much and most little, and no two are equally good."""
    shares, pairs, misleading = SIMULATED[name]
    generator = np.random.default_rng([1, seed])
    labels = len(shares)
    truth = generator.choice(labels, TASKS, p=shares)
    # What a label is mistaken for: any other, or mostly the other one of its pair.
    mistaken = np.full((labels, labels), 1.0)
    if pairs:
        mistaken[np.arange(labels), np.arange(labels) ^ 1] = 12.0
    np.fill_diagonal(mistaken, 0.0)
    mistaken /= mistaken.sum(axis=1, keepdims=True)
    right = generator.uniform(0.6, 0.95, (WORKERS, labels))
    ignorant = generator.random(WORKERS) < IGNORANT
    right[ignorant] = generator.uniform(1 / labels, 1 / labels + 0.2, (int(ignorant.sum()), labels))
    confusion = (1 - right)[:, :, None] * mistaken + right[:, :, None] * np.eye(labels)
    activity = generator.pareto(1.2, WORKERS) + 0.3
    activity /= activity.sum()
    worker = np.concatenate(
        [generator.choice(WORKERS, ANSWERS, replace=False, p=activity) for _ in range(TASKS)]
    )
    task = np.arange(TASKS).repeat(ANSWERS)
    looks_like = (generator.random(TASKS)[:, None] > mistaken[truth].cumsum(axis=1)).sum(axis=1)
    misled = (generator.random(TASKS) < misleading)[task] & (generator.random(task.size) < 0.5)
    seen = np.where(misled, looks_like[task], truth[task])
    chance = confusion[worker, seen].cumsum(axis=1)
    label = (generator.random(task.size)[:, None] > chance).sum(axis=1).clip(0, labels - 1)
    return Crowd(name, task, worker, label, truth, labels)


def draw(crowd: Crowd, seed: int, votes_a_task: int | None) -> Draw:
    """At most so many random votes a task (all if None), and one task in eight as a control."""
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(crowd.task.size), crowd.task))
    task = crowd.task[order]
    rank = np.arange(task.size) - np.searchsorted(task, task)
    keep = rank < (votes_a_task or task.size)
    tasks = crowd.truth.size
    control = np.zeros(tasks, dtype=bool)
    control[generator.permutation(tasks)[: tasks // CONTROL_EVERY]] = True
    votes = Votes(
        task[keep],
        crowd.worker[order][keep],
        crowd.label[order][keep],
        tasks,
        crowd.n_labels,
        known=np.where(control, crowd.truth, UNKNOWN),
    )
    return Draw(crowd, votes, rank[keep], control)
