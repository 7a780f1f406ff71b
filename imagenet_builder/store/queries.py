"""SQL of the queries: what each brought so far, and which of them are worth asking on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hits.model import Decision
from imagenet_builder.records import Query

from .bulk import insert_rows, update_rows
from .chunks import chunks
from .storable import storable
from .tables import candidates, queries, questions, verdicts


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """A query and what it came to, in results: `found` were new, `known` another query had found before.

    `refused` of those found count against it: refused by the search (for their licence, because they were taken
    down), or ended without a picture of use before the crawl that is under way began. How fast fetching follows the
    search, and where a crawl was killed, so make no difference to what it asks.
    """

    query_id: int
    query: Query
    exhausted: bool
    found: int
    known: int
    refused: int

    @property
    def seen(self) -> int:
        """How many results were looked at."""
        return self.found + self.known

    @property
    def poor(self) -> int:
        """How many results were of no use: known already, or refused."""
        return self.known + self.refused

    def after(
        self, continuation: str | None, *, exhausted: bool, new: int, known: int, refused: int
    ) -> AskedQuery:
        """This query when a page more is recorded."""
        return dataclasses.replace(
            self,
            query=dataclasses.replace(self.query, continuation=continuation),
            exhausted=exhausted,
            found=self.found + new,
            known=self.known + known,
            refused=self.refused + refused,
        )


@dataclass(frozen=True, slots=True)
class QueryYield:
    """What a query brought by now: `stored` images (people did not say that they show something else), and `refused`,
    which led to nothing: rejected (for their licence, by inspection, by people) or failed for good.

    The others of those that `asked` found are undecided. `asked` is as the next crawl will see it.
    """

    asked: AskedQuery
    stored: int
    refused: int


@dataclass(frozen=True, slots=True)
class DropRule:
    """A query is dropped when of at least `after` results the share `share` was of no use. `after` 0: never."""

    after: int
    share: float

    def drops(self, asked: AskedQuery) -> bool:
        """Whether `asked` is not to be asked on."""
        return 0 < self.after <= asked.seen and asked.poor >= self.share * asked.seen


def add_queries(connection: Connection, made: Iterable[Query]) -> None:
    """Record queries; those that are known stay as they are."""
    rows = [
        {
            "wnid": query.wnid,
            "source": query.source,
            "words": kept_words(query),
            "language": query.language,
            "exhausted": False,
            "found": 0,
            "known": 0,
            "refused": 0,
        }
        for query in made
    ]
    insert_rows(connection, queries, rows)


def kept_words(query: Query) -> str:
    """The words of `query` as the store has them."""
    return storable(query.words, 255)


def begin_crawl(connection: Connection, wnids: Sequence[str], sources: Sequence[str]) -> None:
    """Count what speaks against each query for `wnids` to `sources` as a crawl of them begins.

    Queries with which a crawl is under way, because it did not come to its end, keep what was counted as it began.
    """
    counted: list[dict[str, Any]] = []
    for chunk in chunks(wnids):
        brought = _brought(chunk, sources)
        rows = connection.execute(
            sa.select(queries.c.id, sa.func.coalesce(brought.c.refused, 0).label("refused"))
            .select_from(queries.outerjoin(brought, brought.c.query_id == queries.c.id))
            .where(_among(queries, chunk, sources), queries.c.refused.is_(None), sa.not_(queries.c.exhausted))
        )
        counted += [row._asdict() for row in rows]
    update_rows(connection, queries, "id", counted)


def ask_again(connection: Connection, wnids: Sequence[str], sources: Sequence[str]) -> None:
    """Let the exhausted queries for `wnids` to `sources` begin anew; what they found stays theirs, and is not new."""
    for chunk in chunks(wnids):
        exhausted = sa.and_(_among(queries, chunk, sources), queries.c.exhausted)
        connection.execute(queries.update().where(exhausted).values(exhausted=False, continuation=None))


def end_crawl(connection: Connection, wnids: Sequence[str], sources: Sequence[str]) -> None:
    """The crawl that was under way with the queries for `wnids` to `sources` came to its end."""
    for chunk in chunks(wnids):
        connection.execute(
            queries.update()
            .where(_among(queries, chunk, sources), queries.c.refused.is_not(None))
            .values(refused=None)
        )


def asked_queries(connection: Connection, wnids: Sequence[str], sources: Sequence[str]) -> list[AskedQuery]:
    """Every query for `wnids` to `sources` in the crawl under way, in the order in which they were made."""
    found: list[AskedQuery] = []
    for chunk in chunks(wnids):
        rows = connection.execute(sa.select(*_columns(0)).where(_among(queries, chunk, sources)))
        found += [_asked(row) for row in rows]
    return sorted(found, key=lambda asked: asked.query_id)


def query_yields(connection: Connection, wnids: Sequence[str]) -> list[QueryYield]:
    """What every query for `wnids` brought by now, in the order in which they were made."""
    found: list[QueryYield] = []
    for chunk in chunks(wnids):
        brought = _brought(chunk)
        refused = sa.func.coalesce(brought.c.refused, 0)
        rows = connection.execute(
            sa.select(
                *_columns(refused),
                sa.func.coalesce(brought.c.stored, 0).label("stored_now"),
                refused.label("refused_now"),
            )
            .select_from(queries.outerjoin(brought, brought.c.query_id == queries.c.id))
            .where(queries.c.wnid.in_(chunk))
        )
        found += [QueryYield(_asked(row), row.stored_now, row.refused_now) for row in rows]
    return sorted(found, key=lambda one: one.asked.query_id)


def _columns(refused: sa.ColumnElement[int] | int) -> tuple[sa.ColumnElement[Any], ...]:
    """What `_asked` reads; `refused` counts against queries with which no crawl is under way."""
    table = queries.c
    return (
        *(table.id, table.wnid, table.source, table.words, table.language, table.continuation),
        *(table.exhausted, table.found, table.known),
        sa.func.coalesce(table.refused, refused).label("refused"),
    )


def _asked(row: sa.Row[*tuple[Any, ...]]) -> AskedQuery:
    query = Query(row.wnid, row.source, row.words, row.language, row.continuation)
    return AskedQuery(row.id, query, row.exhausted, row.found, row.known, row.refused)


def _brought(wnids: Sequence[str], sources: Sequence[str] = ()) -> sa.Subquery:
    """How the candidates of each query ended; a current verdict of people counts over the inspection's."""
    unwanted = sa.and_(
        candidates.c.state == "stored", sa.func.coalesce(verdicts.c.decision, "") == Decision.REJECTED
    )
    for_good = sa.and_(candidates.c.state == "failed", sa.not_(candidates.c.retryable))
    refused = sa.or_(candidates.c.state == "rejected", for_good, unwanted)
    asked = sa.and_(questions.c.sha256 == candidates.c.sha256, questions.c.wnid == candidates.c.wnid)
    return (
        sa.select(
            candidates.c.query_id,
            sa.func.count()
            .filter(sa.and_(candidates.c.state == "stored", sa.not_(unwanted)))
            .label("stored"),
            sa.func.count().filter(refused).label("refused"),
        )
        .select_from(
            candidates.outerjoin(questions, asked).outerjoin(
                verdicts, verdicts.c.question_id == questions.c.id
            )
        )
        .where(_among(candidates, wnids, sources))
        .group_by(candidates.c.query_id)
        .subquery("brought")
    )


def _among(table: sa.Table, wnids: Sequence[str], sources: Sequence[str]) -> sa.ColumnElement[bool]:
    """Rows for `wnids` (of `sources`, if given)."""
    return sa.and_(table.c.wnid.in_(wnids), table.c.source.in_(sources) if sources else sa.true())
