"""A crawl on Ray, PostgreSQL and S3 together; the driver's write path; and what 10⁸ candidates would ask of them.

    python benchmarks/distribution.py [--pictures 1000] [--rows 1000000] [--workers 1 2] [--quick]

Three parts. *Crawl*: pictures of benchmarks/crawl.py on nginx at eight addresses, gathered by Ray workers into a bucket
(moto's server) and a PostgreSQL store; CPU seconds are told apart by role. *Writes*: rows a second that the driver
records, by COPY and by executemany. *Size*: a PostgreSQL with synthetic candidates is filled in steps, what the crawl
asks of it is measured at each (CPU of driver and server), and the last step is carried on to 10⁸ by the formula beside
each figure; hosts (Zipf) are dealt out to owners as the crawl deals them. All servers run on this machine. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from crawl import picture  # noqa: E402

from hits import database  # noqa: E402
from imagenet_builder.descriptors import BYTES  # noqa: E402
from imagenet_builder.executors.ray_worker import owner_of  # noqa: E402
from imagenet_builder.records import Fetched, Inspected  # noqa: E402
from imagenet_builder.store import crawl as sql  # noqa: E402
from imagenet_builder.store import outcomes as outcomes_sql  # noqa: E402
from imagenet_builder.store import tables  # noqa: E402
from imagenet_builder.store.bulk import insert_new, insert_rows  # noqa: E402
from tests.builder_store import add_categories, empty_project  # noqa: E402
from tests.nginx_server import nginx_server  # noqa: E402
from tests.real_parts import fresh_postgres_database, postgres_cluster  # noqa: E402
from tests.s3_servers import moto_server  # noqa: E402

WNID = "n04507155"
HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 10))
SCOPE = sql.Scope((WNID,), ("bench",), ("by",))
NOW = datetime(2026, 5, 4, tzinfo=UTC)
GOAL = 10**8
ROLES = ("driver", "workers", "ray", "postgres", "s3", "nginx")
# Hosts of a web-scale list, and how steeply their sizes fall (Zipf): the largest has a fourteenth of it all.
WEB_HOSTS, STEEPNESS = 1_000_000, 1.0
DRIVER = """
import sys
from pathlib import Path
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.project import find_project
from tests.proposing_source import ProposingSource
crawl(find_project(Path(sys.argv[1])), sources=[ProposingSource(Path(sys.argv[2]).read_text().split(), page_size=500)])
"""


@dataclass(frozen=True)
class Crawled:
    """One crawl: pictures, seconds from first to last row; by role CPU seconds and the largest process's MiB."""

    workers: int
    stored: int
    seconds: float
    cpu: dict[str, float]
    peak_mib: dict[str, int]


@dataclass(frozen=True)
class Process:
    """A process at one moment: its role, CPU seconds so far and peak memory in MiB."""

    pid: int
    role: str
    seconds: float
    peak_mib: int


@dataclass(frozen=True)
class Written:
    """One way of recording: rows a second of wall time, of the driver's own CPU, and of this and the server's."""

    path: str
    engine: str
    rows_a_second: float
    rows_a_driver_second: float
    rows_a_cpu_second: float


@dataclass(frozen=True)
class Sized:
    """A store of `rows` candidates: bytes a row with its indexes, and CPU milliseconds (driver and server) of what a
    crawl asks.
    """

    rows: int
    row_bytes: float
    page_ms: float
    late_page_ms: float
    count_ms: float
    commit_ms: float


# --- the crawl ------------------------------------------------------------------------------------------


