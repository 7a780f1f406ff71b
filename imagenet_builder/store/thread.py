"""The one thread of an asynchronous program that talks to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine

from hits import database

Answer = TypeVar("Answer")


class StoreThread:
    """Runs transactions one after another, off the event loop. What was handed over is done even if its
    caller is cancelled.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def read(self, work: Callable[[Connection], Answer]) -> Answer:
        """`work` in a read transaction."""
        return await self._run(lambda: self._reading(work))

    async def write(self, work: Callable[[Connection], Answer]) -> Answer:
        """`work` in a write transaction, committed when this returns."""
        return await self._run(lambda: self._writing(work))

    def close(self) -> None:
        """Wait for what was handed over, and end the thread."""
        self._thread.shutdown(wait=True)

    def __enter__(self) -> StoreThread:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def _reading(self, work: Callable[[Connection], Answer]) -> Answer:
        with database.reading(self._engine) as connection:
            return work(connection)

    def _writing(self, work: Callable[[Connection], Answer]) -> Answer:
        with database.writing(self._engine) as connection:
            return work(connection)
