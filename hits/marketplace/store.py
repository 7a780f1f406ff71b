"""HITs and assignments in SQL: rows to records, locks, and the changes that time alone makes.

Lock order, the same everywhere: requester or worker, then HIT, then ledger accounts. On PostgreSQL a HIT's row
is locked FOR UPDATE before anything is decided about it; on SQLite the whole write transaction is exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from ..errors import RequestRefused
from . import lifecycle
from .lifecycle import AssignmentState, HitState
from .qualifying import Requirement, read_requirements
from .tables import assignments, hit_types, hits, questions, requesters, workers

PUBLIC_STATES = (AssignmentState.SUBMITTED, AssignmentState.APPROVED, AssignmentState.REJECTED)


@dataclass(frozen=True, slots=True)
class HitType:
    """What all HITs of a type share. Money is in cents, durations in seconds."""

    number: int
    hit_type_id: str
    hit_group_id: str
    title: str
    description: str
    keywords: str
    reward_cents: int
    assignment_seconds: int
    auto_approval_seconds: int
    requirements: tuple[Requirement, ...] = ()
    notified: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored HIT; `question` is its XML where it was asked for, else None."""

    number: int
    hit_id: str
    requester_id: str
    hit_type: HitType
    annotation: str | None
    fee_cents: int
    created_at: datetime
    state: HitState
    question_digest: str
    is_form: bool = False
    layout_id: str | None = None
    assignment_policy: str | None = None
    hit_policy: str | None = None
    unseen: bool = False
    question: str | None = None

    @property
    def price_cents(self) -> int:
        """What one assignment costs its requester: reward and fee."""
        return self.hit_type.reward_cents + self.fee_cents


@dataclass(frozen=True, slots=True)
class AssignmentRecord:
    """A stored assignment, in whatever state."""

    number: int
    assignment_id: str
    hit_id: str
    worker_id: str
    state: AssignmentState
    reward_cents: int
    fee_cents: int
    accepted_at: datetime
    deadline: datetime
    submitted_at: datetime | None
    auto_approval_at: datetime | None
    approved_at: datetime | None
    rejected_at: datetime | None
    answer: str | None
    feedback: str | None
    session_number: int | None = None

    @property
    def price_cents(self) -> int:
        """What it costs its requester: the reward that was promised, and the fee."""
        return self.reward_cents + self.fee_cents


def insert_unless_there(connection: Connection, table: sa.Table, **values: Any) -> None:
    """Insert a row, or leave the one that a unique constraint finds there already."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(table).values(**values).on_conflict_do_nothing())


_HIT_COLUMNS = (
    hits,
    hit_types.c.hit_type_id,
    hit_types.c.hit_group_id,
    hit_types.c.title,
    hit_types.c.description,
    hit_types.c.keywords,
    hit_types.c.reward_cents,
    hit_types.c.assignment_seconds,
    hit_types.c.auto_approval_seconds,
    hit_types.c.requirements,
    hit_types.c.notified,
)


# Statements that every request runs are built once: building one costs more than running it on SQLite.
@cache
def select_hits(*, with_question: bool = False) -> sa.Select[Any]:
    """A SELECT whose rows `hit_from` reads; add conditions and order."""
    if not with_question:
        return sa.select(*_HIT_COLUMNS).select_from(hits.join(hit_types))
    return sa.select(*_HIT_COLUMNS, questions.c.xml).select_from(hits.join(hit_types).join(questions))


def hit_from(row: Row[Any]) -> Hit:
    """The HIT in a row of `select_hits`."""
    return Hit(
        number=row.number,
        hit_id=row.hit_id,
        requester_id=row.requester_id,
        hit_type=HitType(
            row.type_number,
            row.hit_type_id,
            row.hit_group_id,
            row.title,
            row.description,
            row.keywords,
            row.reward_cents,
            row.assignment_seconds,
            row.auto_approval_seconds,
            read_requirements(row.requirements),
            row.notified,
        ),
        annotation=row.annotation,
        fee_cents=row.fee_cents,
        created_at=row.created_at,
        state=HitState(
            row.max_assignments,
            row.pending,
            row.submitted,
            row.approved,
            row.rejected,
            row.reviewing,
            row.expires_at,
            row.changed_at,
            row.disposed_at,
        ),
        question_digest=row.question_digest,
        is_form=row.is_form,
        layout_id=row.layout_id,
        assignment_policy=row.assignment_policy,
        hit_policy=row.hit_policy,
        unseen=row.unseen,
        question=getattr(row, "xml", None),
    )


@cache
def _one_hit(of_requester: bool, lock: bool, with_question: bool) -> sa.Select[Any]:
    query = select_hits(with_question=with_question).where(hits.c.hit_id == sa.bindparam("wanted"))
    if of_requester:
        query = query.where(hits.c.requester_id == sa.bindparam("owner"))
    return query.with_for_update(of=hits, key_share=True) if lock else query


def find_hit(
    connection: Connection,
    hit_id: str,
    *,
    requester_id: str | None = None,
    lock: bool = False,
    with_question: bool = False,
) -> Hit:
    """The HIT (of that requester only, if one is given); raises RequestRefused (HITDoesNotExist) otherwise."""
    query = _one_hit(requester_id is not None, lock, with_question)
    row = connection.execute(query, {"wanted": hit_id, "owner": requester_id}).one_or_none()
    if row is None:
        raise RequestRefused(f"HIT {hit_id} does not exist", "HITDoesNotExist")
    return hit_from(row)


def lock_requester(connection: Connection, requester_id: str) -> None:
    """Two requests of one requester with the same token must not both find it unused."""
    connection.execute(
        sa.select(requesters.c.requester_id)
        .where(requesters.c.requester_id == requester_id)
        .with_for_update(key_share=True)
    ).one()


def lock_worker(connection: Connection, worker_id: str) -> bool:
    """Let one transaction at a time change what a worker holds; returns whether she comes from a panel."""
    row = connection.execute(_lock_worker(), {"wanted": worker_id}).one()
    return row.participant_id is not None


@cache
def _lock_worker() -> sa.Select[Any]:
    wanted = sa.select(workers.c.participant_id).where(workers.c.worker_id == sa.bindparam("wanted"))
    return wanted.with_for_update(key_share=True)


def save_state(connection: Connection, hit: Hit, state: HitState) -> None:
    """Write a HIT's new state; the caller holds its lock."""
    connection.execute(
        hits.update()
        .where(hits.c.number == hit.number)
        .values(
            max_assignments=state.max_assignments,
            pending=state.pending,
            submitted=state.submitted,
            approved=state.approved,
            rejected=state.rejected,
            reviewing=state.reviewing,
            expires_at=state.expires_at,
            changed_at=state.changed_at,
            disposed_at=state.disposed_at,
        )
    )


