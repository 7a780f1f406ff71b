"""`aggregate` on a PostgreSQL store with as many votes as ImageNet took: its CPU seconds and peak memory.

    python benchmarks/aggregate_whole.py --postgres URL [--tasks 14200000] [--finalise RULE] [--quick]

URL is of an empty database on this machine (15 GB of disk for 42.6 million votes), which is filled by SQL, page by page
as votes are collected: three votes a task by 5,000 workers who are right in 60 to 99 % of cases, and six on controls a
page. Then `aggregate` runs on all of it, and once more with nothing new; with --finalise the verdicts are made again by
that rule. CPU seconds with the server's; memory is that of each run's own process, and what the server's processes
had to themselves. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from aggregate import ServerClock, with_store
from aggregate_store import CATEGORIES, CONTROLS, PAGE, VOTES_A_TASK, WORKERS

from hits import database
from imagenet_builder.aggregate import aggregate
from imagenet_builder.config import load_settings
from imagenet_builder.errors import ProjectError
from imagenet_builder.initialise import initialise
from imagenet_builder.project import Project
from imagenet_builder.store.engine import MIGRATIONS

QUICK_TASKS = 42_000
NOW = "'2026-01-01T00:00:00Z'"
# Written without them, which are made afterwards: a third of the time.
LARGE = ("votes", "hit_questions", "questions")
WITHOUT_TABLES = """
    SELECT conrelid::regclass::text AS large, conname AS name, pg_get_constraintdef(oid) AS made
    FROM pg_constraint WHERE contype = 'u' AND conrelid = ANY(%(large)s::regclass[])
"""
INDEXES = """
    SELECT indexname AS name, indexdef AS made FROM pg_indexes
    WHERE schemaname = 'public' AND tablename = ANY(%(large)s)
    AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


def statements(tasks: int) -> list[str]:
    """What fills the store, in turn."""
    pages = -(-tasks // PAGE)
    shown = PAGE + CONTROLS
    page = f"a / {VOTES_A_TASK}"
    task = f"({page})::bigint * {PAGE} + place"
    # Of 1,024 equal parts of a hash: four tasks in ten are true, worker w is right in 60 to 99 %.
    truth = f"(hashint8({task}) & 1023) < 410"
    right = (
        f"(hashint8((a::bigint * {shown} + place) * 7919) & 1023) < 614 + (a % {WORKERS}) * 400 / {WORKERS}"
    )
    return [
        f"""INSERT INTO categories (wnid, sense_key, name, lemmas, gloss, position, selected_at)
            SELECT 'n' || lpad(i::text, 8, '0'), 'n' || i, 'n' || i, '[]', '', i, {NOW}
            FROM generate_series(0, {CATEGORIES - 1}) i""",
        f"""INSERT INTO images (sha256, format, mode, width, height, byte_count, orientation, perceptual_hash,
                stored_at)
            SELECT lpad(to_hex(i), 64, '0'), 'JPEG', 'RGB', 9, 9, 9, 1, 0, {NOW}
            FROM generate_series(0, {tasks // CATEGORIES + 1}) i""",
        f"""INSERT INTO questions (id, sha256, wnid, asked_at)
            SELECT i + 1, lpad(to_hex(i / {CATEGORIES}), 64, '0'), 'n' || lpad((i % {CATEGORIES})::text, 8, '0'), {NOW}
            FROM generate_series(0, {tasks + CONTROLS - 1}) i""",
        f"""INSERT INTO controls (question_id, answer, provenance, labelled_at)
            SELECT {tasks} + i, 'yes', 'requester', {NOW} FROM generate_series(1, {CONTROLS}) i""",
        f"""INSERT INTO hits (id, wnid, token, endpoint, live, state, votes_wanted, rule, reward_cents, fee_cents,
                intended_at, platform_hit_id)
            SELECT i + 1, 'n00000000', 't' || i, 'e', false, 'collected', 3, 'majority', 1, 1, {NOW}, 'H' || i
            FROM generate_series(0, {pages - 1}) i""",
        f"""INSERT INTO hit_questions (hit_id, position, question_id, as_control, picture_name)
            SELECT i / {PAGE} + 1, i % {PAGE}, i + 1, false, 'p' || i FROM generate_series(0, {tasks - 1}) i""",
        f"""INSERT INTO workers (id, endpoint, platform_worker_id, first_seen_at)
            SELECT i + 1, 'e', 'W' || i, {NOW} FROM generate_series(0, {WORKERS - 1}) i""",
        f"""INSERT INTO assignments (id, hit_id, worker_id, platform_assignment_id, status, accepted_at, submitted_at,
                collected_at, page_seconds, controls_right, controls_shown, answer_xml)
            SELECT a + 1, {page} + 1, a % {WORKERS} + 1, 'A' || a, 'Approved', {NOW}, {NOW}, {NOW}, 96, 6, 6, ''
            FROM generate_series(0, {VOTES_A_TASK * pages - 1}) a""",
        f"""INSERT INTO votes (id, question_id, assignment_id, worker_id, answer, counts, cast_at)
            SELECT a::bigint * {shown} + place + 1,
                CASE WHEN place < {PAGE} THEN {task} + 1 ELSE {tasks} + place - {PAGE} + 1 END,
                a + 1, a % {WORKERS} + 1,
                CASE WHEN place >= {PAGE} OR ({truth}) = ({right}) THEN 'yes' ELSE 'no' END, place < {PAGE}, {NOW}
            FROM (
                SELECT number / {shown} AS a, number % {shown} AS place
                FROM generate_series(0, {VOTES_A_TASK * pages * shown - 1}) number
            ) cast_votes
            WHERE place >= {PAGE} OR {task} < {tasks}""",
    ]


def fill(url: str, tasks: int) -> None:
    """A store in which every vote has been collected and none decided."""
    engine = database.open_engine(url)
    database.upgrade(engine, MIGRATIONS)
    begun = time.monotonic()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET maintenance_work_mem = '1500MB'")
        # Foreign keys are not looked at: what they point to may come later, and is known to come.
        connection.exec_driver_sql("SET session_replication_role = replica")
        unique = connection.exec_driver_sql(WITHOUT_TABLES, {"large": list(LARGE)}).all()
        indexes = connection.exec_driver_sql(INDEXES, {"large": list(LARGE)}).all()
        for row in unique:
            connection.exec_driver_sql(f'ALTER TABLE {row.large} DROP CONSTRAINT "{row.name}"')
        for row in indexes:
            connection.exec_driver_sql(f'DROP INDEX "{row.name}"')
        for statement in statements(tasks):
            connection.execute(sa.text(statement))
        for row in unique:
            connection.exec_driver_sql(f'ALTER TABLE {row.large} ADD CONSTRAINT "{row.name}" {row.made}')
        for row in indexes:
            connection.exec_driver_sql(row.made)
        connection.exec_driver_sql("VACUUM ANALYZE")
        votes = connection.exec_driver_sql("SELECT count(*) FILTER (WHERE counts), count(*) FROM votes").one()
        size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
    engine.dispose()
    print(
        f"{votes[0]:,} votes that count and {votes[1] - votes[0]:,} on controls, {size / 1e9:.1f} GB, "
        f"filled in {time.monotonic() - begun:.0f} s",
        flush=True,
    )


class ServerMemory(threading.Thread):
    """The most that a server's processes had to themselves together, in MiB, looked at once a second."""

    def __init__(self, postmaster: int) -> None:
        super().__init__(daemon=True)
        self._postmaster = postmaster
        self.peak = 0.0

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, self._now())
            time.sleep(1)

    def _now(self) -> float:
        private = 0
        for children in Path(f"/proc/{self._postmaster}/task").glob("*/children"):
            for pid in children.read_text().split():
                # A process may end meanwhile.
                with suppress(OSError):
                    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                    private += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        return private / 1024


