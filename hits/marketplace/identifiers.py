"""New identifiers and secrets, in the shapes that the protocol's model prescribes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string

_LETTERS = string.ascii_uppercase + string.digits


def _letters(count: int) -> str:
    # One number for all of them: a draw for each letter takes ten times as long, and every HIT waits for it.
    drawn, letters = secrets.randbelow(len(_LETTERS) ** count), []
    for _ in range(count):
        drawn, place = divmod(drawn, len(_LETTERS))
        letters.append(_LETTERS[place])
    return "".join(letters)


def new_entity_id() -> str:
    """An unguessable id of a HIT, HIT type or assignment: 30 capitals and digits, about 150 bits."""
    return "3" + _letters(29)


def new_person_id() -> str:
    """A worker's or requester's id (`CustomerId` in the model)."""
    return "A" + _letters(13)


def new_access_key() -> str:
    """An access key; its prefix tells it from Amazon's own."""
    return "HITS" + _letters(16)


def new_token() -> str:
    """A secret for a link, a cookie or a key: 40 URL-safe characters, 240 bits."""
    return secrets.token_urlsafe(30)


def digest(secret: str) -> str:
    """What is stored of a link's or cookie's secret, so that a copy of the store signs nobody in."""
    return hashlib.sha256(secret.encode()).hexdigest()


def signature(secret: str, purpose: str, *parts: str) -> str:
    """A signature that only a marketplace with this secret can make, for one purpose."""
    return hmac.digest(secret.encode(), "\x00".join((purpose, *parts)).encode(), "sha256").hex()
