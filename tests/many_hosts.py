"""A web of several hosts on loopback that has every kind of answer, and crawls of it compared row by row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.project import Project
from imagenet_builder.store import tables

from .builder_store import add_categories, empty_project
from .fault_server import FaultServer, fault_server
from .proposing_source import ProposingSource

WNID = "n04507155"
HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 8))
PATHS = (
    *(f"/good?seed={number}" for number in range(12)),
    "/missing",
    "/truncated-file",
    "/page-as-picture",
    "/opted-out",
    "/private/a.jpg",
    "/failing-once",
    "/loop",
    "/into-private",
    "/elsewhere",
    "/to-a-file",
)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server(delay=0.005, more_addresses=HOSTS) as running:
        # From every host a redirect leads to another one: to a picture, as far as this one's owner is concerned.
        running.elsewhere = f"http://{HOSTS[-1]}:{port_of(running)}/good?seed=500"
        yield running


def port_of(server: FaultServer) -> str:
    return server.authority.partition(":")[2]


def project_for(
    folder: Path,
    server: FaultServer,
    executor: str,
    *,
    sections: dict[str, dict[str, object]] | None = None,
    **settings: Any,
) -> Project:
    """A project that may crawl all hosts; `settings` are of [crawl], `sections` are others."""
    allowed = [f"{host}:{port_of(server)}" for host in ("127.0.0.1", *HOSTS)]
    crawl_settings = {"allow_addresses": allowed, "executor": executor, **settings}
    project = empty_project(folder, crawl=crawl_settings, **(sections or {}))
    add_categories(project, WNID)
    return project


def source(server: FaultServer, *paths: str) -> ProposingSource:
    """Proposes `paths` (PATHS, if there are none) of every host."""
    return source_at(port_of(server), *paths)


def source_at(port: str, *paths: str) -> ProposingSource:
    addresses = [
        f"http://{host}:{port}{path}{'&' if '?' in path else '?'}of={host}"
        for path in paths or PATHS
        for host in HOSTS
    ]
    return ProposingSource(addresses, page_size=50)


def rows(project: Project) -> dict[str, tuple[object, ...]]:
    c = tables.candidates.c
    columns = (c.state, c.reason, c.detail, c.retryable, c.sha256, c.attempts, c.http_status, c.robots)
    with database.reading(project.engine) as connection:
        return {row.url: tuple(row[1:]) for row in connection.execute(sa.select(c.url, *columns))}


def without_attempts(project: Project) -> dict[str, tuple[object, ...]]:
    """A host that fails once may have done so for a worker that was lost."""
    return {url: (*row[:5], *row[6:]) for url, row in rows(project).items()}


def ended(project: Project, state: str) -> int:
    with database.reading(project.engine) as connection:
        query = sa.select(sa.func.count()).where(tables.candidates.c.state == state)
        return connection.scalars(query).one()


def soon(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


@pytest.fixture
def in_one_process(server: FaultServer, tmp_path: Path) -> Project:
    """A project whose candidates were gathered by the simplest means."""
    project = project_for(tmp_path / "simple", server, "local")
    crawl(project, sources=[source(server)])
    server.asked.clear()
    server.asked_of.clear()
    server.most_at_once.clear()
    return project
