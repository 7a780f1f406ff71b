"""What runs on the machines of a cluster: it is given candidates, gathers them and reports how they went. No SQL."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

from imagenet_builder.config import CrawlSettings
from imagenet_builder.crawl.download import Elsewhere, Stopped
from imagenet_builder.crawl.gather import Gatherer
from imagenet_builder.crawl.urls import parse_url
from imagenet_builder.errors import BuilderError
from imagenet_builder.images import open_image_store
from imagenet_builder.records import Fetched
from imagenet_builder.store.crawl import PendingCandidate
from imagenet_builder.unwanted import Unwanted

from .executor import Load

# What ended meanwhile is reported together: a call costs the driver about a millisecond.
REPORT_SECONDS = 0.05

# What came of a candidate; an exception is raised again in the driver.
Answer = Fetched | Elsewhere | Stopped | BuilderError | RuntimeError


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to be: owner number `number` of `owners`; `environment` holds the keys of the bucket."""

    number: int
    owners: int
    settings: CrawlSettings
    agent: str
    images_url: str
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """Candidates that ended since the last report, by id, and the worker's figures."""

    answers: tuple[tuple[int, Answer], ...]
    load: Load


def owner_of(url: str, owners: int) -> int:
    """Which of `owners` asks the host of `url`: the same for every port and scheme, with and without "www."."""
    try:
        host = parse_url(url).raw_host or ""
    except ValueError:
        host = ""
    return crc32(host.lower().removeprefix("www.").encode()) % owners


class CrawlWorker:
    """The Ray actor: owns the hosts that `owner_of` gives it."""

    def __init__(self, order: Order, unwanted: Unwanted) -> None:
        self._order = order
        self._unwanted = unwanted
        self._gatherer: Gatherer
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: list[tuple[int, Answer]] = []
        self._answered = asyncio.Event()

    async def start(self) -> BuilderError | None:
        """Be ready to take candidates, or say why that is not possible."""
        order = self._order
        os.environ.update(order.environment)
        try:
            images = open_image_store(order.images_url, relative_to=order.folder)
        except BuilderError as error:
            return error
        self._gatherer = Gatherer(
            order.settings,
            order.agent,
            images,
            self._unwanted,
            clock=lambda: datetime.now(UTC),
            workers=1,
            owns=lambda url: owner_of(url, order.owners) == order.number,
        )
        await self._gatherer.__aenter__()
        return None

    async def take(self, batch: Sequence[PendingCandidate]) -> None:
        """Begin with the candidates of `batch`; returns at once."""
        for candidate in batch:
            task = asyncio.create_task(self._gather(candidate))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def report(self) -> Report:
        """Wait until candidates have ended, and say how."""
        await self._answered.wait()
        await asyncio.sleep(REPORT_SECONDS)
        self._answered.clear()
        answers, self._answers = tuple(self._answers), []
        return Report(answers, self._gatherer.load)

    async def stop(self) -> None:
        """Let no request begin any more; candidates that wait for one are reported as stopped."""
        self._gatherer.stop()

    async def _gather(self, candidate: PendingCandidate) -> None:
        answer: Answer
        try:
            answer = await self._gatherer.gather(candidate)
        except (Stopped, Elsewhere, BuilderError) as error:
            answer = error
        except Exception:  # noqa: BLE001  A defect: the driver raises it, with where it happened.
            answer = RuntimeError(f"a worker's code failed:\n{traceback.format_exc()}")
        self._answers.append((candidate.candidate_id, answer))
        self._answered.set()