def crawls(pictures: int, workers: Sequence[int], folder: Path, maintenance: str) -> Iterator[Crawled]:
    """A crawl of the same pictures with each number of workers."""
    import boto3

    noise = np.random.default_rng(0).normal(0, 9, (2000, 2500)).astype(np.int16)
    with nginx_server(folder / "nginx", HOSTS) as web, moto_server() as s3:
        addresses = []
        port = web.authority.rpartition(":")[2]
        for number in range(pictures):
            name, content = picture(number, noise)
            addresses.append(f"http://{HOSTS[number % len(HOSTS)]}:{port}/{name}")
            if content is not None:
                (web.files / name).write_bytes(content)
        listed = folder / "addresses"
        listed.write_text("\n".join(addresses))
        environment = {**os.environ, **s3.environment(), "PYTHONPATH": str(ROOT)}
        os.environ.update(s3.environment())
        for count in workers:
            bucket = f"pictures-{count}"
            boto3.client("s3").create_bucket(Bucket=bucket)
            with fresh_postgres_database(maintenance) as store:
                project = empty_project(
                    folder / f"project-{count}",
                    store={"url": store},
                    images={"url": f"s3://{bucket}"},
                    ray={"workers": count},
                    crawl={
                        "executor": "ray",
                        "allow_addresses": [f"{host}:{port}" for host in HOSTS],
                        "per_category": pictures,
                    },
                )
                add_categories(project, WNID)
                command = [sys.executable, "-c", DRIVER, str(project.folder), str(listed)]
                server = project.engine.url.port or 0
                spent = spent_by_role(command, environment, folder / "driver.log", server)
                yield crawled(project.engine, count, *spent)
                project.engine.dispose()


def crawled(engine: sa.Engine, workers: int, cpu: dict[str, float], peak: dict[str, int]) -> Crawled:
    """What the rows tell of a crawl."""
    c = tables.candidates.c
    with database.reading(engine) as connection:
        query = sa.select(sa.func.count(c.sha256), sa.func.min(c.ended_at), sa.func.max(c.ended_at))
        stored, first, last = connection.execute(query).one()
    return Crawled(workers, stored, (last - first).total_seconds(), cpu, peak)


def spent_by_role(
    command: Sequence[str], environment: dict[str, str], log: Path, port: int
) -> tuple[dict[str, float], dict[str, int]]:
    """Run a command: CPU seconds of the processes that ran meanwhile, by what they are, and the largest's peak MiB."""
    before = {process.pid: process.seconds for process in processes(port)}
    seen: dict[int, Process] = {}
    with log.open("wb") as file:
        driver = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        while driver.poll() is None:
            for process in processes(port):
                # A worker is one of Ray's idle processes before and after.
                known = seen.get(process.pid)
                role = "workers" if known is not None and known.role == "workers" else process.role
                seen[process.pid] = dataclasses.replace(process, role=role)
            time.sleep(0.2)
    if driver.returncode:
        sys.exit(f"the crawl failed:\n{log.read_text(errors='replace')[-3000:]}")
    cpu, peak = dict.fromkeys(ROLES, 0.0), dict.fromkeys(ROLES, 0)
    for process in seen.values():
        cpu[process.role] += process.seconds - before.get(process.pid, 0.0)
        peak[process.role] = max(peak[process.role], process.peak_mib)
    return {role: round(seconds, 2) for role, seconds in cpu.items()}, peak


def processes(port: int) -> Iterator[Process]:
    """Every process that is ours, or of the PostgreSQL server at `port`."""
    titles: dict[int, str] = {}
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    peaks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, StopIteration):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                lines = (entry / "status").read_text(errors="replace").splitlines()
                pid = int(entry.name)
                peaks[pid] = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
                titles[pid], parents[pid] = title, int(fields[1])
                seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    for pid in titles:
        role = role_of(pid, titles, parents, f" -p {port} ")
        if role:
            yield Process(pid, role, seconds[pid], peaks[pid])


def role_of(pid: int, titles: dict[int, str], parents: dict[int, int], server: str) -> str:
    """What a process is: by its own title or the nearest above it; "" for one that is not this benchmark's."""
    marks = {
        "ray::CrawlWorker": "workers", "moto.server": "s3", "nginx": "nginx", "ProposingSource": "driver",
        "raylet": "ray", "gcs_server": "ray", "site-packages/ray/": "ray", "ray::": "ray",
    }  # fmt: skip
    role, at = "", pid
    while at > 1 and at != os.getpid():
        title = titles.get(at, "")
        if "bin/postgres" in title and server in title:
            return "postgres"
        role = role or next((name for mark, name in marks.items() if mark in title), "")
        at = parents.get(at, 0)
    return role if at == os.getpid() else ""


