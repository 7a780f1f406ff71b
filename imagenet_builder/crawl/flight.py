"""Many tasks at once, stopped together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

GRACE_SECONDS = 5.0


async def unless_stopped(work: Awaitable[Result], stop: asyncio.Event) -> Result | None:
    """What `work` returns; None once `stop` is set, which cancels it.

    Transactions that have begun are finished (StoreThread).
    """
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        task.cancel()
        await asyncio.wait({task})
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None


class Flight:
    """Tasks in the air: at most `most` at once; stopped together by an event or by the first that fails."""

    def __init__(self, most: int, stop: asyncio.Event) -> None:
        self._room = asyncio.Semaphore(most)
        self._tasks: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()
        self._stop = stop
        self._is_cut_short = False
        self._stopping: list[Callable[[], None]] = []
        self._watch = asyncio.create_task(self._watch_stop())
        self.failure: BaseException | None = None

    def when_stopping(self, call: Callable[[], None]) -> None:
        """Have `call` called once, when the flight begins to stop early."""
        self._stopping.append(call)

    async def start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Start `work` when there is room; False, and nothing is started, once the flight is stopping."""
        await self._room.acquire()
        if self.is_stopping:
            work.close()
            return False
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._land_one)
        return True

    def fail(self, error: BaseException) -> None:
        """Stop the flight: its first failure is kept."""
        self.failure = self.failure or error
        self._begin_to_stop()

    def cut_short(self) -> None:
        """Stop the flight as the event would: what is at work may end, nothing else begins."""
        self._is_cut_short = True
        self._begin_to_stop()

    async def land(self) -> None:
        """Wait until all tasks have ended; when stopping, GRACE_SECONDS for those at work, none after a failure."""
        while self._tasks and not self.is_stopping:
            self._landed.clear()
            await self._landed.wait()
        if self._tasks and self.failure is None:
            await asyncio.wait(self._tasks, timeout=GRACE_SECONDS)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._watch.cancel()

    @property
    def is_stopping(self) -> bool:
        """Whether nothing begins any more."""
        return self._stop.is_set() or self._is_cut_short or self.failure is not None

    async def _watch_stop(self) -> None:
        await self._stop.wait()
        self._begin_to_stop()

    def _begin_to_stop(self) -> None:
        calls, self._stopping = self._stopping, []
        for call in calls:
            call()
        # Wakes whoever waits to start one more, or for all to land.
        self._room.release()
        self._landed.set()

    def _land_one(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()
        if not self._tasks:
            self._landed.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.fail(error)
