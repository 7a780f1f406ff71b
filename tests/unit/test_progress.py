"""Bars on a terminal, lines off one."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console
from rich.progress import Progress

from imagenet_builder.cli.logs import set_up_logging
from imagenet_builder.cli.progress import Bars


def test_something_moves_until_the_first_stage_tells_how_far_it_is() -> None:
    with Progress(console=Console(file=io.StringIO(), force_terminal=True)) as drawn:
        bars = Bars(drawn, "planning")
        assert [(task.description, task.total) for task in drawn.tasks] == [("planning", None)]
        for done in (1, 2):
            bars("pictures", done, 2)
            assert [(task.description, task.completed) for task in drawn.tasks] == [("pictures", done)]
        bars("checksums", 0, 1)
        assert len(drawn.tasks) == 2


def test_off_a_terminal_what_takes_long_says_at_times_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moment = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: moment)
    bars = Bars(None, "planning")
    with caplog.at_level(logging.INFO):
        for done in range(100):
            bars("pictures" if done < 50 else "checksums", done, 100)
            moment += 1
    assert caplog.messages == ["pictures: 30 of 100", "checksums: 60 of 100", "checksums: 90 of 100"]


def test_what_is_logged_while_bars_are_drawn_has_lines_of_its_own() -> None:
    written = io.StringIO()
    before = logging.getLogger().handlers[:]
    try:
        set_up_logging(verbose=False, json_lines=False)
        with Progress(
            console=Console(file=written, force_terminal=True, width=80, color_system=None)
        ) as drawn:
            Bars(drawn, "planning")
            drawn.refresh()
            logging.getLogger("imagenet_builder.export").info("classes: 5")
    finally:
        logging.getLogger().handlers[:] = before
    assert "classes: 5" in written.getvalue().replace("\r", "\n").replace("\x1b[2K", "").splitlines()
