"""Messages to workers, which they read on the site: from requesters, and about what requesters did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import writing
from .tables import assignments, hits, messages, requesters, workers


@dataclass(frozen=True, slots=True)
class Message:
    """A message as its worker reads it."""

    requester: str
    subject: str
    body: str
    sent_at: datetime
    is_new: bool


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A worker whom a message did not reach, and why."""

    worker_id: str
    reason: str


def send_message(
    connection: Connection, requester_id: str, worker_id: str, subject: str, body: str, now: datetime
) -> None:
    """Put a message before a worker."""
    connection.execute(
        messages.insert().values(
            worker_id=worker_id, requester_id=requester_id, subject=subject, body=body, sent_at=now
        )
    )


def notify_workers(
    engine: Engine, requester_id: str, worker_ids: Sequence[str], subject: str, body: str, now: datetime
) -> list[Undelivered]:
    """Send a message to workers who did work for this requester that she decided on; returns the others."""
    failed = []
    with writing(engine) as connection:
        decided = set(
            connection.scalars(
                sa.select(assignments.c.worker_id)
                .select_from(assignments.join(hits))
                .where(
                    hits.c.requester_id == requester_id,
                    assignments.c.worker_id.in_(worker_ids),
                    assignments.c.state.in_(["Approved", "Rejected"]),
                )
            )
        )
        known = set(
            connection.scalars(sa.select(workers.c.worker_id).where(workers.c.worker_id.in_(worker_ids)))
        )
        for worker_id in dict.fromkeys(worker_ids):
            if worker_id in decided:
                send_message(connection, requester_id, worker_id, subject, body, now)
            elif worker_id in known:
                failed.append(Undelivered(worker_id, "you have not approved or rejected work of this worker"))
            else:
                failed.append(Undelivered(worker_id, "there is no such worker"))
    return failed


def read_messages(engine: Engine, worker_id: str, now: datetime, limit: int = 200) -> tuple[Message, ...]:
    """A worker's last messages, newest first; from now on they are read."""
    with writing(engine) as connection:
        rows = connection.execute(
            sa.select(messages, requesters.c.name)
            .select_from(messages.join(requesters))
            .where(messages.c.worker_id == worker_id)
            .order_by(messages.c.number.desc())
            .limit(limit)
        ).all()
        connection.execute(
            messages.update()
            .where(messages.c.worker_id == worker_id, messages.c.read_at.is_(None))
            .values(read_at=now)
        )
    return tuple(Message(row.name, row.subject, row.body, row.sent_at, row.read_at is None) for row in rows)
