"""Asking for the next vote only where it matters, against fixed numbers of votes: a part of benchmarks/consensus.py."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from consensus_crowds import Crowd, draw

from hits import consensus
from hits.consensus import Stopping, dawid_skene

CONTROL_VOTES = 3
# One policy in place of each fixed number of votes, the same for all sets, with controls and without: no more votes
# than it replaces, and the lowest target that surely gives a majority's accuracy on the other sets (--choose).
STOPPING = (Stopping(target=0.65, most=3), Stopping(target=0.75, most=5))
TARGETS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
FIXED_VOTES = (3, 5)
STOPPING_SETS = ("rte", "temp", "dog")


def one_stopping(stopping: Stopping, crowd: Crowd, seed: int, controls: bool) -> list[float]:
    """Accuracy and votes a task of the stopping rule, then the accuracy of a majority of each of FIXED_VOTES.

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
    figures = [(label == crowd.truth)[scored].mean(), cast[scored].mean()]
    for fixed in FIXED_VOTES:
        first = replace(drawn.first(np.full(votes.n_tasks, fixed)), known=None)
        share = consensus.rule("majority").decide(first).probability
        # Ties by lot: half of a tie between two is right.
        top = share >= share.max(axis=1, keepdims=True) - 1e-12
        right = (top / top.sum(axis=1, keepdims=True))[np.arange(votes.n_tasks), crowd.truth]
        figures.append(right[scored].mean())
    return [float(figure) for figure in figures]


def report_stopping(crowds: list[Crowd], seeds: range, pool: ProcessPoolExecutor) -> dict[str, Any]:
    print("\nstopping against fixed votes and a majority, accuracy %")
    heads = "".join(f"{f'{fixed} fixed':>10}" for fixed in FIXED_VOTES)
    print(f"{'target, most, set':38}{'stopping':>10}{'votes':>8}{heads}")
    summary: dict[str, Any] = {}
    for stopping, controls in product(STOPPING, (False, True)):
        for crowd in (c for c in crowds if c.name in STOPPING_SETS):
            jobs = [pool.submit(one_stopping, stopping, crowd, seed, controls) for seed in seeds]
            accuracy, cast, *fixed = np.mean([job.result() for job in jobs], axis=0)
            having = "with" if controls else "without"
            name = f"{stopping.target}, {stopping.most}, {crowd.name} {having} controls"
            cells = [f"{100 * accuracy:10.2f}", f"{cast:8.2f}", *(f"{100 * each:10.2f}" for each in fixed)]
            print(f"{name:38}" + "".join(cells))
            summary[name] = {"accuracy": round(100 * accuracy, 3), "votes": round(float(cast), 3)}
            summary[name] |= {
                f"majority_of_{n}": round(100 * each, 3) for n, each in zip(FIXED_VOTES, fixed, strict=True)
            }
    return summary


def choose_stopping(crowds: list[Crowd], seeds: range, pool: ProcessPoolExecutor) -> list[Stopping]:
    """Print, on the sets that stopping is not judged by, how each target does with controls; returns the policies.

    A set in which no task has so many answers as are replaced says nothing.
    """
    print("stopping, by how many points above the majority of as many fixed votes (95 % interval)")
    chosen = []
    for place, most in enumerate(FIXED_VOTES):
        for target in TARGETS:
            surely = []
            for crowd in crowds:
                if crowd.name in STOPPING_SETS or np.bincount(crowd.task).max() < most:
                    continue
                stopping = Stopping(target, most)
                jobs = [pool.submit(one_stopping, stopping, crowd, seed, True) for seed in seeds]
                runs = np.array([job.result() for job in jobs])
                above = 100 * (runs[:, 0] - runs[:, 2 + place])
                error = 1.96 * above.std(ddof=1) / len(seeds) ** 0.5
                print(f"  {target}, {most}, {crowd.name}: {above.mean():+.2f} ± {error:.2f}", end=" ")
                print(f"at {runs[:, 1].mean():.2f} votes")
                surely.append(above.mean() > error)
            if surely and all(surely):
                chosen.append(stopping)
                break
    return chosen
