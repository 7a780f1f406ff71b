"""`evaluate-serve`: teams hand in over HTTP, and learn no more of the hidden split than the rules let them."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import sqlalchemy as sa
from aiohttp import FormData
from aiohttp.test_utils import TestClient, TestServer
from playwright.sync_api import sync_playwright

from hits import database
from imagenet_builder.cli import command_line, run
from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.release import export
from imagenet_builder.export.request import ExportReport, ExportRequest
from imagenet_builder.leaderboard import board
from imagenet_builder.leaderboard.site import Leaderboard, create_app
from imagenet_builder.train.scoring import Truth, read_truth
from tests.command import await_port
from tests.export_parts import GOLDFISH, TENCH, project_with, some_pictures
from tests.real_parts import free_port

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
RULES = board.Rules(guesses=1, per_day=3, step=0.1)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    return board.open_board(tmp_path / "board.sqlite3", "d" * 64, "test")


def truth_of(pictures: int = 20) -> Truth:
    files = tuple(f"ILSVRC2012_test_{number:08d}.JPEG" for number in range(1, pictures + 1))
    return Truth("test", files, np.ones(pictures, np.int64), {TENCH: 1, GOLDFISH: 2}, None)


def guesses(right: int, pictures: int = 20) -> bytes:
    return ("1\n" * right + "2\n" * (pictures - right)).encode()


def scores(error: float) -> dict[str, object]:
    return {"flat": [error] * 5}


def team(engine: sa.Engine, name: str) -> board.Team:
    found = board.team_of(engine, board.invite(engine, name, START))
    assert found is not None
    return found


def submit(engine: sa.Engine, who: board.Team, error: float, at: datetime = START) -> board.Answer:
    content = f"{error} {at}".encode()
    return board.hand_in(engine, who, content, scores(error), RULES, at)


def test_an_error_is_told_in_steps_and_only_when_it_falls_by_one(engine: sa.Engine) -> None:
    ada = team(engine, "Ada")
    day = timedelta(days=1)
    assert submit(engine, ada, 0.537) == board.Answer(0.5, improved=True, scored=True, left=2)
    for number, error in enumerate((0.537, 0.45, 0.401, 0.9), start=1):
        assert submit(engine, ada, error, START + number * day).best == 0.5
    better = submit(engine, ada, 0.36, START + 9 * day)
    assert (better.best, better.improved) == (0.4, True)
    # What is kept for the operator is exact.
    with database.reading(engine) as connection:
        kept = connection.scalars(sa.select(board.submissions.c.scores)).all()
    assert [one["flat"][0] for one in kept] == [0.537, 0.537, 0.45, 0.401, 0.9, 0.36]


def test_a_team_hands_in_so_often_in_24_hours_and_not_once_more(engine: sa.Engine) -> None:
    ada, grace = team(engine, "Ada"), team(engine, "Grace")
    hour = timedelta(hours=1)
    lefts = [submit(engine, ada, 0.5 + number / 100, START + number * hour).left for number in range(3)]
    assert lefts == [2, 1, 0]
    with pytest.raises(board.NotNow) as refused:
        submit(engine, ada, 0.1, START + 5 * hour)
    assert refused.value.again_at == START + 24 * hour
    submit(engine, grace, 0.4, START + 5 * hour)
    with pytest.raises(board.NotNow):
        submit(engine, ada, 0.1, START + 24 * hour - timedelta(seconds=1))
    assert submit(engine, ada, 0.1, START + 24 * hour).left == 0


def test_what_was_handed_in_before_costs_nothing_and_tells_nothing_new(engine: sa.Engine) -> None:
    ada = team(engine, "Ada")
    submit(engine, ada, 0.5)
    again = submit(engine, ada, 0.5)
    assert again == board.Answer(0.5, improved=False, scored=False, left=2)
    with database.reading(engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(board.submissions)) == 1


def test_many_at_the_same_moment_get_no_more_than_the_rules_allow(engine: sa.Engine) -> None:
    ada = team(engine, "Ada")

    def one(number: int) -> bool:
        try:
            board.hand_in(engine, ada, f"{number}".encode(), scores(0.5), RULES, START)
        except board.NotNow:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(24))) == RULES.per_day


def test_the_least_error_stands_first_and_equal_ones_share_a_rank(engine: sa.Engine) -> None:
    day = timedelta(days=1)
    for number, (name, error) in enumerate([("Late", 0.3), ("Last", 0.8), ("Early", 0.3), ("Best", 0.1)]):
        submit(engine, team(engine, name), error, START + (3 - number) * day)
    assert [(one.rank, one.team, one.error) for one in board.standings(engine)] == [
        (1, "Best", 0.1),
        (2, "Early", 0.3),
        (2, "Late", 0.3),
        (4, "Last", 0.8),
    ]


def test_a_database_of_something_else_is_no_board(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    with closing(sqlite3.connect(path)) as store:
        store.execute("create table candidates (id integer)")
    with pytest.raises(ReleaseError, match="is the database of something else: give another --board"):
        board.open_board(path, "d" * 64, "test")
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("select name from sqlite_master").fetchall() == [("candidates",)]


def test_a_board_belongs_to_one_release_and_a_token_to_one_team(tmp_path: Path, engine: sa.Engine) -> None:
    with pytest.raises(ReleaseError, match="another release or split"):
        board.open_board(tmp_path / "board.sqlite3", "e" * 64, "test")
    with pytest.raises(ReleaseError, match="another release or split"):
        board.open_board(tmp_path / "board.sqlite3", "d" * 64, "replicate")
    first = board.invite(engine, "Ada", START)
    second = board.invite(engine, "  Ada ", START)
    assert board.team_of(engine, first) is None
    known = board.team_of(engine, second)
    assert known is not None
    assert known.name == "Ada"
    for name in ("", " ", "x" * 61, "a\x07b"):
        with pytest.raises(ReleaseError, match="a team's name"):
            board.invite(engine, name, START)
    assert first.encode() not in (tmp_path / "board.sqlite3").read_bytes()


async def post(client: TestClient[Any, Any], token: str, content: bytes | None) -> tuple[int, str]:
    form = FormData()
    form.add_field("token", token)
    if content is not None:
        form.add_field("predictions", content, filename="guesses.txt", content_type="text/plain")
    answer = await client.post("/submissions", data=form)
    text = await answer.text()
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    found = re.search(r'<p class="alert[^>]*>(.*?)</p>', text, re.DOTALL)
    return answer.status, " ".join(found[1].split()) if found else ""


async def test_handing_in_over_http_and_everything_that_is_refused(engine: sa.Engine) -> None:
    clock = Clock()
    served = Leaderboard("<b>Fish</b>", truth_of(), engine, RULES, clock)
    token = board.invite(engine, "Ada & <i>Co</i>", START)
    async with TestClient(TestServer(create_app(served))) as client:
        page = await (await client.get("/")).text()
        assert "&lt;b&gt;Fish&lt;/b&gt;" in page
        assert "Nobody has handed in yet" in page
        refused = [
            await post(client, "wrong", guesses(3)),
            await post(client, token, None),
            await post(client, token, b"1\n\n" * 10),
            await post(client, token, guesses(3)[:-2]),
            await post(client, token, "é\n".encode() * 20),
            await post(client, token, b"1\n" * 200_000),
            await post(client, token, b""),
        ]
        assert [status for status, _ in refused] == [403, 400, 422, 422, 422, 413, 422]
        assert "your file is empty: a line is wanted for each of" in refused[6][1]
        assert "your file, line 2 is blank" in refused[2][1]
        assert "your file has 19 lines, test has 20 pictures" in refused[3][1]
        assert (await client.post("/submissions", data=b"rubbish")).status in {400, 403}
        for coding, body in (
            ("gzip", gzip.compress(bytes(2_000_000))),
            ("gzip", b"rubbish"),
            (None, bytes(600_000)),
        ):
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            answer = await client.post(
                "/submissions", data=body, headers=headers | ({"Content-Encoding": coding} if coding else {})
            )
            assert answer.status in {400, 413}
        # None of these cost anything.
        status, said = await post(client, token, guesses(5))
        assert (status, said) == (
            200,
            "Ada &amp; &lt;i&gt;Co&lt;/i&gt; is at 80% now. Submissions left in these 24 hours: 2.",
        )
        assert "No improvement by a whole step" in (await post(client, token, b"0 " + guesses(5)))[1]
        assert "is at 40% now" in (await post(client, token, guesses(12)))[1]
        status, said = await post(client, token, guesses(20))
        assert status == 429
        assert "no more submissions before 05 May 2026, 12:00 UTC" in said
        form = {"token": token, "predictions": io.BytesIO(guesses(20))}
        turned_away = await client.post("/submissions", data=form)
        assert (turned_away.status, turned_away.headers["Retry-After"]) == (429, "86400")
        assert "10 percentage points, in steps" in await (await client.get("/")).text()
        clock.now += timedelta(days=1)
        assert "is at 0% now" in (await post(client, token, guesses(20)))[1]
        found = json.loads(await (await client.get("/leaderboard.json")).text())
        assert found["standings"] == [
            {
                "rank": 1,
                "team": "Ada & <i>Co</i>",
                "error": 0.0,
                "reached_at": "2026-05-05T12:00:00+00:00",
                "submissions": 4,
            }
        ]
        assert (await client.get("/nothing")).status == 404


async def test_at_the_same_moment_over_http_too(engine: sa.Engine) -> None:
    token = board.invite(engine, "Ada", START)
    served = Leaderboard("Fish", truth_of(), engine, RULES, Clock())
    async with TestClient(TestServer(create_app(served))) as client:
        answers = await asyncio.gather(*(post(client, token, guesses(number)) for number in range(12)))
    assert sorted(status for status, _ in answers) == [200] * 3 + [429] * 9


@pytest.fixture
def report(tmp_path: Path, wordnet_folder: Path) -> ExportReport:
    project = project_with(tmp_path / "project", wordnet_folder, some_pictures({TENCH: 9, GOLDFISH: 9}))
    return export(project, ExportRequest(Sizes(2, 4, 3, 9), classes=2), tmp_path / "release")


def test_the_command_invites_and_serves_and_a_person_hands_in_with_a_browser(
    report: ExportReport, tmp_path: Path, chromium: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (key,) = report.test_keys
    arguments = ["evaluate-serve", str(report.folder), "--key", str(key)]
    assert run(command_line.main, *arguments, "--invite", "Fishers") == 0
    first = capsys.readouterr()
    assert run(command_line.main, *arguments, "--invite", " Fishers ") == 0
    again = capsys.readouterr()
    token = again.out.strip()
    assert token != first.out.strip()
    assert (first.err, "no longer works" in again.err) == ("", True)
    ids = read_truth(report.folder, "test", key).class_ids
    mine = tmp_path / "guesses.txt"
    mine.write_text("".join(f"{one}\n" for one in ids))
    port, log = free_port(), tmp_path / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "imagenet_builder", *arguments, "--port", str(port)],
            stderr=file,
            text=True,
        )
    try:
        await_port(port, server, log)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            complaints: list[str] = []
            page.on("console", lambda message: complaints.append(message.text))
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_label("Token of your team").fill(token)
            page.get_by_label("File").set_input_files(mine)
            page.get_by_role("button", name="Hand in").click()
            assert "Fishers is at 0% now" in (page.get_by_role("status").text_content() or "")
            assert page.get_by_role("row").nth(1).text_content() is not None
            assert complaints == []
            browser.close()
        shown = requests.get(f"http://127.0.0.1:{port}/leaderboard.json", timeout=30).json()
        assert shown["standings"][0]["team"] == "Fishers"
        assert shown["rules"] == {"guesses": 5, "per_day": 2, "step": board.usual_step(8)}
    finally:
        server.terminate()
        assert server.wait(30) == 0


def test_it_serves_nothing_without_the_right_key(
    report: ExportReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.key"
    other.write_text("00" * 64)
    assert run(command_line.main, "evaluate-serve", str(report.folder), "--key", str(other)) == 1
    assert "does not open" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["192.0.2.1", "no host"])
def test_an_address_that_is_not_this_machine_s_is_not_listened_on(
    report: ExportReport, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    arguments = ["evaluate-serve", str(report.folder), "--key", str(report.test_keys[0]), "--host", host]
    assert run(command_line.main, *arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Error: cannot listen on {host}, port 8720: ")
    assert said.endswith("; give an address of this machine\n")
