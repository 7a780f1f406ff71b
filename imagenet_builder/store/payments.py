"""Approvals that are owed to workers, and what became of them. Money is US cents, fees included.

One is written with the assignment that it pays, in the same transaction, and done when the platform has said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from hits.model import AssignmentStatus

from .tables import assignments, hits, outbox

APPROVE = "approve"
# A payment that is refused so often will be refused again: it is reported, and left to people.
MOST_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Payment:
    """An approval that has to reach the platform, and what it costs in US cents with the fee."""

    outbox_id: int
    assignment_id: int
    platform_assignment_id: str
    cost_cents: int


def endpoints_at_work(connection: sa.Connection) -> list[str]:
    """The endpoints with published HITs or payments that are still to be made."""
    published = sa.select(hits.c.endpoint).where(hits.c.state == "published")
    owing = sa.select(hits.c.endpoint).select_from(_owed()).where(_to_be_made())
    return sorted(set(connection.scalars(sa.union(published, owing))))


def owe(connection: sa.Connection, assignment_ids: Sequence[int], now: datetime) -> None:
    """Write down that these assignments (rows) are to be approved."""
    rows = [
        {
            "call": APPROVE,
            "assignment_id": row_id,
            "token": f"{APPROVE}-{row_id}",
            "amount": 1,
            "intended_at": now,
            "attempts": 0,
        }
        for row_id in assignment_ids
    ]
    if rows:
        connection.execute(outbox.insert(), rows)


def payments_to_make(connection: sa.Connection, endpoint: str) -> list[Payment]:
    """The approvals that an endpoint still has to be told, oldest first."""
    rows = connection.execute(
        sa.select(
            outbox.c.id,
            assignments.c.id,
            assignments.c.platform_assignment_id,
            hits.c.reward_cents + hits.c.fee_cents,
        )
        .select_from(_owed())
        .where(_to_be_made(), hits.c.endpoint == endpoint)
        .order_by(outbox.c.id)
    )
    return [Payment(*row) for row in rows]


def count_refused_payments(connection: sa.Connection) -> int:
    """Payments that were refused so often that no run tries them any more."""
    given_up = sa.and_(outbox.c.done_at.is_(None), outbox.c.attempts >= MOST_ATTEMPTS)
    return connection.scalar(sa.select(sa.func.count()).select_from(outbox).where(given_up)) or 0


def _owed() -> sa.Join:
    """Calls to the platform with their assignments and HITs."""
    told = outbox.join(assignments, assignments.c.id == outbox.c.assignment_id)
    return told.join(hits, hits.c.id == assignments.c.hit_id)


def _to_be_made() -> sa.ColumnElement[bool]:
    return sa.and_(outbox.c.call == APPROVE, outbox.c.done_at.is_(None), outbox.c.attempts < MOST_ATTEMPTS)


def record_paid(connection: sa.Connection, payment: Payment, now: datetime) -> None:
    """Write down that the platform has approved an assignment."""
    done = outbox.update().where(outbox.c.id == payment.outbox_id)
    connection.execute(done.values(done_at=now, attempts=outbox.c.attempts + 1, last_error=None))
    paid = assignments.update().where(assignments.c.id == payment.assignment_id)
    connection.execute(paid.values(status=AssignmentStatus.APPROVED))


def record_refused(connection: sa.Connection, payment: Payment, error: str) -> None:
    """Write down why the platform would not approve an assignment."""
    tried = outbox.update().where(outbox.c.id == payment.outbox_id)
    connection.execute(tried.values(attempts=outbox.c.attempts + 1, last_error=error))


def spent_cents(connection: sa.Connection) -> int:
    """What all approved assignments cost, rewards and fees."""
    cost = sa.func.sum(hits.c.reward_cents + hits.c.fee_cents)
    approved = sa.select(cost).select_from(assignments.join(hits, hits.c.id == assignments.c.hit_id))
    return connection.scalar(approved.where(assignments.c.status == AssignmentStatus.APPROVED)) or 0
