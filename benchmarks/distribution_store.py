"""What a crawl's driver asks of its store: rows a second by way of writing, and the costs of a store that grows.

The parts of benchmarks/distribution.py that need no crawl.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from process_roles import cpu_seconds

from hits import database
from imagenet_builder.descriptors import BYTES
from imagenet_builder.executors.ray_worker import owner_of
from imagenet_builder.records import Fetched, Inspected
from imagenet_builder.store import crawl as sql
from imagenet_builder.store import outcomes as outcomes_sql
from imagenet_builder.store import tables
from imagenet_builder.store.bulk import insert_new, insert_rows

WNID = "n04507155"
SCOPE = sql.Scope((WNID,), ("bench",), ("by",))
NOW = datetime(2026, 5, 4, tzinfo=UTC)
GOAL = 10**8
# Hosts of a web-scale list, and how steeply their sizes fall (Zipf): the largest has a fourteenth of it all.
WEB_HOSTS, STEEPNESS = 1_000_000, 1.0


@dataclass(frozen=True)
class Written:
    """One way of recording: rows a second of wall time, of the driver's own CPU, and of this and the server's."""

    path: str
    engine: str
    rows_a_second: float
    rows_a_driver_second: float
    rows_a_cpu_second: float


@dataclass(frozen=True)
class Sized:
    """A store of `rows` candidates: bytes a row with its indexes, and CPU milliseconds (driver and server) of what a
    crawl asks.
    """

    rows: int
    row_bytes: float
    page_ms: float
    late_page_ms: float
    count_ms: float
    commit_ms: float


# --- the write path -------------------------------------------------------------------------------------


def written(engine: sa.Engine, rows: int) -> Iterator[Written]:
    """Candidates proposed and ended, `rows` of them each way, in transactions of the sizes that the crawl has."""
    name = engine.url.get_backend_name()
    with database.writing(engine) as connection:
        query_id = connection.execute(
            tables.queries.insert().returning(tables.queries.c.id),
            {"wnid": WNID, "source": "bench", "words": "x", "language": "en", "exhausted": False, "found": 0,
             "known": 0},
        ).scalar_one()  # fmt: skip

    def one_by_one(connection: sa.Connection, batch: list[dict[str, Any]]) -> None:
        connection.execute(insert_new(connection, tables.candidates), batch)

    def together(connection: sa.Connection, batch: list[dict[str, Any]]) -> None:
        insert_rows(connection, tables.candidates, batch)

    ways: list[tuple[str, Callable[..., None]]] = [("executemany", one_by_one)]
    ways += [("COPY", together)] if name == "postgresql" else []
    for path, insert in ways:
        batches = [
            [candidate(f"{path}-{start + number}", query_id) for number in range(500)]
            for start in range(0, rows, 500)
        ]
        yield timed(f"propose, {path}", engine, batches, insert)
    with database.reading(engine) as connection:
        ids = list(connection.scalars(sa.select(tables.candidates.c.id).order_by(tables.candidates.c.id)))
    commits = [("executemany", commit_one_by_one)]
    commits += [("COPY", outcomes_sql.commit_outcomes)] if name == "postgresql" else []
    for part, (path, commit) in enumerate(commits):
        mine = ids[part * rows : (part + 1) * rows]
        ends = [[(key, fetched(key)) for key in mine[start : start + 200]] for start in range(0, rows, 200)]
        yield timed(f"end, {path}", engine, ends, commit)


def commit_one_by_one(connection: sa.Connection, outcomes: Sequence[tuple[int, Fetched]]) -> None:
    """What `commit_outcomes` does, without COPY: a row at a time."""
    images = [
        outcomes_sql._image_row(end.outcome, end.at)
        for _, end in outcomes
        if isinstance(end.outcome, Inspected)
    ]
    connection.execute(insert_new(connection, tables.images), images)
    rows = [outcomes_sql._outcome_row(key, end) for key, end in outcomes]
    names = [name for name in rows[0] if name != "id"]
    statement = tables.candidates.update().where(tables.candidates.c.id == sa.bindparam("given_id"))
    values: dict[str, sa.ColumnElement[Any]] = {name: sa.bindparam(f"given_{name}") for name in names}
    values["attempts"] = tables.candidates.c.attempts + sa.bindparam("given_attempts")
    connection.execute(statement.values(values), [{f"given_{n}": v for n, v in row.items()} for row in rows])


def timed(path: str, engine: sa.Engine, batches: list[Any], write: Callable[..., None]) -> Written:
    """Each batch in a transaction of its own."""
    started, own, both = time.monotonic(), time.process_time(), cpu_seconds(engine)
    for batch in batches:
        with database.writing(engine) as connection:
            write(connection, batch)
    seconds, own, both = time.monotonic() - started, time.process_time() - own, cpu_seconds(engine) - both
    rows = sum(len(batch) for batch in batches)
    name = engine.url.get_backend_name()
    return Written(path, name, round(rows / seconds), round(rows / own), round(rows / both))


def candidate(name: str, query_id: int) -> dict[str, Any]:
    """A row as the search inserts it."""
    return {
        "wnid": WNID, "url": f"https://pictures.example/collections/2026/{name}.jpg", "query_id": query_id,
        "source": "bench", "rank": 1, "title": f"picture {name}", "page_url": f"https://pictures.example/{name}",
        "licence": "by", "author": "Somebody", "found_at": NOW, "state": "pending", "retryable": False,
        "attempts": 0,
    }  # fmt: skip


def fetched(key: int) -> Fetched:
    """An outcome as workers report it."""
    image = Inspected(f"{key:064x}", "jpeg", "RGB", 500, 375, 200_000, key, descriptor=bytes(BYTES))
    return Fetched(image, NOW, http_status=200, robots="allowed", etag='"5f3-6a1"', last_modified="yesterday")


# --- size -----------------------------------------------------------------------------------------------


def sized(engine: sa.Engine, steps: Sequence[int]) -> Iterator[Sized]:
    """Fill the store step by step, nine tenths of it ended, and time at each what a crawl asks."""
    with database.writing(engine) as connection:
        query_id = connection.execute(
            tables.queries.insert().returning(tables.queries.c.id),
            {"wnid": WNID, "source": "bench", "words": "y", "language": "en", "exhausted": False, "found": 0,
             "known": 0},
        ).scalar_one()  # fmt: skip
    for rows in steps:
        first = rows * 9 // 10 + 1
        fill(engine, rows, first, query_id)
        with database.reading(engine) as connection:
            size = connection.scalar(sa.text("SELECT pg_total_relation_size('candidates')")) or 0
            late = milliseconds(engine, 3, waiting_page, connection, 0)
            page = milliseconds(engine, 10, waiting_page, connection, first)
            count = milliseconds(engine, 5, sql.waiting_count, connection, SCOPE, sql.Which())
        commit = milliseconds(engine, 20, end_next, engine, iter(range(first, rows + 1)))
        yield Sized(rows, size / rows, page, late, count, commit)


def end_next(engine: sa.Engine, keys: Iterator[int]) -> None:
    """Commit the outcomes of the next 200 candidates."""
    ends = [(key, fetched(key)) for key in itertools.islice(keys, 200)]
    with database.writing(engine) as connection:
        outcomes_sql.commit_outcomes(connection, ends)


def waiting_page(connection: sa.Connection, after: int) -> None:
    """A page as the crawl takes it."""
    sql.waiting(connection, SCOPE, sql.Which(), after=after, limit=2000)


def fill(engine: sa.Engine, rows: int, first: int, query_id: int) -> None:
    """Make candidates 1 to `rows`, on the server itself; those from `first` on wait, the others have ended."""
    with database.writing(engine) as connection:
        connection.execute(sa.text("TRUNCATE candidates, images CASCADE"))
        connection.execute(
            sa.text(
                "INSERT INTO candidates (id, wnid, url, query_id, source, rank, title, page_url, licence, author,"
                " found_at, state, reason, ended_at, retryable, attempts)"
                " SELECT n, :wnid, 'https://host' || (n * 7919 % 1000003) || '.example/collections/' || n || '.jpg',"
                " :query, 'bench', 1, 'picture ' || n, 'https://host.example/page/' || n, 'by', 'Somebody', now(),"
                " CASE WHEN n < :first THEN 'rejected' ELSE 'pending' END, CASE WHEN n < :first THEN 'blank' END,"
                " CASE WHEN n < :first THEN now() END, false, 0"
                " FROM generate_series(CAST(1 AS bigint), CAST(:rows AS bigint)) AS n"
            ),
            {"wnid": WNID, "query": query_id, "first": first, "rows": rows},
        )
    # As the server's autovacuum does sooner or later.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE candidates"))


def milliseconds(engine: sa.Engine, times: int, work: Callable[..., object], *arguments: object) -> float:
    """CPU milliseconds of driver and server for one of so many runs."""
    before = cpu_seconds(engine)
    for _ in range(times):
        work(*arguments)
    return (cpu_seconds(engine) - before) / times * 1000


def at_goal(sizes: Sequence[Sized]) -> dict[str, tuple[float, str]]:
    """The last step carried on to GOAL candidates, with the formula."""
    last = sizes[-1]
    times = GOAL / last.rows
    # A B-tree of 8 KiB pages with about 100 keys of these addresses in each.
    deeper = math.log(GOAL) / math.log(last.rows)
    return {
        "store GiB": (last.row_bytes * GOAL / 2**30, "bytes a row × 10⁸"),
        "page of 2,000 ms": (last.page_ms * deeper, "× log 10⁸ / log rows: index look-ups"),
        "first page of a run, s": (
            last.late_page_ms * times / 1000,
            "× 10⁸ / rows: a scan over ended rows",
        ),
        "count at the start s": (last.count_ms * times / 1000, "× 10⁸ / rows: a scan"),
        "commit of 200 ms": (last.commit_ms * deeper, "× log 10⁸ / log rows: index look-ups"),
        "candidates a second of one driver": (
            1000 / (last.page_ms * deeper / 2000 + last.commit_ms * deeper / 200),
            "1 / (page / 2,000 + commit / 200)",
        ),
    }


def shares(owners: int) -> float:
    """How much more than its share the fullest of `owners` has of GOAL candidates on Zipf-distributed hosts."""
    weights = 1 / np.arange(1, WEB_HOSTS + 1) ** STEEPNESS
    weights /= weights.sum()
    load = np.zeros(owners)
    for number in range(WEB_HOSTS):
        load[owner_of(f"http://host{number}.example/", owners)] += weights[number]
    return float(load.max() * owners)
