"""As many hosts at once as the settings say: thousands, and each as gently as one alone."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.crawl.open_files import BESIDE, allow_connections
from imagenet_builder.errors import ProjectError
from tests.builder_store import add_categories, empty_project
from tests.fault_server import fault_server
from tests.proposing_source import ProposingSource

HOSTS = tuple(f"127.1.{number // 200}.{number % 200 + 1}" for number in range(2000))
# Both ends of every connection are in this process.
OPEN_FILES = 2 * len(HOSTS) + 1000


@contextlib.contextmanager
def open_files(count: int, *, beyond: int) -> Iterator[None]:
    """A limit of `count` open files, where the system allows `beyond`."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= usual[1] < beyond:
        pytest.skip(f"this system allows {usual[1]} open files, and {beyond} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)


def test_two_thousand_hosts_are_asked_at_once(tmp_path: Path) -> None:
    with open_files(OPEN_FILES, beyond=OPEN_FILES), fault_server(host="0.0.0.0") as server:
        port = server.authority.partition(":")[2]
        # Nobody is answered before all have asked: a crawl with fewer hosts at once would end in time-outs.
        server.together = len(HOSTS)
        project = empty_project(
            tmp_path / "project",
            crawl={
                "allow_addresses": [f"{host}:{port}" for host in HOSTS],
                "connections": len(HOSTS),
                "per_category": len(HOSTS),
                "timeout": 120.0,
                "attempts": 1,
            },
        )
        add_categories(project, "n04507155")
        source = ProposingSource(
            [f"http://{host}:{port}/together?of={host}" for host in HOSTS], page_size=500
        )
        report = crawl(project, sources=[source])
    assert [(str(outcome.state), outcome.reason, outcome.count) for outcome in report.outcomes] == [
        ("stored", None, len(HOSTS))
    ]
    assert server.asked["/robots.txt"] == len(HOSTS)
    assert max(server.most_at_once.values()) == 1


def test_a_system_that_allows_too_few_open_files_is_one_line_before_anything_is_fetched() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system allows any number of open files")
    with pytest.raises(
        ProjectError, match=rf"connections = {hard} takes {hard + BESIDE} open files.* lower it"
    ):
        allow_connections(hard)


def test_the_limit_of_open_files_is_raised_as_far_as_it_is_needed() -> None:
    with open_files(512, beyond=4000):
        allow_connections(2000)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 2000 + BESIDE
