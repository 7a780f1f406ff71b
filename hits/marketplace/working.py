"""What workers do with assignments: they accept, return and submit them. One operation, one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import UtcDateTime, writing
from ..errors import HitsError, RequestRefused
from . import lifecycle, panels, uploads
from .form_answers import form_answers_xml
from .forms import FileUpload
from .holding import release
from .identifiers import new_entity_id
from .lifecycle import AssignmentState, Unavailable
from .notices import announce
from .panels import StudySession
from .questions import answers_xml
from .records import PUBLIC_STATES, AssignmentRecord, Hit
from .reviewing import notice_reviewable, review_submission
from .standing import shortfalls
from .store import add_assignment, lock_assignment, lock_hit_for_worker, move_assignment
from .tables import ACCEPTED, HELD_OR_DONE, assignments, worker_blocks
from .uploads import IncomingFile
from .workplace import question_of


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


_in_hand = assignments.alias("in_hand")
_HELD = (
    sa.select(sa.func.count())
    .select_from(_in_hand)
    .where(
        _in_hand.c.worker_id == sa.bindparam("worker"),
        ACCEPTED,
        _in_hand.c.deadline > sa.bindparam("now", type_=UtcDateTime),
    )
    .scalar_subquery()
)
_BLOCKED = sa.exists().where(
    worker_blocks.c.requester_id == sa.bindparam("requester"),
    worker_blocks.c.worker_id == sa.bindparam("worker"),
)
_OWN = sa.and_(
    assignments.c.hit_number == sa.bindparam("hit"),
    assignments.c.worker_id == sa.bindparam("worker"),
    HELD_OR_DONE,
)
_NOTHING = sa.select(sa.literal(1).label("always")).subquery()
# All that decides whether a worker gets a HIT, in one row, once both are locked.
_STANDING = sa.select(
    assignments.c.assignment_id,
    assignments.c.state,
    assignments.c.deadline,
    _HELD.label("held"),
    _BLOCKED.label("blocked"),
).select_from(_NOTHING.outerjoin(assignments, _OWN))  # fmt: skip


def accept(engine: Engine, hit_id: str, worker_id: str, most_held: int, now: datetime) -> str:
    """Give a worker an assignment of the HIT and return its id; the same id if she holds one already.

    Raises CannotAccept, or RequestRefused (HITDoesNotExist).
    """
    with writing(engine) as connection:
        taken = _taken(connection, hit_id, worker_id, most_held, now)
    # Only now: an exception would roll back, and with that psycopg forgets all that the connection has prepared.
    if isinstance(taken, Unavailable):
        raise CannotAccept(taken)
    return taken


def _taken(
    connection: Connection, hit_id: str, worker_id: str, most_held: int, now: datetime
) -> str | Unavailable:
    """The assignment of the HIT that the worker has from now on, or why she cannot have one."""
    hit, from_panel = lock_hit_for_worker(connection, hit_id, worker_id)
    asked = {"hit": hit.number, "worker": worker_id, "requester": hit.requester_id, "now": now}
    found = connection.execute(_STANDING, asked).one()
    if found.state == AssignmentState.ACCEPTED and now < found.deadline:
        return str(found.assignment_id)
    own = None if found.state is None else AssignmentState(found.state)
    reason = lifecycle.why_not_accept(hit.state, own, found.held, most_held, now)
    if reason is None and found.blocked:
        reason = Unavailable.BLOCKED
    if reason is None and shortfalls(connection, worker_id, hit.hit_type.requirements):
        reason = Unavailable.NOT_QUALIFIED
    session = panels.running_session(connection, worker_id) if from_panel else None
    if reason is None and from_panel and not _in_study(connection, session, hit):
        reason = Unavailable.STUDY_OVER
    if reason is not None:
        return reason
    return _take(connection, hit, worker_id, session, now)


def _in_study(connection: Connection, session: StudySession | None, hit: Hit) -> bool:
    """Whether a session of a panel still takes this HIT."""
    if session is None or session.study.requester_id != hit.requester_id:
        return False
    taken = connection.scalar(
        sa.select(sa.func.count()).where(assignments.c.session_number == session.number, HELD_OR_DONE)
    )
    return (taken or 0) < session.study.pages


def _take(
    connection: Connection, hit: Hit, worker_id: str, session: StudySession | None, now: datetime
) -> str:
    assignment_id = new_entity_id()
    deadline = now + timedelta(seconds=hit.hit_type.assignment_seconds)
    add_assignment(
        connection,
        hit,
        assignment_id,
        worker_id,
        now,
        deadline=deadline if session is None else min(deadline, session.deadline),
        session_number=None if session is None else session.number,
    )
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
        release(connection, hit, assignment, assignment.price_cents - hit.price_cents, now)
        announce(connection, hit, "AssignmentReturned", now, assignment_id)
        notice_reviewable(connection, hit.hit_id, now)


def submit(
    engine: Engine,
    assignment_id: str,
    fields: Iterable[tuple[str, str]],
    now: datetime,
    worker_id: str | None = None,
    files: Mapping[str, IncomingFile] | None = None,
) -> AssignmentRecord:
    """Take in an assignment's answers; a repeat changes nothing and gets the assignment as it is.

    `files` answer a QuestionForm's questions, by their identifiers; other questions have none. `worker_id` is who
    sends them, if that is known; another worker's assignment does not exist for her. Raises NotHeld for one that was
    returned or whose time is over, RequestRefused for one that does not exist, AnswersRefused for answers that do not
    fit a QuestionForm.
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
        answer = _answer(connection, hit, assignment, fields, files or {})
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
        release(connection, hit, assignment, hit.price_cents - assignment.price_cents, now)
        announce(connection, hit, "AssignmentSubmitted", now, assignment_id)
        review_submission(connection, hit, stored, now)
        if hit.unseen:
            notice_reviewable(connection, hit.hit_id, now)
        if assignment.session_number is not None:
            session = panels.lock_session(connection, assignment.session_number)
            if session.state == "Started" and session.done >= session.study.pages:
                panels.complete(connection, session, now)
        return stored


def _answer(
    connection: Connection,
    hit: Hit,
    assignment: AssignmentRecord,
    fields: Iterable[tuple[str, str]],
    files: Mapping[str, IncomingFile],
) -> str:
    """The answers as XML, once the files that are among them are kept."""
    if not hit.is_form:
        return answers_xml(fields)
    form = question_of(connection, hit).form
    assert form is not None, "is_form was set from the same parser"
    xml = form_answers_xml(form, fields, files)
    for question in form.questions:
        if isinstance(question.answer, FileUpload) and question.identifier in files:
            uploads.keep(connection, assignment.number, question.identifier, files[question.identifier])
    return xml
