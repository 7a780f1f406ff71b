"""Whom the limits on workers exclude, rightly and wrongly: simulated crowds, and public crowds whose truth is known.

    python benchmarks/workers.py [--crowd FOLDER] [--quick]

Simulated: pages of 42 questions and six controls, three votes a question, four in ten pictures showing the concept; one
worker in ten is of the kind that is looked at, the others are right in 80 to 97 % of cases. Public crowds (two-class;
as for `consensus.py`): one task in eight is a control, times are not known; a worker's true accuracy is over all of
her answers. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from consensus_crowds import CONTROL_EVERY, Crowd, read_crowd

from hits.consensus import NO, UNKNOWN, YES, Votes
from hits.quality import Limits, Pages, measure, verdict_on

PAGE, CONTROLS, VOTES_A_TASK, WORKERS = 42, 6, 3, 50
POSITIVE = 0.4
SEEDS, QUICK_SEEDS = 20, 3
PAGES_ANSWERED = (1, 2, 4, 8, 16)
# Yes-accuracy, no-accuracy, seconds a picture, and whether exclusion is right.
KINDS: dict[str, tuple[float, float, float, bool]] = {
    "careful": (0.95, 0.95, 1.5, False),
    "ordinary": (0.85, 0.85, 1.5, False),
    "sees little": (0.70, 0.95, 1.5, False),
    "says yes too easily": (0.95, 0.70, 1.5, False),
    "weak": (0.75, 0.75, 1.5, False),
    "quick and careful": (0.95, 0.95, 0.2, False),
    "poor": (0.60, 0.60, 1.5, True),
    "guesses": (0.50, 0.50, 1.5, True),
    "guesses in haste": (0.50, 0.50, 0.2, True),
    "always yes": (1.00, 0.00, 1.5, True),
    "always no": (0.00, 1.00, 1.5, True),
}
# In a public crowd, who is no better than this on both labels' mean should go, who is better than that should stay.
BAD, GOOD = 0.6, 0.75
LEAST_ANSWERS = 40


def simulated(kind: str, pages: int, seed: int) -> list[bool]:
    """Whether each worker of a kind is excluded after so many pages."""
    generator = np.random.default_rng([seed, pages])
    yes, no, seconds, _ = KINDS[kind]
    workers = np.arange(WORKERS)
    looked_at = workers % 10 == 0
    right = generator.uniform(0.8, 0.97, (2, WORKERS))
    right[NO, looked_at], right[YES, looked_at] = no, yes
    groups = pages * WORKERS // VOTES_A_TASK
    # The same number of pages for everybody, three different workers a page.
    order = np.concatenate([generator.permutation(WORKERS) for _ in range(pages)])[: groups * VOTES_A_TASK]
    voters = order.reshape(groups, VOTES_A_TASK)
    task, worker, label, known = _answers(voters, right, generator)
    conducts = measure(
        Votes(task, worker, label, n_tasks=known.size, known=known),
        Pages(voters.ravel(), np.where(looked_at, seconds, 1.5)[voters.ravel()]),
        np.zeros(WORKERS, dtype=np.int64),
    )
    return [verdict_on(conduct) is not None for conduct in conducts if looked_at[conduct.worker]]


def _answers(voters: Any, right: Any, generator: np.random.Generator) -> tuple[Any, Any, Any, Any]:
    size = PAGE + CONTROLS
    truth = (generator.random((len(voters), size)) < POSITIVE).astype(np.int64)
    truth[:, PAGE:] = [YES, NO] * (CONTROLS // 2)
    task = np.repeat(np.arange(truth.size).reshape(truth.shape)[:, None, :], VOTES_A_TASK, axis=1).ravel()
    worker = np.repeat(voters, size, axis=1).ravel()
    shown = truth.ravel()[task]
    label = np.where(generator.random(task.size) < right[shown, worker], shown, 1 - shown)
    known = np.where(np.arange(size) >= PAGE, truth, UNKNOWN).ravel()
    return task, worker, label, known


def public(crowd: Crowd, seed: int) -> Iterator[tuple[float, bool]]:
    """The true accuracy (mean of both labels) of each worker with answers enough, and whether she is excluded."""
    generator = np.random.default_rng(seed)
    tasks = crowd.truth.size
    control = generator.permutation(tasks) < tasks // CONTROL_EVERY
    workers = int(crowd.worker.max()) + 1
    votes = Votes(crowd.task, crowd.worker, crowd.label, tasks, known=np.where(control, crowd.truth, UNKNOWN))
    no_pages = Pages(np.zeros(0, dtype=np.int64), np.zeros(0))
    truth = crowd.truth[crowd.task]
    for conduct in measure(votes, no_pages, np.zeros(workers, dtype=np.int64)):
        mine = crowd.worker == conduct.worker
        rights = [(crowd.label == truth)[mine & (truth == label)] for label in (NO, YES)]
        if mine.sum() >= LEAST_ANSWERS and all(each.size >= 5 for each in rights):
            yield float(np.mean([each.mean() for each in rights])), verdict_on(conduct) is not None


def report_simulated(seeds: int) -> dict[str, Any]:
    print("simulated workers, % excluded after so many pages\n")
    print(f"{'':22}" + "".join(f"{pages:>7}" for pages in PAGES_ANSWERED))
    shares: dict[str, Any] = {}
    for kind, (*_, bad) in KINDS.items():
        shares[kind] = []
        for pages in PAGES_ANSWERED:
            excluded = [one for seed in range(seeds) for one in simulated(kind, pages, seed)]
            shares[kind].append(round(100 * float(np.mean(excluded)), 1))
        cells = "".join(f"{share:7.1f}" for share in shares[kind])
        print(f"{kind:22}{cells}   {'should go' if bad else 'should stay'}")
    return shares


def report_public(crowds: list[Crowd], seeds: int) -> dict[str, Any]:
    print(f"\npublic crowds, workers with {LEAST_ANSWERS} answers or more, mean over draws of controls\n")
    print(f"{'':14}{'good':>8}{'excluded':>10}{'between':>10}{'excluded':>10}{'bad':>8}{'excluded':>10}")
    found: dict[str, Any] = {}
    for crowd in crowds:
        counts: Counter[tuple[str, bool]] = Counter()
        for seed in range(seeds):
            for accuracy, excluded in public(crowd, seed):
                which = "bad" if accuracy < BAD else "good" if accuracy >= GOOD else "between"
                counts[which, excluded] += 1
        found[crowd.name] = {}
        line = f"{crowd.name:14}"
        for which, width in (("good", 8), ("between", 10), ("bad", 8)):
            every = (counts[which, True] + counts[which, False]) / seeds
            gone = counts[which, True] / seeds
            found[crowd.name][which] = [round(every, 2), round(gone, 2)]
            line += f"{every:{width}.1f}{gone:10.2f}"
        print(line)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--crowd", type=Path, default=os.environ.get("IMAGENET_BUILDER_CROWD"))
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SEEDS} seeds")
    arguments = parser.parse_args()
    seeds = QUICK_SEEDS if arguments.quick else SEEDS
    last: dict[str, Any] = {"benchmark": "workers", "limits": str(Limits()), "pages": PAGES_ANSWERED}
    last["simulated"] = report_simulated(seeds)
    if arguments.crowd:
        folders = sorted(path.parent for path in Path(arguments.crowd).glob("*/truth.csv"))
        crowds = [crowd for crowd in map(read_crowd, folders) if crowd.n_labels == 2]
        last["public"] = report_public(crowds, seeds)
    print(json.dumps(last))
    return 0


if __name__ == "__main__":
    sys.exit(main())
