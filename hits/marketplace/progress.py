"""What the requester console shows: progress by HIT type, workers and their pace, the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import surveying
from . import ledger
from .pace import hourly, seconds_between
from .records import PUBLIC_STATES
from .tables import assignments, hit_types, hits, studies, study_sessions, transfers

_PUBLIC = [state.value for state in PUBLIC_STATES]


@dataclass(frozen=True, slots=True)
class TypeProgress:
    """How far the HITs of one type are; `hourly_cents` is what its submissions paid for an hour of work."""

    hit_type_id: str
    title: str
    reward_cents: int
    hits: int
    wanted: int
    pending: int
    submitted: int
    approved: int
    rejected: int
    hourly_cents: int | None

    @property
    def done(self) -> int:
        """Assignments that came back."""
        return self.submitted + self.approved + self.rejected


@dataclass(frozen=True, slots=True)
class WorkerProgress:
    """One worker's work for a requester, under her worker id alone."""

    worker_id: str
    submitted: int
    approved: int
    rejected: int
    paid_cents: int
    hourly_cents: int | None
    last_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One transfer as its requester sees it; `number` is its place in the book."""

    number: int
    at: datetime
    kind: str
    source: str
    destination: str
    cents: int
    hit_id: str | None


@dataclass(frozen=True, slots=True)
class Totals:
    """A requester's money in cents: what was granted, can be spent, is held, went to workers and in fees."""

    granted: int
    available: int
    held: int
    rewards: int
    fees: int


_WORK = (
    assignments.join(hits)
    .outerjoin(study_sessions, study_sessions.c.number == assignments.c.session_number)
    .outerjoin(studies, studies.c.number == study_sessions.c.study_number)
)
# A panel pays for all pages of a session together; an assignment there promises nothing of its own.
_PROMISED = sa.func.sum(
    sa.case(
        (assignments.c.session_number.is_(None), sa.cast(assignments.c.reward_cents, sa.Float)),
        else_=sa.cast(studies.c.reward_cents, sa.Float) / studies.c.pages,
    )
)


def _seconds_worked(connection: Connection) -> sa.ColumnElement[float]:
    return sa.func.sum(
        seconds_between(connection.dialect.name, assignments.c.accepted_at, assignments.c.submitted_at)
    )


def type_progress(engine: Engine, requester_id: str, limit: int = 200) -> tuple[TypeProgress, ...]:
    """The requester's HIT types that have HITs which are kept, newest first."""
    mine = (hits.c.requester_id == requester_id, hits.c.disposed_at.is_(None))
    counts = (
        sa.select(
            hits.c.type_number,
            sa.func.count().label("hits"),
            sa.func.sum(hits.c.max_assignments).label("wanted"),
            *(
                sa.func.sum(hits.c[name]).label(name)
                for name in ("pending", "submitted", "approved", "rejected")
            ),
        )
        .where(*mine)
        .group_by(hits.c.type_number)
        .subquery()
    )
    query = (
        sa.select(
            hit_types.c.number, hit_types.c.hit_type_id, hit_types.c.title, hit_types.c.reward_cents, counts
        )
        .select_from(counts.join(hit_types, hit_types.c.number == counts.c.type_number))
        .order_by(hit_types.c.number.desc())
        .limit(limit)
    )
    with surveying(engine) as connection:
        pace = (
            sa.select(
                hits.c.type_number, _PROMISED.label("cents"), _seconds_worked(connection).label("seconds")
            )
            .select_from(_WORK)
            .where(*mine, assignments.c.state.in_(_PUBLIC))
            .group_by(hits.c.type_number)
        )
        hourly_of = {row.type_number: hourly(row.cents, row.seconds) for row in _rows(connection, pace)}
        return tuple(
            TypeProgress(
                row.hit_type_id,
                row.title,
                row.reward_cents,
                int(row.hits),
                int(row.wanted),
                int(row.pending),
                int(row.submitted),
                int(row.approved),
                int(row.rejected),
                hourly_of.get(row.number),
            )
            for row in _rows(connection, query)
        )


def worker_progress(engine: Engine, requester_id: str, limit: int = 500) -> tuple[WorkerProgress, ...]:
    """Who worked for a requester, those with the most submissions first."""

    def count(state: str) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((assignments.c.state == state, 1), else_=0))

    paid = sa.func.sum(sa.case((assignments.c.state == "Approved", assignments.c.reward_cents), else_=0))
    with surveying(engine) as connection:
        query = (
            sa.select(
                assignments.c.worker_id,
                sa.func.count().label("submitted"),
                count("Approved").label("approved"),
                count("Rejected").label("rejected"),
                paid.label("paid"),
                _PROMISED.label("promised"),
                _seconds_worked(connection).label("seconds"),
                sa.func.max(assignments.c.number).label("last"),
            )
            .select_from(_WORK)
            .where(hits.c.requester_id == requester_id, assignments.c.state.in_(_PUBLIC))
            .group_by(assignments.c.worker_id)
            .order_by(sa.func.count().desc(), assignments.c.worker_id)
            .limit(limit)
        )
        rows = _rows(connection, query)
        numbers = [row.last for row in rows]
        seen = sa.select(assignments.c.number, assignments.c.submitted_at).where(
            assignments.c.number.in_(numbers)
        )
        last_at = {row.number: row.submitted_at for row in _rows(connection, seen)}
        return tuple(
            WorkerProgress(
                row.worker_id,
                int(row.submitted),
                int(row.approved),
                int(row.rejected),
                int(row.paid),
                hourly(row.promised, row.seconds),
                last_at[row.last],
            )
            for row in rows
        )


def totals(engine: Engine, requester_id: str) -> Totals:
    """Where the requester's money is."""
    account = ledger.requester_account(requester_id)
    with surveying(engine) as connection:
        granted = connection.scalar(
            sa.select(sa.func.sum(transfers.c.cents)).where(
                transfers.c.destination == account, transfers.c.kind == "grant"
            )
        )
        spent = (
            sa.select(transfers.c.kind, sa.func.sum(transfers.c.cents).label("cents"))
            .select_from(transfers.join(hits, hits.c.number == transfers.c.hit_number))
            .where(hits.c.requester_id == requester_id, transfers.c.kind.in_(["reward", "bonus", "fee"]))
            .group_by(transfers.c.kind)
        )
        by_kind = {row.kind: int(row.cents) for row in _rows(connection, spent)}
        return Totals(
            granted=int(granted or 0),
            available=ledger.balance(connection, account),
            held=ledger.held_for(connection, requester_id),
            rewards=by_kind.get("reward", 0) + by_kind.get("bonus", 0),
            fees=by_kind.get("fee", 0),
        )


def ledger_lines(
    engine: Engine, requester_id: str, limit: int, before: int | None = None
) -> tuple[LedgerLine, ...]:
    """The transfers of a requester's account and of her HITs, newest first, below number `before`."""
    account = ledger.requester_account(requester_id)
    mine = sa.or_(
        transfers.c.source == account, transfers.c.destination == account, hits.c.requester_id == requester_id
    )
    query = (
        sa.select(transfers, hits.c.hit_id)
        .select_from(transfers.outerjoin(hits, hits.c.number == transfers.c.hit_number))
        .where(mine)
        .order_by(transfers.c.number.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(transfers.c.number < before)
    with surveying(engine) as connection:
        return tuple(
            LedgerLine(row.number, row.at, row.kind, row.source, row.destination, row.cents, row.hit_id)
            for row in _rows(connection, query)
        )


def _rows(connection: Connection, query: sa.Select[Any]) -> list[sa.Row[Any]]:
    return list(connection.execute(query))
