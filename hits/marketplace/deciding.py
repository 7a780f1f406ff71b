"""What becomes of submissions: approved and paid, or rejected and refunded. One operation, one transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection, Engine

from ..database import writing
from ..errors import RequestRefused
from . import ledger, lifecycle
from .ledger import Transfer
from .lifecycle import AssignmentState
from .notices import announce
from .records import AssignmentRecord, Hit
from .store import lock_assignment, move_assignment


def approve(
    engine: Engine,
    requester_id: str,
    assignment_id: str,
    feedback: str | None,
    override_rejection: bool,
    now: datetime,
) -> None:
    """Approve and pay; with `override_rejection` a rejected one too, within 30 days.

    Raises RequestRefused: AssignmentDoesNotExist, InvalidAssignmentState, InvalidHITState, InsufficientFunds.
    """
    with writing(engine) as connection:
        hit, assignment = _lock_own(connection, requester_id, assignment_id)
        override_of = assignment.rejected_at if override_rejection else None
        lifecycle.require_decidable(assignment_id, assignment.state, hit.state, now, override_of=override_of)
        pay(connection, hit, assignment, now, feedback)


def reject(engine: Engine, requester_id: str, assignment_id: str, feedback: str, now: datetime) -> None:
    """Reject an assignment, with the reason that its worker will read; its price goes back to the requester."""
    with writing(engine) as connection:
        hit, assignment = _lock_own(connection, requester_id, assignment_id)
        lifecycle.require_decidable(assignment_id, assignment.state, hit.state, now)
        refuse(connection, hit, assignment, feedback, now)


def refuse(
    connection: Connection, hit: Hit, assignment: AssignmentRecord, feedback: str, now: datetime
) -> None:
    """Reject a locked submission that waits, and give its price back."""
    move_assignment(
        connection, hit, assignment, AssignmentState.REJECTED, now, rejected_at=now, feedback=feedback
    )
    escrow, account = ledger.escrow_account(hit.hit_id), ledger.requester_account(hit.requester_id)
    refund = Transfer("refund", escrow, account, assignment.price_cents, hit.number, assignment.number)
    ledger.post(connection, now, refund)
    announce(connection, hit, "AssignmentRejected", now, assignment.assignment_id)


def _lock_own(connection: Connection, requester_id: str, assignment_id: str) -> tuple[Hit, AssignmentRecord]:
    hit, assignment = lock_assignment(connection, assignment_id)
    if hit.requester_id != requester_id:
        raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
    return hit, assignment


def pay(
    connection: Connection, hit: Hit, assignment: AssignmentRecord, now: datetime, feedback: str | None
) -> None:
    """Approve a locked submission and pay it out of its HIT's escrow."""
    columns = {"approved_at": now} if feedback is None else {"approved_at": now, "feedback": feedback}
    move_assignment(connection, hit, assignment, AssignmentState.APPROVED, now, **columns)
    escrow = ledger.escrow_account(hit.hit_id)
    earner = ledger.worker_account(assignment.worker_id)
    place = (hit.number, assignment.number)
    postings = [
        Transfer("reward", escrow, earner, assignment.reward_cents, *place),
        Transfer("fee", escrow, ledger.FEES, assignment.fee_cents, *place),
    ]
    if assignment.state is AssignmentState.REJECTED:  # Its price went back at the rejection.
        payer = ledger.requester_account(hit.requester_id)
        postings.insert(0, Transfer("hold", payer, escrow, assignment.price_cents, *place))
    ledger.post(connection, now, *postings)
    announce(connection, hit, "AssignmentApproved", now, assignment.assignment_id)
