"""The executor `ray`: workers on a cluster gather candidates, each owning its share of the hosts; see `ray_worker`.

The driver gives a candidate to the worker that owns its host, and to the next owner where a redirect leads to another
one's. A worker that is lost is replaced, and what it had not reported is done again: bytes are stored under their
hash, and rows are written by the driver alone, so that nothing is there twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any

from imagenet_builder.crawl.download import Elsewhere, Stopped
from imagenet_builder.crawl.gather import WINDOW, Gatherer
from imagenet_builder.crawl.politeness import user_agent
from imagenet_builder.errors import BuilderError
from imagenet_builder.project import Project
from imagenet_builder.records import Fetched
from imagenet_builder.unwanted import Unwanted

from .executor import Load
from .ray_cluster import (
    cause,
    connect,
    machine_count,
    require_shared_places,
    signal_handlers_kept,
    standard_output_kept,
)
from .ray_worker import CrawlWorker, Order, Report, owner_of

if TYPE_CHECKING:
    from imagenet_builder.store.crawl import PendingCandidate

logger = logging.getLogger(__name__)

BATCH = 200
# Candidates that come at about the same time are given together.
BATCH_SECONDS = 0.01
# A cluster that grows on demand needs minutes for a machine.
START_SECONDS = 600.0
# Losses of one owner in a row, with nothing reported in between, that end the run.
MOST_LOSSES = 5
# The workers' bucket needs its keys where they run.
KEY_PREFIXES = ("AWS_", "GOOGLE_", "AZURE_")


class RayExecutor:
    """Gathers on a Ray cluster; `here` reads the files of the user's own, which only this machine has."""

    def __init__(self, project: Project, here: Gatherer, unwanted: Unwanted) -> None:
        self._project = project
        self._here = here
        self._unwanted = unwanted
        self._owners: list[_Owner] = []
        self._shuts_down = False
        self._entered = contextlib.ExitStack()

    @property
    def window(self) -> int:
        """As many for each worker as one machine would take."""
        return WINDOW * len(self._owners)

    async def __aenter__(self) -> RayExecutor:
        import ray

        self._entered.enter_context(standard_output_kept())
        try:
            if not ray.is_initialized():
                with signal_handlers_kept():
                    await asyncio.to_thread(connect, self._project.settings.ray.address)
                self._shuts_down = True
            require_shared_places(self._project)
            count = self._project.settings.ray.workers or int(ray.cluster_resources().get("CPU", 1))
            logger.info("starting %d workers on a cluster of %d machines", count, machine_count())
            unwanted = ray.put(self._unwanted)
            self._owners = [_Owner(self._order(number, count), unwanted) for number in range(count)]
            await asyncio.gather(*(owner.start() for owner in self._owners))
            await self._here.__aenter__()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._here.__aexit__(kind, error, trace)
        await self._end()

    @property
    def load(self) -> Load:
        """The workers' figures of their last reports, and of what is read here."""
        return sum((owner.load for owner in self._owners), self._here.load)

    def stop(self) -> None:
        """Let no worker begin a request any more."""
        self._here.stop()
        for owner in self._owners:
            owner.stop()

    async def gather(self, candidate: PendingCandidate) -> Fetched:
        """How it went with `candidate`, on the worker that owns its host. Raises Stopped, BuilderError."""
        if candidate.url.startswith("file:"):
            return await self._here.gather(candidate)
        while True:
            owner = self._owners[owner_of(candidate.url, len(self._owners))]
            try:
                return await owner.gather(candidate)
            except Elsewhere as redirect:
                candidate = redirect.candidate

    def _order(self, number: int, owners: int) -> Order:
        settings = self._project.settings
        keys = {name: value for name, value in os.environ.items() if name.startswith(KEY_PREFIXES)}
        return Order(
            number=number,
            owners=owners,
            settings=settings.crawl,
            agent=user_agent(settings.project),
            images_url=settings.images.url,
            folder=self._project.folder,
            environment=keys,
        )

    async def _end(self) -> None:
        with self._entered:
            for owner in self._owners:
                await owner.end()
            if self._shuts_down:
                import ray

                await asyncio.to_thread(ray.shutdown)


