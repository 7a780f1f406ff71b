"""What happens to assignments: workers accept, return and submit; requesters decide; time does the rest.

One operation, one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import UtcDateTime, reading, writing
from ..errors import HitsError, RequestRefused
from . import ledger, lifecycle, panels
from .deciding import approve, pay, reject
from .form_answers import form_answers_xml
from .identifiers import new_entity_id
from .ledger import Transfer
from .lifecycle import AssignmentState, Unavailable
from .notices import announce
from .panels import StudySession
from .publishing import dispose
from .questions import answers_xml, parse_question
from .reviewing import notice_reviewable, review_submission
from .standing import blocked, shortfalls
from .store import (
    PUBLIC_STATES,
    AssignmentRecord,
    Hit,
    find_hit,
    lock_assignment,
    lock_worker,
    move_assignment,
    save_state,
)
from .tables import (
    ACCEPTED,
    HELD_OR_DONE,
    KEPT,
    STARTED,
    SUBMITTED,
    UNSEEN,
    assignments,
    hits,
    questions,
    study_sessions,
)

__all__ = [
    "CannotAccept",
    "NotHeld",
    "accept",
    "approve",
    "give_back",
    "reject",
    "settle",
    "submit",
]

_BATCH = 200


class CannotAccept(HitsError):
    """A worker cannot accept a HIT; `reason` is why."""

    def __init__(self, reason: Unavailable) -> None:
        super().__init__(f"the HIT cannot be accepted: {reason}")
        self.reason = reason


class NotHeld(HitsError):
    """An assignment is no longer in its worker's hands; `state` is what became of it."""

    def __init__(self, state: AssignmentState) -> None:
        super().__init__(f"the assignment is {state}")
        self.state = state


_OWN = sa.select(assignments.c.assignment_id, assignments.c.state, assignments.c.deadline).where(
    assignments.c.hit_number == sa.bindparam("hit"),
    assignments.c.worker_id == sa.bindparam("worker"),
    HELD_OR_DONE,
)
_HELD = sa.select(sa.func.count()).where(
    assignments.c.worker_id == sa.bindparam("worker"),
    ACCEPTED,
    assignments.c.deadline > sa.bindparam("now", type_=UtcDateTime),
)


def accept(engine: Engine, hit_id: str, worker_id: str, most_held: int, now: datetime) -> str:
    """Give a worker an assignment of the HIT and return its id; the same id if she holds one already.

    Raises CannotAccept, or RequestRefused (HITDoesNotExist).
    """
    with writing(engine) as connection:
        from_panel = lock_worker(connection, worker_id)
        hit = find_hit(connection, hit_id, lock=True)
        own = connection.execute(_OWN, {"hit": hit.number, "worker": worker_id}).one_or_none()
        if own is not None and own.state == AssignmentState.ACCEPTED and now < own.deadline:
            return str(own.assignment_id)
        held = connection.scalar(_HELD, {"worker": worker_id, "now": now})
        own_state = None if own is None else AssignmentState(own.state)
        reason = lifecycle.why_not_accept(hit.state, own_state, held or 0, most_held, now)
        if reason is None and blocked(connection, hit.requester_id, worker_id):
            reason = Unavailable.BLOCKED
        if reason is None and shortfalls(connection, worker_id, hit.hit_type.requirements):
            reason = Unavailable.NOT_QUALIFIED
        session = panels.running_session(connection, worker_id) if from_panel else None
        if reason is None and from_panel and not _in_study(connection, session, hit):
            reason = Unavailable.STUDY_OVER
        if reason is not None:
            raise CannotAccept(reason)
        return _insert_assignment(connection, hit, worker_id, session, now)


def _in_study(connection: Connection, session: StudySession | None, hit: Hit) -> bool:
    """Whether a session of a panel still takes this HIT."""
    if session is None or session.study.requester_id != hit.requester_id:
        return False
    taken = connection.scalar(
        sa.select(sa.func.count()).where(assignments.c.session_number == session.number, HELD_OR_DONE)
    )
    return (taken or 0) < session.study.pages


def _insert_assignment(
    connection: Connection, hit: Hit, worker_id: str, session: StudySession | None, now: datetime
) -> str:
    assignment_id = new_entity_id()
    deadline = now + timedelta(seconds=hit.hit_type.assignment_seconds)
    connection.execute(
        assignments.insert().values(
            assignment_id=assignment_id,
            hit_number=hit.number,
            type_number=hit.hit_type.number,
            worker_id=worker_id,
            state=AssignmentState.ACCEPTED.value,
            # A panel pays for the session as a whole.
            session_number=None if session is None else session.number,
            reward_cents=hit.hit_type.reward_cents if session is None else 0,
            fee_cents=hit.fee_cents if session is None else 0,
            accepted_at=now,
            deadline=deadline if session is None else min(deadline, session.deadline),
        )
    )
    save_state(connection, hit, lifecycle.moved(hit.state, None, AssignmentState.ACCEPTED, now))
    announce(connection, hit, "AssignmentAccepted", now, assignment_id)
    return assignment_id


def give_back(engine: Engine, assignment_id: str, worker_id: str, now: datetime) -> None:
    """Return an assignment unfinished; raises NotHeld, or RequestRefused if it is not this worker's."""
    with writing(engine) as connection:
        hit, assignment = lock_assignment(connection, assignment_id)
        if assignment.worker_id != worker_id:
            raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
        if assignment.state is not AssignmentState.ACCEPTED:
            raise NotHeld(assignment.state)
        move_assignment(connection, hit, assignment, AssignmentState.RETURNED, now, ended_at=now)
        _release(connection, hit, assignment, assignment.price_cents - hit.price_cents, now)
        announce(connection, hit, "AssignmentReturned", now, assignment_id)
        notice_reviewable(connection, hit.hit_id, now)


