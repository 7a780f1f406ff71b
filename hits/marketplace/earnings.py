"""What a worker has: the assignments in her hands, those that she submitted, and what they earned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import glancing, surveying
from . import ledger
from .lifecycle import AssignmentState
from .pace import hourly
from .tables import ACCEPTED, DONE, assignments, hit_types, hits, requesters

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class OwnAssignment:
    """One of a worker's assignments as she sees it."""

    assignment_id: str
    hit_id: str
    title: str
    requester: str
    reward_cents: int
    state: AssignmentState
    deadline: datetime
    submitted_at: datetime | None
    feedback: str | None


@dataclass(frozen=True, slots=True)
class Earnings:
    """A worker's money: paid, and waiting for a decision; and the work behind it, newest first."""

    approved_cents: int
    pending_cents: int
    approved: int
    pending: int
    rejected: int
    hourly_cents: int | None
    work: tuple[OwnAssignment, ...]
    older: int | None


@cache
def _select_own() -> sa.Select[Any]:
    return (
        sa.select(assignments, hits.c.hit_id, hit_types.c.title, requesters.c.name)
        .select_from(
            assignments.join(hits)
            .join(hit_types, hit_types.c.number == hits.c.type_number)
            .join(requesters, requesters.c.requester_id == hits.c.requester_id)
        )
        .where(assignments.c.worker_id == sa.bindparam("worker"))
    )


@cache
def _in_hand() -> sa.Select[Any]:
    # Not in any order: for the sake of one, SQLite would go through all that the worker ever did.
    return _select_own().where(ACCEPTED)


@cache
def _submitted(older: bool) -> sa.Select[Any]:
    # The number itself: for a parameter PostgreSQL expects a tenth of all, and plans anew at every call to know better.
    most: sa.ColumnElement[int] = sa.literal_column(str(PAGE_SIZE + 1))
    query = _select_own().where(DONE).order_by(assignments.c.number.desc()).limit(most)
    return query.where(assignments.c.number < sa.bindparam("before")) if older else query


@cache
def _totals() -> sa.Select[Any]:
    counted = sa.func.count().label("number")
    return (
        sa.select(assignments.c.state, counted, sa.func.sum(assignments.c.reward_cents).label("cents"))
        .where(assignments.c.worker_id == sa.bindparam("worker"))
        .group_by(assignments.c.state)
    )


def _own_from(row: sa.Row[Any]) -> OwnAssignment:
    return OwnAssignment(
        row.assignment_id,
        row.hit_id,
        row.title,
        row.name,
        row.reward_cents,
        AssignmentState(row.state),
        row.deadline,
        row.submitted_at,
        row.feedback,
    )


def in_hand(engine: Engine, worker_id: str) -> tuple[OwnAssignment, ...]:
    """The assignments that a worker holds and has not submitted, newest first."""
    with glancing(engine) as connection:
        rows = connection.execute(_in_hand(), {"worker": worker_id}).all()
    return tuple(_own_from(row) for row in sorted(rows, key=lambda row: -row.number))


def earnings(engine: Engine, worker_id: str, before: int | None = None) -> Earnings:
    """A worker's totals over everything, and a page of her submissions, below row number `before`.

    `hourly_cents` is what the submissions on the page pay for an hour of the time they took.
    """
    asked = {"worker": worker_id, "before": before}
    with surveying(engine) as connection:
        by_state = {
            row.state: (int(row.number), int(row.cents)) for row in connection.execute(_totals(), asked)
        }
        rows = connection.execute(_submitted(before is not None), asked).all()
        paid = ledger.balance(connection, ledger.worker_account(worker_id))
    shown = rows[:PAGE_SIZE]
    spent = sum((row.submitted_at - row.accepted_at).total_seconds() for row in shown)
    return Earnings(
        approved_cents=paid,
        pending_cents=by_state.get("Submitted", (0, 0))[1],
        approved=by_state.get("Approved", (0, 0))[0],
        pending=by_state.get("Submitted", (0, 0))[0],
        rejected=by_state.get("Rejected", (0, 0))[0],
        hourly_cents=hourly(sum(row.reward_cents for row in shown), spent),
        work=tuple(_own_from(row) for row in shown),
        older=shown[-1].number if len(rows) > PAGE_SIZE else None,
    )
