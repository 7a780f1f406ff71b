"""A crawl that is killed, stopped or doubled: run again, it ends as an undisturbed one does."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hits import database
from hits.errors import LockHeld
from imagenet_builder.cli import command_line
from imagenet_builder.cli import run as run_command
from imagenet_builder.crawl import crawl as crawl_module
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.project import Project, find_project
from imagenet_builder.store import tables
from imagenet_builder.store.queries import QueryYield, query_yields
from tests.builder_store import add_categories, empty_project
from tests.children import child
from tests.fault_server import FaultServer, fault_server
from tests.proposing_source import ProposingSource

WNIDS = ("n04507155", "n07734744")
PATHS = (
    *(f"/good?seed={number}" for number in range(40)),
    *(f"/missing?{number}" for number in range(6)),
    "/truncated-file",
    "/page-as-picture",
    "/opted-out",
    "/private/a.jpg",
    "/good",
    "/picture-as-page",
)


def source(address: str, paths: tuple[str, ...] = PATHS) -> ProposingSource:
    # The second phrase brings what the first has brought.
    return ProposingSource(
        [address + path for path in paths],
        page_size=max(7, len(paths) // 20),
        seconds=0.01,
        phrases=("thing", "something"),
    )


def project_for(folder: Path, server: FaultServer, per_category: int = 500, **settings: object) -> Project:
    project = empty_project(
        folder,
        crawl={
            "allow_addresses": [server.authority],
            "connections": 4,
            "per_category": per_category,
            **settings,
        },
    )
    add_categories(project, *WNIDS)
    return project


def crawl_here(folder: str, address: str, *paths: str) -> None:
    """What a crawling process runs."""
    crawl(find_project(Path(folder)), sources=[source(address, paths or PATHS)])


def command_here(folder: str, address: str, *paths: str) -> None:
    """The command line, with pictures of the fault server for a source."""
    setattr(crawl_module, "open_sources", lambda *_: (source(address, paths),))  # noqa: B010
    sys.exit(run_command(command_line.main, "--project", folder, "crawl"))


def rows(project: Project) -> dict[tuple[str, str], tuple[object, ...]]:
    c = tables.candidates.c
    with database.reading(project.engine) as connection:
        found = connection.execute(sa.select(c.wnid, c.url, c.rank, c.state, c.reason, c.retryable, c.sha256))
        return {(row.wnid, row.url): tuple(row[2:]) for row in found}


def stored(project: Project) -> set[str]:
    with database.reading(project.engine) as connection:
        return set(connection.scalars(sa.select(tables.images.c.sha256)))


def yields(project: Project) -> dict[tuple[str, str], QueryYield]:
    """What each query brought, by category and words."""
    with database.reading(project.engine) as connection:
        found = query_yields(connection, WNIDS)
    return {(one.asked.query.wnid, one.asked.query.words): one for one in found}


def count(project: Project, *conditions: sa.ColumnElement[bool]) -> int:
    with database.reading(project.engine) as connection:
        statement = sa.select(sa.func.count()).select_from(tables.candidates).where(*conditions)
        return connection.scalar(statement) or 0


def wait_for(moment: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Wait until `moment` has come; False if the process ended before."""
    while not moment():
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return True


def test_a_crawl_killed_at_any_stage_and_run_again_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    with fault_server(delay=0.01) as server:
        undisturbed = project_for(tmp_path / "undisturbed", server)
        crawl(undisturbed, sources=[source(server.address)])
        killed = project_for(tmp_path / "killed", server)
        server.asked.clear()
        ended = tables.candidates.c.ended_at.is_not(None)
        moments: list[Callable[[], bool]] = [
            lambda: count(killed) > 0,
            lambda: count(killed) >= len(PATHS) + 5,
            lambda: server.asked.total() >= 10,
            lambda: count(killed, ended) >= 25,
            lambda: count(killed, ended) >= 60,
        ]
        kills = 0
        for moment in moments:
            with child(__name__, "crawl_here", str(killed.folder), server.address) as process:
                if wait_for(moment, process):
                    kills += 1
            assert all(killed.images.get(sha256) for sha256 in stored(killed)), "a row came before its bytes"
        assert kills >= 3
        crawl(killed, sources=[source(server.address)])
        assert rows(killed) == rows(undisturbed)
        assert len(rows(killed)) == len(PATHS) * len(WNIDS)
        # Bytes may be stored whose row was not committed: they are found again under the same name.
        assert set(killed.images) == set(undisturbed.images)
        assert stored(killed) == stored(undisturbed)


# Faults whose outcome does not depend on what was asked before.
FAULTS = (
    *("/endless", "/hung-up", "/oversize", "/empty", "/loop", "/moved", "/into-private", "/to-a-file"),
    *("/gzipped", "/gzip-bomb", "/gzip-lie", "/reserved", "/forbidden", "/broken-off"),
)


