"""What time alone does: abandons overdue work, approves what nobody decided, notices ended HITs, disposes of old ones.

Every request asks first whether anything is due, so that what it sees is true at its moment; a sweep asks too.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import UtcDateTime, glancing, surveying, writing
from . import lifecycle, panels
from .deciding import pay
from .holding import release
from .lifecycle import AssignmentState
from .notices import announce
from .publishing import dispose
from .reviewing import notice_reviewable
from .store import find_hit, lock_assignment, move_assignment
from .tables import ACCEPTED, KEPT, STARTED, SUBMITTED, UNSEEN, assignments, hits, study_sessions

_BATCH = 200

_OVERDUE = (ACCEPTED, assignments.c.deadline <= sa.bindparam("now", type_=UtcDateTime))
_UNDECIDED = (SUBMITTED, assignments.c.auto_approval_at <= sa.bindparam("now", type_=UtcDateTime))
_OLD = (
    KEPT,
    hits.c.changed_at <= sa.bindparam("long_ago", type_=UtcDateTime),
    hits.c.pending == 0,
    hits.c.submitted == 0,
    sa.or_(
        hits.c.expires_at <= sa.bindparam("now", type_=UtcDateTime),
        hits.c.approved + hits.c.rejected >= hits.c.max_assignments,
    ),
)
_EXPIRED = (
    UNSEEN, hits.c.expires_at <= sa.bindparam("now", type_=UtcDateTime), hits.c.pending == 0, ~hits.c.reviewing,
)  # fmt: skip
_LAPSED = (STARTED, study_sessions.c.deadline <= sa.bindparam("now", type_=UtcDateTime))


def _first_due(
    moment: sa.ColumnElement[datetime], *conditions: sa.ColumnExpressionArgument[bool]
) -> sa.ColumnElement[bool]:
    """Whether any row fulfils the conditions, seen by a look at the first one in the order of its moment.

    A mere EXISTS would leave the way to PostgreSQL. Planning for any time, it expects that a third of the rows are due,
    and goes through the table for the first of them: through all of it, as hardly ever one is.
    """
    one: sa.ColumnElement[int] = sa.literal_column("1")
    first = sa.select(one).where(*conditions).order_by(moment).limit(one)
    return first.correlate(None).scalar_subquery().is_not(None)


# One question for all of it: nearly always nothing is due, and every request asks, in its first statement.
ANYTHING_DUE = sa.or_(
    _first_due(assignments.c.deadline, *_OVERDUE),
    _first_due(assignments.c.auto_approval_at, *_UNDECIDED),
    _first_due(hits.c.changed_at, *_OLD),
    _first_due(hits.c.expires_at, *_EXPIRED),
    _first_due(study_sessions.c.deadline, *_LAPSED),
)
"""Whether `settle_due` has anything to do; takes the parameters of `at`."""

ASKED_ALONE = sa.select(ANYTHING_DUE)
"""The question as a statement of its own."""


def at(now: datetime) -> dict[str, datetime]:
    """The parameters of ANYTHING_DUE at `now`."""
    return {"now": now, "long_ago": now - lifecycle.DISPOSAL_DELAY}


def settle(engine: Engine, now: datetime) -> None:
    """Do what is due at `now`, if anything is."""
    with glancing(engine) as connection:
        due = connection.scalar(ASKED_ALONE, at(now))
    if due:
        settle_due(engine, now)


def settle_due(engine: Engine, now: datetime) -> None:
    """Do what is due, knowing that something is."""
    ids, moment = assignments.c.assignment_id, at(now)
    overdue = sa.select(ids).where(*_OVERDUE).order_by(assignments.c.deadline).limit(_BATCH)
    undecided = sa.select(ids).where(*_UNDECIDED).order_by(assignments.c.auto_approval_at).limit(_BATCH)
    old = sa.select(hits.c.hit_id).where(*_OLD).limit(_BATCH)
    expired = sa.select(hits.c.hit_id).where(*_EXPIRED).order_by(hits.c.expires_at).limit(_BATCH)
    lapsed = sa.select(study_sessions.c.number).where(*_LAPSED).limit(_BATCH)
    while True:
        with surveying(engine) as connection:
            late = connection.scalars(overdue, moment).all()
            silent = connection.scalars(undecided, moment).all()
            stale = connection.scalars(old, moment).all()
            ended = connection.scalars(expired, moment).all()
            over = connection.scalars(lapsed, moment).all()
        for assignment_id in late:
            _abandon(engine, assignment_id, now)
        for number in over:
            _time_out(engine, number, now)
        for assignment_id in silent:
            _approve_silently(engine, assignment_id, now)
        for hit_id in ended:
            _notice_end(engine, hit_id, now)
        for hit_id in stale:
            _dispose_of_old(engine, hit_id, now)
        if max(len(late), len(silent), len(stale), len(ended), len(over)) < _BATCH:
            return


def _abandon(engine: Engine, assignment_id: str, now: datetime) -> None:
    with writing(engine) as connection:
        hit, assignment = lock_assignment(connection, assignment_id)
        # Another process may have been faster, or the worker.
        if assignment.state is AssignmentState.ACCEPTED and assignment.deadline <= now:
            ended_at = assignment.deadline
            move_assignment(connection, hit, assignment, AssignmentState.ABANDONED, now, ended_at=ended_at)
            release(connection, hit, assignment, assignment.price_cents - hit.price_cents, now)
            announce(connection, hit, "AssignmentAbandoned", now, assignment_id)
            notice_reviewable(connection, hit.hit_id, now)


def _time_out(engine: Engine, session_number: int, now: datetime) -> None:
    with writing(engine) as connection:
        session = panels.lock_session(connection, session_number)
        if session.state == "Started" and session.deadline <= now:
            panels.give_up(connection, session, "TimedOut", now)


def _approve_silently(engine: Engine, assignment_id: str, now: datetime) -> None:
    with writing(engine) as connection:
        hit, assignment = lock_assignment(connection, assignment_id)
        due = assignment.auto_approval_at
        if assignment.state is AssignmentState.SUBMITTED and due is not None and due <= now:
            pay(connection, hit, assignment, due, None)


def _notice_end(engine: Engine, hit_id: str, now: datetime) -> None:
    with writing(engine) as connection:
        notice_reviewable(connection, hit_id, now)


def _dispose_of_old(engine: Engine, hit_id: str, now: datetime) -> None:
    with writing(engine) as connection:
        hit = find_hit(connection, hit_id, lock=True)
        old = hit.state.changed_at <= now - lifecycle.DISPOSAL_DELAY
        if old and hit.state.disposed_at is None and hit.state.submitted == 0:
            dispose(connection, hit, now)
