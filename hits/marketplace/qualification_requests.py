"""Requests for qualifications: workers ask or take tests, keys score them, owners decide on the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from ..database import surveying, writing
from ..errors import RequestRefused
from .answer_keys import parse_answer_key
from .form_answers import form_answers_xml, read_answers
from .identifiers import new_entity_id
from .messages import send_message
from .qualification_types import QualificationType, find_type, own_type
from .qualifications import grant
from .questions import parse_test
from .store import lock_worker
from .tables import qualification_requests, qualification_types, qualifications

STARTED, PENDING, ACCEPTED, REJECTED, LAPSED = "Started", "Pending", "Granted", "Rejected", "Lapsed"


@dataclass(frozen=True, slots=True)
class QualificationRequest:
    """A worker's request; `submitted_at` is None while its test is being taken."""

    number: int
    request_id: str
    qualification_type_id: str
    worker_id: str
    state: str
    test: str | None
    answer: str | None
    started_at: datetime
    deadline: datetime | None
    submitted_at: datetime | None
    reason: str | None


def _request_from(row: Row[Any]) -> QualificationRequest:
    return QualificationRequest(
        row.number,
        row.request_id,
        row.qualification_type_id,
        row.worker_id,
        row.state,
        row.test,
        row.answer,
        row.started_at,
        row.deadline,
        row.submitted_at,
        row.reason,
    )


def _select() -> sa.Select[Any]:
    return sa.select(qualification_requests, qualification_types.c.qualification_type_id).select_from(
        qualification_requests.join(qualification_types)
    )


# --- the worker's side ---------------------------------------------------------------------------------


