"""The Protocol that every source follows, and how a source is found by its name."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from urllib.parse import urlsplit

from imagenet_builder.config import Settings
from imagenet_builder.errors import ProjectError
from imagenet_builder.records import Category, Query, SearchPage

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph

GROUP = "imagenet_builder.sources"


@runtime_checkable
class Source(Protocol):
    """Something that proposes picture addresses for a query, with licence and author.

    An entry point of the group `imagenet_builder.sources` names a function
    `build(settings: Settings, folder: Path) -> Source`; `folder` is the project's. It opens no connection and
    raises ProjectError for settings that cannot work.
    """

    @property
    def name(self) -> str:
        """The name under which queries and candidates are stored."""

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """What to ask for `category`, best first; `graph` loads WordNet for a source that needs it."""

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """One page of results from `query.continuation` on (None: from the start).

        The same query gives the same page while the source does not change. A page's continuation
        differs from its query's; None means that there is no more. Waits and retries within bounds where the
        source asks for it; raises SourceError (one line) where that did not help.
        """


@runtime_checkable
class ScanningSource(Source, Protocol):
    """A source that reads through something long: one pass over it serves every category at once."""

    async def scan(
        self, queries: Sequence[Query], session: aiohttp.ClientSession
    ) -> Mapping[Query, SearchPage]:
        """The next pages of some of `queries`, of at least one, each as `search` would give it.

        Read on where those queries stand: their continuations move together, so that nothing is read twice for them.
        """


@runtime_checkable
class FileSource(Source, Protocol):
    """A source whose pictures are files of the user's own, read without a network."""

    def file(self, url: str) -> Path | None:
        """The file behind a `file:` address of this source; None for an address that it does not vouch for."""


def open_source(name: str, settings: Settings, folder: Path) -> Source:
    """Build the source `name`; raises ProjectError for an unknown name or unusable settings."""
    from importlib.metadata import entry_points

    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise ProjectError(f"there is no source {name!r}; known are {', '.join(sorted(found))}")
    source: Source = found[name].load()(settings, folder)
    return source


def open_sources(names: Iterable[str], settings: Settings, folder: Path) -> tuple[Source, ...]:
    """Build the sources `names` in their order, none twice."""
    return tuple(open_source(name, settings, folder) for name in dict.fromkeys(names))


def require_contact(settings: Settings, endpoint: str) -> None:
    """Raise ProjectError unless the project says whom a server's owner can reach; loopback is exempt."""
    if settings.project.contact.strip() or is_loopback(endpoint):
        return
    raise ProjectError(
        f"{urlsplit(endpoint).hostname or endpoint} must be told who crawls it: "
        'set contact = "you@example.org" under [project] in imagenet-builder.toml'
    )


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
