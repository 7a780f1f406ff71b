"""The crawl: search for candidates while the pending ones are fetched; stopped anywhere, it goes on there."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy.engine import Connection

from hits import database
from imagenet_builder.errors import ProjectError
from imagenet_builder.executors.executor import check_executor
from imagenet_builder.garbage import rare_collections
from imagenet_builder.project import Project
from imagenet_builder.records import Category
from imagenet_builder.sources import Source, open_sources
from imagenet_builder.sources.licences import FREEDOM, UNKNOWN, require_known
from imagenet_builder.store import categories as categories_sql
from imagenet_builder.store import crawl as sql
from imagenet_builder.store import queries as queries_sql
from imagenet_builder.store.crawl import Scope
from imagenet_builder.store.queries import DropRule
from imagenet_builder.store.thread import StoreThread

from .api_session import ApiSession
from .arrivals import Arrivals
from .collect import Collector
from .flight import unless_stopped
from .report import CrawlReport, Progress, ProgressListener, Tally
from .search import Search


def now_utc() -> datetime:
    """The system clock."""
    return datetime.now(UTC)


def ignore_progress(progress: Progress) -> None:
    """The listener of those who do not watch."""


def crawl(
    project: Project,
    *,
    wnids: Sequence[str] = (),
    retry: bool = False,
    refresh: bool = False,
    again: bool = False,
    sources: Sequence[Source] | None = None,
    listener: ProgressListener = ignore_progress,
    clock: Callable[[], datetime] = now_utc,
) -> CrawlReport:
    """Search for and fetch candidates of the selected categories (of `wnids` only, if given).

    `sources` are those that the settings name, unless given.
    With `retry` nothing is searched, and only candidates that failed and may succeed are fetched; with `refresh` only
    the servers of stored ones are asked whether they still show the same; `again` asks queries that were exhausted
    from their beginning: for what came to a source since. A stop by Ctrl-C or
    SIGTERM ends it within seconds, everything finished committed, with `interrupted` set in the report.
    Raises ProjectError, LockHeld, ImageStoreError, DatabaseError, WordNetError. Sources that failed are in the
    report: what others found is fetched nevertheless.
    """
    settings = project.settings.crawl
    require_known(settings.licences, (*FREEDOM, UNKNOWN))
    if not 0 < settings.drop_share <= 1:
        raise ProjectError(
            f"[crawl] drop_share = {settings.drop_share} must be over 0 and at most 1; drop_after = 0 drops no query"
        )
    check_executor(settings.executor)
    if sources is None:
        sources = open_sources(settings.sources, project.settings, project.folder)
    # Opened now: a place for images that cannot be used should not cost the sources a search.
    _ = project.images
    with database.exclusive_lock(project.engine, "crawl"):
        with database.reading(project.engine) as connection:
            categories = _chosen(categories_sql.selected(connection), wnids)
        with rare_collections(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_crawl(project, sources, categories, retry, refresh, again, listener, clock))


async def _crawl(
    project: Project,
    sources: Sequence[Source],
    categories: Sequence[Category],
    retry: bool,
    refresh: bool,
    again: bool,
    listener: ProgressListener,
    clock: Callable[[], datetime],
) -> CrawlReport:
    settings, tally, stop = project.settings.crawl, Tally(), asyncio.Event()
    scope = Scope(
        wnids=tuple(category.wnid for category in categories),
        sources=tuple(source.name for source in sources),
        licences=settings.licences,
    )
    with StoreThread(project.engine) as store, _stopped_by_signals(stop):
        searches = not retry and not refresh
        begin = functools.partial(_begin, scope=scope, searches=searches, again=again, now=clock())
        await store.write(begin)
        collector = Collector(project, store, sources, scope, tally, clock, listener)
        await collector.prepare(retry=retry, refresh=refresh)
        arrivals = Arrivals()
        if not searches:
            arrivals.end()
            await collector.run(stop, arrivals)
        else:
            async with ApiSession(project.settings.project) as session:
                search = Search(
                    store,
                    session,
                    sources,
                    scope,
                    settings.per_category,
                    DropRule(settings.drop_after, settings.drop_share),
                    lambda: project.graph,
                    tally,
                    clock,
                    listener,
                    arrivals,
                )
                async with _beside(search.run(categories), arrivals, stop):
                    await collector.run(stop, arrivals)
            if not stop.is_set() and not tally.quota_reached:
                await store.write(
                    functools.partial(queries_sql.end_crawl, wnids=scope.wnids, sources=scope.sources)
                )
    return tally.report(categories=len(categories), interrupted=stop.is_set())


def _begin(connection: Connection, scope: Scope, *, searches: bool, again: bool, now: datetime) -> None:
    sql.apply_licences(connection, scope, now)
    if again:
        queries_sql.ask_again(connection, scope.wnids, scope.sources)
    if searches:
        queries_sql.begin_crawl(connection, scope.wnids, scope.sources)


@contextlib.asynccontextmanager
async def _beside(search: Awaitable[None], arrivals: Arrivals, stop: asyncio.Event) -> AsyncIterator[None]:
    """Search while this is entered; a search that fails stops the fetching, as a signal would, and is raised here."""

    async def run() -> None:
        try:
            await unless_stopped(search, stop)
        except Exception:
            stop.set()
            raise
        finally:
            arrivals.end()

    searching = asyncio.create_task(run())
    try:
        yield
    finally:
        # Over already, unless fetching ended early: the quota is reached, or the store fails.
        searching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await searching


def _chosen(selected: Sequence[Category], wnids: Sequence[str]) -> list[Category]:
    if not selected:
        raise ProjectError("no categories are selected; run `imagenet-builder synsets select` first")
    known = {category.wnid for category in selected}
    for wnid in wnids:
        if wnid not in known:
            raise ProjectError(
                f"{wnid} is not a category here; run `imagenet-builder synsets select {wnid}` first"
            )
    return [category for category in selected if not wnids or category.wnid in wnids]


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set `stop`; a second one ends the program at once, which is as safe."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def ask_to_stop() -> None:
        for number in signals:
            loop.remove_signal_handler(number)
        stop.set()

    for number in signals:
        loop.add_signal_handler(number, ask_to_stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