def last_request(connection: Connection, type_number: int, worker_id: str) -> QualificationRequest | None:
    """The worker's newest request for a type."""
    row = connection.execute(
        _select()
        .where(
            qualification_requests.c.type_number == type_number,
            qualification_requests.c.worker_id == worker_id,
        )
        .order_by(qualification_requests.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _request_from(row)


def retry_at(of: QualificationType, last: QualificationRequest | None) -> datetime | None:
    """When the worker may ask again after her last request; None if she never may, or may at any time."""
    delay = of.terms.retry_delay_seconds
    if last is None or delay is None:
        return None
    return (last.submitted_at or last.deadline or last.started_at) + timedelta(seconds=delay)


def require_requestable(
    of: QualificationType, last: QualificationRequest | None, qualified: bool, now: datetime
) -> None:
    """Refuse a request that a worker may not make now, with the reason."""
    if of.requester_id is None or not of.terms.active:
        raise RequestRefused("this qualification cannot be requested", "InvalidQualificationTypeState")
    if qualified:
        raise RequestRefused("you have this qualification already", "QualificationAlreadyExists")
    if last is None:
        return
    if last.state == PENDING:
        raise RequestRefused(
            "you have asked for this already; wait for the answer", "QualificationAlreadyExists"
        )
    again = retry_at(of, last)
    if again is None:
        raise RequestRefused("this can be asked for only once", "QualificationTypeDoesNotAllowRetake")
    if now < again:
        raise RequestRefused(
            f"you can ask again from {again:%d %b %Y, %H:%M} UTC on", "QualificationTypeRetryDelayNotElapsed"
        )


def request_qualification(
    engine: Engine, type_id: str, worker_id: str, now: datetime
) -> QualificationRequest:
    """Ask for a qualification, or open its test; the open test again if it is open already.

    Granted at once where its owner said so. Raises RequestRefused as `require_requestable` does.
    """
    with writing(engine) as connection:
        lock_worker(connection, worker_id)
        of = find_type(connection, type_id, lock=True)
        _lapse(connection, of.number, worker_id, now)
        last = last_request(connection, of.number, worker_id)
        if last is not None and last.state == STARTED:
            return last
        require_requestable(of, last, holds(connection, of.number, worker_id), now)
        terms = of.terms
        state = STARTED if terms.test is not None else PENDING
        if terms.auto_granted_value is not None:
            state = ACCEPTED
            grant(connection, of.number, worker_id, terms.auto_granted_value, now)
        connection.execute(
            qualification_requests.insert().values(
                request_id=new_entity_id(),
                type_number=of.number,
                worker_id=worker_id,
                state=state,
                test=terms.test,
                answer_key=terms.answer_key,
                started_at=now,
                deadline=None if terms.test_seconds is None else now + timedelta(seconds=terms.test_seconds),
                submitted_at=None if state == STARTED else now,
                decided_at=now if state == ACCEPTED else None,
            )
        )
        made = last_request(connection, of.number, worker_id)
        assert made is not None, "its row was written in this transaction"
        return made


def submit_test(
    engine: Engine, type_id: str, worker_id: str, fields: Iterable[tuple[str, str]], now: datetime
) -> QualificationRequest:
    """Hand a test in: scored at once where there is a key, else left to its owner.

    Raises AnswersRefused for answers that do not fit, RequestRefused (QualificationRequestDoesNotExist) if no
    test is open or its time is over.
    """
    with writing(engine) as connection:
        lock_worker(connection, worker_id)
        of = find_type(connection, type_id, lock=True)
        row = connection.execute(
            _select().where(
                qualification_requests.c.type_number == of.number,
                qualification_requests.c.worker_id == worker_id,
                qualification_requests.c.state == STARTED,
                qualification_requests.c.deadline > now,
            )
        ).one_or_none()
        if row is None:
            raise RequestRefused("no test is open: its time may be over", "QualificationRequestDoesNotExist")
        answer = form_answers_xml(parse_test(row.test), fields)
        changes: dict[str, Any] = {"state": PENDING}
        if row.answer_key is not None:
            value = parse_answer_key(row.answer_key).score(read_answers(answer))
            grant(connection, of.number, worker_id, value, now)
            changes = {"state": ACCEPTED, "decided_at": now}
        connection.execute(
            qualification_requests.update()
            .where(qualification_requests.c.number == row.number)
            .values(answer=answer, submitted_at=now, **changes)
        )
        done = last_request(connection, of.number, worker_id)
        assert done is not None, "its row was changed in this transaction"
        return done


def holds(connection: Connection, type_number: int, worker_id: str) -> bool:
    """Whether the worker has this qualification now."""
    found = connection.scalar(
        sa.select(qualifications.c.number).where(
            qualifications.c.type_number == type_number,
            qualifications.c.worker_id == worker_id,
            qualifications.c.status == "Granted",
        )
    )
    return found is not None


def _lapse(connection: Connection, type_number: int, worker_id: str, now: datetime) -> None:
    connection.execute(
        qualification_requests.update()
        .where(
            qualification_requests.c.type_number == type_number,
            qualification_requests.c.worker_id == worker_id,
            qualification_requests.c.state == STARTED,
            qualification_requests.c.deadline <= now,
        )
        .values(state=LAPSED)
    )


# --- the owner's side ----------------------------------------------------------------------------------


def list_requests(
    engine: Engine, requester_id: str, type_id: str | None, limit: int, after: int | None
) -> list[QualificationRequest]:
    """The requests that wait for the requester's decision, oldest first; of one type, or of all of hers."""
    query = _select().where(
        qualification_requests.c.state == PENDING,
        qualification_types.c.requester_id == requester_id,
        qualification_requests.c.number > (after or 0),
    )
    with surveying(engine) as connection:
        if type_id is not None:
            found = own_type(connection, requester_id, type_id)
            query = query.where(qualification_requests.c.type_number == found.number)
        rows = connection.execute(query.order_by(qualification_requests.c.number).limit(limit))
        return [_request_from(row) for row in rows]


def accept_request(engine: Engine, requester_id: str, request_id: str, value: int, now: datetime) -> None:
    """Grant what was asked for, with this value."""
    with writing(engine) as connection:
        row = _decide(connection, requester_id, request_id, ACCEPTED, None, now)
        grant(connection, row.type_number, row.worker_id, value, now)
        text = f"Your request was granted, with the value {value}."
        send_message(connection, requester_id, row.worker_id, f"You are qualified: {row.name}", text, now)


def reject_request(engine: Engine, requester_id: str, request_id: str, reason: str, now: datetime) -> None:
    """Turn a request down; the worker sees the reason."""
    with writing(engine) as connection:
        row = _decide(connection, requester_id, request_id, REJECTED, reason or None, now)
        text = reason or "No reason was given."
        send_message(connection, requester_id, row.worker_id, f"Not granted: {row.name}", text, now)


def _decide(
    connection: Connection,
    requester_id: str,
    request_id: str,
    state: str,
    reason: str | None,
    now: datetime,
) -> Row[Any]:
    row = connection.execute(
        sa.select(qualification_requests, qualification_types.c.name, qualification_types.c.requester_id)
        .select_from(qualification_requests.join(qualification_types))
        .where(qualification_requests.c.request_id == request_id)
        .with_for_update(of=qualification_requests)
    ).one_or_none()
    if row is None or row.requester_id != requester_id or row.state == STARTED:
        raise RequestRefused(
            f"qualification request {request_id} does not exist", "QualificationRequestDoesNotExist"
        )
    if row.state != PENDING:
        raise RequestRefused(
            f"qualification request {request_id} is {row.state} already", "InvalidQualificationRequestState"
        )
    connection.execute(
        qualification_requests.update()
        .where(qualification_requests.c.number == row.number)
        .values(state=state, decided_at=now, reason=reason)
    )
    return row