def one_run(url: str, rule: str | None) -> dict[str, float]:
    """CPU seconds and peak memory of one `aggregate`: of everything that is new, or of all by `rule`, finally."""
    with tempfile.TemporaryDirectory() as folder:
        made = initialise(Path(folder) / "project")
        settings = load_settings(made.folder / "imagenet-builder.toml", {})
        project = Project(made.folder, with_store(settings, url))
        clock = ServerClock(project.engine)
        memory = ServerMemory(clock.postmaster)
        memory.start()
        server, own = clock.seconds(), time.process_time()
        # No marketplace is there to be told of excluded workers: that fails last, when everything is decided.
        with suppress(ProjectError):
            aggregate(project, rule=rule, finalise=rule is not None)
        return {
            "own_cpu_s": round(time.process_time() - own, 1),
            "server_cpu_s": round(clock.seconds() - server, 1),
            "own_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "server_mib": round(memory.peak),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--postgres", required=True, help="URL of an empty database")
    parser.add_argument("--tasks", type=int, default=14_200_000)
    parser.add_argument("--finalise", default="", metavar="RULE")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TASKS} tasks")
    arguments = parser.parse_args()
    fill(arguments.postgres, QUICK_TASKS if arguments.quick else arguments.tasks)
    wanted: dict[str, str | None] = {"everything": None, "nothing new": None}
    if arguments.finalise:
        wanted[f"all by {arguments.finalise}"] = arguments.finalise
    found: dict[str, Any] = {}
    for name, rule in wanted.items():
        # Each in a process of its own, whose peak is its own.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[name] = figures = pool.apply(one_run, (arguments.postgres, rule))
        print(
            f"{name:24} {figures['own_cpu_s']:8.1f} CPU s of its own, {figures['server_cpu_s']:8.1f} of the server's, "
            f"{figures['own_mib']:,} and {figures['server_mib']:,} MiB, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    print(json.dumps({"benchmark": "aggregate_whole", **found}))


if __name__ == "__main__":
    main()
