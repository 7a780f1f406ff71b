"""Asking sources for candidates. A page's candidates and where its query goes on are one transaction."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from imagenet_builder.errors import SourceError
from imagenet_builder.records import Category, Query, Reason, SearchPage
from imagenet_builder.sources import ScanningSource, Source
from imagenet_builder.store import queries as queries_sql
from imagenet_builder.store import search as sql
from imagenet_builder.store.crawl import Scope
from imagenet_builder.store.queries import AskedQuery, DropRule
from imagenet_builder.store.thread import StoreThread

from .arrivals import Arrivals
from .report import Progress, ProgressListener, Tally

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph

logger = logging.getLogger(__name__)

# A source that fails this often in a row is not asked again in the same run.
MOST_FAILURES = 3


@dataclass(slots=True)
class Search:
    """One run's search, source by source: what the first has not got is sought in the next.

    Sources ask not to be asked in parallel, and are not. `rooms` are the candidates that each category still wants.
    """

    store: StoreThread
    session: aiohttp.ClientSession
    sources: Sequence[Source]
    scope: Scope
    per_category: int
    drop: DropRule
    graph: Callable[[], Graph]
    tally: Tally
    clock: Callable[[], datetime]
    listener: ProgressListener
    arrivals: Arrivals = field(default_factory=Arrivals)
    rooms: dict[str, int] = field(default_factory=dict)

    async def run(self, categories: Sequence[Category]) -> None:
        """Search for every category. A source that fails costs its own share only: see `tally.source_errors`."""
        counts = await self.store.read(
            functools.partial(
                sql.usable_counts,
                wnids=[category.wnid for category in categories],
                licences=self.scope.licences,
            )
        )
        self.rooms = {wnid: self.per_category - count for wnid, count in counts.items()}
        for source in self.sources:
            if isinstance(source, ScanningSource):
                await self._ask_together(source, categories)
            else:
                await self._ask_in_turn(source, categories)
        for category in categories:
            if self.rooms[category.wnid] == self.per_category:
                self.tally.without_candidates.append(category.wnid)
                logger.warning("%s (%s): no usable candidate found", category.name, category.wnid)
        self.listener(Progress("search", len(categories), len(categories)))

    async def _ask_in_turn(self, source: Source, categories: Sequence[Category]) -> None:
        failures = 0
        for done, category in enumerate(categories):
            self.listener(Progress("search", done, len(categories), f"{source.name}: {category.name}"))
            if self.rooms[category.wnid] <= 0:
                continue
            try:
                await self._ask(category, source)
                failures = 0
            except SourceError as error:
                failures += 1
                self._note_failure(source, error, category.name)
                if failures >= MOST_FAILURES:
                    return

    async def _ask(self, category: Category, source: Source) -> None:
        """Ask `source` until the category has enough candidates or its queries are exhausted or dropped."""
        wnid, before = category.wnid, self.rooms[category.wnid]
        open_queries = await self._made(source, source.queries(category, self.graph))
        while open_queries and self.rooms[wnid] > 0:
            # The one that gave least so far, the earliest of equals: each phrase has its turn.
            asked = min(open_queries, key=lambda one: (one.seen, one.query_id))
            open_queries.remove(asked)
            page = await source.search(asked.query, self.session)
            open_queries += await self._record(source, [(asked, page)])
        logger.info("%s: %d new candidates from %s", category.name, before - self.rooms[wnid], source.name)

    async def _ask_together(self, source: ScanningSource, categories: Sequence[Category]) -> None:
        """Read through `source` once for all categories that want candidates."""
        wanting = [category for category in categories if self.rooms[category.wnid] > 0]
        before = self.tally.new_candidates
        self.listener(Progress("search", len(categories) - len(wanting), len(categories), source.name))
        try:
            made = [query for category in wanting for query in source.queries(category, self.graph)]
            found = await self._made(source, made)
            open_queries = {asked.query: asked for asked in found}
            while open_queries:
                pages = await source.scan(list(open_queries), self.session)
                if not pages:
                    raise SourceError("reading through it does not move on")
                going_on = await self._record(
                    source, [(open_queries.pop(query), page) for query, page in pages.items()]
                )
                open_queries |= {asked.query: asked for asked in going_on}
                open_queries = {
                    query: asked for query, asked in open_queries.items() if self.rooms[query.wnid] > 0
                }
                waiting = len({query.wnid for query in open_queries})
                self.listener(Progress("search", len(categories) - waiting, len(categories), source.name))
        except SourceError as error:
            self._note_failure(source, error, f"{len(wanting)} categories")
        logger.info(
            "%d new candidates for %d categories from %s",
            *(self.tally.new_candidates - before, len(wanting), source.name),
        )

    async def _made(self, source: Source, made: Sequence[Query]) -> list[AskedQuery]:
        """Record the queries `made` to `source`; those of them that are worth asking on.

        What the source made once and makes no more (of a list that was taken out of the settings) rests.
        """
        await self.store.write(functools.partial(queries_sql.add_queries, made=made))
        wnids = sorted({query.wnid for query in made})
        known = await self.store.read(
            functools.partial(queries_sql.asked_queries, wnids=wnids, sources=[source.name])
        )
        current = {(query.wnid, queries_sql.kept_words(query)) for query in made}
        asked_for = [asked for asked in known if (asked.query.wnid, asked.query.words) in current]
        self.tally.exhausted_queries += sum(asked.exhausted for asked in asked_for)
        return [asked for asked in asked_for if self._worth_asking(asked)]

    def _worth_asking(self, asked: AskedQuery) -> bool:
        if asked.exhausted:
            return False
        if not self.drop.drops(asked):
            return True
        self.tally.dropped_queries += 1
        query, figures = asked.query, (asked.seen, asked.known, asked.refused)
        logger.info(
            "%s: the query %r to %s is dropped: of %d results %d were known and %d refused",
            *(query.wnid, query.words, query.source, *figures),
        )
        return False

    async def _record(
        self, source: Source, answers: Sequence[tuple[AskedQuery, SearchPage]]
    ) -> list[AskedQuery]:
        """Record pages of results in one transaction; the queries among them that are worth asking on."""
        for asked, page in answers:
            if page.continuation is not None and page.continuation == asked.query.continuation:
                raise SourceError(f"the search for {asked.query.words!r} does not move on")
        rooms = dict(self.rooms)

        def record(connection: Connection) -> list[sql.Recorded]:
            recorded = []
            for asked, page in answers:
                wnid = asked.query.wnid
                one = sql.record_page(connection, asked, page, self.scope, rooms[wnid], self.clock())
                rooms[wnid] -= one.new - one.refusals.total()
                recorded.append(one)
            return recorded

        recorded = await self.store.write(record)
        self.rooms = rooms
        self.tally.pages += len(recorded)
        self.tally.new_candidates += sum(one.new for one in recorded)
        self.arrivals.add(sum(one.new - one.refusals.total() for one in recorded))
        for reason in (Reason.LICENCE, Reason.TAKEN_DOWN):
            if refused := sum(one.refusals[reason] for one in recorded):
                self.tally.ended["rejected", reason] += refused
        return [one.asked for one in recorded if one.whole and self._worth_asking(one.asked)]

    def _note_failure(self, source: Source, error: SourceError, sought: str) -> None:
        self.tally.source_errors.append(f"source {source.name}: {error}")
        logger.warning("%s (%s): %s", sought, source.name, error)
