"""iNaturalist's open-data dump: the `inaturalist` source for large runs, which its API is not for.

Tables and addresses of photos: https://github.com/inaturalist/inaturalist-open-data. They are in a bucket that Amazon
hosts for everybody (s3://inaturalist-open-data), without limits of requests.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builder.config import InaturalistSettings
from imagenet_builder.errors import SourceError
from imagenet_builder.records import Candidate, Category, Query, SearchPage

from .dump_files import Dump
from .dump_index import GRADES, DumpIndex, DumpPhoto
from .filtered import asked_for, plain_words
from .inaturalist import LICENCES, NAME, SIZES, scientific_queries
from .licences import parse_licence

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph

PHOTOS = "https://inaturalist-open-data.s3.amazonaws.com/photos"
OBSERVATIONS = "https://www.inaturalist.org/observations"
INDEX_NAME = "inaturalist-dump.sqlite3"
PAGE_SIZE = 200
# Pages given in one answer to a scan.
PAGES_AT_ONCE = 100
# What each quality that is asked for takes: research grade first, and further down only where that is allowed.
WORST = {"research": 0, "needs_id": 1, "any": len(GRADES) - 1}


class INaturalistDump:
    """The `inaturalist` source on a dump. A query's words are a scientific name; taxa below it are included.

    The dump is read once for all names that are asked for together (`scan`), into an index in the project's folder.
    """

    name = NAME

    def __init__(
        self,
        settings: InaturalistSettings,
        licences: Sequence[str],
        folder: Path,
        *,
        page_size: int = PAGE_SIZE,
        photos: str = PHOTOS,
    ) -> None:
        self._size = settings.size
        self._quality = settings.quality
        self._licences = asked_for(licences, LICENCES)
        self._index = DumpIndex(Dump(settings.dump, folder), folder / INDEX_NAME)
        self._page_size = page_size
        self._photos = photos
        self._reading = threading.Lock()
        self._prepared: set[str] = set()

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """The category's scientific lemmas; none for what is no living thing, and WordNet is not needed."""
        # Who goes over from the API to the dump, or back, has other queries: neither reads the other's continuations.
        return scientific_queries(category, (*self._licences, self._quality, "dump"))

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """The next photos of a taxon; raises SourceError."""
        return (await self.scan([query], session))[query]

    async def scan(
        self, queries: Sequence[Query], session: aiohttp.ClientSession
    ) -> Mapping[Query, SearchPage]:
        """The next photos of the first of `queries`, after the dump was read for all of them; raises SourceError."""
        return await asyncio.to_thread(self._pages, queries)

    def _pages(self, queries: Sequence[Query]) -> dict[Query, SearchPage]:
        with self._reading:
            names = {plain_words(query.words) for query in queries} - self._prepared
            if names:
                self._index.prepare(names)
                self._prepared |= names
            return {query: self._page(query) for query in queries[:PAGES_AT_ONCE]}

    def _page(self, query: Query) -> SearchPage:
        after, rank = _position(query.continuation)
        # The dump writes the service's names of licences in capitals.
        licences = [LICENCES[code].upper() for code in self._licences]
        name, worst = plain_words(query.words), WORST[self._quality]
        photos = self._index.photos(name, licences, worst, after, self._page_size)
        candidates = tuple(
            self._candidate(query, photo, rank + count) for count, photo in enumerate(photos, start=1)
        )
        if len(photos) < self._page_size:
            return SearchPage(candidates, None)
        return SearchPage(candidates, json.dumps([*photos[-1].order, rank + len(photos)]))

    def _candidate(self, query: Query, photo: DumpPhoto, rank: int) -> Candidate:
        address = f"{self._photos}/{photo.photo_id}"
        width, height = photo.width, photo.height
        if width and height:
            scale = min(1.0, SIZES[self._size] / max(width, height))
            width, height = round(width * scale), round(height * scale)
        author = photo.name or photo.login or None
        rights = parse_licence(photo.licence)
        if rights is None:
            raise SourceError(f"the dump has a licence {photo.licence!r} that is none")
        return Candidate(
            wnid=query.wnid,
            url=f"{address}/{self._size}.{photo.extension}",
            source=NAME,
            rank=rank,
            title=photo.taxon or plain_words(query.words),
            page_url=f"{OBSERVATIONS}/{photo.observation}",
            rights=dataclasses.replace(
                rights, author=author, credit=f"(c) {author}, {photo.licence}" if author else None
            ),
            original_url=f"{address}/original.{photo.extension}" if self._size != "original" else None,
            width=width or None,
            height=height or None,
        )


def _position(continuation: str | None) -> tuple[tuple[int, int, int], int]:
    """After which photo to go on, and how many came before; raises SourceError."""
    if continuation is None:
        return (-1, 0, 0), 0
    try:
        grade, place, photo, rank = json.loads(continuation)
        return (int(grade), int(place), int(photo)), int(rank)
    except (ValueError, TypeError) as error:
        raise SourceError(f"the store's continuation of a {NAME} search is unreadable") from error
