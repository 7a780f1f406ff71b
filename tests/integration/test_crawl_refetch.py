"""What was stored from an address before: taken again without asking, asked for with a condition, looked after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.cli import command_line
from imagenet_builder.cli import run as run_command
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.crawl.report import CrawlReport
from imagenet_builder.project import Project
from imagenet_builder.store import tables
from tests.builder_store import add_categories, empty_project
from tests.mediawiki_server import picture
from tests.nginx_server import Answered, NginxServer, nginx_server
from tests.proposing_source import ProposingSource

CAR, CABIN = "n02958343", "n02932400"
NAMES = tuple(f"{number}.jpg" for number in range(4))
START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[NginxServer]:
    with nginx_server(tmp_path / "nginx") as server:
        for number, name in enumerate(NAMES):
            (server.files / name).write_bytes(picture(number))
        yield server


@pytest.fixture
def project(web: NginxServer, tmp_path: Path, store_url: str) -> Project:
    made = empty_project(
        tmp_path / "project",
        store={"url": store_url},
        crawl={"allow_addresses": [web.authority], "fresh_days": 30},
    )
    add_categories(made, CAR, CABIN)
    return made


def run(project: Project, web: NginxServer, days: int, *names: str, **options: Any) -> CrawlReport:
    """A crawl so many days after the first."""
    source = ProposingSource([f"{web.address}/{name}" for name in names or NAMES])
    return crawl(project, sources=[source], clock=lambda: START + timedelta(days=days), **options)


def rows(project: Project, wnid: str) -> dict[str, sa.RowMapping]:
    c = tables.candidates.c
    with database.reading(project.engine) as connection:
        found = connection.execute(sa.select(tables.candidates).where(c.wnid == wnid)).mappings()
        return {row["url"].rpartition("/")[2]: row for row in found}


def outcomes(report: CrawlReport) -> dict[tuple[str, str | None], int]:
    return {(outcome.state, outcome.reason): outcome.count for outcome in report.outcomes}


def test_what_was_stored_lately_for_one_category_is_taken_for_another_without_asking(
    project: Project, web: NginxServer
) -> None:
    run(project, web, 0, wnids=[CAR])
    assert [answer.status for answer in web.answered()] == [200] * 4
    assert run(project, web, 29, wnids=[CABIN]).stored == 4
    assert web.answered() == []
    first, second = rows(project, CAR), rows(project, CABIN)
    for name in NAMES:
        for column in ("state", "sha256", "etag", "last_modified", "robots", "ended_at"):
            assert second[name][column] == first[name][column]
        assert (second[name]["attempts"], second[name]["http_status"]) == (0, None)
    assert first["0.jpg"]["etag"]


def test_what_was_stored_long_ago_is_asked_for_with_a_condition(project: Project, web: NginxServer) -> None:
    run(project, web, 0, wnids=[CAR])
    (web.files / "1.jpg").write_bytes(picture(71))
    (web.files / "2.jpg").unlink()
    web.answered()
    assert outcomes(run(project, web, 31, wnids=[CABIN])) == {
        ("stored", None): 3,
        ("failed", "not-found"): 1,
    }
    answered = {answer.path: answer for answer in web.answered()}
    assert answered["/0.jpg"] == Answered(304, 0, "/0.jpg")
    assert answered["/1.jpg"] == Answered(200, len(picture(71)), "/1.jpg")
    assert answered["/2.jpg"].status == 404
    first, second = rows(project, CAR), rows(project, CABIN)
    assert second["0.jpg"]["sha256"] == first["0.jpg"]["sha256"]
    assert (second["0.jpg"]["http_status"], second["0.jpg"]["attempts"]) == (304, 1)
    # Another picture by now: each category has the one that was there when it was fetched for it.
    assert second["1.jpg"]["sha256"] != first["1.jpg"]["sha256"]
    assert first["2.jpg"]["state"] == "stored"


def test_a_refresh_asks_with_a_condition_and_notes_what_is_gone_or_changed(
    project: Project, web: NginxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(project, web, 0)
    before, images = rows(project, CAR), set(project.images)
    web.answered()
    assert run(project, web, 29, refresh=True).outcomes == ()
    assert web.answered() == []
    (web.files / "1.jpg").write_bytes(picture(71))
    (web.files / "2.jpg").unlink()
    assert outcomes(run(project, web, 31, refresh=True)) == {
        ("unchanged", None): 4,
        ("changed", None): 2,
        ("failed", "not-found"): 2,
    }
    # Each address once, for both categories.
    answered = sorted(web.answered(), key=lambda answer: answer.path)
    assert [(answer.status, answer.path) for answer in answered] == [
        (304, "/0.jpg"), (200, "/1.jpg"), (404, "/2.jpg"), (304, "/3.jpg"),
    ]  # fmt: skip
    assert answered[0].body_bytes == answered[3].body_bytes == 0
    after = rows(project, CAR)
    assert {row["state"] for row in after.values()} == {"stored"}
    assert {name: row["sha256"] for name, row in after.items()} == {
        name: row["sha256"] for name, row in before.items()
    }
    assert set(project.images) == images
    assert after["0.jpg"]["ended_at"] == START + timedelta(days=31)
    assert after["0.jpg"]["etag"] == before["0.jpg"]["etag"]
    assert after["2.jpg"]["ended_at"] == START
    assert after["2.jpg"]["http_status"] == 404
    assert (
        run_command(command_line.main, "--project", str(project.folder), "candidates", "--doubtful", "--json")
        == 0
    )
    listed = json.loads(capsys.readouterr().out)
    assert {(row["wnid"], row["reason"], row["count"]) for row in listed["reasons"]} == {
        (wnid, reason, 1) for wnid in (CAR, CABIN) for reason in ("changed", "not-found")
    }
    # What was looked at is fresh again; what is doubtful is asked for until it is back.
    (web.files / "2.jpg").write_bytes(picture(2))
    assert outcomes(run(project, web, 32, refresh=True)) == {("unchanged", None): 2, ("changed", None): 2}
    assert rows(project, CAR)["2.jpg"]["detail"] is None


def test_an_opt_out_that_comes_with_the_304_is_noted(project: Project, web: NginxServer) -> None:
    (web.files / "reserved").mkdir()
    (web.files / "reserved" / "0.jpg").write_bytes(picture(0))
    assert run(project, web, 0, "reserved/0.jpg", wnids=[CAR]).stored == 1
    assert outcomes(run(project, web, 40, "reserved/0.jpg", wnids=[CAR], refresh=True)) == {
        ("rejected", "opt-out"): 1
    }
    row = rows(project, CAR)["0.jpg"]
    assert (row["state"], row["opt_out"]) == ("stored", "X-Robots-Tag: noai")
    assert row["detail"] == "opt-out: X-Robots-Tag: noai"


def test_a_server_that_cannot_be_asked_proves_nothing(project: Project, web: NginxServer) -> None:
    run(project, web, 0)
    before = rows(project, CAR)
    nowhere = empty_project(
        project.folder, store={"url": project.settings.store.url}, crawl={"fresh_days": 30}
    )
    source = ProposingSource([])
    report = crawl(nowhere, sources=[source], clock=lambda: START + timedelta(days=40), refresh=True)
    assert outcomes(report) == {("failed", "forbidden-address"): 8}
    assert rows(project, CAR) == before


@pytest.mark.parametrize("arguments", [("--retry", "--refresh")])
def test_retry_and_refresh_are_two_runs(
    project: Project, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(command_line.main, "--project", str(project.folder), "crawl", *arguments) == 2
    assert "two runs" in capsys.readouterr().err