@pytest.mark.parametrize(
    "kills", [20, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(3000)])]
)
def test_random_kills_change_nothing(kills: int, tmp_path: Path) -> None:
    rng = random.Random(kills)
    many = (f"/good?seed={number}" for number in range(100, 100 + 30 * kills))
    paths = tuple(rng.sample(everything := (*PATHS, *FAULTS, *many), len(everything)))
    with fault_server(delay=0.03) as server:
        # A query is dropped once one result in a hundred was of no use: the second phrase, and not the first.
        drops: dict[str, Any] = {"drop_after": 30, "drop_share": 0.01}
        undisturbed = project_for(tmp_path / "undisturbed", server, len(paths), **drops)
        assert crawl(undisturbed, sources=[source(server.address, paths)]).dropped_queries == len(WNIDS)
        killed = project_for(tmp_path / "killed", server, len(paths), **drops)
        commits = set()
        for _ in range(kills):
            with child(__name__, "crawl_here", str(killed.folder), server.address, *paths) as process:
                _wait_at_random(rng, server, killed, process)
                assert process.poll() is None, "it had ended before it could be killed"
            commits.add(count(killed, tables.candidates.c.ended_at.is_not(None)))
            assert all(killed.images.get(sha256) for sha256 in stored(killed)), "a row came before its bytes"
        assert len(commits) > kills // 4, "hardly any kill came between two commits"
        crawl(killed, sources=[source(server.address, paths)])
    assert rows(killed) == rows(undisturbed)
    assert yields(killed) == yields(undisturbed)
    assert len(rows(killed)) == len(paths) * len(WNIDS)
    assert stored(killed) == stored(undisturbed)
    assert set(killed.images) == set(undisturbed.images)


def poor_source(address: str) -> ProposingSource:
    """Much that is not there, then what is; slowly, so that outcomes come before the next page."""
    urls = [f"{address}/missing?{number}" for number in range(30)]
    urls += [f"{address}/good?seed={number}" for number in range(30)]
    return ProposingSource(urls, page_size=5, seconds=0.1)


def crawl_poor_here(folder: str, address: str) -> None:
    """What a crawling process runs."""
    crawl(find_project(Path(folder)), sources=[poor_source(address)])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_rejected_before_a_break_drops_no_query_after_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    drops: dict[str, Any] = {"drop_after": 10, "drop_share": 0.5}
    with fault_server() as server:
        undisturbed = project_for(tmp_path / "undisturbed", server, **drops)
        crawl(undisturbed, sources=[poor_source(server.address)])
        broken = project_for(tmp_path / "broken", server, **drops)
        failed = tables.candidates.c.state == "failed"
        with child(__name__, "crawl_poor_here", str(broken.folder), server.address) as process:
            # What is not there fails for good: enough of it to drop the query, if another crawl began.
            assert wait_for(lambda: count(broken, failed) >= 10, process)
            process.send_signal(number)
            process.wait(60)
        assert not all(one.asked.exhausted for one in yields(broken).values())
        report = crawl(broken, sources=[poor_source(server.address)])
        assert report.dropped_queries == 0
        assert rows(broken) == rows(undisturbed)
        assert yields(broken) == yields(undisturbed)
        assert stored(broken) == stored(undisturbed)


def _wait_at_random(
    rng: random.Random, server: FaultServer, project: Project, process: subprocess.Popen[str]
) -> None:
    """Wait for a moment of a crawl's start, or for one after its first request or its first commit."""
    kind = rng.random()
    if kind < 0.25:
        time.sleep(rng.uniform(0.1, 1.0))
    elif kind < 0.6:
        begun = server.asked.total()
        wait_for(lambda: server.asked.total() > begun, process)
        time.sleep(rng.uniform(0.0, 1.5))
    else:
        ended = tables.candidates.c.ended_at.is_not(None)
        before = count(project, ended)
        wait_for(lambda: count(project, ended) > before, process)
        time.sleep(rng.uniform(0.0, 0.6))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_crawl_commits_what_is_done_and_leaves_with_130(
    number: signal.Signals, tmp_path: Path
) -> None:
    good = [f"/good?seed={seed}" for seed in range(3)]
    with fault_server() as server:
        project = project_for(tmp_path / "project", server)
        with child(__name__, "command_here", str(project.folder), server.address, *good, "/slow") as process:
            assert wait_for(lambda: server.asked["/slow"] > 0 and server.asked["/good"] >= 3, process)
            process.send_signal(number)
            _, talk = process.communicate(timeout=60)
        assert process.returncode == 130, talk
        assert "Traceback" not in talk
        states = {(url, state) for (_, url), (_, state, *_) in rows(project).items()}
        # The second category may have come too late to share what the first one's pictures came to.
        assert {url for url, state in states if state == "stored"} == {server.address + path for path in good}
        assert {state for _, state in states} == {"stored", "pending"}
        assert (server.address + "/slow", "pending") in states


def test_a_second_crawl_at_once_leaves_with_75(tmp_path: Path) -> None:
    with fault_server() as server:
        project = project_for(tmp_path / "project", server)
        with database.exclusive_lock(project.engine, "crawl"):
            with child(__name__, "command_here", str(project.folder), server.address, "/good") as process:
                _, talk = process.communicate(timeout=60)
            assert process.returncode == 75
            assert "another crawl is running" in talk
            with pytest.raises(LockHeld):
                crawl(project, sources=[source(server.address)])
        assert server.asked.total() == 0


def test_a_crawl_on_postgresql_ends_as_one_on_sqlite(tmp_path: Path, postgres_url: str) -> None:
    with fault_server() as server:
        settings: dict[str, object] = {"allow_addresses": [server.authority]}
        on_postgres = empty_project(tmp_path / "p", crawl=settings, store={"url": postgres_url})
        on_sqlite = empty_project(tmp_path / "s", crawl=settings)
        for project in (on_postgres, on_sqlite):
            add_categories(project, *WNIDS)
            crawl(project, sources=[source(server.address)])
        assert rows(on_postgres) == rows(on_sqlite)
        with (
            database.exclusive_lock(on_postgres.engine, "crawl"),
            pytest.raises(LockHeld, match="another crawl is running"),
        ):
            crawl(on_postgres, sources=[source(server.address)])
