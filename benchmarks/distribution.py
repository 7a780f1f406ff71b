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
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from crawl import picture  # noqa: E402
from distribution_store import WNID, Sized, Written, at_goal, shares, sized, written  # noqa: E402
from process_roles import ROLES, Process, processes  # noqa: E402

from hits import database  # noqa: E402
from imagenet_builder.store import tables  # noqa: E402
from tests.builder_store import add_categories, empty_project  # noqa: E402
from tests.nginx_server import nginx_server  # noqa: E402
from tests.real_parts import fresh_postgres_database, postgres_cluster  # noqa: E402
from tests.s3_servers import moto_server  # noqa: E402

HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 10))
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
