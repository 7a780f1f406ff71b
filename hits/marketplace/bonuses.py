"""Bonuses: money for an assignment beyond its reward. Each is paid once, however often it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import surveying, writing
from ..errors import RequestRefused
from ..pricing import fee_cents
from . import ledger
from .ledger import Transfer
from .messages import send_message
from .records import PUBLIC_STATES
from .store import find_assignment, find_hit, lock_requester
from .tables import assignments, bonuses, hits


@dataclass(frozen=True, slots=True)
class Bonus:
    """A paid bonus."""

    number: int
    worker_id: str
    assignment_id: str
    cents: int
    reason: str
    granted_at: datetime


def send_bonus(
    engine: Engine,
    requester_id: str,
    worker_id: str,
    assignment_id: str,
    cents: int,
    reason: str,
    token: str | None,
    now: datetime,
) -> None:
    """Pay a bonus and its fee, at once; its worker reads the reason.

    Raises RequestRefused: BonusAlreadyExists (the token was used, however long ago), AssignmentDoesNotExist,
    InvalidParameterValue (nothing to pay, or the work is another worker's), InvalidAssignmentState,
    InsufficientFunds.
    """
    if cents < 1:
        raise RequestRefused("BonusAmount must be at least 0.01", "InvalidParameterValue")
    with writing(engine) as connection:
        lock_requester(connection, requester_id)
        _require_unused(connection, requester_id, token)
        assignment = find_assignment(connection, assignment_id)
        hit = None if assignment is None else find_hit(connection, assignment.hit_id)
        if assignment is None or hit is None or hit.requester_id != requester_id:
            raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
        if assignment.worker_id != worker_id:
            raise RequestRefused(
                f"assignment {assignment_id} is not worker {worker_id}'s", "InvalidParameterValue"
            )
        if assignment.state not in PUBLIC_STATES:
            raise RequestRefused(f"assignment {assignment_id} is not submitted", "InvalidAssignmentState")
        fee = fee_cents(cents, 1)
        payer, place = ledger.requester_account(requester_id), (hit.number, assignment.number)
        earner = ledger.worker_account(worker_id)
        ledger.post(
            connection,
            now,
            Transfer("bonus", payer, earner, cents, *place),
            Transfer("fee", payer, ledger.FEES, fee, *place),
        )
        connection.execute(
            bonuses.insert().values(
                requester_id=requester_id,
                assignment_number=assignment.number,
                cents=cents,
                fee_cents=fee,
                reason=reason,
                token=token,
                granted_at=now,
            )
        )
        subject = f"A bonus of ${cents // 100}.{cents % 100:02d} for “{hit.hit_type.title}”"
        send_message(connection, requester_id, worker_id, subject, reason, now)


def _require_unused(connection: Connection, requester_id: str, token: str | None) -> None:
    if token is None:
        return
    used = connection.execute(
        sa.select(bonuses.c.granted_at, assignments.c.assignment_id)
        .select_from(bonuses.join(assignments))
        .where(bonuses.c.requester_id == requester_id, bonuses.c.token == token)
    ).one_or_none()
    if used is not None:
        raise RequestRefused(
            f"UniqueRequestToken {token} paid a bonus at {used.granted_at.isoformat()} for AssignmentId "
            f"{used.assignment_id}",
            "BonusAlreadyExists",
        )


def list_bonuses(
    engine: Engine,
    requester_id: str,
    limit: int,
    after: int | None,
    *,
    hit_id: str | None = None,
    assignment_id: str | None = None,
) -> list[Bonus]:
    """The bonuses of a HIT or of an assignment, oldest first; raises RequestRefused if that does not exist."""
    query = (
        sa.select(bonuses, assignments.c.assignment_id, assignments.c.worker_id)
        .select_from(bonuses.join(assignments))
        .where(bonuses.c.requester_id == requester_id, bonuses.c.number > (after or 0))
    )
    with surveying(engine) as connection:
        if hit_id is not None:
            hit = find_hit(connection, hit_id, requester_id=requester_id)
            query = query.where(assignments.c.hit_number == hit.number)
        if assignment_id is not None:
            owned = connection.scalar(
                sa.select(assignments.c.number)
                .select_from(assignments.join(hits))
                .where(assignments.c.assignment_id == assignment_id, hits.c.requester_id == requester_id)
            )
            if owned is None:
                raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
            query = query.where(bonuses.c.assignment_number == owned)
        rows = connection.execute(query.order_by(bonuses.c.number).limit(limit))
        return [
            Bonus(row.number, row.worker_id, row.assignment_id, row.cents, row.reason, row.granted_at)
            for row in rows
        ]
