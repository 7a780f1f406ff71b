"""Votes to verdicts at size: the rules beside crowd-kit's in memory, and the whole of `aggregate` on a filled store.

    python benchmarks/aggregate.py [--tasks 1000000] [--postgres URL] [--no-crowd-kit] [--memory] [--quick]

Three votes a task by 5,000 simulated workers. CPU seconds, so that a busy machine changes little; for PostgreSQL those
of the server are added. Runs with 1 % new votes are counted above an empty run: a fourth vote on each of many
decided questions, whose verdicts become history; the three votes of new pages; and what cron finds, ten minutes after
the run before, of pages that many people do at a time, which were partly answered then and are now. The last line is
JSON.

    pip install --no-deps crowd-kit && pip install 'scikit-learn<1.7' tqdm
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import sqlalchemy as sa
from aggregate_store import (
    NEW_SHARE,
    NOW,
    PAGE,
    PAGE_SECONDS,
    SPREAD,
    VOTES_A_TASK,
    WORKERS,
    add_pages,
    add_votes,
    collect,
    fill,
    hand_out,
    maintain,
    publish_pages,
)

from hits import consensus, database
from hits.consensus import Votes
from imagenet_builder import excluded_workers
from imagenet_builder.aggregate import aggregate
from imagenet_builder.config import StoreSettings, load_settings
from imagenet_builder.errors import ProjectError
from imagenet_builder.initialise import initialise
from imagenet_builder.project import Project
from imagenet_builder.store.engine import MIGRATIONS
from imagenet_builder.store.verdicts import latest_vote

QUICK_TASKS = 30_000
# Seconds between two runs of the README's crontab; how many runs' votes come before those that are measured.
BETWEEN_RUNS, RUNS_BEFORE, RUNS = 600, 20, 5
# Runs with 1 % new votes, and whether people begin anywhere in the list of categories.
ARRIVING = {"1 %, the first listed": False, "1 %, anywhere in the list": True}
KINDS = ("1 % new", "1 % on new pages", *ARRIVING)


def crowd(n_tasks: int, workers: int = WORKERS, seed: int = 0) -> Votes:
    """Three votes a task; workers are right in 60 to 99 % of cases."""
    generator = np.random.default_rng(seed)
    truth = (generator.random(n_tasks) < 0.4).astype(np.int64)
    task = np.repeat(np.arange(n_tasks), VOTES_A_TASK)
    # Three different workers a task: neighbours in a circle.
    worker = np.repeat(generator.integers(0, workers, n_tasks), VOTES_A_TASK)
    worker = (worker + np.tile(np.arange(VOTES_A_TASK) * 7, n_tasks)) % workers
    right = generator.random(task.size) < generator.uniform(0.6, 0.99, workers)[worker]
    return Votes(task, worker, np.where(right, truth[task], 1 - truth[task]), n_tasks=n_tasks)


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of this process for a piece of work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_memory(votes: Votes, with_crowd_kit: bool) -> dict[str, float]:
    """CPU seconds of each rule, and of crowd-kit's of the same name, on the same votes."""
    found = {
        "majority": min(cpu(lambda: consensus.rule("majority").decide(votes)) for _ in range(3)),
        "dawid-skene": cpu(lambda: consensus.rule("dawid-skene").decide(votes)),
    }
    if with_crowd_kit:
        import pandas as pd
        from crowdkit.aggregation import DawidSkene, MajorityVote

        answers = pd.DataFrame({"task": votes.task, "worker": votes.worker, "label": votes.label})
        found["crowd-kit majority"] = min(cpu(lambda: MajorityVote().fit_predict(answers)) for _ in range(3))
        found["crowd-kit dawid-skene"] = cpu(lambda: DawidSkene().fit_predict(answers))
    return found


