"""What a worker sees: HITs to do with their pay, a HIT's preview, her assignments and her earnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import reading
from . import ledger
from .lifecycle import AssignmentState
from .pace import hourly, seconds_between
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
    PUBLIC_STATES,
    AssignmentRecord,
    Hit,
    assignment_from,
    find_assignment,
    find_hit,
    select_assignments,
)
from .tables import DONE, HELD_OR_DONE, UNTAKEN, assignments, hit_types, hits, requesters, worker_blocks

MOST_GROUPS = 200
PAGE_SIZE = 50
MOST_COUNTED = 50
_PACE_SAMPLE = 20
_LEAST_SAMPLE = 3


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """The HITs of one type that a worker can do: how many, and the one that ends first.

    `available` counts no further than `MOST_COUNTED`: then there are that many or more.
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
    hourly_cents: int | None
    work: tuple[OwnAssignment, ...]
    older: int | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A HIT as the preview shows it."""

    hit: Hit
    requester: str
    own: AssignmentRecord | None
    missing: tuple[Shortfall, ...] = ()
    blocked: bool = False


def _doable(type_number: sa.ColumnElement[int], worker_id: str, now: datetime) -> sa.Select[Any]:
    """The HITs of a type that this worker can accept, those that end first before the others.

    In the order of `ix_hits_untaken`, so that the first few cost the same however many there are.
    """
    own = sa.exists().where(
        assignments.c.hit_number == hits.c.number, assignments.c.worker_id == worker_id, HELD_OR_DONE
    )
    return (
        sa.select(hits.c.number)
        .where(hits.c.type_number == type_number, UNTAKEN, hits.c.expires_at > now, ~own)
        .order_by(hits.c.expires_at, hits.c.number)
    )


def _types_with_places() -> sa.CTE:
    """The numbers of the HIT types that have untaken HITs, by one step in the index for each type."""
    least = sa.select(sa.func.min(hits.c.type_number)).where(UNTAKEN)
    found = least.with_only_columns(sa.func.min(hits.c.type_number).label("number")).cte(
        "types_with_places", recursive=True
    )
    following = least.where(hits.c.type_number > found.c.number).correlate(found).scalar_subquery()
    return found.union_all(sa.select(following).where(found.c.number.is_not(None)))


def open_groups(
    engine: Engine, worker_id: str, now: datetime, *, requester_id: str | None = None
) -> tuple[OpenGroup, ...]:
    """What is open to a worker now, one entry per HIT type, best paid first; at most `MOST_GROUPS`.

    Types that only the qualified may discover are left out for others. With `requester_id` hers alone are shown.
    """
    types = _types_with_places()
    doable = _doable(types.c.number, worker_id, now).correlate(types)
    first = doable.limit(1).scalar_subquery()
    counted = sa.select(sa.func.count()).select_from(doable.limit(MOST_COUNTED).subquery()).scalar_subquery()
    barred = sa.select(worker_blocks.c.requester_id).where(worker_blocks.c.worker_id == worker_id)
    open_types = (
        sa.select(types.c.number, first.label("first"), counted.label("available"))
        .where(types.c.number.is_not(None))
        .subquery()
    )
    query = (
        sa.select(hit_types, hits.c.hit_id, requesters.c.name, open_types.c.available)
        .select_from(
            open_types.join(hits, hits.c.number == open_types.c.first)
            .join(hit_types, hit_types.c.number == open_types.c.number)
            .join(requesters, requesters.c.requester_id == hit_types.c.requester_id)
        )
        .where(hit_types.c.requester_id.not_in(barred))
        .order_by(hit_types.c.reward_cents.desc(), hit_types.c.number)
        .limit(MOST_GROUPS)
    )
    if requester_id is not None:
        query = query.where(hit_types.c.requester_id == requester_id)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
        missing = _missing(connection, worker_id, {row.number: row.requirements for row in rows})
        paces = _paces(connection, [row.number for row in rows])
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
                hourly(row.reward_cents, paces.get(row.number)),
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


def _paces(connection: Connection, type_numbers: Sequence[int]) -> dict[int, float]:
    """The median seconds of the last submissions of each HIT type that has a few."""
    worked = seconds_between(connection, assignments.c.accepted_at, assignments.c.submitted_at)
    last = [
        sa.select(assignments.c.type_number, worked.label("seconds"))
        .where(assignments.c.type_number == number, DONE)
        .order_by(assignments.c.number.desc())
        .limit(_PACE_SAMPLE)
        .subquery()
        for number in type_numbers
    ]
    if not last:
        return {}
    seconds: dict[int, list[float]] = {}
    for row in connection.execute(sa.union_all(*(sa.select(part) for part in last))):
        seconds.setdefault(row.type_number, []).append(float(row.seconds))
    return {
        number: max(1.0, median(sample)) for number, sample in seconds.items() if len(sample) >= _LEAST_SAMPLE
    }


def next_hit(engine: Engine, worker_id: str, type_number: int, now: datetime) -> str | None:
    """The HIT of a type that the worker can do and that ends first, or None."""
    with reading(engine) as connection:
        stored = connection.scalar(
            sa.select(hit_types.c.requirements).where(hit_types.c.number == type_number)
        )
        if shortfalls(connection, worker_id, read_requirements(stored or "[]")):
            return None
        query = _doable(sa.literal(type_number), worker_id, now).with_only_columns(hits.c.hit_id)
        barred = sa.select(worker_blocks.c.requester_id).where(worker_blocks.c.worker_id == worker_id)
        hit_id: str | None = connection.scalar(query.where(hits.c.requester_id.not_in(barred)).limit(1))
    return hit_id


@cache
def _own_of_hit() -> sa.Select[Any]:
    return select_assignments().where(
        assignments.c.hit_number == sa.bindparam("hit"),
        assignments.c.worker_id == sa.bindparam("worker"),
        HELD_OR_DONE,
    )


def offer(engine: Engine, hit_id: str, worker_id: str) -> Offer:
    """A HIT with its question, and the worker's own assignment of it, if any; raises RequestRefused."""
    with reading(engine) as connection:
        hit, own = _hit_and_own(connection, hit_id, worker_id)
        missing = shortfalls(connection, worker_id, hit.hit_type.requirements)
        barred = blocked(connection, hit.requester_id, worker_id)
        return Offer(hit, _requester_name(connection, hit), own, missing, barred)


