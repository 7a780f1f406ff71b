"""publish-hits for money: two keys, a word typed at a terminal, and a plan that can be read before it is."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagenet_builder.store.tables import hits
from tests.adversity import set_setting
from tests.command import PATIENCE, SCRIPT, done, refused
from tests.verification_project import DOG, Verification, verification

UP_A_LINE = "\x1b[1A"
PROMPT = "Type LIVE to spend $0."


@pytest.fixture
def small(tmp_path: Path, wordnet_folder: Path) -> Iterator[Verification]:
    """Ten pictures of dogs, and a marketplace with half a dollar."""
    pages: dict[str, object] = {"page_size": 5, "controls": 0}
    with verification(tmp_path, wordnet_folder, {DOG: 10}, balance_cents=50, verification=pages) as made:
        yield made


def at_a_terminal(folder: Path, word: str, *arguments: str) -> tuple[int, str]:
    """Run a command at a terminal and type `word` when it asks; its exit code, and all that was drawn."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [str(SCRIPT), *arguments], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs
    ) as running:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                drawn += os.read(ours, 65_536)
            # A terminal whose other side is gone says so in this way.
            except OSError:
                break
            if word and PROMPT.encode() in drawn:
                os.write(ours, f"{word}\n".encode())
                word = ""
        code = running.wait(PATIENCE)
    os.close(ours)
    return code, drawn.decode()


@pytest.mark.parametrize("word", ["live", "LIV", "yes", " LIVE"])
def test_another_word_publishes_nothing_and_nothing_is_drawn_over_the_plan(
    small: Verification, word: str
) -> None:
    set_setting(small.project.folder, "marketplace", live_endpoint=small.marketplace.url)
    code, drawn = at_a_terminal(small.project.folder, word, "publish-hits", "--live", "--budget", "0.40")
    assert code == 1
    assert "not confirmed: nothing was published" in drawn
    said = drawn[drawn.index("pages  ") : drawn.index("Error: ")]
    assert PROMPT in said
    assert UP_A_LINE not in said
    assert small.count(hits) == 0


def test_the_word_publishes_what_the_plan_said(small: Verification) -> None:
    set_setting(small.project.folder, "marketplace", live_endpoint=small.marketplace.url)
    code, drawn = at_a_terminal(small.project.folder, "LIVE", "publish-hits", "--live", "--budget", "0.40")
    assert code == 0, drawn
    assert f"at {small.marketplace.url}: LIVE" in drawn
    assert "published  2 pages" in drawn
    assert small.count(hits, hits.c.live) == 2


def test_both_places_at_once_are_none(small: Verification) -> None:
    for both in (("--live", "--sandbox"), ("--sandbox", "--live"), ()):
        ended = refused(small.project.folder, "publish-hits", *both, "--dry-run", code=2, quiet=False)
        assert "either --sandbox (play money) or --live" in ended


def test_a_dry_run_says_that_the_balance_is_too_little(small: Verification) -> None:
    plan = ("publish-hits", "--sandbox", "--dry-run")
    assert "balance    $0.50\n" in done(small.project.folder, *plan).output
    assert (
        "balance    $0.50 (too little for this)" in done(small.project.folder, *plan, "--votes", "9").output
    )
