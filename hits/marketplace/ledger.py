"""Double-entry book-keeping: every transfer takes from one account what it gives to another.

Accounts: `requester:ID` (what can be spent), `escrow:HITID` (held for a HIT's open and undecided assignments),
`worker:ID` (earned), `fees` (the marketplace's), and `grants`, from which play money comes and which alone may
go below zero. All balances together are always zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import UpdateBase

from ..errors import RequestRefused
from .store import insert_unless_there
from .tables import accounts, hits, transfers

FEES = "fees"
GRANTS = "grants"

Kind = Literal["grant", "hold", "reward", "fee", "refund", "bonus"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """`cents` on their way from account `source` to account `destination`; zero cents are no transfer."""

    kind: Kind
    source: str
    destination: str
    cents: int
    hit_number: int | None = None
    assignment_number: int | None = None


def requester_account(requester_id: str) -> str:
    return f"requester:{requester_id}"


def worker_account(worker_id: str) -> str:
    return f"worker:{worker_id}"


def escrow_account(hit_id: str) -> str:
    return f"escrow:{hit_id}"


def open_account(connection: Connection, name: str) -> None:
    """Open an account with nothing in it, unless it is open already."""
    insert_unless_there(connection, accounts, name=name, cents=0)


def balance(connection: Connection, name: str) -> int:
    """What an account holds, in cents; 0 for one that was never opened."""
    return connection.scalar(sa.select(accounts.c.cents).where(accounts.c.name == name)) or 0


def held_for(connection: Connection, requester_id: str) -> int:
    """What all HITs of a requester hold in escrow, in cents."""
    escrow = accounts.join(hits, accounts.c.name == sa.literal("escrow:") + hits.c.hit_id)
    total = connection.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(accounts.c.cents), 0))
        .select_from(escrow)
        .where(hits.c.requester_id == requester_id, hits.c.disposed_at.is_(None))
    )
    return int(total or 0)


def post(connection: Connection, now: datetime, *postings: Transfer) -> None:
    """Make transfers between open accounts; raises RequestRefused (InsufficientFunds) and the caller rolls back."""
    real = [transfer for transfer in postings if transfer.cents]
    changes: dict[str, int] = {}
    for transfer in real:
        changes[transfer.source] = changes.get(transfer.source, 0) - transfer.cents
        changes[transfer.destination] = changes.get(transfer.destination, 0) + transfer.cents
    # In one order everywhere, so that two transactions never wait for each other's accounts.
    for name, cents in sorted(changes.items()):
        _change(connection, name, cents)
    if real:
        connection.execute(
            transfers.insert(),
            [
                {
                    "at": now,
                    "kind": transfer.kind,
                    "source": transfer.source,
                    "destination": transfer.destination,
                    "cents": transfer.cents,
                    "hit_number": transfer.hit_number,
                    "assignment_number": transfer.assignment_number,
                }
                for transfer in real
            ],
        )


def first_holding(hit_number: sa.ScalarSelect[int]) -> tuple[UpdateBase, ...]:
    """The changes that open a new HIT's escrow and fill it, with the parameters of `first_hold`.

    They do not depend on each other, and fail by the table's constraint if the requester has too little.
    """
    return (
        accounts.insert().values(name=sa.bindparam("escrow"), cents=sa.bindparam("held")),
        _HOLD.values(hit_number=hit_number),
        _TAKE_OR_GIVE,
    )


def first_hold(requester_id: str, hit_id: str, cents: int, now: datetime) -> dict[str, Any]:
    """The parameters of `first_holding`, for `cents` that are not none."""
    payer = requester_account(requester_id)
    held = {"escrow": escrow_account(hit_id), "payer": payer, "held": cents, "held_at": now}
    return {**held, "account": payer, "change": -cents}


def was_overdrawn(error: sa.exc.IntegrityError) -> bool:
    """Whether a change failed for want of money: both engines name the constraint."""
    return "no_overdraft" in str(error.orig)


def overdrawn(connection: Connection, name: str, cents: int) -> RequestRefused:
    """What to tell whoever wanted to take `cents` out of an account that holds less."""
    held = balance(connection, name)
    return RequestRefused(
        f"this needs ${cents / 100:.2f}, but the account holds ${held / 100:.2f}", "InsufficientFunds"
    )


_HOLD = (
    transfers.insert()
    .values(
        at=sa.bindparam("held_at"),
        kind="hold",
        source=sa.bindparam("payer"),
        destination=sa.bindparam("escrow"),
        cents=sa.bindparam("held"),
    )
    .inline()
)
_TAKE_OR_GIVE = (
    accounts.update()
    .where(accounts.c.name == sa.bindparam("account"))
    .values(cents=accounts.c.cents + sa.bindparam("change"))
)
_WITHIN_ITS_MEANS = _TAKE_OR_GIVE.where(accounts.c.cents + sa.bindparam("change") >= 0)


def _change(connection: Connection, name: str, cents: int) -> None:
    statement = _TAKE_OR_GIVE if name == GRANTS else _WITHIN_ITS_MEANS
    if connection.execute(statement, {"account": name, "change": cents}).rowcount != 1:
        raise overdrawn(connection, name, -cents)
