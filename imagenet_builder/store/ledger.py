"""What publications have promised and cost: a reservation a HIT. Money is US cents, fees included.

A reservation is committed with its HIT, before the platform hears of it, and holds everything that the HIT may
cost. When nothing more comes of the HIT it is settled: *spent* at what the answered assignments cost, or *released*
if there were none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from .chunks import chunks
from .tables import assignments, hits, reservations


@dataclass(frozen=True, slots=True)
class Committed:
    """What counts against a budget: `reserved` may still be spent, `spent` has been."""

    reserved: int = 0
    spent: int = 0

    @property
    def total(self) -> int:
        return self.reserved + self.spent


def reserve(connection: sa.Connection, hit_id: int, cents: int, now: datetime) -> None:
    """Set aside everything that a HIT may cost; part of the transaction that intends the HIT."""
    endpoint, live = connection.execute(
        sa.select(hits.c.endpoint, hits.c.live).where(hits.c.id == hit_id)
    ).one()
    connection.execute(
        reservations.insert().values(
            hit_id=hit_id,
            endpoint=endpoint,
            live=live,
            state="reserved",
            cents=cents,
            promised_cents=cents,
            reserved_at=now,
        )
    )


def committed(connection: sa.Connection, endpoint: str | None = None, *, live: bool = False) -> Committed:
    """What is reserved and spent on an endpoint, with play money or `live`; on all of them if none is given."""
    if connection.get_execution_options().get("writes") and connection.dialect.name == "postgresql":
        # Until this transaction ends nobody else reserves: what is read here is what the cap is held against.
        connection.execute(sa.text("LOCK TABLE reservations IN SHARE ROW EXCLUSIVE MODE"))
    sums = sa.select(reservations.c.state, sa.func.sum(reservations.c.cents)).group_by(reservations.c.state)
    if endpoint is not None:
        sums = sums.where(reservations.c.endpoint == endpoint, reservations.c.live == live)
    by_state = {state: int(cents) for state, cents in connection.execute(sums)}
    return Committed(by_state.get("reserved", 0), by_state.get("spent", 0))


def settle(connection: sa.Connection, hit_ids: Collection[int], now: datetime) -> None:
    """Count HITs of which nothing more comes at what their answered assignments cost, and free the rest."""
    answered = (
        sa.select(sa.func.count())
        .where(assignments.c.hit_id == reservations.c.hit_id)
        .correlate(reservations)
        .scalar_subquery()
    )
    price = (
        sa.select(hits.c.reward_cents + hits.c.fee_cents)
        .where(hits.c.id == reservations.c.hit_id)
        .correlate(reservations)
        .scalar_subquery()
    )
    cents = answered * price
    for some in chunks(hit_ids):
        connection.execute(
            reservations.update()
            .where(reservations.c.hit_id.in_(some))
            .values(cents=cents, state=sa.case((answered > 0, "spent"), else_="released"), settled_at=now)
        )
