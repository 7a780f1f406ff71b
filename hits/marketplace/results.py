"""A requester's results as a table: one row a submission, for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import surveying
from .form_answers import read_answers
from .records import PUBLIC_STATES
from .tables import assignments, hit_types, hits

_PUBLIC = [state.value for state in PUBLIC_STATES]
_BATCH = 500

RESULT_COLUMNS = (
    "HITId", "HITTypeId", "Title", "Reward", "RequesterAnnotation", "AssignmentId", "WorkerId", "AssignmentStatus",
    "AcceptTime", "SubmitTime", "ApprovalTime", "RejectionTime", "RequesterFeedback", "WorkTimeInSeconds",
)  # fmt: skip
"""The fixed columns of results, named as MTurk's own results files named them; `Answer.NAME` columns follow."""


def results(engine: Engine, requester_id: str, hit_type_id: str | None = None) -> Iterator[list[str]]:
    """A requester's results as rows of text: the header, then one row a submission in the order they came.

    Fields that pages sent are columns `Answer.NAME`. Texts that a spreadsheet would run as a formula begin with
    an apostrophe. Rows are read in batches, so that their number costs no memory.
    """
    names = sorted({name for row in _submissions(engine, requester_id, hit_type_id) for name in _fields(row)})
    yield [*RESULT_COLUMNS, *(f"Answer.{name}" for name in names)]
    for row in _submissions(engine, requester_id, hit_type_id):
        said = _fields(row)
        values = [*_result_values(row), *(said.get(name, "") for name in names)]
        yield [_harmless(value) for value in values]


def _submissions(engine: Engine, requester_id: str, hit_type_id: str | None) -> Iterator[sa.Row[Any]]:
    query = (
        sa.select(assignments, hits.c.hit_id, hits.c.annotation, hit_types.c.hit_type_id, hit_types.c.title)
        .select_from(assignments.join(hits).join(hit_types))
        .where(hits.c.requester_id == requester_id, assignments.c.state.in_(_PUBLIC))
        .order_by(assignments.c.number)
        .limit(_BATCH)
    )
    if hit_type_id is not None:
        query = query.where(hit_types.c.hit_type_id == hit_type_id)
    last = 0
    while True:
        with surveying(engine) as connection:
            rows = connection.execute(query.where(assignments.c.number > last)).all()
        yield from rows
        if len(rows) < _BATCH:
            return
        last = rows[-1].number


def _fields(row: sa.Row[Any]) -> dict[str, str]:
    return {name: "|".join(values) for name, values in read_answers(row.answer or "").items()}


def _result_values(row: sa.Row[Any]) -> list[str]:
    def at(when: datetime | None) -> str:
        return "" if when is None else f"{when:%Y-%m-%dT%H:%M:%SZ}"

    return [
        row.hit_id,
        row.hit_type_id,
        row.title,
        f"{row.reward_cents / 100:.2f}",
        row.annotation or "",
        row.assignment_id,
        row.worker_id,
        row.state,
        at(row.accepted_at),
        at(row.submitted_at),
        at(row.approved_at),
        at(row.rejected_at),
        row.feedback or "",
        str(round((row.submitted_at - row.accepted_at).total_seconds())),
    ]


def _harmless(text: str) -> str:
    return f"'{text}" if text[:1] in set("=+-@\t\r") and not text.lstrip("+-").isdecimal() else text
