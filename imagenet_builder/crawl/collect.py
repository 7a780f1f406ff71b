"""From pending candidates to rows: an executor gathers each and stores its bytes; only then the row is committed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta

from imagenet_builder.errors import ProjectError
from imagenet_builder.executors.executor import Executor, Load, open_executor
from imagenet_builder.project import Project
from imagenet_builder.records import Fetched, Inspected, Unchanged
from imagenet_builder.sources import Source
from imagenet_builder.store import crawl as sql
from imagenet_builder.store.crawl import PendingCandidate, Scope, Which
from imagenet_builder.store.thread import StoreThread
from imagenet_builder.taken_down import read_taken_down
from imagenet_builder.unwanted import Unwanted

from .download import Stopped
from .flight import Flight, unless_stopped
from .metrics import SECONDS as METRICS_SECONDS
from .metrics import Figures, MetricsFiles
from .recorder import Recorder
from .report import Progress, ProgressListener, Tally

PAGE = 2000


class Collector:
    """One run's fetching. A failure that belongs to a picture ends in its row; one of the store ends the run."""

    def __init__(
        self,
        project: Project,
        store: StoreThread,
        sources: Sequence[Source],
        scope: Scope,
        tally: Tally,
        clock: Callable[[], datetime],
        listener: ProgressListener,
    ) -> None:
        self._project = project
        self._folder = project.folder
        self._settings = project.settings.crawl
        self._store = store
        self._sources = {source.name: source for source in sources}
        self._scope = scope
        self._tally = tally
        self._clock = clock
        self._listener = listener
        self._recorder: Recorder
        self._done = self._total = self._kept_bytes = 0

    async def run(self, stop: asyncio.Event, *, retry: bool = False, refresh: bool = False) -> None:
        """Collect every waiting candidate, or until `stop` is set; with `refresh`, look after the stored ones.

        Raises ImageStoreError, DatabaseError, and ProjectError for a folder to exclude that cannot be read and for an
        executor that cannot work.
        """
        unwanted = await self._unwanted()
        stale = self._clock() - timedelta(days=self._settings.fresh_days)
        which = Which(retry, stale if refresh else None)
        self._recorder = Recorder(self._store, sql.commit_checks if refresh else sql.commit_outcomes)
        self._total = await self._store.read(
            functools.partial(sql.waiting_count, scope=self._scope, which=which)
        )
        if not self._total:
            return
        self._listener(Progress("fetch", 0, self._total))
        self._kept_bytes = await self._store.read(sql.kept_bytes)
        async with contextlib.AsyncExitStack() as stack:
            opened = open_executor(self._project, self._sources, unwanted, self._clock)
            executor = await unless_stopped(stack.enter_async_context(opened), stop)
            if executor is not None:
                await self._fly(executor, which, stop)

    async def _unwanted(self) -> Unwanted:
        taken_down = await self._store.read(read_taken_down)
        if not self._settings.exclude:
            return Unwanted(taken_down=taken_down)
        # Comparing pictures needs numpy, which most crawls need in their workers only.
        from imagenet_builder.exclusion import load_exclusion

        exclusion = await asyncio.to_thread(load_exclusion, self._settings.exclude, self._folder)
        return Unwanted(exclusion, taken_down)

    async def _fly(self, executor: Executor, which: Which, stop: asyncio.Event) -> None:
        flight = Flight(executor.window, stop)
        commits = asyncio.create_task(self._recorder.commit_regularly(flight))
        try:
            flight.when_stopping(executor.stop)
            async with self._measured(executor, flight):
                async for candidate in self._waiting(which):
                    if self._is_full or not await flight.start(self._collect(candidate, executor, flight)):
                        break
                await flight.land()
        finally:
            commits.cancel()
            await self._recorder.commit()
        if flight.failure is not None:
            raise flight.failure

    @contextlib.asynccontextmanager
    async def _measured(self, executor: Executor, flight: Flight) -> AsyncIterator[None]:
        """Write metrics now and then while this is entered, and at its end, where the settings ask for them."""
        if not self._settings.metrics:
            yield
            return
        files, started = MetricsFiles(self._folder / self._settings.metrics), time.monotonic()

        async def write() -> None:
            figures = self._figures(executor.load, time.monotonic() - started)
            await asyncio.to_thread(files.write, figures)

        async def write_regularly() -> None:
            while True:
                try:
                    await write()
                except ProjectError as error:
                    flight.fail(error)
                    return
                await asyncio.sleep(METRICS_SECONDS)

        task = asyncio.create_task(write_regularly())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
        if flight.failure is None:
            await write()

    def _figures(self, load: Load, seconds: float) -> Figures:
        return Figures(
            at=self._clock(),
            seconds=round(seconds, 3),
            waiting=self._total - self._done,
            new_candidates=self._tally.new_candidates,
            pages=self._tally.pages,
            fetched_bytes=load.fetched_bytes,
            kept_bytes=self._kept_bytes,
            bytes_in_flight=load.bytes_in_flight,
            hosts=load.hosts,
            hosts_down=load.hosts_down,
            outcomes=self._tally.outcomes(),
        )

    @property
    def _is_full(self) -> bool:
        quota = self._settings.disk_quota
        self._tally.quota_reached = 0 < quota <= self._kept_bytes
        return self._tally.quota_reached

    async def _waiting(self, which: Which) -> AsyncIterator[PendingCandidate]:
        after = 0
        while True:
            page = await self._store.read(
                functools.partial(sql.waiting, scope=self._scope, which=which, after=after, limit=PAGE)
            )
            for candidate in page.candidates:
                yield candidate
            if page.after is None:
                return
            after = page.after

    async def _collect(self, candidate: PendingCandidate, executor: Executor, flight: Flight) -> None:
        try:
            fetched = self._from_known(candidate) or await executor.gather(candidate)
        except Stopped:
            return
        outcome = fetched.outcome
        if isinstance(outcome, Inspected):
            self._kept_bytes += outcome.byte_count
            if self._is_full:
                flight.cut_short()
        for candidate_id in (candidate.candidate_id, *candidate.also):
            await self._recorder.record(candidate_id, fetched)
            self._tally.count(outcome, refresh=candidate.refresh)
            self._done += 1
        self._listener(
            Progress("fetch", self._done, self._total, f"{self._tally.ended['stored', None]} stored")
        )

    def _from_known(self, candidate: PendingCandidate) -> Fetched | None:
        """What was stored from the address lately for another category is taken without asking for it."""
        known, now = candidate.known, self._clock()
        if known is None or candidate.refresh or now - known.at > timedelta(days=self._settings.fresh_days):
            return None
        return Fetched(
            Unchanged(known),
            at=known.at,
            attempts=0,
            robots=known.robots,
            etag=known.etag,
            last_modified=known.last_modified,
        )
