"""Who may use the requester console: links from the command line, sign-in with a pair of keys, sessions."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import surveying, writing
from ..errors import HitsError
from .identifiers import digest, new_token
from .settings import MarketplaceSettings
from .tables import console_keys, requester_keys, requesters

LINK_LIFE = timedelta(hours=1)
SESSION_LIFE = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Requester:
    """A requester as the console knows her."""

    requester_id: str
    name: str


def console_link(engine: Engine, settings: MarketplaceSettings, name: str, now: datetime) -> str:
    """An address that signs the requester `name` in at the console: once, and within an hour.

    Raises HitsError if there is no such requester.
    """
    with writing(engine) as connection:
        requester_id = connection.scalar(
            sa.select(requesters.c.requester_id).where(requesters.c.name == name)
        )
        if requester_id is None:
            raise HitsError(f"there is no requester {name!r} on this marketplace")
        token = _insert(connection, requester_id, "link", now + LINK_LIFE, now)
    return f"{settings.public_url}/requester/enter/{token}"


def enter_by_link(engine: Engine, token: str, now: datetime) -> str | None:
    """Open a session by a link and return its token; None for a link that was used, is over or never was."""
    with writing(engine) as connection:
        link = console_keys.c.token_digest == digest(token), console_keys.c.use == "link"
        requester_id = connection.scalar(
            sa.select(console_keys.c.requester_id).where(*link, console_keys.c.expires_at > now)
        )
        if requester_id is None or connection.execute(console_keys.delete().where(*link)).rowcount != 1:
            return None
        return _insert(connection, requester_id, "session", now + SESSION_LIFE, now)


def enter_by_keys(engine: Engine, access_key: str, secret_key: str, now: datetime) -> str | None:
    """Open a session by a pair of keys and return its token; None if they are not a requester's."""
    with writing(engine) as connection:
        row = connection.execute(
            sa.select(requester_keys.c.requester_id, requester_keys.c.secret_key).where(
                requester_keys.c.access_key == access_key
            )
        ).one_or_none()
        # Compared also where there is no such key, so that the time taken does not tell which half was wrong.
        known = secret_key if row is None else row.secret_key
        if not hmac.compare_digest(known.encode(), secret_key.encode()) or row is None:
            return None
        return _insert(connection, row.requester_id, "session", now + SESSION_LIFE, now)


def console_requester(engine: Engine, token: str, now: datetime) -> Requester | None:
    """Whose session a console cookie's token is, or None."""
    with surveying(engine) as connection:
        row = connection.execute(
            sa.select(requesters.c.requester_id, requesters.c.name)
            .select_from(console_keys.join(requesters))
            .where(
                console_keys.c.token_digest == digest(token),
                console_keys.c.use == "session",
                console_keys.c.expires_at > now,
            )
        ).one_or_none()
    return None if row is None else Requester(row.requester_id, row.name)


def leave_console(engine: Engine, token: str) -> None:
    """End a session; harmless if there is none."""
    with writing(engine) as connection:
        connection.execute(console_keys.delete().where(console_keys.c.token_digest == digest(token)))


def _insert(connection: Connection, requester_id: str, use: str, expires_at: datetime, now: datetime) -> str:
    token = new_token()
    connection.execute(console_keys.delete().where(console_keys.c.expires_at <= now))
    connection.execute(
        console_keys.insert().values(
            token_digest=digest(token), requester_id=requester_id, use=use, expires_at=expires_at
        )
    )
    return token