def framed_question(engine: Engine, hit_id: str, worker_id: str) -> tuple[Hit, AssignmentRecord | None]:
    """What a frame needs: a HIT with its question, and the worker's assignment of it; raises RequestRefused."""
    with reading(engine) as connection:
        return _hit_and_own(connection, hit_id, worker_id)


def _hit_and_own(connection: Connection, hit_id: str, worker_id: str) -> tuple[Hit, AssignmentRecord | None]:
    hit = find_hit(connection, hit_id, with_question=True)
    mine = {"hit": hit.number, "worker": worker_id}
    row = connection.execute(_own_of_hit(), mine).one_or_none()
    return hit, None if row is None else assignment_from(row)


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


def held_hit(engine: Engine, assignment_id: str) -> Hit | None:
    """The HIT of an assignment that somebody holds, with its question; None if nobody does."""
    with reading(engine) as connection:
        assignment = find_assignment(connection, assignment_id)
        if assignment is None or assignment.state is not AssignmentState.ACCEPTED:
            return None
        return find_hit(connection, assignment.hit_id, with_question=True)


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


def earnings(engine: Engine, worker_id: str, before: int | None = None) -> Earnings:
    """A worker's totals over everything, and a page of her submissions, below row number `before`.

    `hourly_cents` is what the submissions on the page pay for an hour of the time they took.
    """
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
    query = _select_own(worker_id).where(DONE).limit(PAGE_SIZE + 1)
    if before is not None:
        query = query.where(assignments.c.number < before)
    with reading(engine) as connection:
        by_state = {row.state: (int(row.number), int(row.cents)) for row in connection.execute(totals)}
        rows = connection.execute(query).all()
        shown = rows[:PAGE_SIZE]
        spent = sum((row.submitted_at - row.accepted_at).total_seconds() for row in shown)
        return Earnings(
            approved_cents=ledger.balance(connection, ledger.worker_account(worker_id)),
            pending_cents=by_state.get("Submitted", (0, 0))[1],
            approved=by_state.get("Approved", (0, 0))[0],
            pending=by_state.get("Submitted", (0, 0))[0],
            rejected=by_state.get("Rejected", (0, 0))[0],
            hourly_cents=hourly(sum(row.reward_cents for row in shown), spent),
            work=tuple(_own_from(row) for row in shown),
            older=shown[-1].number if len(rows) > PAGE_SIZE else None,
        )
