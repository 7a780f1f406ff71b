"""SQL of the queries: what each brought so far, and which of them are worth asking on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hits.model import Decision
from imagenet_builder.records import Query

from .bulk import insert_rows
from .chunks import chunks
from .storable import storable
from .tables import candidates, queries, questions, verdicts


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """A query and its yield, in results: `found` were new, `known` another query had found before.

    Of those found, `stored` are images (people did not say that they show something else), and `refused` led to
    nothing: rejected (for their licence, by inspection, by people) or failed for good. The others are undecided.
    """

    query_id: int
    query: Query
    exhausted: bool
    found: int
    known: int
    stored: int
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
        }
        for query in made
    ]
    insert_rows(connection, queries, rows)


def kept_words(query: Query) -> str:
    """The words of `query` as the store has them."""
    return storable(query.words, 255)


def asked_queries(
    connection: Connection, wnids: Sequence[str], sources: Sequence[str] = ()
) -> list[AskedQuery]:
    """Every query for `wnids` (to `sources`, if given) with its yield, in the order in which they were made."""
    found: list[AskedQuery] = []
    for chunk in chunks(wnids):
        brought = _brought(chunk, sources)
        table = queries.c
        rows = connection.execute(
            sa.select(
                *(table.id, table.wnid, table.source, table.words, table.language, table.continuation),
                *(table.exhausted, table.found, table.known),
                sa.func.coalesce(brought.c.stored, 0).label("stored"),
                sa.func.coalesce(brought.c.refused, 0).label("refused"),
            )
            .select_from(queries.outerjoin(brought, brought.c.query_id == table.id))
            .where(table.wnid.in_(chunk), _of(table.source, sources))
        )
        found += [
            AskedQuery(
                row.id,
                Query(row.wnid, row.source, row.words, row.language, row.continuation),
                *(row.exhausted, row.found, row.known, row.stored, row.refused),
            )
            for row in rows
        ]
    return sorted(found, key=lambda asked: asked.query_id)


def _brought(wnids: Sequence[str], sources: Sequence[str]) -> sa.Subquery:
    """How the candidates of each query ended; a current verdict of people counts over the inspection's."""
    unwanted = sa.and_(
        candidates.c.state == "stored", sa.func.coalesce(verdicts.c.decision, "") == Decision.REJECTED
    )
    for_good = sa.and_(candidates.c.state == "failed", sa.not_(candidates.c.retryable))
    refused = sa.or_(candidates.c.state == "rejected", for_good, unwanted)
    asked = sa.and_(questions.c.sha256 == candidates.c.sha256, questions.c.wnid == candidates.c.wnid)
    current = sa.and_(verdicts.c.question_id == questions.c.id, verdicts.c.superseded_at.is_(None))
    return (
        sa.select(
            candidates.c.query_id,
            sa.func.count()
            .filter(sa.and_(candidates.c.state == "stored", sa.not_(unwanted)))
            .label("stored"),
            sa.func.count().filter(refused).label("refused"),
        )
        .select_from(candidates.outerjoin(questions, asked).outerjoin(verdicts, current))
        .where(candidates.c.wnid.in_(wnids), _of(candidates.c.source, sources))
        .group_by(candidates.c.query_id)
        .subquery("brought")
    )


def _of(column: sa.Column[str], names: Sequence[str]) -> sa.ColumnElement[bool]:
    return column.in_(names) if names else sa.true()
