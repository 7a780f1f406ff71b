"""Crawling a web that misbehaves: every candidate ends in its named outcome, and the run ends."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from hits import database
from imagenet_builder.config import override
from imagenet_builder.crawl import asking, politeness
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.crawl.fetch import Fetcher
from imagenet_builder.crawl.report import CrawlReport
from imagenet_builder.errors import ImageStoreError, ProjectError, SourceError
from imagenet_builder.project import Project
from imagenet_builder.records import Query, SearchPage
from imagenet_builder.sources.folder import Folder
from imagenet_builder.store import tables
from imagenet_builder.store.crawl import PendingCandidate
from tests.builder_store import add_categories, empty_project
from tests.fault_server import GOOD, FaultServer, fault_server
from tests.mediawiki_server import picture
from tests.proposing_source import ProposingSource

WNID = "n04507155"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server() as running:
        yield running


@dataclass(frozen=True)
class Ended:
    """One candidate's row, as far as these tests look."""

    state: str
    reason: str | None
    retryable: bool
    attempts: int
    http_status: int | None
    robots: str | None
    opt_out: str | None
    sha256: str | None
    detail: str | None


def project_for(folder: Path, *servers: FaultServer, **crawl_settings: Any) -> Project:
    settings = {
        "allow_addresses": [server.authority for server in servers],
        "timeout": 30.0,
        "attempts": 2,
        "max_bytes": 2_000_000,
        **crawl_settings,
    }
    project = empty_project(folder / "project", crawl=settings)
    add_categories(project, WNID)
    return project


def run(project: Project, *urls: str, **options: Any) -> CrawlReport:
    return crawl(project, sources=[ProposingSource(urls)], **options)


def outcomes(project: Project) -> dict[str, Ended]:
    """How each URL ended, by its last part or, where that is ambiguous, in full."""
    c = tables.candidates.c
    columns = [getattr(c, name) for name in Ended.__dataclass_fields__]
    with database.reading(project.engine) as connection:
        return {
            row.url: Ended(*row[1:]) for row in connection.execute(sa.select(c.url, *columns).order_by(c.id))
        }


# path → state, reason, retryable, attempts
FAULTS: dict[str, tuple[str, str | None, bool, int]] = {
    "/good?seed=5": ("stored", None, False, 1),
    "/missing": ("failed", "not-found", False, 1),
    "/forbidden": ("failed", "refused", False, 1),
    "/failing-once": ("stored", None, False, 2),
    "/failing": ("failed", "server-error", True, 2),
    "/endless": ("rejected", "too-large", False, 1),
    "/broken-off": ("failed", "interrupted", True, 2),
    "/broken-off-once": ("stored", None, False, 2),
    "/hung-up": ("failed", "unreachable", True, 2),
    "/truncated-file": ("rejected", "damaged", False, 1),
    "/page-as-picture": ("rejected", "not-an-image", False, 1),
    "/picture-as-page": ("stored", None, False, 1),
    "/oversize": ("rejected", "too-large", False, 1),
    "/empty": ("rejected", "not-an-image", False, 1),
    "/loop": ("failed", "too-many-redirects", False, 1),
    "/moved": ("stored", None, False, 1),
    "/into-private": ("rejected", "robots", False, 1),
    "/to-a-file": ("failed", "bad-url", False, 1),
    "/to-no-address": ("failed", "bad-url", False, 1),
    "/busy-for-ever": ("failed", "server-error", True, 2),
    "/gzipped": ("stored", None, False, 1),
    "/gzip-bomb": ("rejected", "too-large", False, 1),
    "/gzip-cut": ("failed", "interrupted", True, 2),
    "/gzip-lie": ("rejected", "damaged", False, 1),
    "/other-coding": ("failed", "refused", False, 1),
    "/opted-out": ("rejected", "opt-out", False, 1),
    "/reserved": ("rejected", "opt-out", False, 1),
    "/private/a.jpg": ("rejected", "robots", False, 1),
}


