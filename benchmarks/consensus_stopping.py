"""Asking for the next vote only where it matters, against fixed numbers of votes: a part of benchmarks/consensus.py."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from consensus_crowds import SIMULATED, Crowd, draw, simulated

from hits import consensus
from hits.consensus import Stopping, dawid_skene

CONTROL_VOTES = 3
# What is asked instead of each fixed number of votes, the same on all sets, with controls and without: the mean is
# the number that is to be enough.
STOPPING = {3: Stopping(target=0.9, most=7, mean=2.3), 5: Stopping(target=0.9, most=7, mean=3.0)}


def one_stopping(fixed: int, stopping: Stopping, crowd: Crowd, seed: int, controls: bool) -> list[float]:
    """Accuracy and votes a task of the stopping rule, and the accuracy of a majority of `fixed` votes.

    With controls, these are known and have three votes each, and only the other tasks are scored and counted.
    """
    drawn = draw(crowd, seed, None)
    if not controls:
        drawn = replace(
            drawn, votes=replace(drawn.votes, known=None), control=np.zeros(crowd.truth.size, dtype=bool)
        )
    scored = ~drawn.control
    wanted = np.where(drawn.control, CONTROL_VOTES, 1)
    while True:
        votes = drawn.first(wanted)
        # A task whose answers are used up gets no more.
        more = stopping.wanting(votes) & (np.bincount(votes.task, minlength=votes.n_tasks) == wanted)
        if not more.any():
            break
        wanted[more] += 1
    label = dawid_skene.fit(votes).probability.argmax(axis=1)
    cast = np.bincount(votes.task, minlength=votes.n_tasks)
    first = replace(drawn.first(np.full(votes.n_tasks, fixed)), known=None)
    share = consensus.rule("majority").decide(first).probability
    # Ties by lot: half of a tie between two is right.
    top = share >= share.max(axis=1, keepdims=True) - 1e-12
    right = (top / top.sum(axis=1, keepdims=True))[np.arange(votes.n_tasks), crowd.truth]
    return [
        float(figure)
        for figure in ((label == crowd.truth)[scored].mean(), cast[scored].mean(), right[scored].mean())
    ]


def report_stopping(crowds: list[Crowd], seeds: range, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Print stopping's accuracy and votes beside those of fixed votes, on the sets and on simulated crowds.

    A set in which no task has so many answers as are replaced says nothing.
    """
    print(
        "\nstopping against fixed votes and a majority, accuracy %; points above it with their 95 % interval"
    )
    print(f"{'instead of, set':42}{'fixed':>8}{'stopping':>10}{'votes':>8}{'above':>16}")
    sets: dict[str, Callable[[int], Crowd]] = {crowd.name: partial(_same, crowd) for crowd in crowds}
    sets |= {name: partial(simulated, name) for name in SIMULATED}
    summary: dict[str, Any] = {}
    for controls, (fixed, stopping), (name, crowd) in product((True, False), STOPPING.items(), sets.items()):
        if np.bincount(crowd(0).task).max() < fixed:
            continue
        jobs = [pool.submit(one_stopping, fixed, stopping, crowd(seed), seed, controls) for seed in seeds]
        runs = np.array([job.result() for job in jobs])
        accuracy, cast, majority = runs.mean(axis=0)
        above = 100 * (runs[:, 0] - runs[:, 2])
        error = 1.96 * above.std(ddof=1) / len(seeds) ** 0.5
        label = f"{fixed} votes, {name} {'with' if controls else 'without'} controls"
        lead = f"{above.mean():+.2f} ± {error:.2f}"
        print(f"{label:42}{100 * majority:8.2f}{100 * accuracy:10.2f}{cast:8.2f}{lead:>16}", flush=True)
        summary[label] = {
            "accuracy": round(100 * accuracy, 3),
            "votes": round(float(cast), 3),
            "majority": round(100 * majority, 3),
            "above": [round(float(above.mean()), 3), round(float(error), 3)],
        }
    return summary


def _same(crowd: Crowd, seed: int) -> Crowd:
    """A public set is the same for every seed; the draws of it differ."""
    return crowd
