"""From pending candidates to stored images: fetch, inspect, store the bytes, and only then commit the row."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

from imagenet_builder.config import CrawlSettings
from imagenet_builder.errors import ProjectError
from imagenet_builder.exclusion import Exclusion, load_exclusion
from imagenet_builder.executors.local import ProcessPool, WorkerLost, worker_count
from imagenet_builder.project import Project
from imagenet_builder.records import Failed, Fetched, Inspected, Reason, Rejected
from imagenet_builder.sources import Source
from imagenet_builder.store import crawl as sql
from imagenet_builder.store.crawl import PendingCandidate, Scope
from imagenet_builder.store.thread import StoreThread

from . import inspect as inspection
from .fetch import Download, Fetcher, Stopped
from .flight import Flight
from .keep import Keeper
from .metrics import SECONDS as METRICS_SECONDS
from .metrics import Figures, MetricsFiles
from .politeness import user_agent
from .recorder import Recorder
from .report import Progress, ProgressListener, Tally

# Candidates at work at once: most of them wait for their host's turn and hold nothing.
WINDOW = 1000
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
        self._keeper = Keeper(project.images)
        self._folder = project.folder
        self._exclusion = Exclusion()
        self._settings = project.settings.crawl
        self._agent = user_agent(project.settings.project)
        self._store = store
        self._sources = {source.name: source for source in sources}
        self._scope = scope
        self._tally = tally
        self._clock = clock
        self._listener = listener
        self._recorder = Recorder(store)
        self._done = self._total = self._kept_bytes = self._fetched_bytes = 0

    async def run(self, stop: asyncio.Event, *, retry: bool) -> None:
        """Collect every waiting candidate, or until `stop` is set. Raises ImageStoreError, DatabaseError, and
        ProjectError for a folder to exclude that cannot be read.
        """
        self._exclusion = await asyncio.to_thread(load_exclusion, self._settings.exclude, self._folder)
        self._total = await self._store.read(
            functools.partial(sql.waiting_count, scope=self._scope, retry=retry)
        )
        if not self._total:
            return
        self._listener(Progress("fetch", 0, self._total))
        self._kept_bytes = await self._store.read(sql.kept_bytes)
        flight = Flight(WINDOW, stop)
        commits = asyncio.create_task(self._recorder.commit_regularly(flight))
        try:
            with _inspection_pool(self._settings) as pool:
                async with Fetcher(self._settings, self._agent, self._sources) as fetcher:
                    flight.when_stopping(lambda: setattr(fetcher, "stopping", True))
                    async with self._measured(fetcher, flight):
                        async for candidate in self._waiting(retry):
                            if self._is_full or not await flight.start(
                                self._collect(candidate, fetcher, pool)
                            ):
                                break
                        await flight.land()
        finally:
            commits.cancel()
            await self._recorder.commit()
        if flight.failure is not None:
            raise flight.failure

    @contextlib.asynccontextmanager
    async def _measured(self, fetcher: Fetcher, flight: Flight) -> AsyncIterator[None]:
        """Write metrics now and then while this is entered, and at its end, where the settings ask for them."""
        if not self._settings.metrics:
            yield
            return
        files, started = MetricsFiles(self._folder / self._settings.metrics), time.monotonic()

        async def write() -> None:
            figures = self._figures(fetcher, time.monotonic() - started)
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

    def _figures(self, fetcher: Fetcher, seconds: float) -> Figures:
        return Figures(
            at=self._clock(),
            seconds=round(seconds, 3),
            waiting=self._total - self._done,
            new_candidates=self._tally.new_candidates,
            pages=self._tally.pages,
            fetched_bytes=self._fetched_bytes,
            kept_bytes=self._kept_bytes,
            bytes_in_flight=fetcher.bytes_in_flight,
            hosts=len(fetcher.hosts),
            hosts_down=fetcher.hosts.open_count,
            outcomes=self._tally.outcomes(),
        )

    def _unless_excluded(self, outcome: Inspected | Rejected | Failed) -> Inspected | Rejected | Failed:
        like = self._exclusion.match(outcome) if isinstance(outcome, Inspected) else None
        return outcome if like is None else Rejected(Reason.EXCLUDED, f"like {like}")

    @property
    def _is_full(self) -> bool:
        quota = self._settings.disk_quota
        self._tally.quota_reached = 0 < quota <= self._kept_bytes
        return self._tally.quota_reached

    async def _waiting(self, retry: bool) -> AsyncIterator[PendingCandidate]:
        after = 0
        while True:
            page = await self._store.read(
                functools.partial(sql.waiting, scope=self._scope, retry=retry, after=after, limit=PAGE)
            )
            for candidate in page.candidates:
                yield candidate
            if page.after is None:
                return
            after = page.after

    async def _collect(
        self,
        candidate: PendingCandidate,
        fetcher: Fetcher,
        pool: ProcessPool[Inspected | Rejected],
    ) -> None:
        try:
            download = await fetcher.fetch(candidate)
        except Stopped:
            return
        self._fetched_bytes += len(download.content or b"")
        try:
            try:
                outcome = self._unless_excluded(await _outcome(download, pool))
            finally:
                fetcher.let_next(download)
            if isinstance(outcome, Inspected) and download.content is not None:
                await self._keeper.put(outcome.sha256, download.content)
                self._kept_bytes += outcome.byte_count
                fetcher.stopping = fetcher.stopping or self._is_full
        finally:
            fetcher.release(download)
        fetched = Fetched(
            outcome=outcome,
            at=self._clock(),
            attempts=download.attempts,
            http_status=download.http_status,
            robots=download.robots,
            opt_out=download.opt_out,
            etag=download.etag,
            last_modified=download.last_modified,
        )
        for candidate_id in (candidate.candidate_id, *candidate.also):
            await self._recorder.record(candidate_id, fetched)
            self._tally.count(outcome)
            self._done += 1
        self._listener(
            Progress("fetch", self._done, self._total, f"{self._tally.ended['stored', None]} stored")
        )


def _inspection_pool(settings: CrawlSettings) -> ProcessPool[Inspected | Rejected]:
    limits = inspection.Limits(
        min_side=settings.min_side, max_side=settings.max_side, max_aspect=settings.max_aspect
    )
    return ProcessPool(
        functools.partial(inspection.inspect, limits=limits),
        workers=worker_count(),
        preload=(inspection.__name__,),
    )


async def _outcome(
    download: Download, pool: ProcessPool[Inspected | Rejected]
) -> Inspected | Rejected | Failed:
    if download.content is None:
        if download.refusal is None:
            raise RuntimeError("a download has neither content nor a refusal")
        return download.refusal
    try:
        return await pool.run(download.content)
    except WorkerLost as error:
        first = error
    # Once more: the system may have ended the worker for want of memory that another one took.
    try:
        return await pool.run(download.content)
    except WorkerLost:
        return Rejected(Reason.DAMAGED, f"decoding it fails: {first}")