class _Owner:
    """One share of the hosts: the worker that has it now, and the candidates that are given and not reported."""

    def __init__(self, order: Order, unwanted: Any) -> None:
        self._order = order
        self._unwanted = unwanted
        self._worker: Any = None
        self._waiting: deque[PendingCandidate] = deque()
        self._aboard: dict[int, tuple[PendingCandidate, asyncio.Future[Fetched]]] = {}
        self._flush: asyncio.TimerHandle | None = None
        self._reports: asyncio.Task[None] | None = None
        self._losses = 0
        self._lost_bytes = 0
        self._reported = Load()
        self._stopping = False
        self._failure: BaseException | None = None

    @property
    def load(self) -> Load:
        """The worker's figures when it last reported; bytes that lost ones fetched are counted too."""
        return self._reported + Load(fetched_bytes=self._lost_bytes)

    async def start(self) -> None:
        """Have a worker started, and listen to its reports from then on."""
        from ray.exceptions import RayActorError

        try:
            await self._begin()
        except RayActorError as error:
            raise BuilderError(
                f"a worker cannot start on the cluster: {cause(error)}; is this version of imagenet-builder "
                "installed on every machine?"
            ) from error
        self._reports = asyncio.create_task(self._listen())

    async def gather(self, candidate: PendingCandidate) -> Fetched:
        """Give `candidate` to the worker, and wait for what it reports."""
        if self._failure is not None:
            raise self._failure
        if self._stopping:
            raise Stopped
        answer: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self._aboard[candidate.candidate_id] = candidate, answer
        self._waiting.append(candidate)
        self._give_soon()
        return await answer

    def stop(self) -> None:
        """Give nothing any more, and have the worker begin nothing."""
        self._stopping = True
        for candidate in self._waiting:
            self._answer(candidate.candidate_id, Stopped())
        self._waiting.clear()
        if self._worker is not None:
            self._worker.stop.remote()

    async def end(self) -> None:
        """End the worker, whatever it is doing."""
        if self._reports is not None:
            self._reports.cancel()
            await asyncio.wait({self._reports})
        self._kill()

    async def _begin(self) -> None:
        import ray

        actor = ray.remote(CrawlWorker).options(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")
        worker = actor.remote(self._order, self._unwanted)
        try:
            async with asyncio.timeout(START_SECONDS):
                failure = await worker.start.remote()
        except TimeoutError as error:
            ray.kill(worker)
            processors = int(ray.cluster_resources().get("CPU", 0))
            raise BuilderError(
                f"the cluster has no room for worker {self._order.number + 1} of {self._order.owners}: it has "
                f"{processors} processors; lower `workers` under [ray]"
            ) from error
        if failure is not None:
            raise failure
        self._worker = worker

    async def _listen(self) -> None:
        """Take the worker's reports, and replace it when it is lost, until cancelled."""
        from ray.exceptions import RayActorError

        try:
            while self._worker is not None or not self._stopping:
                try:
                    if self._worker is None:
                        await self._begin_again()
                    self._take(await self._worker.report.remote())
                except RayActorError as error:
                    self._lose(error)
        except Exception as error:  # noqa: BLE001  Whoever waits for a candidate raises it, and so ends the run.
            self._failure = error
            for candidate_id in tuple(self._aboard):
                self._answer(candidate_id, error)

    def _take(self, report: Report) -> None:
        self._losses = 0
        self._reported = report.load
        for candidate_id, answer in report.answers:
            self._answer(candidate_id, answer)

    def _lose(self, error: Exception) -> None:
        self._losses += 1
        logger.warning(
            "worker %d of %d is lost with %d candidates, which are given to another: %s",
            self._order.number + 1,
            self._order.owners,
            len(self._aboard),
            cause(error),
        )
        # Ray may only have lost sight of it: there must not be two who ask the same hosts.
        self._kill()
        self._lost_bytes += self._reported.fetched_bytes
        self._reported = Load()
        if self._losses >= MOST_LOSSES:
            raise BuilderError(
                f"worker {self._order.number + 1} was lost {self._losses} times in a row, the last time because "
                f"{cause(error)}; what was fetched is kept: mend the cluster and run the command again"
            )

        if self._stopping:
            for candidate_id in tuple(self._aboard):
                self._answer(candidate_id, Stopped())

    async def _begin_again(self) -> None:
        await self._begin()
        self._waiting = deque(candidate for candidate, _ in self._aboard.values())
        self._give()

    def _kill(self) -> None:
        import ray

        if self._worker is not None:
            worker, self._worker = self._worker, None
            ray.kill(worker)

    def _answer(self, candidate_id: int, answer: object) -> None:
        # Its waiter may be gone: cancelled when the run ended.
        _, waiter = self._aboard.pop(candidate_id, (None, None))
        if waiter is None or waiter.done():
            return
        if isinstance(answer, Fetched):
            waiter.set_result(answer)
        elif isinstance(answer, BaseException):
            waiter.set_exception(answer)

    def _give_soon(self) -> None:
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(BATCH_SECONDS, self._give)

    def _give(self) -> None:
        self._flush = None
        while self._worker is not None and self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            # Not awaited: if the worker is lost now, the report that is waited for says so.
            self._worker.take.remote(batch)
