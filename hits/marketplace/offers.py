"""What a worker sees: HITs to do with their pay, a HIT's preview, her assignments and her earnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import reading
from . import ledger
from .lifecycle import AssignmentState
from .qualifying import Guard, read_requirements
from .standing import (
    Shortfall,
    blocked,
    keeps_from,
    qualification_values,
    shortfalls,
    type_names,
    unmet,
)
from .store import (
    LIVE_STATES,
    PUBLIC_STATES,
    AssignmentRecord,
    Hit,
    assignment_from,
    find_assignment,
    find_hit,
    select_assignments,
)
from .tables import UNTAKEN, assignments, hit_types, hits, requesters, worker_blocks

_PACE_SAMPLE = 50
_LEAST_SAMPLE = 3


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """The HITs of one type that a worker can do: how many, and the oldest of them.

    `hourly_cents` is the reward over the median time of the last submissions; None while they are few.
    `missing` are the requirements that she does not meet: then she cannot accept them.
    """

    hit_type_id: str
    hit_id: str
    title: str
    description: str
    keywords: str
    requester: str
    reward_cents: int
    assignment_seconds: int
    available: int
    hourly_cents: int | None
    missing: tuple[Shortfall, ...] = ()

    @property
    def previewable(self) -> bool:
        """Whether she may look at them, if not accept them."""
        return not keeps_from(self.missing, Guard.PREVIEW, Guard.DISCOVER)


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
    work: tuple[OwnAssignment, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A HIT as the preview shows it."""

    hit: Hit
    requester: str
    own: AssignmentRecord | None
    missing: tuple[Shortfall, ...] = ()
    blocked: bool = False