def test_every_fault_ends_in_its_named_outcome(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server)
    report = run(project, *(server.address + path for path in FAULTS))
    found = {
        url.removeprefix(server.address): (ended.state, ended.reason, ended.retryable, ended.attempts)
        for url, ended in outcomes(project).items()
    }
    assert found == FAULTS
    assert sum(outcome.count for outcome in report.outcomes) == len(FAULTS)
    assert not report.interrupted
    assert server.asked["/robots.txt"] == 1
    assert server.asked["/private/a.jpg"] == 0
    ended = {url.removeprefix(server.address): row for url, row in outcomes(project).items()}
    assert ended["/opted-out"].opt_out == "X-Robots-Tag: noai, noimageai"
    assert ended["/good?seed=5"].robots == "allowed"
    assert ended["/missing"].http_status == 404
    stored = {row.sha256 for row in ended.values() if row.state == "stored"}
    assert stored == set(project.images)
    assert hashlib.sha256(GOOD).hexdigest() in stored


def test_answers_that_do_not_end_are_given_up_in_time(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server, timeout=1.0)
    run(project, f"{server.address}/slow", f"{server.address}/dripping")
    assert {(row.state, row.reason, row.retryable, row.attempts) for row in outcomes(project).values()} == {
        ("failed", "timeout", True, 2)
    }


def test_a_server_that_never_greets_is_told_from_one_that_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        authority = f"127.0.0.1:{silent.getsockname()[1]}"
        project = project_for(tmp_path, allow_addresses=[authority], attempts=1, timeout=20.0)
        run(project, f"https://{authority}/a.jpg")
    [ended] = outcomes(project).values()
    assert (ended.reason, ended.detail) == ("timeout", "robots.txt: no connection after 0 s")


def test_a_host_that_says_too_much_is_waited_for_and_asked_again(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server)
    run(project, f"{server.address}/limited")
    [ended] = outcomes(project).values()
    assert (ended.state, ended.attempts, ended.http_status) == ("stored", 2, 200)


def test_a_second_run_changes_nothing_and_a_retry_asks_again_for_the_retryable_only(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server, attempts=1)
    paths = ("/failing-once", "/failing", "/missing", "/good?seed=1", "/page-as-picture")
    urls = [server.address + path for path in paths]
    run(project, *urls)
    before, asked = outcomes(project), dict(server.asked)
    run(project, *urls)
    assert outcomes(project) == before
    assert dict(server.asked) == asked
    report = run(project, *urls, retry=True)
    assert {(outcome.state, outcome.reason, outcome.count) for outcome in report.outcomes} == {
        ("stored", None, 1),
        ("failed", "server-error", 1),
    }
    after = outcomes(project)
    assert after[server.address + "/failing-once"].state == "stored"
    assert after[server.address + "/failing"].attempts == 2
    assert after[server.address + "/missing"] == before[server.address + "/missing"]
    assert report.pages == 0


def test_a_host_that_asks_for_a_long_pause_is_left_alone(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server, attempts=3, per_host=1)
    run(project, *(f"{server.address}/{path}" for path in ("paused", "good?seed=1", "good?seed=2")))
    found = outcomes(project)
    assert {(row.state, row.reason, row.retryable) for row in found.values()} == {
        ("failed", "rate-limited", True)
    }
    assert server.asked["/paused"] == 1
    assert server.asked["/good"] == 0


def test_private_addresses_are_refused_unless_allowed_after_redirects_too(
    server: FaultServer, tmp_path: Path
) -> None:
    with fault_server() as inner:
        server.elsewhere = f"{inner.address}/good"
        project = project_for(tmp_path, server)
        by_name = inner.address.replace("127.0.0.1", "localhost")
        urls = [f"{server.address}/elsewhere", f"{inner.address}/good", f"{by_name}/good"]
        run(project, *urls)
        found = outcomes(project)
        assert [found[url].reason for url in urls] == ["forbidden-address"] * 3
        assert not any(found[url].retryable for url in urls)
        assert inner.asked.total() == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a.jpg",
        "http://",
        "http:///a.jpg",
        "https://exa mple.org/a.jpg",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "//example.org/a.jpg",
        "http://[::1/a.jpg",
        "http://[::1]http::127.0.0.1@",
        "http://127.0.0.1/" + "a" * 5000,
        "http://host:99999/a.jpg",
        "file:///etc/passwd",
        "",
    ],
)
def test_what_is_no_web_address_is_a_bad_url(url: str, tmp_path: Path) -> None:
    project = project_for(tmp_path)
    run(project, url)
    [ended] = outcomes(project).values()
    assert (ended.state, ended.reason, ended.retryable) == ("failed", "bad-url", False)


