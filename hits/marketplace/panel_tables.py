"""Tables of panels: studies through which people come from elsewhere, and their sessions."""

from __future__ import annotations

import sqlalchemy as sa

from ..database import UtcDateTime, choice
from .columns import Identifier, RowNumber, metadata

# A study of a panel: so many pages are one submission there, which the panel pays and charges.
studies = sa.Table(
    "studies",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("panel", choice("panel", "prolific"), nullable=False),
    sa.Column("study_id", sa.String(64), nullable=False),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False),
    # The unguessable part of the address that the panel sends people to.
    sa.Column("entry", sa.String(64), nullable=False, unique=True),
    sa.Column("completion_code", sa.String(64), nullable=False),
    sa.Column("pages", sa.Integer, nullable=False),
    sa.Column("reward_cents", sa.BigInteger, nullable=False),
    sa.Column("fee_cents", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("panel", "study_id"),
    sa.CheckConstraint("pages > 0 AND reward_cents > 0 AND fee_cents >= 0 AND seconds > 0", "positive"),
)

STARTED = sa.text("state = 'Started'")

study_sessions = sa.Table(
    "study_sessions",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("study_number", sa.ForeignKey("studies.number"), nullable=False),
    # The panel's own id of the submission; NULL once its worker was erased.
    sa.Column("session_id", sa.String(64)),
    sa.Column("worker_id", sa.ForeignKey("workers.worker_id"), nullable=False, index=True),
    sa.Column("state", choice("state", "Started", "Completed", "Returned", "TimedOut"), nullable=False),
    sa.Column("account", Identifier, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("deadline", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.UniqueConstraint("study_number", "session_id"),
)

# One study at a time: whatever races, the database holds it.
sa.Index(
    "uq_study_sessions_worker_id",
    study_sessions.c.worker_id,
    unique=True,
    sqlite_where=STARTED,
    postgresql_where=STARTED,
)
sa.Index(
    "ix_study_sessions_deadline", study_sessions.c.deadline, sqlite_where=STARTED, postgresql_where=STARTED
)
