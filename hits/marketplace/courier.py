"""Carries notices to their destinations: SQS and SNS messages over HTTP, e-mail as files. Outside transactions."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import reading, writing
from ..errors import HitsError
from .identifiers import new_entity_id
from .tables import notices

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5
WAITS = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
"""How long a notice waits after each failed attempt; after as many it is given up."""
_BATCH = 20


class DeliveryFailed(HitsError):
    """A notice did not reach its destination."""


@dataclass(frozen=True, slots=True)
class Courier:
    """Delivers notices; `mail_folder` is where e-mail goes as files, None where there is no e-mail."""

    mail_folder: Path | None = None
    sender: str = "marketplace@localhost"

    def deliver(self, transport: str, destination: str, body: str, now: datetime) -> None:
        """Deliver one notice; raises DeliveryFailed."""
        if transport == "Email":
            self._mail(destination, body, now)
        elif transport == "SQS":
            self._post(
                destination, form={"Action": "SendMessage", "Version": "2012-11-05", "MessageBody": body}
            )
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
            self._post(destination, text=json.dumps(document), headers=headers)

    def _post(
        self,
        address: str,
        *,
        form: dict[str, str] | None = None,
        text: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        import requests

        try:
            # A redirect could lead anywhere; a queue has none.
            answer = requests.post(
                address,
                data=form if form is not None else text.encode(),
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                stream=True,
            )
            answer.close()
        except requests.RequestException as error:
            raise DeliveryFailed(f"{address} cannot be reached: {type(error).__name__}") from error
        if not 200 <= answer.status_code < 300:
            raise DeliveryFailed(f"{address} answered HTTP {answer.status_code}")

    def _mail(self, destination: str, body: str, now: datetime) -> None:
        if self.mail_folder is None:
            raise DeliveryFailed("this marketplace has no mail folder, so it sends no e-mail")
        message = EmailMessage()
        message["From"], message["To"] = self.sender, destination
        message["Subject"] = "Mechanical Turk notification"
        message["Date"] = now
        message.set_content(body)
        try:
            self.mail_folder.mkdir(parents=True, exist_ok=True)
            (self.mail_folder / f"{now:%Y%m%dT%H%M%S}-{new_entity_id()}.eml").write_bytes(bytes(message))
        except OSError as error:
            raise DeliveryFailed(f"{self.mail_folder} cannot be written: {error.strerror}") from error


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
    with reading(engine) as connection:
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