class ServerClock:
    """CPU seconds of a PostgreSQL server on this machine: of its postmaster and all its children, ended ones too."""

    def __init__(self, engine: sa.Engine) -> None:
        self.postmaster = 0
        if engine.dialect.name == "postgresql":
            with database.reading(engine) as connection:
                backend = connection.scalar(sa.text("SELECT pg_backend_pid()"))
            self.postmaster = int(_stat(int(backend or 0))[1])

    def seconds(self) -> float:
        if not self.postmaster:
            return 0.0
        ticks = sum(map(int, _stat(self.postmaster)[11:15]))
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = _stat(int(entry.name))
                except OSError:
                    continue
                if int(fields[1]) == self.postmaster:
                    ticks += sum(map(int, fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def on_store(url: str, votes: Votes) -> dict[str, float]:
    """CPU seconds of `aggregate` on everything, on nothing, and on 1 % new votes of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        project = initialise(Path(folder) / "project")
        if url:
            settings = load_settings(project.folder / "imagenet-builder.toml", {})
            project = Project(project.folder, with_store(settings, url))
            database.upgrade(database.open_engine(url), MIGRATIONS)
        fill(project.engine, votes)
        server = ServerClock(project.engine)

        def spent(work: Callable[[], Any]) -> float:
            start = server.seconds()
            ours = cpu(work)
            return ours + server.seconds() - start

        found = {"everything": spent(lambda: _aggregate(project))}
        maintain(project.engine)
        found["nothing new"] = min(spent(lambda: _aggregate(project)) for _ in range(2))
        with database.reading(project.engine) as connection:
            before = latest_vote(connection)
        found["new votes"] = float(add_votes(project.engine, votes.n_tasks))
        found["1 % new"] = spent(lambda: _aggregate(project))
        found["looking at workers"] = spent(
            lambda: excluded_workers.review(project.engine, NOW, after=before)
        )
        found["votes on new pages"] = float(add_pages(project.engine, votes.n_tasks))
        found["1 % on new pages"] = spent(lambda: _aggregate(project))
        for name, anywhere in ARRIVING.items():
            come = _as_they_come(project, votes.task.size, spent, anywhere=anywhere)
            found[name] = come.pop("seconds")
            found |= {f"{name}, {what}": number for what, number in come.items()}
        project.engine.dispose()
        return found


def _as_they_come(
    project: Project, n_votes: int, spent: Callable[[Callable[[], Any]], float], *, anywhere: bool
) -> dict[str, float]:
    """What a run costs that finds 1 % new votes as people hand in pages: the median of some runs.

    Of their pages, some had one or two of their three answers before.
    """
    some = max(1, n_votes // NEW_SHARE // PAGE)
    seconds_a_page = PAGE_SECONDS * math.exp(SPREAD**2 / 2)
    at_work = max(1, round(some * seconds_a_page / BETWEEN_RUNS))
    handed_in = hand_out((RUNS_BEFORE + RUNS) * some, at_work, anywhere=anywhere)
    batch = publish_pages(project.engine, 1 + max(page for page, _ in handed_in))
    earlier = handed_in[: RUNS_BEFORE * some]
    collect(project.engine, batch, earlier)
    _aggregate(project)
    maintain(project.engine)
    before = {page for page, _ in earlier}
    seconds, nothing_new, pages, decided = [], [], [], []
    for start in range(len(earlier), len(handed_in), some):
        now = handed_in[start : start + some]
        collect(project.engine, batch, now)
        seconds.append(spent(lambda: _aggregate(project)))
        nothing_new.append(spent(lambda: _aggregate(project)))
        pages.append(len({page for page, _ in now}))
        decided.append(len(before & {page for page, _ in now}))
        before |= {page for page, _ in now}
    return {
        "seconds": median(seconds),
        "nothing new": median(nothing_new),
        "votes": float(some * PAGE),
        "at work": float(at_work),
        "pages": median(pages),
        "decided pages": median(decided),
    }


def _aggregate(project: Project) -> None:
    # No marketplace is there to be told of excluded workers: that fails last, when everything is decided.
    with suppress(ProjectError):
        aggregate(project)


def with_store(settings: Any, url: str) -> Any:
    """A project's settings with another store."""
    import dataclasses

    return dataclasses.replace(settings, store=StoreSettings(url=url))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--postgres", default="", help="URL of an empty database to measure too")
    parser.add_argument("--no-crowd-kit", action="store_true")
    parser.add_argument(
        "--memory", action="store_true", help="only fit dawid-skene, and tell its peak memory"
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TASKS} tasks")
    arguments = parser.parse_args()
    n_tasks = QUICK_TASKS if arguments.quick else arguments.tasks
    votes = crowd(n_tasks)
    last: dict[str, Any] = {"benchmark": "aggregate", "tasks": n_tasks, "votes": int(votes.task.size)}
    if arguments.memory:
        seconds = cpu(lambda: consensus.rule("dawid-skene").decide(votes))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"dawid-skene on {votes.task.size:,} votes: {seconds:.1f} CPU s, {peak:.2f} GiB at most")
        print(json.dumps({**last, "cpu_seconds": seconds, "peak_gib": peak}))
        return 0
    last["memory"] = in_memory(votes, not arguments.no_crowd_kit)
    print(f"{votes.task.size:,} votes in memory, CPU seconds")
    for name, seconds in last["memory"].items():
        theirs = last["memory"].get(f"crowd-kit {name}")
        print(
            f"  {name:24}{seconds:10.3f}" + (f"   crowd-kit takes {theirs / seconds:.0f}x" if theirs else "")
        )
    unit = last["memory"].get("crowd-kit majority")
    for engine, url in (("sqlite", ""), ("postgresql", arguments.postgres)):
        if engine == "postgresql" and not url:
            continue
        found = on_store(url, votes)
        last[engine] = found
        print(f"aggregate on {engine}, CPU seconds")
        for name in ("everything", "nothing new", *KINDS, "looking at workers"):
            print(f"  {name:24}{found[name]:10.3f}")
        for name in KINDS:
            above = found[name] - found.get(f"{name}, nothing new", found["nothing new"])
            print(
                f"  {name}: {above:.3f} above an empty run, {above / found['everything']:.1%} of everything"
            )
        for name in ARRIVING:
            print(
                f"  {name}: {found[f'{name}, at work']:.0f} people at work, {found[f'{name}, pages']:.0f} pages,"
                f" {found[f'{name}, decided pages']:.0f} of them with earlier votes"
            )
        if unit:
            print(f"  everything is {found['everything'] / unit:.1f} times crowd-kit's majority in memory")
    last["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"at most {last['peak_gib']:.2f} GiB")
    print(json.dumps(last))
    return 0


if __name__ == "__main__":
    sys.exit(main())
