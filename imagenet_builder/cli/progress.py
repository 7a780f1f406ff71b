"""Progress of long stages: bars on a terminal (to stderr), now and then a line elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


logger = logging.getLogger(__name__)

# Off a terminal: what is quicker than this says nothing, so that cron has nothing to send.
SECONDS_BETWEEN_LINES = 30


class Bars:
    """Called with (stage, done, total); each stage has its own bar. Without a terminal (None) it logs a line at times.

    Until the first stage a bar that tells no share moves under the name `beginning`, if that is given.
    """

    def __init__(self, drawn: Progress | None, beginning: str | None = None) -> None:
        self._drawn = drawn
        self._said_at = time.monotonic()
        self._tasks: dict[str, TaskID] = {}
        self._beginning = None if drawn is None or not beginning else drawn.add_task(beginning, total=None)

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._drawn is None:
            self._say(stage, done, total)
            return
        if self._beginning is not None:
            self._drawn.remove_task(self._beginning)
            self._beginning = None
        if stage not in self._tasks:
            self._tasks[stage] = self._drawn.add_task(stage, total=total)
        self._drawn.update(self._tasks[stage], completed=done, total=total)

    def _say(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said_at = now
            logger.info("%s: %d of %d", stage, done, total)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """No bars meanwhile: they are drawn over what is said and asked beside them."""
        if self._drawn is not None:
            self._drawn.stop()
        yield
        if self._drawn is not None:
            self._drawn.start()


@contextmanager
def shown_wait(doing: str) -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is being waited for; yields what changes the words. They are gone at the end."""
    if not sys.stderr.isatty():
        yield _unsaid
        return
    from rich.console import Console

    with Console(stderr=True).status(doing) as status:
        yield status.update


def _unsaid(_words: str) -> None:
    """What is waited for is told to nobody off a terminal."""


@contextmanager
def shown_progress(beginning: str | None = None) -> Iterator[Bars]:
    """Yield bars that are gone at the end, or lines; `beginning` is what is done before the first of them."""
    if not sys.stderr.isatty():
        yield Bars(None)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as drawn:
        yield Bars(drawn, beginning)
