"""UniqueRequestTokens: each is used once within 24 hours, by one HIT."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningInsert

from ..database import UtcDateTime
from ..errors import RequestRefused
from . import lifecycle
from .records import Hit
from .tables import hits, request_tokens

Scope = Literal["create", "extend"]


@cache
def _take_token(dialect: str) -> ReturningInsert[Any]:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    taking = insert(request_tokens).values(
        requester_id=sa.bindparam("owner"),
        scope=sa.bindparam("of_scope"),
        token=sa.bindparam("of_token"),
        hit_number=sa.bindparam("hit"),
        used_at=sa.bindparam("now"),
    )
    lapsed = request_tokens.c.used_at <= sa.bindparam("lapsed", type_=UtcDateTime)
    return taking.on_conflict_do_update(
        index_elements=list(request_tokens.primary_key),
        set_={"hit_number": taking.excluded.hit_number, "used_at": taking.excluded.used_at},
        where=lapsed,
    ).returning(request_tokens.c.hit_number)


def claim(
    connection: Connection, requester_id: str, scope: Scope, token: str | None, hit: Hit, now: datetime
) -> None:
    """Use a token for a HIT; raises RequestRefused (HitAlreadyExists) if it was used within 24 hours.

    Of two transactions with one token the second waits here, by the primary key, until the first has ended.
    """
    if token is None:
        return
    whose = {"owner": requester_id, "of_scope": scope, "of_token": token}
    values = {**whose, "hit": hit.number, "now": now, "lapsed": now - lifecycle.TOKEN_LIFE}
    if connection.execute(_take_token(connection.dialect.name), values).one_or_none() is not None:
        return
    used = connection.execute(
        sa.select(hits.c.hit_id, request_tokens.c.used_at)
        .select_from(request_tokens.join(hits))
        .where(
            request_tokens.c.requester_id == requester_id,
            request_tokens.c.scope == scope,
            request_tokens.c.token == token,
        )
    ).one()
    raise RequestRefused(
        f"UniqueRequestToken {token} was used at {used.used_at.isoformat()} for HITId {used.hit_id}",
        "HitAlreadyExists",
    )
