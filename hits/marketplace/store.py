"""HITs and assignments in SQL: found, locked, moved from state to state.

Lock order, the same everywhere: requester or worker, then HIT and its assignment, then ledger accounts. On PostgreSQL a
HIT's row is locked FOR UPDATE before anything is decided about it; on SQLite the whole write transaction is exclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, CursorResult
from sqlalchemy.sql.dml import UpdateBase

from ..errors import RequestRefused
from . import lifecycle
from .lifecycle import AssignmentState, HitState
from .records import (
    ASSIGNMENT_COLUMNS,
    HIT_COLUMNS,
    AssignmentRecord,
    Hit,
    assignment_from,
    hit_from,
    select_assignments,
    select_hits,
)
from .tables import assignments, hit_types, hits, requesters, workers


def insert_unless_there(connection: Connection, table: sa.Table, **values: Any) -> None:
    """Insert a row, or leave the one that a unique constraint finds there already."""
    connection.execute(_insert_unless_there(table, connection.dialect.name), values)


@cache
def _insert_unless_there(table: sa.Table, dialect: str) -> sa.Insert:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()


def at_once(
    connection: Connection, first: UpdateBase, second: UpdateBase, values: Mapping[str, Any]
) -> CursorResult[Any]:
    """Run two changes that share their values, on PostgreSQL in one statement: a round trip costs more than the change.

    Returns what the second one gives. Both must be built once, with every value a bound parameter that is not named as
    a column; neither may depend on what the other does. SQLite has no changes within statements, and no round trips.
    """
    if connection.dialect.name == "postgresql":
        return connection.execute(_joined(first, second), values)
    connection.execute(first, values)
    return connection.execute(second, values)


@cache
def _joined(first: UpdateBase, second: UpdateBase) -> UpdateBase:
    return second.add_cte(first.cte("also"))


# --- HITs ----------------------------------------------------------------------------------------------


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
        raise no_such_hit(hit_id)
    return hit_from(row)


def no_such_hit(hit_id: str) -> RequestRefused:
    return RequestRefused(f"HIT {hit_id} does not exist", "HITDoesNotExist")


@cache
def _hit_for_worker() -> sa.Select[Any]:
    worker = workers.c.worker_id == sa.bindparam("worker")
    return (
        sa.select(*HIT_COLUMNS, workers.c.participant_id)
        .select_from(hits.join(hit_types).join(workers, worker))
        .where(hits.c.hit_id == sa.bindparam("wanted"))
        .with_for_update(of=[workers, hits], key_share=True)
    )


def lock_hit_for_worker(connection: Connection, hit_id: str, worker_id: str) -> tuple[Hit, bool]:
    """A HIT, and whether a worker comes from a panel; both rows locked, the worker's first.

    Raises RequestRefused (HITDoesNotExist).
    """
    row = connection.execute(_hit_for_worker(), {"wanted": hit_id, "worker": worker_id}).one_or_none()
    if row is None:
        raise no_such_hit(hit_id)
    return hit_from(row), row.participant_id is not None


_STATE = sa.update(hits).where(hits.c.number == sa.bindparam("hit")).values(
    max_assignments=sa.bindparam("to_max_assignments"),
    pending=sa.bindparam("to_pending"),
    submitted=sa.bindparam("to_submitted"),
    approved=sa.bindparam("to_approved"),
    rejected=sa.bindparam("to_rejected"),
    reviewing=sa.bindparam("to_reviewing"),
    expires_at=sa.bindparam("to_expires_at"),
    changed_at=sa.bindparam("to_changed_at"),
    disposed_at=sa.bindparam("to_disposed_at"),
)  # fmt: skip


def _state_values(hit: Hit, state: HitState) -> dict[str, Any]:
    return {
        "hit": hit.number,
        "to_max_assignments": state.max_assignments,
        "to_pending": state.pending,
        "to_submitted": state.submitted,
        "to_approved": state.approved,
        "to_rejected": state.rejected,
        "to_reviewing": state.reviewing,
        "to_expires_at": state.expires_at,
        "to_changed_at": state.changed_at,
        "to_disposed_at": state.disposed_at,
    }


def save_state(connection: Connection, hit: Hit, state: HitState) -> None:
    """Write a HIT's new state; the caller holds its lock."""
    connection.execute(_STATE, _state_values(hit, state))


