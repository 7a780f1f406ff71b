"""Public crowds whose truth is known, and random votes of them: what benchmarks/consensus.py compares rules on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hits.consensus import UNKNOWN, Votes

CONTROL_EVERY = 8


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
