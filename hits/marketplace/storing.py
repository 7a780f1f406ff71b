"""A new HIT and all that comes with it, stored at once: its question, its token, the money that it holds.

On PostgreSQL that is one statement, a transaction of its own: a round trip costs more than most of what it asks for. So
what must not be is refused by the tables' own constraints, which this module turns into the protocol's errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.sql.dml import UpdateBase

from ..database import glancing
from . import ledger, tokens
from .lifecycle import HitState
from .records import Hit
from .tables import hit_types, hits, questions
from .tokens import Scope

_OF_STATE = tuple(field.name for field in fields(HitState))
_OF_HIT = (
    "hit_id", "requester_id", "annotation", "fee_cents", "created_at", "question_digest", "is_form", "layout_id",
    "assignment_policy", "hit_policy", "unseen",
)  # fmt: skip
_ROW = (
    sa.insert(hits)
    .values({name: sa.bindparam(f"new_{name}", type_=hits.c[name].type) for name in (*_OF_HIT, *_OF_STATE)})
    .values(
        # Nothing, which the column forbids, if the type is not what the caller remembers of it.
        type_number=sa.select(hit_types.c.number)
        .where(
            hit_types.c.number == sa.bindparam("new_type_number"),
            hit_types.c.hit_type_id == sa.bindparam("new_type_id"),
            sa.or_(~hit_types.c.notified, sa.bindparam("new_type_was_read", type_=sa.Boolean)),
        )
        .scalar_subquery()
    )
)


def store_hit(
    connection: Connection, hit: Hit, token: str | None, now: datetime, *, type_as_known: bool
) -> Hit:
    """Store a HIT and hold its whole price in escrow; HITs with the same question share one row of it.

    Returns it with its number. One statement on PostgreSQL. `type_as_known` says that its type was not read for it, but
    known from before. Fails by a constraint of the tables; `refusals` says what that means.
    """
    values: dict[str, Any] = {f"new_{name}": getattr(hit, name) for name in _OF_HIT}
    values |= {f"new_{name}": getattr(hit.state, name) for name in _OF_STATE}
    values |= {"new_type_number": hit.hit_type.number, "new_type_id": hit.hit_type.hit_type_id}
    values |= {"new_type_was_read": not type_as_known, "new_xml": hit.question}
    price = hit.state.max_assignments * hit.price_cents
    values |= ledger.first_hold(hit.requester_id, hit.hit_id, price, now)
    if token is not None:
        values |= tokens.use(hit.requester_id, token, now)
    if connection.dialect.name == "postgresql":
        return replace(hit, number=connection.execute(_at_once(token is not None), values).scalar_one())
    *changes, number = _in_turn(token is not None)
    for change in changes:
        connection.execute(change, values)
    return replace(hit, number=connection.execute(number, values).scalar_one())


@cache
def _at_once(with_token: bool) -> sa.Select[Any]:
    made = _ROW.returning(hits.c.number).cte("made")
    number = sa.select(made.c.number)
    parts = enumerate(_beside("postgresql", with_token, number.scalar_subquery()))
    return number.add_cte(*(part.cte(f"part_{place}") for place, part in parts))


@cache
def _in_turn(with_token: bool) -> tuple[sa.Executable, ...]:
    number = sa.select(hits.c.number).where(hits.c.hit_id == sa.bindparam("new_hit_id"))
    question, *others = _beside("sqlite", with_token, number.scalar_subquery())
    return (question, _ROW, *others, number)


def _beside(dialect: str, with_token: bool, number: sa.ScalarSelect[int]) -> Iterator[UpdateBase]:
    """What is stored beside the HIT's own row, by its number; the question first, which the row names."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    of_question: dict[str, Any] = {
        "digest": sa.bindparam("new_question_digest"),
        "xml": sa.bindparam("new_xml"),
    }
    yield insert(questions).values(of_question).on_conflict_do_nothing()
    if with_token:
        yield tokens.taking(dialect, "create", number)
    yield from ledger.first_holding(number)


@contextmanager
def refusals(
    engine: Engine, requester_id: str, scope: Scope, token: str | None, cents: int, now: datetime
) -> Iterator[None]:
    """Turn what a constraint forbade into RequestRefused: HitAlreadyExists, or InsufficientFunds for `cents`.

    The token goes first: whoever repeats a request after its answer was lost may have spent her last cent on it.
    """
    try:
        yield
    except sa.exc.IntegrityError as error:
        with glancing(engine) as connection:
            if token is not None:
                tokens.require_unused(connection, requester_id, scope, token, now)
            if ledger.was_overdrawn(error):
                raise ledger.overdrawn(connection, ledger.requester_account(requester_id), cents) from error
        raise
