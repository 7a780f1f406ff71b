"""Qualification types: make, change, find, delete. One operation, one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from ..database import surveying, writing
from ..errors import RequestRefused
from . import qualifying
from .answer_keys import parse_answer_key
from .identifiers import new_entity_id
from .qualifying import Requirement
from .questions import parse_test
from .tables import LISTED, qualification_requests, qualification_types

_SYSTEM_SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TypeTerms:
    """The values that make a qualification type; `auto_granted_value` is None unless it is granted on request."""

    name: str
    keywords: str
    description: str
    active: bool
    retry_delay_seconds: int | None = None
    test: str | None = None
    answer_key: str | None = None
    test_seconds: int | None = None
    auto_granted_value: int | None = None

    def check(self) -> None:
        """Raise RequestRefused if test, key and granting do not go together or cannot be read."""
        if self.answer_key is not None and self.test is None:
            raise _invalid("AnswerKey needs a Test")
        if self.test is None:
            if self.test_seconds is not None:
                raise _invalid("TestDurationInSeconds needs a Test")
            return
        if self.test_seconds is None:
            raise _invalid("Test needs TestDurationInSeconds")
        if self.auto_granted_value is not None:
            raise _invalid("a qualification type with a Test cannot be AutoGranted")
        form = parse_test(self.test)
        if self.answer_key is not None:
            known = {question.identifier for question in form.questions}
            for question in parse_answer_key(self.answer_key).questions:
                if question.identifier not in known:
                    raise _invalid(f"AnswerKey has question {question.identifier!r}, which the Test has not")


@dataclass(frozen=True, slots=True)
class QualificationType:
    """A stored qualification type; the system's own have negative numbers and no owner."""

    number: int
    qualification_type_id: str
    requester_id: str | None
    terms: TypeTerms
    created_at: datetime


def _invalid(reason: str) -> RequestRefused:
    return RequestRefused(reason, "InvalidParameterValue")


_SYSTEM = tuple(
    QualificationType(
        place - len(qualifying.SYSTEM_TYPES), type_id, None, TypeTerms(name, "", about, True), _SYSTEM_SINCE
    )
    for place, (type_id, (name, about)) in enumerate(sorted(qualifying.SYSTEM_TYPES.items()))
)


def _type_from(row: Row[Any]) -> QualificationType:
    terms = TypeTerms(
        row.name,
        row.keywords,
        row.description,
        row.active,
        row.retry_delay_seconds,
        row.test,
        row.answer_key,
        row.test_seconds,
        row.auto_granted_value,
    )
    return QualificationType(row.number, row.qualification_type_id, row.requester_id, terms, row.created_at)


def create_type(engine: Engine, requester_id: str, terms: TypeTerms, now: datetime) -> QualificationType:
    """Make a qualification type; raises RequestRefused, QualificationTypeAlreadyExists for a name in use."""
    terms.check()
    type_id = new_entity_id()
    try:
        with writing(engine) as connection:
            connection.execute(
                qualification_types.insert().values(
                    qualification_type_id=type_id,
                    requester_id=requester_id,
                    name=terms.name,
                    keywords=terms.keywords,
                    created_at=now,
                    **_changeable(terms),
                )
            )
            return find_type(connection, type_id)
    except sa.exc.IntegrityError as error:
        raise RequestRefused(
            f"you have a qualification type {terms.name!r} already", "QualificationTypeAlreadyExists"
        ) from error


def _changeable(terms: TypeTerms) -> dict[str, Any]:
    return {
        "description": terms.description,
        "active": terms.active,
        "retry_delay_seconds": terms.retry_delay_seconds,
        "test": terms.test,
        "answer_key": terms.answer_key,
        "test_seconds": terms.test_seconds,
        "auto_granted_value": terms.auto_granted_value,
    }