def _open_to(worker_id: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions under which this worker can accept a HIT."""
    own = sa.exists().where(
        assignments.c.hit_number == hits.c.number,
        assignments.c.worker_id == worker_id,
        assignments.c.state.in_([state.value for state in LIVE_STATES]),
    )
    barred = sa.exists().where(
        worker_blocks.c.requester_id == hits.c.requester_id, worker_blocks.c.worker_id == worker_id
    )
    return (UNTAKEN, hits.c.expires_at > now, ~own, ~barred)  # type: ignore[return-value]


def open_groups(engine: Engine, worker_id: str, now: datetime) -> tuple[OpenGroup, ...]:
    """What is open to a worker now, one entry per HIT type, best paid first.

    Types that only the qualified may discover are left out for others.
    """
    first = (
        sa.select(
            hits.c.type_number,
            sa.func.min(hits.c.number).label("number"),
            sa.func.count().label("available"),
        )
        .where(*_open_to(worker_id, now))
        .group_by(hits.c.type_number)
        .subquery()
    )
    query = (
        sa.select(hit_types, hits.c.hit_id, requesters.c.name, first.c.available)
        .select_from(
            first.join(hits, hits.c.number == first.c.number)
            .join(hit_types, hit_types.c.number == first.c.type_number)
            .join(requesters, requesters.c.requester_id == hit_types.c.requester_id)
        )
        .order_by(hit_types.c.reward_cents.desc(), hit_types.c.number)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
        missing = _missing(connection, worker_id, {row.number: row.requirements for row in rows})
        return tuple(
            OpenGroup(
                row.hit_type_id,
                row.hit_id,
                row.title,
                row.description,
                row.keywords,
                row.name,
                row.reward_cents,
                row.assignment_seconds,
                row.available,
                _hourly_cents(connection, row.number, row.reward_cents),
                missing[row.number],
            )
            for row in rows
            if not keeps_from(missing[row.number], Guard.DISCOVER)
        )


def _missing(
    connection: Connection, worker_id: str, stored: Mapping[int, str]
) -> dict[int, tuple[Shortfall, ...]]:
    """The unmet requirements of several HIT types, from as few looks at the worker as one type takes."""
    read = {number: read_requirements(text) for number, text in stored.items()}
    wanted = {entry.qualification_type_id for requirements in read.values() for entry in requirements}
    if not wanted:
        return dict.fromkeys(stored, ())
    values, names = qualification_values(connection, worker_id, wanted), type_names(connection, wanted)
    return {number: unmet(requirements, values, names) for number, requirements in read.items()}


def _hourly_cents(connection: Connection, type_number: int, reward_cents: int) -> int | None:
    rows = connection.execute(
        sa.select(assignments.c.accepted_at, assignments.c.submitted_at)
        .select_from(assignments.join(hits))
        .where(hits.c.type_number == type_number, assignments.c.submitted_at.is_not(None))
        .order_by(assignments.c.number.desc())
        .limit(_PACE_SAMPLE)
    ).all()
    if len(rows) < _LEAST_SAMPLE:
        return None
    seconds: float = median((row.submitted_at - row.accepted_at).total_seconds() for row in rows)
    return round(reward_cents * 3600 / max(seconds, 1.0))


def next_hit(engine: Engine, worker_id: str, type_number: int, now: datetime) -> str | None:
    """The oldest HIT of a type that the worker can do, or None."""
    with reading(engine) as connection:
        stored = connection.scalar(
            sa.select(hit_types.c.requirements).where(hit_types.c.number == type_number)
        )
        if shortfalls(connection, worker_id, read_requirements(stored or "[]")):
            return None
        hit_id: str | None = connection.scalar(
            sa.select(hits.c.hit_id)
            .where(hits.c.type_number == type_number, *_open_to(worker_id, now))
            .order_by(hits.c.number)
            .limit(1)
        )
    return hit_id


def offer(engine: Engine, hit_id: str, worker_id: str) -> Offer:
    """A HIT with its question, and the worker's own assignment of it, if any; raises RequestRefused."""
    with reading(engine) as connection:
        hit = find_hit(connection, hit_id, with_question=True)
        row = connection.execute(
            select_assignments().where(
                assignments.c.hit_number == hit.number,
                assignments.c.worker_id == worker_id,
                assignments.c.state.in_([state.value for state in LIVE_STATES]),
            )
        ).one_or_none()
        own = None if row is None else assignment_from(row)
        missing = shortfalls(connection, worker_id, hit.hit_type.requirements)
        barred = blocked(connection, hit.requester_id, worker_id)
        return Offer(hit, _requester_name(connection, hit), own, missing, barred)


def own_assignment(
    engine: Engine, assignment_id: str, worker_id: str
) -> tuple[Offer, AssignmentRecord] | None:
    """A worker's assignment with its HIT; None if it is not hers."""
    with reading(engine) as connection:
        assignment = find_assignment(connection, assignment_id)
        if assignment is None or assignment.worker_id != worker_id:
            return None
        hit = find_hit(connection, assignment.hit_id, with_question=True)
        return Offer(hit, _requester_name(connection, hit), assignment), assignment


def held_offer(engine: Engine, assignment_id: str) -> Offer | None:
    """The HIT of an assignment that somebody holds; None if nobody does."""
    with reading(engine) as connection:
        assignment = find_assignment(connection, assignment_id)
        if assignment is None or assignment.state is not AssignmentState.ACCEPTED:
            return None
        hit = find_hit(connection, assignment.hit_id, with_question=True)
        return Offer(hit, _requester_name(connection, hit), assignment)


def _requester_name(connection: Connection, hit: Hit) -> str:
    name = connection.scalar(
        sa.select(requesters.c.name).where(requesters.c.requester_id == hit.requester_id)
    )
    return str(name)


def _select_own(worker_id: str) -> sa.Select[Any]:
    return (
        sa.select(assignments, hits.c.hit_id, hit_types.c.title, requesters.c.name)
        .select_from(
            assignments.join(hits)
            .join(hit_types)
            .join(requesters, requesters.c.requester_id == hits.c.requester_id)
        )
        .where(assignments.c.worker_id == worker_id)
        .order_by(assignments.c.number.desc())
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
    """The assignments that a worker holds and has not submitted."""
    with reading(engine) as connection:
        query = _select_own(worker_id).where(assignments.c.state == AssignmentState.ACCEPTED.value)
        return tuple(_own_from(row) for row in connection.execute(query))


def earnings(engine: Engine, worker_id: str, limit: int = 200) -> Earnings:
    """A worker's totals over everything, and her last `limit` submissions."""
    public = [state.value for state in PUBLIC_STATES]
    totals = (
        sa.select(
            assignments.c.state,
            sa.func.count().label("number"),
            sa.func.sum(assignments.c.reward_cents).label("cents"),
        )
        .where(assignments.c.worker_id == worker_id, assignments.c.state.in_(public))
        .group_by(assignments.c.state)
    )
    with reading(engine) as connection:
        by_state = {row.state: (int(row.number), int(row.cents)) for row in connection.execute(totals)}
        work = connection.execute(_select_own(worker_id).where(assignments.c.state.in_(public)).limit(limit))
        return Earnings(
            approved_cents=ledger.balance(connection, ledger.worker_account(worker_id)),
            pending_cents=by_state.get("Submitted", (0, 0))[1],
            approved=by_state.get("Approved", (0, 0))[0],
            pending=by_state.get("Submitted", (0, 0))[0],
            rejected=by_state.get("Rejected", (0, 0))[0],
            work=tuple(_own_from(row) for row in work),
        )
