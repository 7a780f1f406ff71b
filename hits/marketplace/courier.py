"""Carries notices to their destinations: SQS and SNS messages over HTTP, and e-mail. Outside transactions."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import surveying, writing
from .identifiers import new_entity_id
from .mail import Mailer
from .outbound import DeliveryFailed, DestinationRule, post
from .settings import MarketplaceSettings
from .tables import notices

logger = logging.getLogger(__name__)

WAITS = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
"""How long a notice waits after each failed attempt; after as many it is given up."""
_BATCH = 20


@dataclass(frozen=True, slots=True)
class Courier:
    """Delivers notices: by e-mail through `mailer`, to addresses that `rule` permits."""

    mailer: Mailer
    rule: DestinationRule

    @classmethod
    def of(cls, settings: MarketplaceSettings) -> Courier:
        """The courier that the settings describe."""
        return cls(Mailer.of(settings), DestinationRule.of(settings))

    def deliver(self, transport: str, destination: str, body: str, now: datetime) -> None:
        """Deliver one notice; raises DeliveryFailed."""
        if transport == "Email":
            self.mailer.send(destination, "Mechanical Turk notification", body, now)
        elif transport == "SQS":
            form = {"Action": "SendMessage", "Version": "2012-11-05", "MessageBody": body}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            post(destination, urlencode(form).encode(), headers, self.rule)
        else:
            message_id = new_entity_id()
            document = {
                "Type": "Notification",
                "MessageId": message_id,
                "TopicArn": destination,
                "Message": body,
                "Timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.000Z",
            }
            headers = {
                "Content-Type": "text/plain; charset=UTF-8",
                "x-amz-sns-message-type": "Notification",
                "x-amz-sns-message-id": message_id,
            }
            post(destination, json.dumps(document).encode(), headers, self.rule)


def deliver_due(engine: Engine, courier: Courier, now: datetime) -> int:
    """Deliver what is due and return how many arrived; what fails waits longer each time, then is given up."""
    delivered = 0
    for number in _due(engine, now):
        claimed = _claim(engine, number, now)
        if claimed is None:
            continue
        try:
            courier.deliver(claimed.transport, claimed.destination, claimed.body, now)
        except DeliveryFailed as error:
            if claimed.attempts < len(WAITS):
                continue
            logger.warning("a notice was given up after %d attempts: %s", claimed.attempts + 1, error)
        else:
            delivered += 1
        with writing(engine) as connection:
            connection.execute(notices.delete().where(notices.c.number == number))
    return delivered


def _due(engine: Engine, now: datetime) -> list[int]:
    with surveying(engine) as connection:
        query = sa.select(notices.c.number).where(notices.c.due_at <= now).order_by(notices.c.due_at)
        return list(connection.scalars(query.limit(_BATCH)))


@dataclass(frozen=True, slots=True)
class _Claimed:
    transport: str
    destination: str
    body: str
    attempts: int


def _claim(engine: Engine, number: int, now: datetime) -> _Claimed | None:
    """Take a notice for one attempt: until its wait is over nobody else tries, though this process be killed."""
    with writing(engine) as connection:
        row = connection.execute(
            sa.select(notices).where(notices.c.number == number, notices.c.due_at <= now).with_for_update()
        ).one_or_none()
        if row is None:
            return None
        wait = WAITS[min(row.attempts, len(WAITS) - 1)]
        connection.execute(
            notices.update()
            .where(notices.c.number == number)
            .values(attempts=row.attempts + 1, due_at=now + wait)
        )
        return _Claimed(row.transport, row.destination, row.body, row.attempts)
