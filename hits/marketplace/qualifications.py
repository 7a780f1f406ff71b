"""Workers' qualifications as their owners give, take and list them. One operation, one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from ..database import surveying, writing
from ..errors import RequestRefused
from .messages import send_message
from .qualification_types import QualificationType, own_type
from .store import insert_unless_there
from .tables import qualification_types, qualifications, workers

GRANTED, REVOKED = "Granted", "Revoked"


@dataclass(frozen=True, slots=True)
class Qualification:
    """A worker's qualification of one type."""

    number: int
    qualification_type_id: str
    worker_id: str
    value: int
    status: str
    granted_at: datetime


def _qualification_from(row: Row[Any]) -> Qualification:
    return Qualification(
        row.number, row.qualification_type_id, row.worker_id, row.value, row.status, row.granted_at
    )


def _select() -> sa.Select[Any]:
    return sa.select(qualifications, qualification_types.c.qualification_type_id).select_from(
        qualifications.join(qualification_types)
    )


def require_worker(connection: Connection, worker_id: str) -> None:
    """Refuse an id that is no worker's."""
    if connection.scalar(sa.select(workers.c.worker_id).where(workers.c.worker_id == worker_id)) is None:
        raise RequestRefused(f"worker {worker_id} does not exist", "InvalidParameterValue")


def grant(connection: Connection, type_number: int, worker_id: str, value: int, now: datetime) -> None:
    """Give the worker the qualification with this value, or her qualification another value."""
    insert_unless_there(
        connection,
        qualifications,
        type_number=type_number,
        worker_id=worker_id,
        value=value,
        status=GRANTED,
        granted_at=now,
    )
    connection.execute(
        qualifications.update()
        .where(qualifications.c.type_number == type_number, qualifications.c.worker_id == worker_id)
        .values(value=value, status=GRANTED, granted_at=now, reason=None)
    )


def associate(
    engine: Engine, requester_id: str, type_id: str, worker_id: str, value: int, notify: bool, now: datetime
) -> None:
    """Give a worker a qualification of the requester's own type, unasked."""
    with writing(engine) as connection:
        found = own_type(connection, requester_id, type_id, lock=True)
        require_worker(connection, worker_id)
        grant(connection, found.number, worker_id, value, now)
        if notify:
            name = found.terms.name
            text = f"You were given the qualification “{name}” with the value {value}."
            send_message(connection, requester_id, worker_id, f"You are qualified: {name}", text, now)


def disassociate(
    engine: Engine, requester_id: str, type_id: str, worker_id: str, reason: str, now: datetime
) -> None:
    """Take a qualification back; the worker sees the reason."""
    with writing(engine) as connection:
        found = own_type(connection, requester_id, type_id, lock=True)
        held = _held(connection, found, worker_id)
        connection.execute(
            qualifications.update()
            .where(qualifications.c.number == held.number)
            .values(status=REVOKED, reason=reason or None)
        )
        text = reason or "No reason was given."
        send_message(connection, requester_id, worker_id, f"Taken back: {found.terms.name}", text, now)


def score(engine: Engine, requester_id: str, type_id: str, worker_id: str) -> Qualification:
    """A worker's qualification of the requester's own type."""
    with surveying(engine) as connection:
        return _held(connection, own_type(connection, requester_id, type_id), worker_id)


def _held(connection: Connection, of: QualificationType, worker_id: str) -> Qualification:
    row = connection.execute(
        _select().where(qualifications.c.type_number == of.number, qualifications.c.worker_id == worker_id)
    ).one_or_none()
    where = f"worker {worker_id} and qualification type {of.qualification_type_id}"
    if row is None:
        raise RequestRefused(
            f"You requested a Qualification that does not exist: {where}", "QualificationDoesNotExist"
        )
    if row.status != GRANTED:
        raise RequestRefused(
            f"This operation can be called with a status of: Granted. It was revoked: {where}",
            "InvalidQualificationState",
        )
    return _qualification_from(row)


def list_holders(
    engine: Engine, requester_id: str, type_id: str, status: str, limit: int, after: int | None
) -> list[Qualification]:
    """Who has a qualification of the requester's own type (or had it), in the order of first grants."""
    with surveying(engine) as connection:
        found = own_type(connection, requester_id, type_id)
        rows = connection.execute(
            _select()
            .where(
                qualifications.c.type_number == found.number,
                qualifications.c.status == status,
                qualifications.c.number > (after or 0),
            )
            .order_by(qualifications.c.number)
            .limit(limit)
        )
        return [_qualification_from(row) for row in rows]
