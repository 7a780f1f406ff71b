"""Asking sources for candidates. A page's candidates and where its query goes on are one transaction."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from imagenet_builder.errors import SourceError
from imagenet_builder.records import Category, Reason
from imagenet_builder.sources import Source
from imagenet_builder.store import search as sql
from imagenet_builder.store.crawl import Scope
from imagenet_builder.store.thread import StoreThread

from .report import Progress, ProgressListener, Tally

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph

logger = logging.getLogger(__name__)

# A source that fails this often in a row is not asked again in the same run.
MOST_FAILURES = 3


@dataclass(slots=True)
class Search:
    """One run's search, category by category, source by source: sources ask not to be asked in parallel."""

    store: StoreThread
    session: aiohttp.ClientSession
    sources: Sequence[Source]
    scope: Scope
    per_category: int
    graph: Callable[[], Graph]
    tally: Tally
    clock: Callable[[], datetime]
    listener: ProgressListener

    async def run(self, categories: Sequence[Category]) -> None:
        """Search for every category. A source that fails costs its own share only: see `tally.source_errors`."""
        failures: Counter[str] = Counter()
        for done, category in enumerate(categories):
            self.listener(Progress("search", done, len(categories), category.name))
            for source in self.sources:
                if failures[source.name] >= MOST_FAILURES:
                    continue
                try:
                    await self._ask(category, source)
                    failures[source.name] = 0
                except SourceError as error:
                    failures[source.name] += 1
                    self.tally.source_errors.append(f"source {source.name}: {error}")
                    logger.warning("%s (%s): %s", category.name, source.name, error)
            await self._notice_emptiness(category)
        self.listener(Progress("search", len(categories), len(categories)))

    async def _ask(self, category: Category, source: Source) -> None:
        """Ask `source` until the category has enough candidates or its queries are exhausted."""
        room = await self._room(category)
        if room <= 0:
            return
        made = source.queries(category, self.graph)
        await self.store.write(functools.partial(sql.add_queries, made=made))
        new = 0
        while room > 0:
            asked = await self.store.read(
                functools.partial(sql.next_query, wnid=category.wnid, source=source.name)
            )
            if asked is None:
                break
            page = await source.search(asked.query, self.session)
            if page.continuation is not None and page.continuation == asked.query.continuation:
                raise SourceError(f"the search for {asked.query.words!r} does not move on")
            recorded = await self.store.write(
                functools.partial(
                    sql.record_page, asked=asked, page=page, scope=self.scope, room=room, now=self.clock()
                )
            )
            self.tally.pages += 1
            self.tally.new_candidates += recorded.new
            if recorded.refused:
                self.tally.ended["rejected", Reason.LICENCE] += recorded.refused
            if recorded.taken_down:
                self.tally.ended["rejected", Reason.TAKEN_DOWN] += recorded.taken_down
            new += recorded.new
            room = await self._room(category)
        logger.info("%s: %d new candidates from %s", category.name, new, source.name)

    async def _room(self, category: Category) -> int:
        count = await self.store.read(
            functools.partial(sql.usable_count, wnid=category.wnid, licences=self.scope.licences)
        )
        return self.per_category - count

    async def _notice_emptiness(self, category: Category) -> None:
        if await self._room(category) == self.per_category:
            self.tally.without_candidates.append(category.wnid)
            logger.warning("%s (%s): no usable candidate found", category.name, category.wnid)
