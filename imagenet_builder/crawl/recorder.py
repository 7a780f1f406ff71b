"""Outcomes on their way into the store, a batch at a time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.engine import Connection

from imagenet_builder.records import Fetched
from imagenet_builder.store.outcomes import commit_outcomes
from imagenet_builder.store.thread import StoreThread

from .flight import Flight

COMMIT_SECONDS = 0.5
COMMIT_ROWS = 200


class Commit(Protocol):
    """What writes outcomes of candidates (by id) in one transaction."""

    def __call__(self, connection: Connection, outcomes: Sequence[tuple[int, Fetched]]) -> None: ...


class Recorder:
    """Gathers outcomes, and commits them together: at COMMIT_ROWS, or every COMMIT_SECONDS."""

    def __init__(self, store: StoreThread, commit: Commit = commit_outcomes) -> None:
        self._store = store
        self._commit = commit
        self._gathered: list[tuple[int, Fetched]] = []

    async def record(self, candidate_id: int, fetched: Fetched) -> None:
        """Add an outcome; waits for the commit that it makes due. Raises DatabaseError."""
        self._gathered.append((candidate_id, fetched))
        if len(self._gathered) >= COMMIT_ROWS:
            await self.commit()

    async def commit(self) -> None:
        """Commit what is gathered. Raises DatabaseError."""
        batch, self._gathered = self._gathered, []
        if batch:
            await self._store.write(functools.partial(self._commit, outcomes=batch))

    async def commit_regularly(self, flight: Flight) -> None:
        """Commit every COMMIT_SECONDS until cancelled; a store that fails ends the flight."""
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            try:
                await self.commit()
            except Exception as error:  # noqa: BLE001  Raised again where the flight ends.
                flight.fail(error)
                return