# --- the write path -------------------------------------------------------------------------------------


def written(engine: sa.Engine, rows: int) -> Iterator[Written]:
    """Candidates proposed and ended, `rows` of them each way, in transactions of the sizes that the crawl has."""
    name = engine.url.get_backend_name()
    with database.writing(engine) as connection:
        query_id = connection.execute(
            tables.queries.insert().returning(tables.queries.c.id),
            {"wnid": WNID, "source": "bench", "words": "x", "language": "en", "exhausted": False, "found": 0,
             "known": 0},
        ).scalar_one()  # fmt: skip

    def one_by_one(connection: sa.Connection, batch: list[dict[str, Any]]) -> None:
        connection.execute(insert_new(connection, tables.candidates), batch)

    def together(connection: sa.Connection, batch: list[dict[str, Any]]) -> None:
        insert_rows(connection, tables.candidates, batch)

    ways: list[tuple[str, Callable[..., None]]] = [("executemany", one_by_one)]
    ways += [("COPY", together)] if name == "postgresql" else []
    for path, insert in ways:
        batches = [
            [candidate(f"{path}-{start + number}", query_id) for number in range(500)]
            for start in range(0, rows, 500)
        ]
        yield timed(f"propose, {path}", engine, batches, insert)
    with database.reading(engine) as connection:
        ids = list(connection.scalars(sa.select(tables.candidates.c.id).order_by(tables.candidates.c.id)))
    commits = [("executemany", commit_one_by_one)]
    commits += [("COPY", outcomes_sql.commit_outcomes)] if name == "postgresql" else []
    for part, (path, commit) in enumerate(commits):
        mine = ids[part * rows : (part + 1) * rows]
        ends = [[(key, fetched(key)) for key in mine[start : start + 200]] for start in range(0, rows, 200)]
        yield timed(f"end, {path}", engine, ends, commit)


def commit_one_by_one(connection: sa.Connection, outcomes: Sequence[tuple[int, Fetched]]) -> None:
    """What `commit_outcomes` does, without COPY: a row at a time."""
    images = [
        outcomes_sql._image_row(end.outcome, end.at)
        for _, end in outcomes
        if isinstance(end.outcome, Inspected)
    ]
    connection.execute(insert_new(connection, tables.images), images)
    rows = [outcomes_sql._outcome_row(key, end) for key, end in outcomes]
    names = [name for name in rows[0] if name != "id"]
    statement = tables.candidates.update().where(tables.candidates.c.id == sa.bindparam("given_id"))
    values = {name: sa.bindparam(f"given_{name}") for name in names}
    values["attempts"] = tables.candidates.c.attempts + sa.bindparam("given_attempts")
    connection.execute(statement.values(values), [{f"given_{n}": v for n, v in row.items()} for row in rows])


def timed(path: str, engine: sa.Engine, batches: list[Any], write: Callable[..., None]) -> Written:
    """Each batch in a transaction of its own."""
    started, own, both = time.monotonic(), time.process_time(), cpu_seconds(engine)
    for batch in batches:
        with database.writing(engine) as connection:
            write(connection, batch)
    seconds, own, both = time.monotonic() - started, time.process_time() - own, cpu_seconds(engine) - both
    rows = sum(len(batch) for batch in batches)
    name = engine.url.get_backend_name()
    return Written(path, name, round(rows / seconds), round(rows / own), round(rows / both))


def cpu_seconds(engine: sa.Engine) -> float:
    """CPU seconds of this process and of the engine's server so far: unlike wall time, other programs' load does
    not lengthen them.
    """
    served = sum(process.seconds for process in processes(engine.url.port or 0) if process.role == "postgres")
    return time.process_time() + served


def candidate(name: str, query_id: int) -> dict[str, Any]:
    """A row as the search inserts it."""
    return {
        "wnid": WNID, "url": f"https://pictures.example/collections/2026/{name}.jpg", "query_id": query_id,
        "source": "bench", "rank": 1, "title": f"picture {name}", "page_url": f"https://pictures.example/{name}",
        "licence": "by", "author": "Somebody", "found_at": NOW, "state": "pending", "retryable": False,
        "attempts": 0,
    }  # fmt: skip


