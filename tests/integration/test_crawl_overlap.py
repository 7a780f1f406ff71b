"""Pictures are fetched while the search for others goes on."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.cli import command_line
from imagenet_builder.cli import run as run_command
from imagenet_builder.crawl import crawl as crawl_module
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.project import Project
from imagenet_builder.records import Candidate, Category, Query, Rights, SearchPage
from imagenet_builder.store import tables
from tests.builder_store import add_categories, empty_project
from tests.children import child
from tests.fault_server import FaultServer, fault_server
from wordnet_synsets.errors import WordNetError
from wordnet_synsets.graph import Graph

FIRST, SECOND = "n04507155", "n07734744"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server(delay=0.3) as running:
        yield running


async def soon(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that while the search went on"
        await asyncio.sleep(0.01)


@dataclass
class WaitingSource:
    """Proposes each category's addresses at once, but those in `conditions` only when that has come."""

    urls: Mapping[str, Sequence[str]]
    conditions: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    # Raised by the search for the second category, after its condition.
    failure: Exception | None = None
    name: str = "waiting"

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        return (Query(category.wnid, self.name, "anything"),)

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        if query.wnid in self.conditions:
            await soon(self.conditions[query.wnid])
            if self.failure is not None:
                raise self.failure
        found = (
            Candidate(query.wnid, url, self.name, rank, f"picture {rank}", rights=Rights(licence="cc0"))
            for rank, url in enumerate(self.urls[query.wnid], start=1)
        )
        return SearchPage(tuple(found), None)


def project_for(folder: Path, server: FaultServer, **settings: object) -> Project:
    project = empty_project(folder, crawl={"allow_addresses": [server.authority], **settings})
    add_categories(project, FIRST)
    add_categories(project, SECOND, first=1)
    return project


def rows(project: Project) -> dict[str, tuple[str, int]]:
    c = tables.candidates.c
    with database.reading(project.engine) as connection:
        return {
            row.wnid: (row.state, row.attempts) for row in connection.execute(sa.select(*c).order_by(c.id))
        }


def has_ended(project: Project) -> Callable[[], bool]:
    return lambda: any(state != "pending" for state, _ in rows(project).values())


def test_pictures_of_one_category_are_stored_while_another_is_searched(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server)
    urls = {wnid: [f"{server.address}/good?seed={place}"] for place, wnid in enumerate((FIRST, SECOND))}
    report = crawl(project, sources=[WaitingSource(urls, {SECOND: has_ended(project)})])
    assert (report.stored, report.new_candidates, report.interrupted) == (2, 2, False)
    assert rows(project) == {FIRST: ("stored", 1), SECOND: ("stored", 1)}


@pytest.mark.parametrize("path", ["/good", "/missing", "/failing-once"])
def test_an_address_proposed_again_while_it_is_fetched_ends_as_that_one_and_is_asked_once(
    server: FaultServer, tmp_path: Path, path: str
) -> None:
    project = project_for(tmp_path, server, attempts=1)
    urls = {wnid: [server.address + path] for wnid in (FIRST, SECOND)}
    crawl(project, sources=[WaitingSource(urls, {SECOND: lambda: server.asked[path] > 0})])
    state = "stored" if path == "/good" else "failed"
    assert rows(project) == {FIRST: (state, 1), SECOND: (state, 0)}
    assert server.asked[path] == 1


@pytest.mark.parametrize("path", ["/good", "/missing", "/failing-once", "/page-as-picture"])
def test_an_address_that_has_ended_in_this_run_is_not_asked_again(
    server: FaultServer, tmp_path: Path, path: str
) -> None:
    project = project_for(tmp_path, server, attempts=1)
    urls = {wnid: [server.address + path] for wnid in (FIRST, SECOND)}
    crawl(project, sources=[WaitingSource(urls, {SECOND: has_ended(project)})])
    one, other = rows(project).values()
    assert one[0] == other[0] == {"/good": "stored", "/page-as-picture": "rejected"}.get(path, "failed")
    assert server.asked[path] == 1
    if path == "/failing-once":
        assert crawl(project, sources=[WaitingSource(urls)], retry=True).stored == 2
        assert server.asked[path] == 2


def test_a_search_that_breaks_ends_the_run_with_what_was_fetched_kept(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server)
    urls = {FIRST: [f"{server.address}/good"], SECOND: []}
    source = WaitingSource(urls, {SECOND: has_ended(project)}, WordNetError("no WordNet"))
    with pytest.raises(WordNetError, match="no WordNet"):
        crawl(project, sources=[source])
    assert rows(project) == {FIRST: ("stored", 1)}


def test_a_full_quota_ends_a_search_that_would_go_on(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server, disk_quota=1, connections=1)
    urls = {FIRST: [f"{server.address}/good?seed={seed}" for seed in range(5)], SECOND: []}
    started = time.monotonic()
    report = crawl(project, sources=[WaitingSource(urls, {SECOND: lambda: False})])
    # The source itself would have given up after 30 seconds.
    assert time.monotonic() - started < 25
    assert report.quota_reached
    assert not report.interrupted
    assert report.source_errors == ()


def command_here(folder: str, address: str) -> None:
    """The command line, with a source that never ends its search for the second category."""
    urls = {FIRST: [f"{address}/good"], SECOND: []}
    setattr(crawl_module, "open_sources", lambda *_: (WaitingSource(urls, {SECOND: lambda: False}),))  # noqa: B010
    sys.exit(run_command(command_line.main, "--project", folder, "crawl"))


def test_a_stop_while_fetching_waits_for_the_search_leaves_with_130(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server)
    with child(__name__, "command_here", str(project.folder), server.address) as process:
        asyncio.run(soon(has_ended(project)))
        process.send_signal(signal.SIGTERM)
        _, talk = process.communicate(timeout=20)
    assert process.returncode == 130, talk
    assert "Traceback" not in talk
    assert rows(project) == {FIRST: ("stored", 1)}
