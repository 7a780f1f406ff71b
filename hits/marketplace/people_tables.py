"""The tables of people: requesters and workers, their keys, links and sessions, and the marketplace's own secrets."""

from __future__ import annotations

import sqlalchemy as sa

from ..database import UtcDateTime, choice
from .columns import Digest, Identifier, metadata

requesters = sa.Table(
    "requesters",
    metadata,
    sa.Column("requester_id", Identifier, primary_key=True),
    sa.Column("name", sa.String(128), nullable=False, unique=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

requester_keys = sa.Table(
    "requester_keys",
    metadata,
    sa.Column("access_key", sa.String(128), primary_key=True),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False, index=True),
    # SigV4 is symmetric: the server needs the secret itself. The file is readable by its owner only.
    sa.Column("secret_key", sa.String(128), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("worker_id", Identifier, primary_key=True),
    sa.Column("pseudonym", sa.String(128), nullable=False, unique=True),
    # Who she is at the panel that sent her; known of nobody else.
    sa.Column("participant_id", sa.String(64), unique=True),
    sa.Column("invited_at", UtcDateTime, nullable=False),
    sa.Column("consented_at", UtcDateTime),
    # What she said of herself, for the system's locale and adult qualifications; NULL is not known.
    sa.Column("country", sa.String(2)),
    sa.Column("subdivision", sa.String(2)),
    sa.Column("adult", sa.Boolean),
    # Since when the marketplace's operator counts her among the Masters; NULL is not.
    sa.Column("master_since", UtcDateTime),
    # Since then nothing here tells who she was.
    sa.Column("erased_at", UtcDateTime),
)

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("token_digest", Digest, primary_key=True),
    sa.Column("worker_id", sa.ForeignKey("workers.worker_id"), nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_digest", Digest, primary_key=True),
    sa.Column("worker_id", sa.ForeignKey("workers.worker_id"), nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
)

# Links to the requester console, each for one use, and the sessions of those who are signed in there.
console_keys = sa.Table(
    "console_keys",
    metadata,
    sa.Column("token_digest", Digest, primary_key=True),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False, index=True),
    sa.Column("use", choice("use", "link", "session"), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(128), nullable=False),
)
