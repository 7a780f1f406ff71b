"""The Protocol that every executor follows: where pending candidates become stored images, here or on a cluster."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from imagenet_builder.errors import ProjectError
from imagenet_builder.project import Project
from imagenet_builder.records import Fetched
from imagenet_builder.unwanted import Unwanted

if TYPE_CHECKING:
    from imagenet_builder.sources import Source
    from imagenet_builder.store.crawl import PendingCandidate

LOCAL, RAY = "local", "ray"
NAMES = (LOCAL, RAY)


@dataclass(frozen=True, slots=True)
class Load:
    """What an executor has fetched so far, holds in memory, and how the hosts are that it met."""

    fetched_bytes: int = 0
    bytes_in_flight: int = 0
    hosts: int = 0
    hosts_down: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(
            self.fetched_bytes + other.fetched_bytes,
            self.bytes_in_flight + other.bytes_in_flight,
            self.hosts + other.hosts,
            self.hosts_down + other.hosts_down,
        )


class Executor(Protocol):
    """Fetches and inspects candidates and stores their bytes; it writes no SQL.

    Used as an async context manager, within one event loop. A host is asked by one owner only, which keeps what it
    learns of it: its pace, its robots.txt, its circuit.
    """

    @property
    def window(self) -> int:
        """How many candidates it wants to be given at once."""

    @property
    def load(self) -> Load:
        """Its figures at this moment."""

    async def gather(self, candidate: PendingCandidate) -> Fetched:
        """How it went with a candidate; the bytes of an Inspected outcome are stored when this returns.

        Raises crawl.download.Stopped for a candidate that had not begun when `stop` was called, ImageStoreError, and
        BuilderError where work cannot be done at all.
        """

    def stop(self) -> None:
        """Let no request begin any more; those under way may end."""

    async def __aenter__(self) -> Self:
        """Raises ProjectError where the project's settings do not let it work."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End whatever is still under way."""


def check_executor(name: str) -> None:
    """Raise ProjectError unless the executor `name` exists and its packages are installed."""
    if name not in NAMES:
        raise ProjectError(f"there is no executor {name!r}; known are {', '.join(NAMES)}")
    if name == RAY and importlib.util.find_spec("ray") is None:
        raise ProjectError("the executor ray needs Ray: pip install 'imagenet-builder[ray]'")


def open_executor(
    project: Project, sources: Mapping[str, Source], unwanted: Unwanted, clock: Callable[[], datetime]
) -> Executor:
    """The executor that the project's settings name, not entered yet."""
    from imagenet_builder.crawl.gather import Gatherer
    from imagenet_builder.crawl.politeness import user_agent

    settings = project.settings
    here = Gatherer(
        settings.crawl,
        user_agent(settings.project),
        project.images,
        unwanted,
        sources=sources,
        clock=clock,
    )
    if settings.crawl.executor == LOCAL:
        return here
    from .ray import RayExecutor

    return RayExecutor(project, here, unwanted)
