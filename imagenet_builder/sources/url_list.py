"""Lists of picture addresses with captions or wnids, as web-scale collections come: read as a stream, never loaded."""

from __future__ import annotations

import asyncio
import dataclasses
import glob
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builder.config import Settings
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query, Rights, SearchPage

from .json_api import read_position
from .licences import is_taken, licence_of_setting, read_code
from .list_files import ListFile, ListRow, Position, Wanted
from .matching import check_place, read_query, write_query
from .remote_files import is_bucket

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph

logger = logging.getLogger(__name__)

NAME = "url_list"
PAGE_SIZE = 500
# Rows looked at, and matches kept in memory, before they are recorded: a stop is noticed and loses no more than them.
ROWS_AT_ONCE, MATCHES_AT_ONCE = 500_000, 20_000
COMPRESSED = (".gz", ".zst", ".bz2", ".xz", ".zip")
SETTING = "[url_list] paths"
_WEB = ("http://", "https://")


class UrlList:
    """The `url_list` source. A query is one list; its continuation the byte (text) or row (Parquet) to go on at.

    One pass over a list serves all categories (`scan`); `search` reads it for one.
    """

    name = NAME

    def __init__(
        self,
        lists: Sequence[ListFile],
        rights: Rights | None = None,
        *,
        page_size: int = PAGE_SIZE,
        rows_at_once: int = ROWS_AT_ONCE,
        matches_at_once: int = MATCHES_AT_ONCE,
    ) -> None:
        self._lists = {file.place: file for file in lists}
        self._rights = rights or Rights()
        self._page_size = page_size
        self._rows_at_once = rows_at_once
        self._matches_at_once = matches_at_once

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """The category's words in each list; none needs WordNet."""
        return tuple(
            Query(wnid=category.wnid, source=self.name, words=write_query(category, place))
            for place in self._lists
        )

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """The next rows that match; raises SourceError, with the line, for a list that cannot be read."""
        pages = await asyncio.to_thread(self._read_on, [query], self._page_size)
        return pages[query]

    async def scan(
        self, queries: Sequence[Query], session: aiohttp.ClientSession
    ) -> Mapping[Query, SearchPage]:
        """The next rows of one list for all of `queries` to it; raises SourceError as `search` does."""
        return await asyncio.to_thread(self._read_on, queries, self._matches_at_once)

    def _read_on(self, queries: Sequence[Query], most: int) -> dict[Query, SearchPage]:
        """Read a list on from where the hindmost of its queries stands, to `most` matches or some rows further.

        A query that stands further on takes part from there; one that was not reached is not in the answer. What
        stands before a malformed row is given first: the next call begins there, and raises.
        """
        file, readings = self._readings(queries)
        start = min((reading.start for reading in readings), key=lambda position: position.offset)
        wanted = Wanted([(reading.query.wnid, reading.sought) for reading in readings])
        after, matches = start, 0
        try:
            for after, row, numbers in file.scan(start, wanted):
                if row is not None and row.url:
                    reached = [number for number in numbers if readings[number].start.offset < after.offset]
                    matches += len(reached)
                    self._keep(row, [readings[number] for number in reached], file.place, after.line)
                if matches >= most or after.line - start.line >= self._rows_at_once:
                    return _pages_until(after, readings)
        except SourceError:
            if after == start:
                raise
            return _pages_until(after, readings)
        return {reading.query: SearchPage(tuple(reading.found), None) for reading in readings}

    def _readings(self, queries: Sequence[Query]) -> tuple[ListFile, list[_Reading]]:
        """The queries to the first list that any of them is for; SourceError if their list is not in the settings."""
        by_place: dict[str, list[_Reading]] = {}
        for query in queries:
            sought, place = read_query(query.words)
            position = read_position(query.continuation, self.name)
            start = Position(position.get("offset", 0), position.get("line", 0))
            by_place.setdefault(place, []).append(_Reading(query, sought, start, position.get("rank", 0)))
        for place, file in self._lists.items():
            if place in by_place:
                return file, by_place[place]
        place = next(iter(by_place))
        raise SourceError(f"the list {place} is not among `paths` under [url_list] any more")

    def _keep(self, row: ListRow, readings: Sequence[_Reading], place: str, line: int) -> None:
        if readings and not row.url.lower().startswith(_WEB):
            # It becomes a candidate all the same, and fails by name when it is fetched.
            logger.warning("%s, line %d: %.80r is not an address", place, line, row.url)
        for reading in readings:
            reading.found.append(self._candidate(reading, row))

    def _candidate(self, reading: _Reading, row: ListRow) -> Candidate:
        # A licence that is written but not known is unknown, not the default.
        rights = (read_code(row.licence) or Rights()) if row.licence else self._rights
        return Candidate(
            wnid=reading.query.wnid,
            url=row.url,
            source=self.name,
            rank=reading.rank + len(reading.found) + 1,
            title=row.caption or row.url,
            page_url=row.page or None,
            rights=dataclasses.replace(rights, author=row.author or None),
        )


@dataclass(slots=True)
class _Reading:
    """A query while its list is read: where it stands, and what was found since; `rank` counts what was before."""

    query: Query
    sought: str
    start: Position
    rank: int
    found: list[Candidate] = field(default_factory=list)


def _pages_until(after: Position, readings: Sequence[_Reading]) -> dict[Query, SearchPage]:
    """What was found up to `after`, for the queries that stood before it."""
    return {
        reading.query: SearchPage(
            tuple(reading.found),
            json.dumps(
                {"offset": after.offset, "line": after.line, "rank": reading.rank + len(reading.found)}
            ),
        )
        for reading in readings
        if reading.start.offset < after.offset
    }


def build(settings: Settings, folder: Path) -> UrlList:
    """The `url_list` source of a project, files taken from the project folder; raises ProjectError."""
    paths = settings.url_list.paths
    if not paths:
        raise ProjectError("the url_list source needs `paths` under [url_list] in imagenet-builder.toml")
    places = dict.fromkeys(place for path in paths for place in _places(path, folder))
    rights = licence_of_setting(NAME, settings.url_list.licence)
    must_tell = not is_taken(rights, settings.crawl.licences)
    lists = [ListFile(place, folder / place, settings.url_list, must_tell=must_tell) for place in places]
    return UrlList(lists, rights)


def _places(path: str, folder: Path) -> Sequence[str]:
    """The list that `path` names, or those that a pattern does (`parts/*.parquet`); raises ProjectError for none."""
    if Path(path).suffix.lower() in COMPRESSED:
        raise ProjectError(f"{SETTING}: {path} is compressed: unpack it, or make it Parquet")
    check_place(path, SETTING)
    if is_bucket(path):
        if "*" in path:
            raise ProjectError(f"{SETTING}: {path} is a pattern: name each list in a bucket")
        return [path]
    if (folder / path).is_file():
        return [path]
    # Path.glob takes no absolute pattern.
    fitting = glob.glob(path, root_dir=folder)  # noqa: PTH207
    found = sorted(name for name in fitting if (folder / name).is_file())
    if not found:
        raise ProjectError(f"there is no list {folder / path}: correct `paths` under [url_list]")
    return [check_place(name, SETTING) for name in found]
