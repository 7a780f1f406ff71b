"""Where the pictures of a release came from, as the store knows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from imagenet_builder.records import Rights

from .tables import candidates, rulings, verdicts

# SQLite takes at most a million characters a statement.
ROWS_AT_ONCE = 10_000


class Provenance(NamedTuple):
    """Where a picture came from, and the verdict that its label rests on; times are aware UTC."""

    source: str
    url: str
    page_url: str | None
    title: str | None
    rights: Rights
    retrieved_at: datetime
    rule: str
    probability: float | None
    yes: int
    no: int
    unsure: int
    broken: int
    report: int


def provenance(
    connection: sa.Connection, rows: Sequence[int], asked: Sequence[int]
) -> Iterator[Provenance | None]:
    """What the candidates of these rows, and the current verdicts on the questions `asked` beside each, say; None where
    there is no such candidate or no verdict."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some, their_questions = rows[start : start + ROWS_AT_ONCE], asked[start : start + ROWS_AT_ONCE]
        origins = _origins(connection, some)
        decided = _decided(connection, their_questions)
        for row, question in zip(some, their_questions, strict=True):
            origin, verdict = origins.get(row), decided.get(question)
            yield None if origin is None or verdict is None else Provenance(*origin, *verdict)


Origin = tuple[str, str, str | None, str | None, Rights, datetime]


def _origins(connection: sa.Connection, rows: Sequence[int]) -> dict[int, Origin]:
    columns = candidates.c
    statement = sa.select(
        columns.id,
        columns.source,
        sa.func.coalesce(columns.original_url, columns.url),
        columns.page_url,
        columns.title,
        columns.licence,
        columns.licence_version,
        columns.licence_url,
        columns.author,
        columns.credit,
        columns.ended_at,
    )
    found: dict[int, Origin] = {}
    rights_of: dict[tuple[Any, ...], Rights] = {}
    for row, source, url, page, title, *told, ended_at in _those(connection, statement, columns.id, rows):
        named = tuple(told)
        rights = rights_of.get(named) or rights_of.setdefault(named, Rights(*named))
        found[row] = (source, url, page, title, rights, ended_at)
    return found


def _decided(connection: sa.Connection, asked: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    columns = verdicts.c
    votes = (columns.yes, columns.no, columns.unsure, columns.broken, columns.report)
    said = (rulings.c.rule, columns.probability, *votes)
    statement = sa.select(columns.question_id, *said).join_from(
        verdicts, rulings, rulings.c.id == columns.ruling_id
    )
    rows = _those(connection, statement, columns.question_id, asked)
    return {question: tuple(verdict) for question, *verdict in rows}


def _those(
    connection: sa.Connection,
    statement: sa.Select[*tuple[Any, ...]],
    column: sa.Column[int],
    rows: Sequence[int],
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    # Written out, because thousands of bound values cost more than the rows; and not kept, because it comes once.
    among = sa.text(f"{column} IN ({', '.join(map(str, map(int, rows)))})")
    return connection.execute(statement.where(among), execution_options={"compiled_cache": None}).all()