def find_type(connection: Connection, type_id: str, *, lock: bool = False) -> QualificationType:
    """The type, if it is not deleted; raises RequestRefused (QualificationTypeDoesNotExist)."""
    for known in _SYSTEM:
        if known.qualification_type_id == type_id:
            return known
    query = sa.select(qualification_types).where(
        qualification_types.c.qualification_type_id == type_id, LISTED
    )
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise RequestRefused(
            f"qualification type {type_id} does not exist here; of MTurk's own there are approval rate and count, "
            "locale, adult content and Masters, but no Premium Qualifications",
            "QualificationTypeDoesNotExist",
        )
    return _type_from(row)


def own_type(
    connection: Connection, requester_id: str, type_id: str, *, lock: bool = False
) -> QualificationType:
    """The requester's own type; raises RequestRefused, PermissionDeniedException for somebody else's."""
    found = find_type(connection, type_id, lock=lock)
    if found.requester_id != requester_id:
        raise RequestRefused(
            f"qualification type {type_id} is not yours to change or look into", "PermissionDeniedException"
        )
    return found


def get_type(engine: Engine, type_id: str) -> QualificationType:
    """The type, whoever owns it; raises RequestRefused (QualificationTypeDoesNotExist)."""
    with surveying(engine) as connection:
        return find_type(connection, type_id)


def update_type(
    engine: Engine, requester_id: str, type_id: str, changes: dict[str, Any]
) -> QualificationType:
    """Change fields of TypeTerms; a new test replaces test, duration and key together."""
    with writing(engine) as connection:
        found = own_type(connection, requester_id, type_id, lock=True)
        terms = replace(found.terms, **changes)
        terms.check()
        connection.execute(
            qualification_types.update()
            .where(qualification_types.c.number == found.number)
            .values(**_changeable(terms))
        )
        return find_type(connection, type_id)


def delete_type(engine: Engine, requester_id: str, type_id: str, now: datetime) -> None:
    """Delete a type: requests for it are rejected, what was granted stays for the HITs that ask for it."""
    with writing(engine) as connection:
        found = own_type(connection, requester_id, type_id, lock=True)
        connection.execute(
            qualification_requests.update()
            .where(
                qualification_requests.c.type_number == found.number,
                qualification_requests.c.state.in_(["Started", "Pending"]),
            )
            .values(state="Rejected", decided_at=now, reason="The qualification is no longer offered.")
        )
        connection.execute(
            qualification_types.update()
            .where(qualification_types.c.number == found.number)
            .values(deleted_at=now)
        )


def list_types(
    engine: Engine,
    limit: int,
    *,
    after: int | None = None,
    owner: str | None = None,
    requestable_only: bool = False,
    words: str = "",
) -> list[QualificationType]:
    """Types in the order they were made, the system's first, above row number `after`."""
    query = sa.select(qualification_types).where(LISTED, qualification_types.c.number > max(after or 0, 0))
    if owner is not None:
        query = query.where(qualification_types.c.requester_id == owner)
    if requestable_only:
        query = query.where(qualification_types.c.active)
    for word in words.lower().split():
        columns = ("name", "description", "keywords")
        query = query.where(
            sa.or_(
                *(
                    sa.func.lower(qualification_types.c[name]).contains(word, autoescape=True)
                    for name in columns
                )
            )
        )
    system = () if owner is not None or requestable_only else _SYSTEM
    first = [
        known
        for known in system
        if (after is None or known.number > after)
        and all(
            word in f"{known.terms.name} {known.terms.description}".lower() for word in words.lower().split()
        )
    ][:limit]
    with surveying(engine) as connection:
        rows = connection.execute(query.order_by(qualification_types.c.number).limit(limit - len(first)))
        return first + [_type_from(row) for row in rows]


def require_usable(connection: Connection, requirements: Iterable[Requirement]) -> None:
    """Refuse requirements on types that do not exist or are not active."""
    for type_id in sorted({requirement.qualification_type_id for requirement in requirements}):
        if not find_type(connection, type_id).terms.active:
            raise RequestRefused(
                f"qualification type {type_id} is Inactive: no HIT can ask for it",
                "InvalidQualificationTypeState",
            )
