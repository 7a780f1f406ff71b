"""Blocks: workers whom a requester does not want on her HITs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import surveying, writing
from .qualifications import require_worker
from .store import insert_unless_there
from .tables import worker_blocks


@dataclass(frozen=True, slots=True)
class Block:
    """A block; the worker never sees the reason."""

    number: int
    worker_id: str
    reason: str


def block(engine: Engine, requester_id: str, worker_id: str, reason: str, now: datetime) -> None:
    """Keep a worker from the requester's HITs; again, with another reason, is harmless.

    What she holds she may finish. Raises RequestRefused if there is no such worker.
    """
    with writing(engine) as connection:
        require_worker(connection, worker_id)
        insert_unless_there(
            connection,
            worker_blocks,
            requester_id=requester_id,
            worker_id=worker_id,
            reason=reason,
            blocked_at=now,
        )
        connection.execute(
            worker_blocks.update()
            .where(worker_blocks.c.requester_id == requester_id, worker_blocks.c.worker_id == worker_id)
            .values(reason=reason)
        )


def unblock(engine: Engine, requester_id: str, worker_id: str) -> None:
    """Take a block back; harmless if there is none. Raises RequestRefused if there is no such worker."""
    with writing(engine) as connection:
        require_worker(connection, worker_id)
        connection.execute(
            worker_blocks.delete().where(
                worker_blocks.c.requester_id == requester_id, worker_blocks.c.worker_id == worker_id
            )
        )


def list_blocks(engine: Engine, requester_id: str, limit: int, after: int | None) -> list[Block]:
    """A requester's blocks in the order she made them, above row number `after`."""
    with surveying(engine) as connection:
        rows = connection.execute(
            sa.select(worker_blocks)
            .where(worker_blocks.c.requester_id == requester_id, worker_blocks.c.number > (after or 0))
            .order_by(worker_blocks.c.number)
            .limit(limit)
        )
        return [Block(row.number, row.worker_id, row.reason) for row in rows]
