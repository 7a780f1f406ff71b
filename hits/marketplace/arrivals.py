"""The first look at the store in every request: who asks, and whether anything is due. One statement each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import UtcDateTime, glancing
from .dues import ANYTHING_DUE, at, settle_due
from .identifiers import digest
from .people import Worker
from .tables import messages, requester_keys, sessions, workers


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose access key it is, and the secret to check a signature with."""

    requester_id: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Signer(requester_id={self.requester_id!r}, secret_key=…)"


# One row whoever asks, so that what is due is said to strangers too.
_ALWAYS = sa.select(sa.literal(1).label("one")).subquery("always")
_UNREAD = (
    sa.select(sa.func.count())
    .where(messages.c.worker_id == workers.c.worker_id, messages.c.read_at.is_(None))
    .correlate(workers)
    .scalar_subquery()
)
_SESSION = sa.select(
    ANYTHING_DUE.label("due"),
    workers.c.worker_id,
    workers.c.pseudonym,
    workers.c.consented_at,
    workers.c.participant_id.is_not(None).label("from_panel"),
    _UNREAD.label("unread"),
).select_from(
    _ALWAYS.outerjoin(
        sessions.join(workers),
        sa.and_(
            sessions.c.token_digest == sa.bindparam("digest"),
            sessions.c.expires_at > sa.bindparam("now", type_=UtcDateTime),
        ),
    )
)  # fmt: skip
_KEY = sa.select(
    ANYTHING_DUE.label("due"), requester_keys.c.requester_id, requester_keys.c.secret_key
).select_from(_ALWAYS.outerjoin(requester_keys, requester_keys.c.access_key == sa.bindparam("key")))  # fmt: skip


def session_worker(engine: Engine, token: str, now: datetime) -> tuple[Worker | None, int]:
    """Whose session a cookie's token is, or None, and how many messages she has not read; what is due is done."""
    asked = {"digest": digest(token), **at(now)}
    with glancing(engine) as connection:
        row = connection.execute(_SESSION, asked).one()
    if row.due:
        settle_due(engine, now)
    if row.worker_id is None:
        return None, 0
    return Worker(row.worker_id, row.pseudonym, row.consented_at, bool(row.from_panel)), row.unread


def find_signer(engine: Engine, access_key: str, now: datetime) -> tuple[Signer | None, bool]:
    """The requester behind an access key, or None, and whether anything is due: done once the signature is verified."""
    with glancing(engine) as connection:
        row = connection.execute(_KEY, {"key": access_key, **at(now)}).one()
    signer = None if row.requester_id is None else Signer(row.requester_id, row.secret_key)
    return signer, bool(row.due)
