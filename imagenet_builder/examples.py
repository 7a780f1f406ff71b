"""Example pictures on verification pages: what was accepted of the category, and what was of its siblings.

They are shown under names of their own: a picture's SHA-256, sealed by the project's secret (AES-SIV, RFC 5297). Nobody
else can tell which picture a name is, and no table has to remember it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hits import database

from .concepts import siblings_of
from .store import categories
from .store.examples import accepted_pictures

if TYPE_CHECKING:
    import sqlalchemy as sa
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    from .project import Project

MOST = 3
NAME = re.compile(r"[A-Za-z0-9_-]{64}")
_PURPOSE = b"example picture"


@dataclass(frozen=True, slots=True)
class Examples:
    """Names of pictures that show a category, and of some that show a sibling of it instead."""

    showing: tuple[str, ...]
    not_showing: tuple[str, ...]


def examples_of(project: Project, wnid: str) -> Examples:
    """Up to three of each; none as long as nothing is accepted."""
    with database.reading(project.engine) as connection:
        showing = accepted_pictures(connection, wnid, MOST)
        near = [
            found
            for sibling in _chosen_siblings(project, connection, wnid)
            for found in accepted_pictures(connection, sibling, 1, beside=wnid)
        ]
    # The project's key is made at first use: not before there is something to name.
    secret = project.secret if showing or near else b""
    return Examples(
        tuple(example_name(secret, sha256) for sha256 in showing),
        tuple(example_name(secret, sha256) for sha256 in near[:MOST]),
    )


def _chosen_siblings(project: Project, connection: sa.Connection, wnid: str) -> list[str]:
    chosen = {category.wnid for category in categories.selected(connection)}
    return [sibling for sibling in siblings_of(project.graph, wnid) if sibling in chosen]


def example_name(secret: bytes, sha256: str) -> str:
    """The name (64 letters) under which pages show a picture as an example."""
    sealed = _cipher(secret).encrypt(bytes.fromhex(sha256), [_PURPOSE])
    return base64.urlsafe_b64encode(sealed).decode("ascii")


def picture_of(secret: bytes, name: str) -> str | None:
    """The SHA-256 behind an example's name; None for a name that this secret did not make."""
    from cryptography.exceptions import InvalidTag

    if not NAME.fullmatch(name):
        return None
    try:
        return _cipher(secret).decrypt(base64.urlsafe_b64decode(name), [_PURPOSE]).hex()
    except (InvalidTag, binascii.Error):
        return None


def _cipher(secret: bytes) -> AESSIV:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(hashlib.sha512(_PURPOSE + secret).digest())