@cache
def select_assignments() -> sa.Select[Any]:
    """A SELECT whose rows `assignment_from` reads; add conditions and order."""
    return sa.select(assignments, hits.c.hit_id).select_from(assignments.join(hits))


def assignment_from(row: Row[Any]) -> AssignmentRecord:
    """The assignment in a row of `select_assignments`."""
    return AssignmentRecord(
        row.number,
        row.assignment_id,
        row.hit_id,
        row.worker_id,
        AssignmentState(row.state),
        row.reward_cents,
        row.fee_cents,
        row.accepted_at,
        row.deadline,
        row.submitted_at,
        row.auto_approval_at,
        row.approved_at,
        row.rejected_at,
        row.answer,
        row.feedback,
        row.session_number,
    )


@cache
def _one_assignment() -> sa.Select[Any]:
    return select_assignments().where(assignments.c.assignment_id == sa.bindparam("wanted"))


@cache
def _hit_of_assignment() -> sa.Select[Any]:
    joined = sa.select(hits.c.hit_id).select_from(assignments.join(hits))
    return joined.where(assignments.c.assignment_id == sa.bindparam("wanted"))


def find_assignment(connection: Connection, assignment_id: str) -> AssignmentRecord | None:
    """The assignment in whatever state, or None."""
    row = connection.execute(_one_assignment(), {"wanted": assignment_id}).one_or_none()
    return None if row is None else assignment_from(row)


def lock_assignment(connection: Connection, assignment_id: str) -> tuple[Hit, AssignmentRecord]:
    """An assignment and its HIT, the HIT's row locked; raises RequestRefused (AssignmentDoesNotExist).

    The assignment is read after its HIT is locked, so that it cannot change until the transaction ends.
    """
    hit_id = connection.scalar(_hit_of_assignment(), {"wanted": assignment_id})
    if hit_id is None:
        raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
    hit = find_hit(connection, hit_id, lock=True)
    assignment = find_assignment(connection, assignment_id)
    if assignment is None:
        raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
    return hit, assignment


def move_assignment(
    connection: Connection,
    hit: Hit,
    assignment: AssignmentRecord,
    target: AssignmentState,
    now: datetime,
    **columns: Any,
) -> None:
    """Put an assignment into another state, with further columns, and count it there on its locked HIT."""
    connection.execute(
        assignments.update()
        .where(assignments.c.number == assignment.number)
        .values(state=target.value, **columns)
    )
    save_state(connection, hit, lifecycle.moved(hit.state, assignment.state, target, now))