@dataclass
class LoopNoting(ProposingSource):
    """Notes whose event loop it is asked in."""

    loops: list[str] = field(default_factory=list)

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        self.loops.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])
        return await super().search(query, session)


@pytest.mark.parametrize(("is_there", "loop"), [(True, "uvloop"), (False, "asyncio")])
def test_a_crawl_runs_on_uvloop_where_it_is_there_and_without_it_else(
    is_there: bool, loop: str, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_there:
        # Importing it fails then.
        monkeypatch.setitem(sys.modules, "uvloop", None)
    source = LoopNoting([f"{server.address}/good?seed=1"])
    assert crawl(project_for(tmp_path, server), sources=[source]).stored == 1
    assert source.loops == [loop]


def test_nobody_elses_server_is_asked_without_a_contact(server: FaultServer, tmp_path: Path) -> None:
    own, others = project_for(tmp_path / "own", server), project_for(tmp_path / "others", server)
    nameless = override(own.settings, "project", contact=" ")
    run(dataclasses.replace(own, settings=nameless), f"{server.address}/good?seed=1", "http://[::1/a.jpg")
    assert [row.state for row in outcomes(own).values()] == ["stored", "failed"]
    url = "http://pictures.invalid/a.jpg"
    with pytest.raises(ProjectError, match=r"pictures.invalid must be told who crawls it: set contact = "):
        run(dataclasses.replace(others, settings=nameless), url)
    assert outcomes(others)[url].state == "pending"
    run(others, url)
    assert outcomes(others)[url].reason == "unreachable"


def test_a_name_that_is_not_known_and_a_port_that_is_closed_may_be_tried_again(tmp_path: Path) -> None:
    project = project_for(tmp_path, attempts=1, allow_addresses=["127.0.0.1:9"])
    run(project, "http://no-such-host.invalid/a.jpg", "http://127.0.0.1:9/a.jpg")
    assert {(row.reason, row.retryable, row.robots) for row in outcomes(project).values()} == {
        ("unreachable", True, "unreachable")
    }


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (404, ("stored", None, "allowed")),
        (403, ("stored", None, "allowed")),
        (503, ("failed", "server-error", "unreachable")),
    ],
)
def test_a_missing_robots_file_allows_and_a_failing_one_closes_the_site_for_now(
    status: int, outcome: tuple[str, str | None, str], tmp_path: Path
) -> None:
    with fault_server(robots_status=status) as server:
        project = project_for(tmp_path, server, attempts=1)
        run(project, f"{server.address}/good")
        [ended] = outcomes(project).values()
        assert (ended.state, ended.reason, ended.robots) == outcome
        assert ended.retryable == (status == 503)


def test_pictures_are_asked_for_no_quicker_than_robots_txt_wants(server: FaultServer, tmp_path: Path) -> None:
    server.robots = "User-agent: *\nCrawl-delay: 0.4\n"
    project = project_for(tmp_path, server)
    began = time.monotonic()
    run(project, *(f"{server.address}/good?seed={number}" for number in range(4)))
    assert {row.state for row in outcomes(project).values()} == {"stored"}
    assert time.monotonic() - began >= 3 * 0.4


def test_licences_decide_before_anything_is_fetched_and_can_be_changed(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server)
    urls = [f"{server.address}/good?seed={number}" for number in range(4)]
    source = ProposingSource(urls, licences=("cc0", "by-nc", None, "gfdl"))
    crawl(project, sources=[source])
    assert sorted((row.state, row.reason or "") for row in outcomes(project).values()) == [
        ("rejected", "licence"),
        ("rejected", "licence"),
        ("rejected", "licence"),
        ("stored", ""),
    ]
    assert server.asked["/good"] == 1
    wider = override(project.settings, "crawl", licences=("cc0", "unknown"))
    crawl(dataclasses.replace(project, settings=wider), sources=[source])
    states = [row.state for row in outcomes(project).values()]
    assert sorted(states) == ["rejected", "rejected", "stored", "stored"]


