"""One candidate's way to a stored image: fetched, inspected, compared with what is excluded, its bytes stored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType

from imagenet_builder.config import CrawlSettings
from imagenet_builder.executors.executor import Load
from imagenet_builder.executors.local import ProcessPool, WorkerLost, worker_count
from imagenet_builder.executors.shared import MEBIBYTE, SharedMemory
from imagenet_builder.images import ImageStore
from imagenet_builder.records import Changed, Failed, Fetched, Inspected, Outcome, Reason, Rejected, Unchanged
from imagenet_builder.sources import Source
from imagenet_builder.store.crawl import PendingCandidate
from imagenet_builder.unwanted import Unwanted

from .comparison import Comparison
from .download import Download
from .fetch import Fetcher
from .keep import Keeper
from .limits import Limits
from .open_files import allow_connections

# Candidates at work at once: most of them wait for their host's turn and hold nothing.
WINDOW = 1000
# Memory in which contents are received, seen by the workers; it is used from its beginning, as far as is needed.
# Longer contents than LONGEST, which are few, are received elsewhere and copied.
SHARED_BYTES = 64 * MEBIBYTE
LONGEST = 4 * MEBIBYTE
# Imported where the workers are forked from, and not here: this process decodes nothing.
INSPECTION = "imagenet_builder.crawl.inspect"


class Gatherer:
    """The executor `local`: works in this process's event loop, and inspects in `workers` processes beside it.

    `owns` says for a URL whether its host may be asked from here; a redirect to one that may not raises
    download.Elsewhere.
    """

    def __init__(
        self,
        settings: CrawlSettings,
        agent: str,
        images: ImageStore,
        unwanted: Unwanted,
        *,
        clock: Callable[[], datetime],
        sources: Mapping[str, Source] | None = None,
        workers: int | None = None,
        owns: Callable[[str], bool] | None = None,
    ) -> None:
        # So that every connection finds work, be it on as many hosts.
        self.window = max(WINDOW, 2 * settings.connections)
        self._settings = settings
        self._agent = agent
        self._keeper = Keeper(images)
        self._comparison = Comparison(unwanted)
        self._clock = clock
        self._sources = sources or {}
        self._workers = workers or worker_count()
        self._owns = owns
        self._fetched_bytes = 0
        self._pool: ProcessPool[Inspected | Rejected]
        self._fetcher: Fetcher
        self._memory: SharedMemory

    async def __aenter__(self) -> Gatherer:
        allow_connections(self._settings.connections)
        self._memory = SharedMemory(SHARED_BYTES, LONGEST)
        self._pool = _inspection_pool(self._settings, self._workers, self._memory)
        self._fetcher = Fetcher(
            self._settings, self._agent, self._sources, owns=self._owns, memory=self._memory
        )
        await self._fetcher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._fetcher.__aexit__(kind, error, trace)
        self._pool.close()
        self._memory.close()

    @property
    def load(self) -> Load:
        """What was fetched so far, what is held in memory, and the hosts met."""
        hosts = self._fetcher.hosts
        return Load(self._fetched_bytes, self._fetcher.bytes_in_flight, len(hosts), hosts.open_count)

    def stop(self) -> None:
        """Let no request begin any more."""
        self._fetcher.stopping = True

    async def gather(self, candidate: PendingCandidate) -> Fetched:
        """How it went with `candidate`, its bytes stored if it is an image. Raises Stopped, Elsewhere, BuilderError."""
        download = await self._fetcher.fetch(candidate)
        self._fetched_bytes += len(download.content or b"")
        try:
            try:
                outcome = await self._outcome(candidate, download)
            finally:
                self._fetcher.let_next(download)
            if isinstance(outcome, Inspected) and download.content is not None:
                await self._keeper.put(outcome.sha256, download.content, download.slot)
        finally:
            self._fetcher.release(download)
        return Fetched(
            outcome=outcome,
            at=self._clock(),
            attempts=download.attempts,
            http_status=download.http_status,
            robots=download.robots,
            opt_out=download.opt_out,
            etag=download.etag,
            last_modified=download.last_modified,
        )

    async def _outcome(self, candidate: PendingCandidate, download: Download) -> Outcome:
        known = candidate.known
        if known is not None and download.unchanged:
            return Unchanged(known)
        if known is not None and candidate.refresh and download.content is not None:
            same = hashlib.sha256(download.content).hexdigest() == known.sha256
            return Unchanged(known) if same else Changed()
        outcome = await _inspected(download, self._pool)
        refusal = await self._comparison.refuse(outcome) if isinstance(outcome, Inspected) else None
        return refusal or outcome


def _inspection_pool(
    settings: CrawlSettings, workers: int, memory: SharedMemory
) -> ProcessPool[Inspected | Rejected]:
    limits = Limits(min_side=settings.min_side, max_side=settings.max_side, max_aspect=settings.max_aspect)
    return ProcessPool(limits.inspect, workers=workers, preload=(INSPECTION,), shared=memory)


async def _inspected(
    download: Download, pool: ProcessPool[Inspected | Rejected]
) -> Inspected | Rejected | Failed:
    if download.content is None:
        if download.refusal is None:
            raise RuntimeError("a download has neither content nor a refusal")
        return download.refusal
    content = download.content if download.slot is None else download.slot
    try:
        return await pool.run(content)
    except WorkerLost as error:
        first = error
    # Once more: the system may have ended the worker for want of memory that another one took.
    try:
        return await pool.run(content)
    except WorkerLost:
        return Rejected(Reason.DAMAGED, f"decoding it fails: {first}")
