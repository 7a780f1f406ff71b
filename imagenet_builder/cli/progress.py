"""Progress of long stages: bars on a terminal (to stderr), nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bars:
    """Called with (stage, done, total); each stage has its own bar. Without a terminal (None) nothing is drawn.

    Until the first stage a bar that tells no share moves under the name `beginning`, if that is given.
    """

    def __init__(self, drawn: Progress | None, beginning: str | None = None) -> None:
        self._drawn = drawn
        self._tasks: dict[str, TaskID] = {}
        self._beginning = None if drawn is None or not beginning else drawn.add_task(beginning, total=None)

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._drawn is None:
            return
        if self._beginning is not None:
            self._drawn.remove_task(self._beginning)
            self._beginning = None
        if stage not in self._tasks:
            self._tasks[stage] = self._drawn.add_task(stage, total=total)
        self._drawn.update(self._tasks[stage], completed=done, total=total)

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
    """Yield bars that are gone at the end; `beginning` is what is done before the first of them."""
    if not sys.stderr.isatty():
        yield Bars(None)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as drawn:
        yield Bars(drawn, beginning)