def test_a_licence_that_no_source_names_is_refused_before_the_run(tmp_path: Path) -> None:
    project = project_for(tmp_path, licences=["cc-by"])
    with pytest.raises(ProjectError, match=r"'cc-by' is not a licence .* known are cc0, pd, by"):
        run(project)


def test_a_source_that_is_down_costs_its_own_share_only(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server)
    down = ProposingSource([], name="down", failure=SourceError("api.example does not answer"))
    working = ProposingSource([f"{server.address}/good?seed={number}" for number in range(3)])
    report = crawl(project, sources=[down, working])
    assert report.source_errors == ("source down: api.example does not answer",)
    assert report.stored == 3


def test_a_source_that_fails_midway_keeps_its_pages_and_goes_on_there(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server)
    urls = [f"{server.address}/good?seed={number}" for number in range(6)]
    source = ProposingSource(urls, page_size=2, failure=SourceError("gone"), failing_from=2)
    report = crawl(project, sources=[source])
    assert (report.stored, report.source_errors) == (4, ("source proposing: gone",))
    source.failure = None
    source.asked.clear()
    assert crawl(project, sources=[source]).stored == 2
    assert len(source.asked) == 1


def test_a_category_stops_at_exactly_its_number_and_more_are_found_when_more_are_wanted(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server, per_category=7)
    urls = [f"{server.address}/good?seed={number}" for number in range(20)]
    source = ProposingSource(urls, page_size=5)
    assert crawl(project, sources=[source]).new_candidates == 7
    again = crawl(project, sources=[source])
    assert (again.pages, again.new_candidates) == (0, 0)
    more = dataclasses.replace(project, settings=override(project.settings, "crawl", per_category=18))
    assert crawl(more, sources=[source]).new_candidates == 11
    assert [*outcomes(project)] == urls[:18]


def test_every_phrase_has_its_turn(tmp_path: Path) -> None:
    project = project_for(tmp_path, per_category=4)
    source = ProposingSource(["file:///1", "file:///2"], page_size=1, phrases=("one", "two"))
    crawl(project, sources=[source])
    assert source.asked == ["one", "two", "one", "two"]


@pytest.mark.parametrize("drop_after", [6, 0])
def test_a_query_that_brings_what_is_known_is_dropped_early_unless_that_is_switched_off(
    drop_after: int, tmp_path: Path
) -> None:
    urls = [f"file:///{number}" for number in range(20)]
    project = project_for(tmp_path, drop_after=drop_after, drop_share=1.0)
    report = crawl(project, sources=[ProposingSource(urls, page_size=2, phrases=("one",))])
    assert (report.new_candidates, report.dropped_queries) == (20, 0)
    source = ProposingSource(urls, page_size=2, phrases=("one", "two"))
    report = crawl(project, sources=[source])
    assert source.asked == (["two"] * 3 if drop_after else ["two"] * 10)
    assert (report.new_candidates, report.dropped_queries) == (0, 1 if drop_after else 0)
    # Nothing is forgotten: dropped it stays while the rule holds, and goes on where it was without it.
    source.asked.clear()
    assert crawl(project, sources=[source]).dropped_queries == (1 if drop_after else 0)
    assert source.asked == []
    settings = override(project.settings, "crawl", drop_after=0)
    crawl(dataclasses.replace(project, settings=settings), sources=[source])
    assert len(source.asked) == (7 if drop_after else 0)


def test_a_query_whose_pictures_were_rejected_by_an_earlier_run_is_dropped(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server, per_category=4, drop_after=4, drop_share=1.0)
    source = ProposingSource(
        [f"{server.address}/page-as-picture?{number}" for number in range(20)], page_size=4
    )
    report = crawl(project, sources=[source])
    assert [(one.state, one.count) for one in report.outcomes] == [("rejected", 4)]
    more = dataclasses.replace(project, settings=override(project.settings, "crawl", per_category=20))
    again = crawl(more, sources=[source])
    assert (again.pages, again.dropped_queries, again.new_candidates) == (0, 1, 0)


def test_the_share_that_drops_a_query_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"\[crawl\] drop_share = 1.5 must be over 0 and at most 1"):
        run(project_for(tmp_path, drop_share=1.5))