def _release(
    connection: Connection, hit: Hit, assignment: AssignmentRecord, cents: int, now: datetime
) -> None:
    """Give back what a place held beyond its price: it held the dearer of two while it was in a worker's hands."""
    if cents > 0:
        escrow, account = ledger.escrow_account(hit.hit_id), ledger.requester_account(hit.requester_id)
        refund = Transfer("refund", escrow, account, cents, hit.number, assignment.number)
        ledger.post(connection, now, refund)


def submit(
    engine: Engine,
    assignment_id: str,
    fields: Iterable[tuple[str, str]],
    now: datetime,
    worker_id: str | None = None,
) -> AssignmentRecord:
    """Take in an assignment's answers; a repeat changes nothing and gets the assignment as it is.

    `worker_id` is who sends them, if that is known; another worker's assignment does not exist for
    her. Raises NotHeld for one that was returned or whose time is over, RequestRefused for one that does
    not exist, AnswersRefused for answers that do not fit a QuestionForm.
    """
    with writing(engine) as connection:
        hit, assignment = lock_assignment(connection, assignment_id)
        if worker_id is not None and assignment.worker_id != worker_id:
            raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
        if assignment.state in PUBLIC_STATES:
            return assignment
        if assignment.state is not AssignmentState.ACCEPTED:
            raise NotHeld(assignment.state)
        if now >= assignment.deadline:
            raise NotHeld(AssignmentState.ABANDONED)
        answer = _answer(connection, hit, fields)
        auto_approval_at = now + timedelta(seconds=hit.hit_type.auto_approval_seconds)
        move_assignment(
            connection,
            hit,
            assignment,
            AssignmentState.SUBMITTED,
            now,
            submitted_at=now,
            ended_at=now,
            auto_approval_at=auto_approval_at,
            answer=answer,
        )
        stored = replace(
            assignment,
            state=AssignmentState.SUBMITTED,
            submitted_at=now,
            auto_approval_at=auto_approval_at,
            answer=answer,
        )
        _release(connection, hit, assignment, hit.price_cents - assignment.price_cents, now)
        announce(connection, hit, "AssignmentSubmitted", now, assignment_id)
        review_submission(connection, hit, stored, now)
        if hit.unseen:
            notice_reviewable(connection, hit.hit_id, now)
        if assignment.session_number is not None:
            session = panels.lock_session(connection, assignment.session_number)
            if session.state == "Started" and session.done >= session.study.pages:
                panels.complete(connection, session, now)
        return stored


def _answer(connection: Connection, hit: Hit, fields: Iterable[tuple[str, str]]) -> str:
    if not hit.is_form:
        return answers_xml(fields)
    xml = connection.execute(
        sa.select(questions.c.xml).where(questions.c.digest == hit.question_digest)
    ).scalar_one()
    form = parse_question(xml).form
    assert form is not None, "is_form was set from the same parser"
    return form_answers_xml(form, fields)


# --- time ----------------------------------------------------------------------------------------------


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
# One question for all of it: nearly always nothing is due, and every request asks.
_ANYTHING_DUE = sa.select(
    sa.or_(
        *(sa.exists().where(*conditions) for conditions in (_OVERDUE, _UNDECIDED, _OLD, _EXPIRED, _LAPSED))
    )
)


def _at(now: datetime) -> dict[str, datetime]:
    return {"now": now, "long_ago": now - lifecycle.DISPOSAL_DELAY}


def anything_due(connection: Connection, now: datetime) -> bool:
    """Whether `settle` has anything to do at `now`."""
    return bool(connection.scalar(_ANYTHING_DUE, _at(now)))


def settle(engine: Engine, now: datetime) -> None:
    """Do what is due: abandon overdue assignments, approve what was left undecided, dispose of old HITs.

    Every operation calls this first, so that what it sees is true at `now`; a sweep calls it too.
    """
    with reading(engine) as connection:
        due = anything_due(connection, now)
    if due:
        settle_due(engine, now)


def settle_due(engine: Engine, now: datetime) -> None:
    """Do what is due, knowing that something is."""
    ids, at = assignments.c.assignment_id, _at(now)
    overdue = sa.select(ids).where(*_OVERDUE).order_by(assignments.c.deadline).limit(_BATCH)
    undecided = sa.select(ids).where(*_UNDECIDED).order_by(assignments.c.auto_approval_at).limit(_BATCH)
    old = sa.select(hits.c.hit_id).where(*_OLD).limit(_BATCH)
    expired = sa.select(hits.c.hit_id).where(*_EXPIRED).order_by(hits.c.expires_at).limit(_BATCH)
    lapsed = sa.select(study_sessions.c.number).where(*_LAPSED).limit(_BATCH)
    while True:
        with reading(engine) as connection:
            late = connection.scalars(overdue, at).all()
            silent = connection.scalars(undecided, at).all()
            stale = connection.scalars(old, at).all()
            ended = connection.scalars(expired, at).all()
            over = connection.scalars(lapsed, at).all()
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
            _release(connection, hit, assignment, assignment.price_cents - hit.price_cents, now)
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
