"""What requesters do with HITs: create, extend, expire, mark and delete. One operation, one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import writing
from ..errors import RequestRefused
from ..pricing import fee_cents
from . import ledger, lifecycle
from .identifiers import new_entity_id
from .layouts import filled_question
from .ledger import Transfer
from .lifecycle import HitState
from .notices import announce
from .qualification_types import require_usable
from .qualifying import Requirement, read_requirements, stored_requirements
from .questions import parse_question
from .store import Hit, find_hit, insert_unless_there, lock_requester, save_state
from .tables import hit_type_qualifications, hit_types, hits, questions, request_tokens


@dataclass(frozen=True, slots=True)
class HitTypeTerms:
    """The values that make a HIT type: two with equal values are one type."""

    title: str
    description: str
    keywords: str
    reward_cents: int
    assignment_seconds: int
    auto_approval_seconds: int
    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class HitOrder:
    """One HIT to be made; `question` is XML, or None with a layout. Policies are JSON in the protocol's shape."""

    question: str | None
    max_assignments: int
    lifetime_seconds: int
    annotation: str | None = None
    token: str | None = None
    layout_id: str | None = None
    layout_parameters: Mapping[str, str] = field(default_factory=dict)
    assignment_policy: str | None = None
    hit_policy: str | None = None


def create_hit_type(engine: Engine, requester_id: str, terms: HitTypeTerms, now: datetime) -> str:
    """The id of the requester's HIT type with these values, made if there is none."""
    with writing(engine) as connection:
        return _ensure_hit_type(connection, requester_id, terms, now)


def create_hit(
    engine: Engine, requester_id: str, terms: HitTypeTerms | str, order: HitOrder, now: datetime
) -> Hit:
    """Make a HIT of a type given by its values or its id, and hold its cost in escrow.

    Raises RequestRefused: HitAlreadyExists (token used within 24 hours), HITTypeDoesNotExist, InsufficientFunds,
    XMLParseError or InvalidParameterValue for the question.
    """
    # A question is read before the store is locked; a layout has to be looked up first.
    is_form = order.question is not None and parse_question(order.question).form is not None
    with writing(engine) as connection:
        lock_requester(connection, requester_id)
        _require_unused(connection, requester_id, "create", order.token, now)
        xml = order.question
        if order.layout_id is not None:
            xml = filled_question(connection, requester_id, order.layout_id, order.layout_parameters)
            parse_question(xml)
        type_id = terms if isinstance(terms, str) else _ensure_hit_type(connection, requester_id, terms, now)
        hit = _insert_hit(connection, requester_id, type_id, replace(order, question=xml), is_form, now)
        _remember(connection, requester_id, "create", order.token, hit, now)
        ledger.open_account(connection, ledger.escrow_account(hit.hit_id))
        _hold(connection, hit, order.max_assignments, now)
        announce(connection, hit, "HITCreated", now)
        return hit


def extend_hit(
    engine: Engine, requester_id: str, hit_id: str, more: int, token: str | None, now: datetime
) -> None:
    """Add assignments to a HIT and hold their cost; refuses as `create_hit` and `lifecycle.extended` do."""
    with writing(engine) as connection:
        lock_requester(connection, requester_id)
        _require_unused(connection, requester_id, "extend", token, now)
        hit = find_hit(connection, hit_id, requester_id=requester_id, lock=True)
        extend_locked(connection, hit, more, now)
        _remember(connection, requester_id, "extend", token, hit, now)


def extend_locked(connection: Connection, hit: Hit, more: int, now: datetime) -> HitState:
    """Add assignments to a locked HIT and hold their cost; returns its new state."""
    state = lifecycle.extended(hit.hit_id, hit.state, more, now)
    save_state(connection, hit, state)
    _hold(connection, hit, more, now)
    watch_again(connection, hit)
    announce(connection, hit, "HITExtended", now)
    return state


def watch_again(connection: Connection, hit: Hit) -> None:
    """Let a HIT's becoming Reviewable be noticed once more, if anything depends on it."""
    watched = hit.hit_policy is not None or hit.hit_type.notified
    connection.execute(hits.update().where(hits.c.number == hit.number).values(unseen=watched))


def set_expiration(
    engine: Engine, requester_id: str, hit_id: str, expires_at: datetime, now: datetime
) -> None:
    """Give a HIT another expiration; repeating it is harmless."""
    with writing(engine) as connection:
        hit = find_hit(connection, hit_id, requester_id=requester_id, lock=True)
        save_state(connection, hit, lifecycle.expiring(hit_id, hit.state, expires_at, now))
        if expires_at > now:
            watch_again(connection, hit)


def set_reviewing(engine: Engine, requester_id: str, hit_id: str, revert: bool, now: datetime) -> None:
    """Mark a HIT Reviewing, or Reviewable again."""
    with writing(engine) as connection:
        hit = find_hit(connection, hit_id, requester_id=requester_id, lock=True)
        save_state(connection, hit, lifecycle.reviewed(hit_id, hit.state, revert, now))


def delete_hit(engine: Engine, requester_id: str, hit_id: str, now: datetime) -> None:
    """Dispose of a HIT whose work is decided, and give back what its escrow still holds."""
    with writing(engine) as connection:
        hit = find_hit(connection, hit_id, requester_id=requester_id, lock=True)
        dispose(connection, hit, now)


