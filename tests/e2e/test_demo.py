"""The demo, small: the whole way offline by one command; its folder is a project; nothing is left running."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.command import PATIENCE, done, refused, start

pytestmark = pytest.mark.timeout(900)

SMALL = ("--classes", "3", "--per-category", "40", "--epochs", "2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, wordnet_folder: Path) -> tuple[Path, str]:
    """A demo that has ended: its folder, and what it said."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("demo")
    running = start(folder, "demo", "demo", *SMALL)
    try:
        output, errors = running.communicate(timeout=800)
    finally:
        running.kill()
    assert running.returncode == 0, output + errors
    assert "Traceback" not in errors
    return folder / "demo", output


def test_the_summary_says_what_came_of_each_stage(finished: tuple[Path, str]) -> None:
    folder, said = finished
    summary = said[said.index("The whole way") :]
    for line in (
        r"candidates +\d+ for 3 categories",
        r"\d+ stored",
        r"votes +\d+ by \d+ simulated workers: ",
        r"controls +\d+ of \d+ answered rightly",
        r"cost +\$\d+\.\d\d of play money",
        r"verdicts +\d+ accepted, \d+ rejected, \d+ undecided",
        r"precision +\d+\.\d % of the accepted",
        r"recall +\d+\.\d % of those",
        r"top-1 error +\d+\.\d % \(chance 66\.7 %\)",
        r"top-5 error +\d+\.\d % \(chance 0\.0 %\)",
        r"took +\d+ s",
        rf"report +{re.escape(str(folder))}/report\.html",
        rf"project +{re.escape(str(folder))} ",
    ):
        assert re.search(line, summary), f"{line}\n{summary}"
    # Every command is shown as a user would type it.
    for shown in ("synsets select", "crawl", "publish-hits --sandbox", "aggregate", "export", "train"):
        assert f"$ imagenet-builder {shown}" in said


def test_the_crowd_and_the_rule_did_their_work(finished: tuple[Path, str]) -> None:
    folder, said = finished
    status = done(folder, "status", "--json").document
    assert [category["open"] for category in status["categories"]] == [0, 0, 0]
    assert set(status["hits"]) == {"collected"}
    assert status["releases"] == ["demo"]
    found = re.search(r"precision +(\d+\.\d) %", said)
    assert found is not None
    # One in eight of the crowd says yes to everything: three votes bear that.
    assert float(found[1]) > 85


def test_the_report_is_there_with_pictures_and_curves(finished: tuple[Path, str]) -> None:
    text = (finished[0] / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in text
    assert "<svg" in text
    assert "precision" in text


def test_the_folder_is_an_ordinary_project(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    done(folder, "verify-release", "releases/demo")
    current = done(folder, "db", "current").output
    assert re.search(r"builder: \d+ \(head\)\nmarketplace: \d+ \(head\)", current)
    found = done(folder, "candidates", "--json").document
    assert len(found) == 3
    assert all(category["pending"] == 0 for category in found)
    # Its marketplace and its picture site have ended with it.
    assert "nothing to publish" in done(folder, "publish-hits", "--sandbox").output
    assert json.loads(done(folder, "aggregate", "--json").output)["verdicts_changed"] == 0
    assert "marketplace serve" in done(folder, "doctor").output
    refused(folder, "marketplace", "simulate", "--workers", "1")
    # Enough was found: another crawl has nothing to do, and asks nobody.
    assert "nothing to do" in done(folder, "crawl", "--per-category", "20").output


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine", encoding="utf-8")
    said = refused(tmp_path, "demo", ".", *SMALL)
    assert re.search(r"is not empty: .*name another folder", said)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        ("picture site:", signal.SIGTERM, 143),
        ("$ imagenet-builder crawl", signal.SIGINT, 130),
        ("$ imagenet-builder marketplace simulate", signal.SIGTERM, 143),
    ],
    ids=["at the start", "by Ctrl-C in a command", "while the crowd answers"],
)
def test_a_demo_that_is_stopped_leaves_no_process_running(
    moment: str, number: signal.Signals, code: int, tmp_path: Path, wordnet_folder: Path
) -> None:
    demo = start(tmp_path, "demo", "mine", *SMALL)
    try:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith(moment):
                break
        else:
            assert demo.stderr is not None
            pytest.fail(demo.stderr.read())
        time.sleep(1)
        assert processes_in(tmp_path)
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=PATIENCE)
    finally:
        demo.kill()
        demo.communicate()
    assert demo.returncode == code, errors
    assert gone(tmp_path), processes_in(tmp_path)


def processes_in(folder: Path) -> dict[int, str]:
    """Processes that work in `folder` or name it on their command line: id → command line."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = (entry / "cwd").readlink()
        except OSError:
            continue
        if line and (str(folder) in line or place.is_relative_to(folder)):
            found[int(entry.name)] = line
    return found


def gone(folder: Path) -> bool:
    """Whether nothing works in `folder` any more; what is ending is waited for."""
    deadline = time.monotonic() + PATIENCE
    while processes_in(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