# --- people --------------------------------------------------------------------------------------------


def lock_requester(connection: Connection, requester_id: str) -> None:
    """Two requests of one requester with the same token must not both find it unused."""
    connection.execute(
        sa.select(requesters.c.requester_id)
        .where(requesters.c.requester_id == requester_id)
        .with_for_update(key_share=True)
    ).one()


def lock_worker(connection: Connection, worker_id: str) -> None:
    """Let one transaction at a time change what a worker holds."""
    connection.execute(
        sa.select(workers.c.worker_id).where(workers.c.worker_id == worker_id).with_for_update(key_share=True)
    ).one()


# --- assignments ---------------------------------------------------------------------------------------


@cache
def _one_assignment() -> sa.Select[Any]:
    return select_assignments().where(assignments.c.assignment_id == sa.bindparam("wanted"))


def find_assignment(connection: Connection, assignment_id: str) -> AssignmentRecord | None:
    """The assignment in whatever state, or None."""
    row = connection.execute(_one_assignment(), {"wanted": assignment_id}).one_or_none()
    return None if row is None else assignment_from(row)


@cache
def _assignment_with_hit() -> sa.Select[Any]:
    return (
        sa.select(*HIT_COLUMNS, *ASSIGNMENT_COLUMNS)
        .select_from(assignments.join(hits).join(hit_types, hit_types.c.number == hits.c.type_number))
        .where(assignments.c.assignment_id == sa.bindparam("wanted"))
        # Both, so that both are read as they are once the HIT's lock is held; in this order.
        .with_for_update(of=[hits, assignments], key_share=True)
    )


def lock_assignment(connection: Connection, assignment_id: str) -> tuple[Hit, AssignmentRecord]:
    """An assignment and its HIT, both locked; raises RequestRefused (AssignmentDoesNotExist)."""
    row = connection.execute(_assignment_with_hit(), {"wanted": assignment_id}).one_or_none()
    if row is None:
        raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
    return hit_from(row), assignment_from(row)


_NEW = sa.insert(assignments).values(
    assignment_id=sa.bindparam("new_assignment_id"),
    hit_number=sa.bindparam("hit"),
    type_number=sa.bindparam("new_type"),
    worker_id=sa.bindparam("new_worker"),
    session_number=sa.bindparam("new_session"),
    state=AssignmentState.ACCEPTED.value,
    reward_cents=sa.bindparam("new_reward"),
    fee_cents=sa.bindparam("new_fee"),
    accepted_at=sa.bindparam("new_accepted_at"),
    deadline=sa.bindparam("new_deadline"),
).inline()  # fmt: skip


def add_assignment(
    connection: Connection,
    hit: Hit,
    assignment_id: str,
    worker_id: str,
    now: datetime,
    *,
    deadline: datetime,
    session_number: int | None,
) -> None:
    """Put an assignment of a locked HIT into a worker's hands, with what it promises, and count it there.

    In a panel's session it promises nothing: the panel pays for the session as a whole.
    """
    state = lifecycle.moved(hit.state, None, AssignmentState.ACCEPTED, now)
    values = {
        "new_assignment_id": assignment_id,
        "new_type": hit.hit_type.number,
        "new_worker": worker_id,
        "new_session": session_number,
        "new_reward": hit.hit_type.reward_cents if session_number is None else 0,
        "new_fee": hit.fee_cents if session_number is None else 0,
        "new_accepted_at": now,
        "new_deadline": deadline,
        **_state_values(hit, state),
    }
    at_once(connection, _STATE, _NEW, values)


@cache
def _move(columns: frozenset[str]) -> sa.Update:
    changed = {name: sa.bindparam(f"now_{name}", type_=assignments.c[name].type) for name in columns}
    return sa.update(assignments).where(assignments.c.number == sa.bindparam("work")).values(changed)


def move_assignment(
    connection: Connection,
    hit: Hit,
    assignment: AssignmentRecord,
    target: AssignmentState,
    now: datetime,
    **columns: Any,
) -> None:
    """Put an assignment into another state, with further columns, and count it there on its locked HIT."""
    columns["state"] = target.value
    values = {f"now_{name}": value for name, value in columns.items()}
    values |= _state_values(hit, lifecycle.moved(hit.state, assignment.state, target, now))
    values["work"] = assignment.number
    at_once(connection, _STATE, _move(frozenset(columns)), values)
