"""UniqueRequestTokens: each is used once within 24 hours, by one HIT."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from ..database import UtcDateTime
from ..errors import RequestRefused
from . import lifecycle
from .tables import hits, request_tokens

Scope = Literal["create", "extend"]


def taking(dialect: str, scope: Scope, hit_number: sa.ColumnElement[int]) -> sa.Insert:
    """The statement that uses a token for a HIT, with the parameters of `use`.

    It fails by `hit_number`'s NOT NULL where the token was used within 24 hours: whoever takes part, the
    database decides. Of two transactions with one token the second waits here until the first has ended.
    """
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    row = insert(request_tokens).values(
        requester_id=sa.bindparam("token_owner"),
        scope=scope,
        token=sa.bindparam("token"),
        hit_number=hit_number,
        used_at=sa.bindparam("token_used_at"),
    )
    has_lapsed = request_tokens.c.used_at <= sa.bindparam("token_lapsed", type_=UtcDateTime)
    return row.on_conflict_do_update(
        index_elements=list(request_tokens.primary_key),
        set_={
            "hit_number": sa.case((has_lapsed, row.excluded.hit_number)),
            "used_at": row.excluded.used_at,
        },
    )


def use(requester_id: str, token: str, now: datetime) -> dict[str, Any]:
    """The parameters of `taking`."""
    return {
        "token_owner": requester_id,
        "token": token,
        "token_used_at": now,
        "token_lapsed": now - lifecycle.TOKEN_LIFE,
    }


def require_unused(
    connection: Connection, requester_id: str, scope: Scope, token: str, now: datetime
) -> None:
    """Raise RequestRefused (HitAlreadyExists), with the HIT in its words, if the token was used within 24 hours."""
    used = connection.execute(
        sa.select(hits.c.hit_id, request_tokens.c.used_at)
        .select_from(request_tokens.join(hits))
        .where(
            request_tokens.c.requester_id == requester_id,
            request_tokens.c.scope == scope,
            request_tokens.c.token == token,
            request_tokens.c.used_at > now - lifecycle.TOKEN_LIFE,
        )
    ).one_or_none()
    if used is not None:
        raise RequestRefused(
            f"UniqueRequestToken {token} was used at {used.used_at.isoformat()} for HITId {used.hit_id}",
            "HitAlreadyExists",
        )
