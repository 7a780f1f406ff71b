"""Lists of picture addresses with captions or wnids, as web-scale collections come: read as a stream, never loaded."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builder.config import Settings
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query, Rights, SearchPage

from .json_api import read_position
from .licences import licence_of_setting, read_code
from .list_files import PARQUET, ListFile, ListRow, Position, Wanted, is_bucket
from .matching import check_place, read_query, write_query

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph

logger = logging.getLogger(__name__)

NAME = "url_list"
PAGE_SIZE = 500
# Rows looked at for one page: the search goes on after them, so that a stop is noticed and is not lost.
ROWS_AT_ONCE = 500_000
_WEB = ("http://", "https://")


class UrlList:
    """The `url_list` source. A query is one list; its continuation the byte (text) or row (Parquet) to go on at."""

    name = NAME

    def __init__(
        self,
        lists: Sequence[ListFile],
        rights: Rights | None = None,
        *,
        page_size: int = PAGE_SIZE,
        rows_at_once: int = ROWS_AT_ONCE,
    ) -> None:
        self._lists = {file.place: file for file in lists}
        self._rights = rights or Rights()
        self._page_size = page_size
        self._rows_at_once = rows_at_once

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """The category's words in each list; none needs WordNet."""
        return tuple(
            Query(wnid=category.wnid, source=self.name, words=write_query(category, place))
            for place in self._lists
        )

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """The next rows that match; raises SourceError, with the line, for a list that cannot be read."""
        sought, place = read_query(query.words)
        if place not in self._lists:
            raise SourceError(f"the list {place} is not among `paths` under [url_list] any more")
        position = read_position(query.continuation, self.name)
        return await asyncio.to_thread(self._next_page, query, Wanted(query.wnid, sought), place, position)

    def _next_page(self, query: Query, wanted: Wanted, place: str, position: dict[str, int]) -> SearchPage:
        start = Position(position.get("offset", 0), position.get("line", 0))
        rank, after = position.get("rank", 0), start
        found: list[Candidate] = []
        for after, row in self._lists[place].scan(start, wanted):
            if row is not None and row.url:
                if not row.url.lower().startswith(_WEB):
                    # It becomes a candidate all the same, and fails by name when it is fetched.
                    logger.warning("%s, line %d: %.80r is not an address", place, after.line, row.url)
                found.append(self._candidate(query, row, rank + len(found) + 1))
            if len(found) >= self._page_size or after.line - start.line >= self._rows_at_once:
                going_on = {"offset": after.offset, "line": after.line, "rank": rank + len(found)}
                return SearchPage(tuple(found), json.dumps(going_on))
        return SearchPage(tuple(found), None)

    def _candidate(self, query: Query, row: ListRow, rank: int) -> Candidate:
        # A licence that is written but not known is unknown, not the default.
        rights = (read_code(row.licence) or Rights()) if row.licence else self._rights
        return Candidate(
            wnid=query.wnid,
            url=row.url,
            source=self.name,
            rank=rank,
            title=row.caption or row.url,
            page_url=row.page or None,
            rights=dataclasses.replace(rights, author=row.author or None),
        )


def build(settings: Settings, folder: Path) -> UrlList:
    """The `url_list` source of a project, files taken from the project folder; raises ProjectError."""
    paths = settings.url_list.paths
    if not paths:
        raise ProjectError("the url_list source needs `paths` under [url_list] in imagenet-builder.toml")
    for place in paths:
        check_place(place, "[url_list] paths")
        suffix = Path(place).suffix.lower()
        if suffix in (".gz", ".zst", ".bz2", ".xz", ".zip"):
            raise ProjectError(f"[url_list] paths: {place} is compressed: unpack it, or make it Parquet")
        if suffix in PARQUET and importlib.util.find_spec("pyarrow") is None:
            raise ProjectError(f"{place} needs pyarrow: pip install 'imagenet-builder[lists]'")
        if not is_bucket(place) and not (folder / place).is_file():
            raise ProjectError(f"there is no list {folder / place}: correct `paths` under [url_list]")
    lists = [ListFile(place, folder / place, settings.url_list) for place in dict.fromkeys(paths)]
    return UrlList(lists, licence_of_setting(NAME, settings.url_list.licence))