def fetched(key: int) -> Fetched:
    """An outcome as workers report it."""
    image = Inspected(f"{key:064x}", "jpeg", "RGB", 500, 375, 200_000, key, descriptor=bytes(BYTES))
    return Fetched(image, NOW, http_status=200, robots="allowed", etag='"5f3-6a1"', last_modified="yesterday")


# --- size -----------------------------------------------------------------------------------------------


def sized(engine: sa.Engine, steps: Sequence[int]) -> Iterator[Sized]:
    """Fill the store step by step, nine tenths of it ended, and time at each what a crawl asks."""
    with database.writing(engine) as connection:
        query_id = connection.execute(
            tables.queries.insert().returning(tables.queries.c.id),
            {"wnid": WNID, "source": "bench", "words": "y", "language": "en", "exhausted": False, "found": 0,
             "known": 0},
        ).scalar_one()  # fmt: skip
    for rows in steps:
        first = rows * 9 // 10 + 1
        fill(engine, rows, first, query_id)
        with database.reading(engine) as connection:
            size = connection.scalar(sa.text("SELECT pg_total_relation_size('candidates')")) or 0
            late = milliseconds(engine, 3, waiting_page, connection, 0)
            page = milliseconds(engine, 10, waiting_page, connection, first)
            count = milliseconds(engine, 5, sql.waiting_count, connection, SCOPE, sql.Which())
        commit = milliseconds(engine, 20, end_next, engine, iter(range(first, rows + 1)))
        yield Sized(rows, size / rows, page, late, count, commit)


def end_next(engine: sa.Engine, keys: Iterator[int]) -> None:
    """Commit the outcomes of the next 200 candidates."""
    ends = [(key, fetched(key)) for key in itertools.islice(keys, 200)]
    with database.writing(engine) as connection:
        outcomes_sql.commit_outcomes(connection, ends)


def waiting_page(connection: sa.Connection, after: int) -> None:
    """A page as the crawl takes it."""
    sql.waiting(connection, SCOPE, sql.Which(), after=after, limit=2000)


def fill(engine: sa.Engine, rows: int, first: int, query_id: int) -> None:
    """Make candidates 1 to `rows`, on the server itself; those from `first` on wait, the others have ended."""
    with database.writing(engine) as connection:
        connection.execute(sa.text("TRUNCATE candidates, images CASCADE"))
        connection.execute(
            sa.text(
                "INSERT INTO candidates (id, wnid, url, query_id, source, rank, title, page_url, licence, author,"
                " found_at, state, reason, ended_at, retryable, attempts)"
                " SELECT n, :wnid, 'https://host' || (n * 7919 % 1000003) || '.example/collections/' || n || '.jpg',"
                " :query, 'bench', 1, 'picture ' || n, 'https://host.example/page/' || n, 'by', 'Somebody', now(),"
                " CASE WHEN n < :first THEN 'rejected' ELSE 'pending' END, CASE WHEN n < :first THEN 'blank' END,"
                " CASE WHEN n < :first THEN now() END, false, 0"
                " FROM generate_series(CAST(1 AS bigint), CAST(:rows AS bigint)) AS n"
            ),
            {"wnid": WNID, "query": query_id, "first": first, "rows": rows},
        )
    # As the server's autovacuum does sooner or later.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE candidates"))


def milliseconds(engine: sa.Engine, times: int, work: Callable[..., object], *arguments: object) -> float:
    """CPU milliseconds of driver and server for one of so many runs."""
    before = cpu_seconds(engine)
    for _ in range(times):
        work(*arguments)
    return (cpu_seconds(engine) - before) / times * 1000


