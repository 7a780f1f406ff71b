"""Notifications of HIT events: who wants which, and what is put on its way in the transaction of the event.

They are hints, as they were on MTurk: they may come late, twice or never, and polling decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import writing
from ..errors import RequestRefused
from .identifiers import new_entity_id
from .records import Hit
from .tables import KEPT, hit_types, hits, notices, notification_settings

VERSIONS = frozenset({"2006-05-05", "2014-08-15"})
_EVENT_DOCUMENT = "2014-08-15"


@dataclass(frozen=True, slots=True)
class Specification:
    """A checked NotificationSpecification."""

    destination: str
    transport: str
    version: str
    event_types: tuple[str, ...]


def parse_specification(document: Mapping[str, Any]) -> Specification:
    """A request's NotificationSpecification; raises RequestRefused (InvalidTransportEndpoint or -ParameterValue)."""
    destination, transport = document["Destination"].strip(), document["Transport"]
    if transport == "Email":
        address = parseaddr(destination)[1]
        fits = "@" in address and destination.isprintable() and len(destination) <= 320
    else:
        fits = _is_address(destination)
    if not fits:
        wanted = "an e-mail address" if transport == "Email" else "an http or https address"
        raise RequestRefused(
            f"{destination[:200]!r} is no destination for {transport}: give {wanted}",
            "InvalidTransportEndpoint",
        )
    if document["Version"] not in VERSIONS:
        raise RequestRefused(f"Version must be one of {', '.join(sorted(VERSIONS))}", "InvalidParameterValue")
    if not document["EventTypes"]:
        raise RequestRefused("EventTypes must have at least one entry", "InvalidParameterValue")
    return Specification(destination, transport, document["Version"], tuple(document["EventTypes"]))


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and len(text) <= 2048


def update_settings(
    engine: Engine,
    requester_id: str,
    hit_type_id: str,
    wanted: Specification | None,
    active: bool | None,
    now: datetime,
) -> None:
    """Set, change or switch a HIT type's notifications; raises RequestRefused."""
    with writing(engine) as connection:
        number = connection.scalar(
            sa.select(hit_types.c.number)
            .where(hit_types.c.hit_type_id == hit_type_id, hit_types.c.requester_id == requester_id)
            .with_for_update()
        )
        if number is None:
            raise RequestRefused(f"HIT type {hit_type_id} does not exist", "HITTypeDoesNotExist")
        here = notification_settings.c.type_number == number
        old = connection.execute(sa.select(notification_settings).where(here)).one_or_none()
        if wanted is None and (old is None or active is None):
            raise RequestRefused("there is no Notification to switch: give one", "InvalidParameterValue")
        on = active if active is not None else (old is None or old.active)
        if wanted is None:
            connection.execute(notification_settings.update().where(here).values(active=on))
        else:
            connection.execute(notification_settings.delete().where(here))
            connection.execute(
                notification_settings.insert().values(
                    type_number=number,
                    destination=wanted.destination,
                    transport=wanted.transport,
                    version=wanted.version,
                    event_types=json.dumps(wanted.event_types),
                    active=on,
                )
            )
        connection.execute(hit_types.update().where(hit_types.c.number == number).values(notified=on))
        if on:
            taken = hits.c.pending + hits.c.submitted + hits.c.approved + hits.c.rejected
            under_way = sa.or_(
                hits.c.pending > 0, sa.and_(hits.c.expires_at > now, taken < hits.c.max_assignments)
            )
            connection.execute(
                hits.update().where(hits.c.type_number == number, KEPT, under_way).values(unseen=True)
            )


def announce(
    connection: Connection, hit: Hit, event: str, now: datetime, assignment_id: str | None = None
) -> None:
    """Put a notice of an event on its way, if the HIT's type wants it; it goes with the transaction."""
    if not hit.hit_type.notified:
        return
    row = connection.execute(
        sa.select(notification_settings).where(
            notification_settings.c.type_number == hit.hit_type.number, notification_settings.c.active
        )
    ).one_or_none()
    if row is None or event not in json.loads(row.event_types):
        return
    body = event_document(
        hit.requester_id,
        event,
        now,
        hit.hit_type.hit_type_id,
        hit.hit_type.hit_group_id,
        hit.hit_id,
        assignment_id,
    )
    connection.execute(
        notices.insert().values(
            destination=row.destination, transport=row.transport, body=body, attempts=0, due_at=now
        )
    )


def event_document(
    requester_id: str,
    event: str,
    now: datetime,
    hit_type_id: str,
    hit_group_id: str,
    hit_id: str,
    assignment_id: str | None,
) -> str:
    """An event as the JSON that MTurk sent."""
    described = {
        "EventType": event,
        "EventTimestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "HITId": hit_id,
        "HITTypeId": hit_type_id,
        "HITGroupId": hit_group_id,
    }
    if assignment_id is not None:
        described["AssignmentId"] = assignment_id
    return json.dumps(
        {
            "EventDocVersion": _EVENT_DOCUMENT,
            "EventDocId": new_entity_id(),
            "CustomerId": requester_id,
            "Events": [described],
        }
    )


def test_document(requester_id: str, event: str, now: datetime) -> str:
    """An event that did not happen, for SendTestEventNotification."""
    made_up: Sequence[str] = [new_entity_id() for _ in range(4)]
    assignment_id = made_up[3] if event.startswith("Assignment") else None
    return event_document(requester_id, event, now, made_up[0], made_up[1], made_up[2], assignment_id)
