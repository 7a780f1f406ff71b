"""What requesters do with HITs: create, extend, expire, mark and delete. One operation, one transaction."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from threading import Lock

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import glancing, surveying, writing, writing_at_once
from ..errors import RequestRefused
from . import ledger, lifecycle, tokens, uploads
from .identifiers import new_entity_id
from .layouts import filled_question
from .ledger import Transfer
from .lifecycle import HitState
from .notices import announce
from .qualification_types import require_usable
from .qualifying import Requirement, stored_requirements
from .questions import parse_question
from .records import Hit, HitType, hit_type_from
from .store import find_hit, insert_unless_there, save_state
from .storing import refusals, store_hit
from .tables import hit_type_qualifications, hit_types, hits


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

    A type made of values stays, whatever becomes of the HIT. Raises RequestRefused: HitAlreadyExists (token used within
    24 hours), HITTypeDoesNotExist, InsufficientFunds, XMLParseError or InvalidParameterValue for the question.
    """
    if order.layout_id is not None:
        with surveying(engine) as connection:
            xml = filled_question(connection, requester_id, order.layout_id, order.layout_parameters)
        order = replace(order, question=xml)
    is_form = parse_question(order.question or "").form is not None
    known = _KNOWN_TYPES.get(requester_id, terms) if isinstance(terms, str) else None
    if known is not None:
        # Refused if the type was notified of since, or the store is not the one where it was seen: then it is read.
        with suppress(sa.exc.IntegrityError):
            return _store(
                engine, _new_hit(requester_id, known, order, is_form, now), order, now, as_known=True
            )
    hit_type = _hit_type(engine, requester_id, terms, now)
    return _store(engine, _new_hit(requester_id, hit_type, order, is_form, now), order, now, as_known=False)


def _store(engine: Engine, hit: Hit, order: HitOrder, now: datetime, *, as_known: bool) -> Hit:
    # A notice goes with the HIT in one transaction; alone, a HIT is a transaction of its own.
    opened = writing if hit.hit_type.notified else writing_at_once
    price = order.max_assignments * hit.price_cents
    with refusals(engine, hit.requester_id, "create", order.token, price, now), opened(engine) as connection:
        hit = store_hit(connection, hit, order.token, now, type_as_known=as_known)
        announce(connection, hit, "HITCreated", now)
    return hit


class _KnownTypes:
    """The types of the latest HITs, if nothing about them changes but that they may come to be notified of."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.lock = Lock()
        self.found: OrderedDict[tuple[str, str], HitType] = OrderedDict()

    def get(self, requester_id: str, type_id: str) -> HitType | None:
        with self.lock:
            return self.found.get((requester_id, type_id))

    def keep(self, requester_id: str, hit_type: HitType) -> None:
        if hit_type.notified or hit_type.requirements:
            return
        with self.lock:
            self.found[requester_id, hit_type.hit_type_id] = hit_type
            if len(self.found) > self.most:
                self.found.popitem(last=False)


_KNOWN_TYPES = _KnownTypes(1024)


def _hit_type(engine: Engine, requester_id: str, terms: HitTypeTerms | str, now: datetime) -> HitType:
    type_id = terms if isinstance(terms, str) else create_hit_type(engine, requester_id, terms, now)
    with glancing(engine) as connection:
        hit_type = usable_type(connection, requester_id, type_id)
    _KNOWN_TYPES.keep(requester_id, hit_type)
    return hit_type


def extend_hit(
    engine: Engine, requester_id: str, hit_id: str, more: int, token: str | None, now: datetime
) -> None:
    """Add assignments to a HIT and hold their cost; refuses as `create_hit` and `lifecycle.extended` do."""
    with refusals(engine, requester_id, "extend", token, more, now), writing(engine) as connection:
        hit = find_hit(connection, hit_id, requester_id=requester_id, lock=True)
        if token is not None:
            used = {**tokens.use(requester_id, token, now), "hit": hit.number}
            connection.execute(_extending(connection.dialect.name), used)
        extend_locked(connection, hit, more, now)


@cache
def _extending(dialect: str) -> sa.Insert:
    return tokens.taking(dialect, "extend", sa.bindparam("hit", type_=sa.BigInteger))


def extend_locked(connection: Connection, hit: Hit, more: int, now: datetime) -> HitState:
    """Add assignments to a locked HIT and hold their cost; returns its new state."""
    state = lifecycle.extended(hit.hit_id, hit.state, more, now)
    save_state(connection, hit, state)
    payer, escrow = ledger.requester_account(hit.requester_id), ledger.escrow_account(hit.hit_id)
    ledger.post(connection, now, Transfer("hold", payer, escrow, more * hit.price_cents, hit.number))
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
    """Dispose of a locked HIT, and of the files that answered it; refuses as `lifecycle.disposed` does."""
    save_state(connection, hit, lifecycle.disposed(hit.hit_id, hit.state, now))
    escrow = ledger.escrow_account(hit.hit_id)
    left = ledger.balance(connection, escrow)
    account = ledger.requester_account(hit.requester_id)
    ledger.post(connection, now, Transfer("refund", escrow, account, left, hit.number))
    if hit.is_form:
        uploads.delete_of_hit(connection, hit.number)
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


_OF_TYPE = sa.select(hit_types).where(
    hit_types.c.hit_type_id == sa.bindparam("wanted"), hit_types.c.requester_id == sa.bindparam("owner")
)


def usable_type(connection: Connection, requester_id: str, type_id: str) -> HitType:
    """A requester's HIT type that HITs can be made of; raises RequestRefused."""
    row = connection.execute(_OF_TYPE, {"wanted": type_id, "owner": requester_id}).one_or_none()
    if row is None:
        raise RequestRefused(f"HIT type {type_id} does not exist", "HITTypeDoesNotExist")
    hit_type = hit_type_from(row, row.number)
    require_usable(connection, hit_type.requirements)
    return hit_type


def _new_hit(requester_id: str, hit_type: HitType, order: HitOrder, is_form: bool, now: datetime) -> Hit:
    """The HIT as it will be stored; its number is not known yet."""
    xml = order.question or ""
    return Hit(
        number=0,
        hit_id=new_entity_id(),
        requester_id=requester_id,
        hit_type=hit_type,
        annotation=order.annotation,
        fee_cents=hit_type.fee_cents(order.max_assignments),
        created_at=now,
        state=HitState(
            max_assignments=order.max_assignments,
            pending=0,
            submitted=0,
            approved=0,
            rejected=0,
            reviewing=False,
            expires_at=now + timedelta(seconds=order.lifetime_seconds),
            changed_at=now,
        ),
        question_digest=hashlib.sha256(xml.encode()).hexdigest(),
        is_form=is_form,
        layout_id=order.layout_id,
        assignment_policy=order.assignment_policy,
        hit_policy=order.hit_policy,
        unseen=hit_type.notified or order.hit_policy is not None,
        question=xml,
    )