def test_a_category_for_which_nothing_is_found_is_reported(tmp_path: Path) -> None:
    report = run(project_for(tmp_path))
    assert report.without_candidates == (WNID,)


def test_without_categories_the_remedy_is_named(tmp_path: Path) -> None:
    project = empty_project(tmp_path / "project")
    with pytest.raises(ProjectError, match="run `imagenet-builder synsets select`"):
        run(project)
    add_categories(project, WNID)
    with pytest.raises(ProjectError, match="n00000001 is not a category here"):
        run(project, wnids=["n00000001"])


def test_an_image_store_that_fails_ends_the_run_in_one_line_and_loses_nothing(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server)
    urls = [f"{server.address}/{path}" for path in ("missing", "good?seed=1", "good?seed=2")]
    assert project.images
    (project.folder / "images").rmdir()
    (project.folder / "images").write_text("not a folder")
    with pytest.raises(ImageStoreError, match="cannot write images in") as caught:
        run(project, *urls)
    assert "\n" not in str(caught.value)
    states = {row.state for row in outcomes(project).values()}
    assert "stored" not in states
    assert "pending" in states
    (project.folder / "images").unlink()
    run(project, *urls)
    assert [row.state for row in outcomes(project).values()] == ["failed", "stored", "stored"]


def test_pictures_of_a_folder_are_read_without_a_network(tmp_path: Path) -> None:
    pictures = tmp_path / "mine" / "thing0"
    pictures.mkdir(parents=True)
    (pictures / "a.jpg").write_bytes(picture(1))
    (pictures / "b ü.png").write_bytes(picture(2, 200, 200, "PNG"))
    (pictures / "notes.txt").write_text("not a picture")
    (pictures / "big.jpg").write_bytes(bytes(3_000_000))
    project = project_for(tmp_path, licences=["unknown"])
    source = Folder(tmp_path / "mine")
    crawl(project, sources=[source])
    found = {url.rpartition("/")[2]: (row.state, row.reason) for url, row in outcomes(project).items()}
    assert found == {
        "a.jpg": ("stored", None),
        "b%20%C3%BC.png": ("stored", None),
        "big.jpg": ("rejected", "too-large"),
        "notes.txt": ("rejected", "not-an-image"),
    }


def test_the_same_picture_for_two_categories_is_stored_once(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server)
    add_categories(project, "n07734744")
    report = run(project, f"{server.address}/good", f"{server.address}/picture-as-page")
    assert report.stored == 4
    assert list(project.images) == [hashlib.sha256(GOOD).hexdigest()]
    assert (server.asked["/good"], server.asked["/picture-as-page"]) == (1, 1), "one fetch for both"


def test_what_fails_for_one_category_fails_for_all_and_is_retried_once(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server, attempts=1)
    add_more = ("n07734744", "n02084071")
    add_categories(project, *add_more, first=1)
    report = run(project, f"{server.address}/failing-once")
    assert [(outcome.reason, outcome.count) for outcome in report.outcomes] == [("server-error", 3)]
    assert server.asked["/failing-once"] == 1
    assert run(project, f"{server.address}/failing-once", retry=True).stored == 3
    assert server.asked["/failing-once"] == 2