def at_goal(sizes: Sequence[Sized]) -> dict[str, tuple[float, str]]:
    """The last step carried on to GOAL candidates, with the formula."""
    last = sizes[-1]
    times = GOAL / last.rows
    # A B-tree of 8 KiB pages with about 100 keys of these addresses in each.
    deeper = math.log(GOAL) / math.log(last.rows)
    return {
        "store GiB": (last.row_bytes * GOAL / 2**30, "bytes a row × 10⁸"),
        "page of 2,000 ms": (last.page_ms * deeper, "× log 10⁸ / log rows: index look-ups"),
        "first page of a run, s": (
            last.late_page_ms * times / 1000,
            "× 10⁸ / rows: a scan over ended rows",
        ),
        "count at the start s": (last.count_ms * times / 1000, "× 10⁸ / rows: a scan"),
        "commit of 200 ms": (last.commit_ms * deeper, "× log 10⁸ / log rows: index look-ups"),
        "candidates a second of one driver": (
            1000 / (last.page_ms * deeper / 2000 + last.commit_ms * deeper / 200),
            "1 / (page / 2,000 + commit / 200)",
        ),
    }


def shares(owners: int) -> float:
    """How much more than its share the fullest of `owners` has of GOAL candidates on Zipf-distributed hosts."""
    weights = 1 / np.arange(1, WEB_HOSTS + 1) ** STEEPNESS
    weights /= weights.sum()
    load = np.zeros(owners)
    for number in range(WEB_HOSTS):
        load[owner_of(f"http://host{number}.example/", owners)] += weights[number]
    return float(load.max() * owners)


# --- all of it ------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.pictures, chosen.rows, chosen.workers = 100, 20_000, chosen.workers[:1]
    with tempfile.TemporaryDirectory() as name, postgres_cluster() as maintenance:
        folder = Path(name)
        runs = list(crawls(chosen.pictures, chosen.workers, folder, maintenance))
        writes = [
            write
            for engine in stores(folder, maintenance)
            for write in written(engine, min(20_000, chosen.rows))
        ]
        steps = [max(10_000, chosen.rows // 10), chosen.rows]
        with fresh_postgres_database(maintenance) as url:
            sizes = list(sized(opened(folder / "size", url), steps))
    show(runs, writes, sizes)


def stores(folder: Path, maintenance: str) -> Iterator[sa.Engine]:
    """An empty store on each engine."""
    yield opened(folder / "sqlite", "sqlite:///store.sqlite3")
    with fresh_postgres_database(maintenance) as url:
        yield opened(folder / "postgres", url)


def opened(folder: Path, url: str) -> sa.Engine:
    project = empty_project(folder, store={"url": url})
    add_categories(project, WNID)
    return project.engine


def show(runs: Sequence[Crawled], writes: Sequence[Written], sizes: Sequence[Sized]) -> None:
    """The tables, and the line of JSON."""
    for run in runs:
        rate = run.stored / run.seconds if run.seconds else 0.0
        spent = ", ".join(f"{role} {run.cpu[role]:.1f} s {run.peak_mib[role]} MiB" for role in ROLES)
        sys.stdout.write(f"{run.workers} workers: {run.stored} pictures, {rate:.0f} a second; {spent}\n")
    for write in writes:
        sys.stdout.write(
            f"{write.engine} {write.path}: {write.rows_a_second:,.0f} rows/s, "
            f"{write.rows_a_driver_second:,.0f} a CPU second of the driver, {write.rows_a_cpu_second:,.0f} of driver "
            "and server\n"
        )
    for size in sizes:
        sys.stdout.write(
            f"{size.rows:,} candidates: {size.row_bytes:.0f} bytes each, page {size.page_ms:.0f} ms, first page of a "
            f"run {size.late_page_ms:.0f} ms, count {size.count_ms:.0f} ms, commit {size.commit_ms:.0f} ms\n"
        )
    goal = at_goal(sizes)
    for what, (value, formula) in goal.items():
        sys.stdout.write(f"at 10⁸: {what} {value:,.1f} ({formula})\n")
    dealt = {owners: round(shares(owners), 2) for owners in (2, 16, 64)}
    sys.stdout.write(f"fullest owner's share of 10⁸ on 10⁶ hosts, × the mean: {dealt}\n")
    document = {
        "crawls": [asdict(run) for run in runs],
        "writes": [asdict(write) for write in writes],
        "sizes": [asdict(size) for size in sizes],
        "at_goal": {what: value for what, (value, _) in goal.items()},
        "fullest_owner": dealt,
    }
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