def dispose(connection: Connection, hit: Hit, now: datetime) -> None:
    """Dispose of a locked HIT; refuses as `lifecycle.disposed` does."""
    save_state(connection, hit, lifecycle.disposed(hit.hit_id, hit.state, now))
    escrow = ledger.escrow_account(hit.hit_id)
    left = ledger.balance(connection, escrow)
    account = ledger.requester_account(hit.requester_id)
    ledger.post(connection, now, Transfer("refund", escrow, account, left, hit.number))
    announce(connection, hit, "HITDisposed", now)


def _ensure_hit_type(connection: Connection, requester_id: str, terms: HitTypeTerms, now: datetime) -> str:
    require_usable(connection, terms.requirements)
    values = {**asdict(terms), "requirements": stored_requirements(terms.requirements)}
    fingerprint = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    insert_unless_there(
        connection,
        hit_types,
        hit_type_id=new_entity_id(),
        hit_group_id=new_entity_id(),
        requester_id=requester_id,
        fingerprint=fingerprint,
        created_at=now,
        notified=False,
        **values,
    )
    found = connection.execute(
        sa.select(hit_types.c.hit_type_id, hit_types.c.number).where(
            hit_types.c.requester_id == requester_id, hit_types.c.fingerprint == fingerprint
        )
    ).one()
    for type_id in sorted({requirement.qualification_type_id for requirement in terms.requirements}):
        insert_unless_there(
            connection, hit_type_qualifications, type_number=found.number, qualification_type_id=type_id
        )
    return str(found.hit_type_id)


def usable_type(connection: Connection, requester_id: str, type_id: str) -> sa.Row[Any]:
    """The row of a requester's HIT type that HITs can be made of; raises RequestRefused."""
    hit_type = connection.execute(
        sa.select(hit_types).where(
            hit_types.c.hit_type_id == type_id, hit_types.c.requester_id == requester_id
        )
    ).one_or_none()
    if hit_type is None:
        raise RequestRefused(f"HIT type {type_id} does not exist", "HITTypeDoesNotExist")
    require_usable(connection, read_requirements(hit_type.requirements))
    return hit_type


def _insert_hit(
    connection: Connection, requester_id: str, type_id: str, order: HitOrder, is_form: bool, now: datetime
) -> Hit:
    hit_type = usable_type(connection, requester_id, type_id)
    hit_id = new_entity_id()
    connection.execute(
        hits.insert().values(
            hit_id=hit_id,
            type_number=hit_type.number,
            requester_id=requester_id,
            is_form=is_form,
            layout_id=order.layout_id,
            assignment_policy=order.assignment_policy,
            hit_policy=order.hit_policy,
            unseen=hit_type.notified or order.hit_policy is not None,
            question_digest=_store_question(connection, order.question or ""),
            annotation=order.annotation,
            max_assignments=order.max_assignments,
            fee_cents=fee_cents(hit_type.reward_cents, order.max_assignments),
            pending=0,
            submitted=0,
            approved=0,
            rejected=0,
            reviewing=False,
            created_at=now,
            expires_at=now + timedelta(seconds=order.lifetime_seconds),
            changed_at=now,
        )
    )
    return find_hit(connection, hit_id, with_question=True)


def _store_question(connection: Connection, xml: str) -> str:
    """HITs with the same question share one row."""
    digest = hashlib.sha256(xml.encode()).hexdigest()
    insert_unless_there(connection, questions, digest=digest, xml=xml)
    return digest


def _hold(connection: Connection, hit: Hit, count: int, now: datetime) -> None:
    source = ledger.requester_account(hit.requester_id)
    cost = count * hit.price_cents
    ledger.post(
        connection, now, Transfer("hold", source, ledger.escrow_account(hit.hit_id), cost, hit.number)
    )


# --- unique request tokens -----------------------------------------------------------------------------

Scope = Literal["create", "extend"]


def _token_is(requester_id: str, scope: Scope, token: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        request_tokens.c.requester_id == requester_id,
        request_tokens.c.scope == scope,
        request_tokens.c.token == token,
    )


def _require_unused(
    connection: Connection, requester_id: str, scope: Scope, token: str | None, now: datetime
) -> None:
    if token is None:
        return
    used = connection.execute(
        sa.select(hits.c.hit_id, request_tokens.c.used_at)
        .select_from(request_tokens.join(hits))
        .where(_token_is(requester_id, scope, token))
    ).one_or_none()
    if used is not None and now - used.used_at < lifecycle.TOKEN_LIFE:
        raise RequestRefused(
            f"UniqueRequestToken {token} was used at {used.used_at.isoformat()} for HITId {used.hit_id}",
            "HitAlreadyExists",
        )
    connection.execute(request_tokens.delete().where(_token_is(requester_id, scope, token)))


def _remember(
    connection: Connection, requester_id: str, scope: Scope, token: str | None, hit: Hit, now: datetime
) -> None:
    if token is not None:
        connection.execute(
            request_tokens.insert().values(
                requester_id=requester_id, scope=scope, token=token, hit_number=hit.number, used_at=now
            )
        )