def test_a_host_that_is_down_is_given_up_by_name_and_others_go_on(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(politeness, "FIRST_OPEN", 2 * politeness.LONGEST_PAUSE)
    with fault_server() as other:
        project = project_for(tmp_path, server, other, attempts=1, per_host=2)
        down = [f"{server.address}/failing?{number}" for number in range(60)]
        run(project, *down, f"{other.address}/good")
        found = outcomes(project)
        assert found[f"{other.address}/good"].state == "stored"
        reasons = Counter(found[url].reason for url in down)
        assert reasons.keys() == {"server-error", "host-down"}
        assert all(found[url].retryable for url in down)
        assert server.asked["/failing"] == reasons["server-error"] <= politeness.BREAK_AFTER + 1


async def test_fetching_does_not_run_ahead_of_inspection(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server, connections=2, per_host=32)
    pending = [
        PendingCandidate(number, WNID, f"{server.address}/good?seed={number}", "x") for number in range(3)
    ]
    async with Fetcher(project.settings.crawl, "test", {}) as fetcher:
        first, _ = [await fetcher.fetch(candidate) for candidate in pending[:2]]
        third = asyncio.create_task(fetcher.fetch(pending[2]))
        await asyncio.wait({third}, timeout=0.5)
        assert not third.done()
        fetcher.let_next(first)
        assert (await third).content is not None
        # What has no content holds nothing back.
        fetcher.let_next(first)
        for _ in range(3):
            missing = PendingCandidate(9, WNID, f"{server.address}/missing", "x")
            assert (await fetcher.fetch(missing)).content is None


def test_few_bytes_in_flight_slow_a_crawl_and_lose_nothing(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server, bytes_in_flight=1, timeout=30.0)
    urls = [f"{server.address}/good?seed={number}" for number in range(6)]
    urls += [f"{server.address}/{path}" for path in ("endless", "broken-off", "oversize", "gzipped")]
    run(project, *urls)
    assert [row.state for row in outcomes(project).values()] == [
        *["stored"] * 6, "rejected", "failed", "rejected", "stored",
    ]  # fmt: skip


def test_a_crawl_ends_at_its_disk_quota_and_goes_on_when_it_is_raised(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server, disk_quota=3 * len(GOOD), bytes_in_flight=1)
    urls = [f"{server.address}/good?seed={number}" for number in range(30)]
    report = run(project, *urls)
    assert report.quota_reached
    assert not report.interrupted
    assert 2 <= report.stored < 8
    assert {row.state for row in outcomes(project).values()} == {"stored", "pending"}
    assert run(project, *urls).stored == 0
    wider = dataclasses.replace(project, settings=override(project.settings, "crawl", disk_quota=0))
    last = run(wider, *urls)
    assert (last.stored, last.quota_reached) == (30 - report.stored, False)


def test_near_duplicates_of_an_excluded_folder_are_rejected_by_name(
    server: FaultServer, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "known.png").write_bytes(picture(5, 640, 480, "PNG"))
    project = project_for(tmp_path, server, exclude=[str(other)])
    run(project, f"{server.address}/good?seed=5", f"{server.address}/good?seed=6")
    known, new = outcomes(project).values()
    assert (known.state, known.reason, known.sha256) == ("rejected", "excluded", None)
    assert known.detail == f"like {other / 'known.png'}"
    assert new.state == "stored"
    assert list(project.images) == [new.sha256]


def test_figures_are_written_for_prometheus_and_as_json_lines(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server, metrics="figures/crawl")
    run(project, *(f"{server.address}/{path}" for path in ("good?seed=1", "good?seed=2", "missing", "empty")))
    text = (project.folder / "figures" / "crawl.prom").read_text()
    families = list(text_string_to_metric_families(text))
    figures = {
        (sample.name.removeprefix("imagenet_builder_crawl_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    assert figures["candidates_ended_total", "stored", ""] == 2
    assert figures["candidates_ended_total", "failed", "not-found"] == 1
    assert figures["candidates_found_total",] == 4
    assert figures["candidates_waiting",] == figures["in_flight_bytes",] == figures["hosts_down",] == 0
    assert figures["hosts",] == 1
    assert figures["kept_bytes",] == figures["fetched_bytes_total",] == len(picture(1)) + len(picture(2))
    assert len(families) == 10
    for family in families:
        assert family.documentation
        assert {sample.name for sample in family.samples} == {
            family.name + "_total" * (family.type == "counter")
        }
    lines = [
        json.loads(line) for line in (project.folder / "figures" / "crawl.jsonl").read_text().splitlines()
    ]
    assert lines[0]["waiting"] == 4
    assert lines[-1]["outcomes"][0] == {"state": "stored", "reason": None, "count": 2}
    assert sorted(path.name for path in (project.folder / "figures").iterdir()) == [
        "crawl.jsonl",
        "crawl.prom",
    ]


def test_figures_that_cannot_be_written_end_the_run_in_one_line(server: FaultServer, tmp_path: Path) -> None:
    project = project_for(tmp_path, server, metrics="taken/crawl")
    (project.folder / "taken").write_text("a file")
    with pytest.raises(ProjectError, match=r"cannot write metrics to .*; correct `metrics` under \[crawl\]"):
        run(project, f"{server.address}/good")
