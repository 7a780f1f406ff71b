"""From pending candidates to rows: an executor gathers each and stores its bytes; only then the row is committed.

While the search goes on, what it has found so far is collected already.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from imagenet_builder.errors import ProjectError
from imagenet_builder.executors.executor import Executor, Load, open_executor
from imagenet_builder.project import Project
from imagenet_builder.records import Fetched, Inspected, Unchanged
from imagenet_builder.sources import Source, require_contact
from imagenet_builder.store import crawl as sql
from imagenet_builder.store import outcomes
from imagenet_builder.store.crawl import PendingCandidate, Scope, Which
from imagenet_builder.store.thread import StoreThread
from imagenet_builder.taken_down import read_taken_down
from imagenet_builder.unwanted import Unwanted

from .arrivals import Arrivals
from .download import Stopped
from .flight import Flight, unless_stopped
from .metrics import SECONDS as METRICS_SECONDS
from .metrics import Figures, MetricsFiles
from .recorder import Recorder
from .report import Progress, ProgressListener, Tally

PAGE = 2000


@dataclass(slots=True)
class _Aboard:
    """An address at work: the candidates that end as it does, and how it went once that is known.

    `is_recorded` once the Recorder has what those candidates came to.
    """

    candidate_ids: list[int]
    fetched: Fetched | None = None
    is_recorded: bool = False


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
        self._which = Which()
        self._unwanted: Unwanted
        self._recorder: Recorder
        self._arrivals: Arrivals
        self._aboard: dict[str, _Aboard] = {}
        self._waiting_before = self._done = self._kept_bytes = 0

    async def prepare(self, *, retry: bool = False, refresh: bool = False) -> None:
        """Look at what is to be left out, and at what waits already; with `refresh`, of the stored ones.

        Raises DatabaseError, and ProjectError for a folder to exclude that cannot be read.
        """
        self._unwanted = await self._read_unwanted()
        stale = self._clock() - timedelta(days=self._settings.fresh_days)
        searches = not retry and not refresh
        self._which = Which(retry, stale if refresh else None, self._clock() if searches else None)
        self._recorder = Recorder(
            self._store, outcomes.commit_checks if refresh else outcomes.commit_outcomes
        )
        self._waiting_before = await self._store.read(
            functools.partial(sql.waiting_count, scope=self._scope, which=self._which)
        )

    async def run(self, stop: asyncio.Event, arrivals: Arrivals) -> None:
        """Collect every waiting candidate, and those that arrive, until none will any more or `stop` is set.

        Raises ImageStoreError, DatabaseError, and ProjectError for an executor that cannot work, or where the project
        does not say who crawls others' servers.
        """
        self._arrivals = arrivals
        while not self._total and not arrivals.is_over and not stop.is_set():
            await unless_stopped(arrivals.wait(), stop)
        if not self._total or stop.is_set():
            return
        self._listener(Progress("fetch", 0, self._total))
        self._kept_bytes = await self._store.read(sql.kept_bytes)
        async with contextlib.AsyncExitStack() as stack:
            opened = open_executor(self._project, self._sources, self._unwanted, self._clock)
            executor = await unless_stopped(stack.enter_async_context(opened), stop)
            if executor is not None:
                await self._fly(executor, stop)

    @property
    def _total(self) -> int:
        return self._waiting_before + self._arrivals.count

    async def _read_unwanted(self) -> Unwanted:
        taken_down = await self._store.read(read_taken_down)
        if not self._settings.exclude:
            return Unwanted(taken_down=taken_down)
        # Comparing pictures needs numpy, which most crawls need in their workers only.
        from imagenet_builder.exclusion import load_exclusion

        exclusion = await asyncio.to_thread(load_exclusion, self._settings.exclude, self._folder)
        return Unwanted(exclusion, taken_down)

    async def _fly(self, executor: Executor, stop: asyncio.Event) -> None:
        flight = Flight(executor.window, stop)
        commits = asyncio.create_task(self._recorder.commit_regularly(flight))
        try:
            flight.when_stopping(executor.stop)
            flight.when_stopping(self._arrivals.wake)
            async with self._measured(executor, flight):
                async for candidate in self._waiting(flight):
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

    async def _waiting(self, flight: Flight) -> AsyncIterator[PendingCandidate]:
        """What waits and is not at work, page by page; then what arrives."""
        after = 0
        while not flight.is_stopping:
            is_over = self._arrivals.is_over
            await self._let_recorded_go()
            page = await self._store.read(
                functools.partial(sql.waiting, scope=self._scope, which=self._which, after=after, limit=PAGE)
            )
            for candidate in page.candidates:
                if not await self._joins(candidate):
                    self._aboard[candidate.url] = _Aboard([candidate.candidate_id, *candidate.also])
                    yield candidate
            after = page.after
            if not page.has_more:
                if is_over:
                    return
                await self._arrivals.wait()

    async def _let_recorded_go(self) -> None:
        """Forget the addresses that ended, once the store knows: the next page is read after this commit."""
        recorded = [url for url, there in self._aboard.items() if there.is_recorded]
        await self._recorder.commit()
        for url in recorded:
            del self._aboard[url]

    async def _joins(self, candidate: PendingCandidate) -> bool:
        """Whether its address is at work, or has ended just now: then the candidate ends as that does."""
        there = self._aboard.get(candidate.url)
        if there is None:
            return False
        ids = (candidate.candidate_id, *candidate.also)
        joining = [candidate_id for candidate_id in ids if candidate_id not in there.candidate_ids]
        there.candidate_ids += joining
        if there.fetched is not None:
            await self._record(joining, replace(there.fetched, attempts=0), refresh=candidate.refresh)
        return True

    async def _collect(self, candidate: PendingCandidate, executor: Executor, flight: Flight) -> None:
        try:
            fetched = candidate.ended or self._from_known(candidate)
            if fetched is None:
                self._require_contact(candidate)
                fetched = await executor.gather(candidate)
        except Stopped:
            return
        outcome = fetched.outcome
        if isinstance(outcome, Inspected):
            self._kept_bytes += outcome.byte_count
            if self._is_full:
                flight.cut_short()
        there = self._aboard[candidate.url]
        there.fetched = fetched
        first, *others = there.candidate_ids
        await self._record([first], fetched, refresh=candidate.refresh)
        if others:
            await self._record(others, replace(fetched, attempts=0), refresh=candidate.refresh)
        there.is_recorded = True

    def _require_contact(self, candidate: PendingCandidate) -> None:
        """Raise ProjectError where a server of others would not be told who crawls it."""
        # What is no address fails by that name when it is fetched.
        with contextlib.suppress(ValueError):
            if candidate.url.startswith("http"):
                require_contact(self._project.settings, candidate.url)

    async def _record(self, candidate_ids: Sequence[int], fetched: Fetched, *, refresh: bool) -> None:
        for candidate_id in candidate_ids:
            await self._recorder.record(candidate_id, fetched)
            self._tally.count(fetched.outcome, refresh=refresh)
            self._done += 1
        good = "unchanged" if refresh else "stored"
        note = f"{self._tally.ended[good, None]} {good}"
        self._listener(Progress("fetch", self._done, self._total, note))

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
