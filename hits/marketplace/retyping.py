"""UpdateHITTypeOfHIT: a HIT takes on another type's values, and its escrow the difference in price."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import writing
from ..errors import RequestRefused
from ..model import HitStatus
from . import ledger
from .ledger import Transfer
from .lifecycle import hit_status
from .publishing import usable_type
from .records import Hit
from .store import find_hit, lock_requester
from .tables import assignments, hits


def change_type(engine: Engine, requester_id: str, hit_id: str, hit_type_id: str, now: datetime) -> None:
    """Give a HIT another of the requester's types.

    Whoever accepted it before is paid what was promised then; the new reward is for those who accept it from
    now on. Raises RequestRefused: HITDoesNotExist, HITTypeDoesNotExist, InvalidHITState, InsufficientFunds.
    """
    with writing(engine) as connection:
        lock_requester(connection, requester_id)
        hit = find_hit(connection, hit_id, requester_id=requester_id, lock=True)
        if hit_status(hit.state, now) is HitStatus.DISPOSED:
            raise RequestRefused(f"HIT {hit_id} is Disposed", "InvalidHITState")
        wanted = usable_type(connection, requester_id, hit_type_id)
        fee = wanted.fee_cents(hit.state.max_assignments)
        _reprice(connection, hit, wanted.reward_cents + fee, now)
        connection.execute(
            hits.update()
            .where(hits.c.number == hit.number)
            .values(
                type_number=wanted.number,
                fee_cents=fee,
                changed_at=now,
                unseen=hit.unseen or wanted.notified,
            )
        )


def _reprice(connection: Connection, hit: Hit, price: int, now: datetime) -> None:
    """Hold or give back what the new price makes of the places that are, or may yet become, free.

    A place in a worker's hands holds the greater of what was promised and what it costs if it comes back.
    """
    free = hit.state.max_assignments - hit.state.taken
    change = free * (price - hit.price_cents)
    promised = connection.scalars(
        sa.select(assignments.c.reward_cents + assignments.c.fee_cents).where(
            assignments.c.hit_number == hit.number, assignments.c.state == "Accepted"
        )
    )
    change += sum(max(cents, price) - max(cents, hit.price_cents) for cents in promised)
    account, escrow = ledger.requester_account(hit.requester_id), ledger.escrow_account(hit.hit_id)
    transfer = (
        Transfer("hold", account, escrow, change, hit.number)
        if change > 0
        else Transfer("refund", escrow, account, -change, hit.number)
    )
    ledger.post(connection, now, transfer)
