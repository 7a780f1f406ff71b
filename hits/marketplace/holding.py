"""What a place in a worker's hands holds of its requester's money."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection

from . import ledger
from .ledger import Transfer
from .records import AssignmentRecord, Hit


def release(
    connection: Connection, hit: Hit, assignment: AssignmentRecord, cents: int, now: datetime
) -> None:
    """Give back what a place held beyond its price: it held the dearer of two while it was in a worker's hands."""
    if cents > 0:
        escrow, account = ledger.escrow_account(hit.hit_id), ledger.requester_account(hit.requester_id)
        refund = Transfer("refund", escrow, account, cents, hit.number, assignment.number)
        ledger.post(connection, now, refund)
