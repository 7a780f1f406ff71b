"""E-mail: invitations and notices, as files in a folder or by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from urllib.parse import urlsplit

from .identifiers import new_entity_id
from .outbound import DeliveryFailed
from .people import Invitation, invitation_url
from .settings import MarketplaceSettings

TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Mailer:
    """Sends e-mail: through `server` (`smtp://host:port`, `smtps://host:port`), else into `folder` as files.

    Over `smtp://` TLS is used where the server offers it; without it no password is sent.
    """

    folder: Path | None = None
    server: str = ""
    sender: str = "marketplace@localhost"
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: MarketplaceSettings) -> Mailer:
        """The mailer that the settings describe."""
        folder = Path(settings.mail_folder) if settings.mail_folder else None
        return cls(
            folder, settings.mail_server, settings.mail_sender, settings.mail_user, settings.mail_password
        )

    @property
    def ready(self) -> bool:
        """Whether there is anywhere to send to."""
        return bool(self.server) or self.folder is not None

    def send(self, recipient: str, subject: str, body: str, now: datetime) -> None:
        """Send one message; raises DeliveryFailed."""
        message = EmailMessage()
        try:
            message["From"], message["To"], message["Subject"] = self.sender, recipient, subject
        except ValueError as error:
            raise DeliveryFailed(f"{recipient!r} is no e-mail address") from error
        message["Date"] = format_datetime(now)
        message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2] or "localhost")
        message.set_content(body)
        if self.server:
            self._by_smtp(recipient, message)
        elif self.folder is not None:
            self._as_file(self.folder, message, now)
        else:
            raise DeliveryFailed("this marketplace sends no e-mail: set mail_server or mail_folder")

    def _by_smtp(self, recipient: str, message: EmailMessage) -> None:
        parts = urlsplit(self.server)
        secure = parts.scheme == "smtps"
        kind = smtplib.SMTP_SSL if secure else smtplib.SMTP
        try:
            with kind(
                parts.hostname or "", parts.port or (465 if secure else 25), timeout=TIMEOUT_SECONDS
            ) as server:
                server.ehlo()
                if not secure and server.has_extn("starttls"):
                    server.starttls(context=ssl.create_default_context())
                    secure = True
                if self.user and not secure:
                    raise DeliveryFailed(
                        f"{self.server} offers no TLS, so no password is sent to it: use smtps://"
                    )
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(message)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise DeliveryFailed(
                f"the mail server {self.server} did not take a message to {recipient}: {error}"
            ) from error

    @staticmethod
    def _as_file(folder: Path, message: EmailMessage, now: datetime) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / f"{now:%Y%m%dT%H%M%S}-{new_entity_id()}.eml"
            # Links in it are keys: nobody else on this machine may read them.
            path.touch(mode=0o600)
            path.write_bytes(bytes(message))
        except OSError as error:
            raise DeliveryFailed(f"{folder} cannot be written: {error.strerror}") from error


def send_invitation(
    mailer: Mailer, settings: MarketplaceSettings, invitation: Invitation, recipient: str, now: datetime
) -> None:
    """Send a worker her sign-in link; the address is kept nowhere. Raises DeliveryFailed."""
    body = (
        f"Hello {invitation.pseudonym},\n\n"
        f"you are invited to work on {settings.site_name}. This link is your key to it, for every visit:\n\n"
        f"{invitation_url(settings, invitation.token)}\n\n"
        "Keep it to yourself. Before you start it tells what you do there, what is kept and what it pays.\n"
    )
    if settings.contact:
        body += f"\nQuestions? Write to {settings.contact}.\n"
    mailer.send(recipient, f"Your link to {settings.site_name}", body, now)
