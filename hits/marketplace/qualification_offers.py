"""What a worker sees of qualifications: those she has, those she can ask for, and one in detail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import surveying, writing
from ..errors import HitsError, RequestRefused
from . import qualifying
from .qualification_requests import (
    STARTED,
    QualificationRequest,
    holds,
    last_request,
    require_requestable,
)
from .qualification_types import QualificationType, find_type
from .standing import qualification_values
from .tables import (
    LISTED,
    hit_type_qualifications,
    hit_types,
    qualification_types,
    qualifications,
    requesters,
    workers,
)


@dataclass(frozen=True, slots=True)
class OwnQualification:
    """A qualification that a worker has, or had; the value is in words."""

    qualification_type_id: str | None
    name: str
    value: str
    revoked: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class OfferedType:
    """A qualification type as a worker finds it in the list of those she can ask for."""

    qualification_type_id: str
    name: str
    description: str
    requester: str
    with_test: bool


@dataclass(frozen=True, slots=True)
class QualificationPage:
    """One qualification type for one worker; `refusal` says why she cannot ask for it now."""

    found: QualificationType
    requester: str
    qualified: bool
    value: str | None
    last: QualificationRequest | None
    refusal: str | None

    @property
    def test_open(self) -> bool:
        return self.last is not None and self.last.state == STARTED and self.refusal is None


@dataclass(frozen=True, slots=True)
class Profile:
    """What a worker said of herself; None is not known."""

    country: str | None
    subdivision: str | None
    adult: bool | None


def own_qualifications(engine: Engine, worker_id: str) -> tuple[OwnQualification, ...]:
    """The system's qualifications of a worker, then those that requesters gave her."""
    with surveying(engine) as connection:
        values = qualification_values(connection, worker_id, qualifying.SYSTEM_TYPES)
        rows = connection.execute(
            sa.select(qualifications, qualification_types.c.name, qualification_types.c.qualification_type_id)
            .select_from(qualifications.join(qualification_types))
            .where(qualifications.c.worker_id == worker_id)
            .order_by(qualification_types.c.name)
        ).all()
    system = [
        OwnQualification(None, name, _system_value(type_id, values.get(type_id)), False, None)
        for type_id, (name, _) in qualifying.SYSTEM_TYPES.items()
        if type_id != qualifying.SANDBOX_MASTERS
    ]
    given = [
        OwnQualification(
            row.qualification_type_id, row.name, str(row.value), row.status == "Revoked", row.reason
        )
        for row in rows
    ]
    return tuple(system + given)


def _system_value(type_id: str, value: qualifying.Value | None) -> str:
    if type_id == qualifying.MASTERS:
        return "no" if value is None else "yes"
    return "not known" if value is None else str(value)


def offered_types(engine: Engine, worker_id: str, limit: int = 200) -> tuple[OfferedType, ...]:
    """The types that are there to be asked for and that the worker does not have, newest first.

    One that the latest HITs that name it want nobody to have keeps people out: nothing to ask for.
    """
    had = sa.exists().where(
        qualifications.c.type_number == qualification_types.c.number,
        qualifications.c.worker_id == worker_id,
        qualifications.c.status == "Granted",
    )
    with surveying(engine) as connection:
        latest = (
            sa.select(sa.func.max(hit_type_qualifications.c.type_number))
            .where(
                hit_type_qualifications.c.qualification_type_id == qualification_types.c.qualification_type_id
            )
            .scalar_subquery()
        )
        rows = connection.execute(
            sa.select(qualification_types, requesters.c.name.label("requester"), hit_types.c.requirements)
            .select_from(
                qualification_types.join(requesters).outerjoin(hit_types, hit_types.c.number == latest)
            )
            .where(LISTED, qualification_types.c.active, ~had)
            .order_by(qualification_types.c.number.desc())
            .limit(limit)
        )
        return tuple(
            OfferedType(
                row.qualification_type_id, row.name, row.description, row.requester, row.test is not None
            )
            for row in rows
            if not _keeps_out(row.qualification_type_id, row.requirements)
        )


def _keeps_out(type_id: str, requirements: str | None) -> bool:
    return any(
        one.qualification_type_id == type_id and one.comparator == "DoesNotExist"
        for one in qualifying.read_requirements(requirements or "[]")
    )


def qualification_page(engine: Engine, type_id: str, worker_id: str, now: datetime) -> QualificationPage:
    """One type with the worker's standing in it; raises RequestRefused if there is none or it is the system's."""
    with surveying(engine) as connection:
        found = find_type(connection, type_id)
        if found.requester_id is None:
            raise RequestRefused(f"{type_id} is not asked for", "QualificationTypeDoesNotExist")
        requester = connection.execute(
            sa.select(requesters.c.name).where(requesters.c.requester_id == found.requester_id)
        ).scalar_one()
        qualified = holds(connection, found.number, worker_id)
        value = qualification_values(connection, worker_id, [type_id]).get(type_id)
        last = last_request(connection, found.number, worker_id)
    refusal = None
    running = last is not None and last.state == STARTED and last.deadline is not None and now < last.deadline
    if not running:
        try:
            require_requestable(found, last, qualified, now)
        except RequestRefused as error:
            refusal = str(error)
    return QualificationPage(
        found, requester, qualified, None if value is None else str(value), last, refusal
    )


def profile(engine: Engine, worker_id: str) -> Profile:
    """What the worker said of herself."""
    with surveying(engine) as connection:
        row = connection.execute(
            sa.select(workers.c.country, workers.c.subdivision, workers.c.adult).where(
                workers.c.worker_id == worker_id
            )
        ).one()
    return Profile(row.country, row.subdivision, row.adult)


def set_profile(engine: Engine, worker_id: str, wanted: Profile) -> None:
    """Keep what the worker says of herself; raises HitsError for codes that are not two letters."""
    for code in (wanted.country, wanted.subdivision):
        if code is not None and not (len(code) == 2 and code.isascii() and code.isalpha() and code.isupper()):
            raise HitsError(f"{code!r} is not a code of two capital letters")
    if wanted.subdivision is not None and wanted.country is None:
        raise HitsError("a state needs its country")
    with writing(engine) as connection:
        connection.execute(
            workers.update()
            .where(workers.c.worker_id == worker_id)
            .values(country=wanted.country, subdivision=wanted.subdivision, adult=wanted.adult)
        )
