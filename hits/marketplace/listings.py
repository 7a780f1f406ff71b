"""What requesters list: their HITs, the submissions to one, their balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import surveying
from ..model import HitStatus
from . import ledger
from .lifecycle import AssignmentState
from .records import AssignmentRecord, Hit, assignment_from, hit_from, select_assignments, select_hits
from .store import find_hit
from .tables import KEPT, assignments, hit_type_qualifications, hit_types, hits

_TAKEN = hits.c.pending + hits.c.submitted + hits.c.approved + hits.c.rejected


@dataclass(frozen=True, slots=True)
class AssignmentPosition:
    """A place in a HIT's list of submissions: after the assignment submitted then, with this row number."""

    submitted_at: datetime
    number: int


def requester_hits(
    engine: Engine,
    requester_id: str,
    limit: int,
    now: datetime,
    *,
    before: int | None = None,
    status: HitStatus | None = None,
    hit_type_id: str | None = None,
    qualification_type_id: str | None = None,
    with_question: bool = True,
) -> list[Hit]:
    """A requester's HITs that are not disposed of, newest first, below row number `before`.

    `status` may be REVIEWABLE or REVIEWING. Paging by row number is stable: a HIT made meanwhile has a higher one.
    """
    query = select_hits(with_question=with_question).where(KEPT, hits.c.requester_id == requester_id)
    if before is not None:
        query = query.where(hits.c.number < before)
    if hit_type_id is not None:
        query = query.where(hit_types.c.hit_type_id == hit_type_id)
    if qualification_type_id is not None:
        asking = sa.select(hit_type_qualifications.c.type_number).where(
            hit_type_qualifications.c.qualification_type_id == qualification_type_id
        )
        query = query.where(hits.c.type_number.in_(asking))
    if status is not None:
        done = sa.or_(hits.c.expires_at <= now, hits.c.max_assignments <= _TAKEN)
        query = query.where(hits.c.pending == 0, done, hits.c.reviewing.is_(status is HitStatus.REVIEWING))
    with surveying(engine) as connection:
        rows = connection.execute(query.order_by(hits.c.number.desc()).limit(limit))
        return [hit_from(row) for row in rows]


def hit_assignments(
    engine: Engine,
    requester_id: str,
    hit_id: str,
    states: Sequence[AssignmentState],
    limit: int,
    after: AssignmentPosition | None = None,
) -> list[AssignmentRecord]:
    """The submissions to a requester's HIT in the order they came; raises RequestRefused (HITDoesNotExist)."""
    with surveying(engine) as connection:
        hit = find_hit(connection, hit_id, requester_id=requester_id)
        query = select_assignments().where(
            assignments.c.hit_number == hit.number,
            assignments.c.state.in_([state.value for state in states]),
        )
        if after is not None:
            later = sa.and_(
                assignments.c.submitted_at == after.submitted_at, assignments.c.number > after.number
            )
            query = query.where(sa.or_(assignments.c.submitted_at > after.submitted_at, later))
        order = (assignments.c.submitted_at, assignments.c.number)
        return [assignment_from(row) for row in connection.execute(query.order_by(*order).limit(limit))]


def balances(engine: Engine, requester_id: str) -> tuple[int, int]:
    """What a requester can spend, and what is held for her HITs, in cents."""
    with surveying(engine) as connection:
        spendable = ledger.balance(connection, ledger.requester_account(requester_id))
        return spendable, ledger.held_for(connection, requester_id)
