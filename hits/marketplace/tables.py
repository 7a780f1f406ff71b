"""The marketplace's tables. Money is integer US cents, times are UTC, identifiers are MTurk's shapes."""

from __future__ import annotations

import sqlalchemy as sa

from ..database import UtcDateTime, choice
from .columns import Digest, Identifier, RowNumber, metadata
from .crowd_tables import (
    LISTED,
    OPEN_REQUEST,
    bonuses,
    hit_type_qualifications,
    layouts,
    messages,
    notices,
    notification_settings,
    qualification_requests,
    qualification_types,
    qualifications,
    reviews,
    worker_blocks,
)
from .ledger_tables import accounts, transfers
from .lifecycle import AssignmentState
from .panel_tables import STARTED, studies, study_sessions
from .people_tables import (
    console_keys,
    invitations,
    requester_keys,
    requesters,
    secrets,
    sessions,
    workers,
)
from .upload_tables import upload_pieces, uploads

__all__ = [
    "ACCEPTED",
    "DONE",
    "HELD_OR_DONE",
    "KEPT",
    "LISTED",
    "MIGRATIONS",
    "OPEN_REQUEST",
    "SCHEMA",
    "STARTED",
    "SUBMITTED",
    "UNSEEN",
    "UNTAKEN",
    "accounts",
    "assignments",
    "bonuses",
    "console_keys",
    "hit_type_qualifications",
    "hit_types",
    "hits",
    "invitations",
    "layouts",
    "messages",
    "metadata",
    "notices",
    "notification_settings",
    "qualification_requests",
    "qualification_types",
    "qualifications",
    "questions",
    "request_tokens",
    "requester_keys",
    "requesters",
    "reviews",
    "secrets",
    "sessions",
    "studies",
    "study_sessions",
    "transfers",
    "upload_pieces",
    "uploads",
    "worker_blocks",
    "workers",
]

SCHEMA = "0001"
"""The revision that this program's tables are at (see `hits.database.require_schema`)."""

MIGRATIONS = "hits.marketplace.migrations"
"""The package with the Alembic history."""

hit_types = sa.Table(
    "hit_types",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("hit_type_id", Identifier, nullable=False, unique=True),
    sa.Column("hit_group_id", Identifier, nullable=False),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False),
    # Of all values below: types with equal values are one type.
    sa.Column("fingerprint", Digest, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("keywords", sa.Text, nullable=False),
    sa.Column("reward_cents", sa.BigInteger, nullable=False),
    sa.Column("assignment_seconds", sa.Integer, nullable=False),
    sa.Column("auto_approval_seconds", sa.Integer, nullable=False),
    # Qualification requirements as JSON (see qualifying.py); which types they name is in hit_type_qualifications.
    sa.Column("requirements", sa.Text, nullable=False),
    # Whether notification_settings has an active row: events of other types need no look there.
    sa.Column("notified", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("requester_id", "fingerprint"),
)

questions = sa.Table(
    "questions",
    metadata,
    sa.Column("digest", Digest, primary_key=True),
    sa.Column("xml", sa.Text, nullable=False),
)

hits = sa.Table(
    "hits",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("hit_id", Identifier, nullable=False, unique=True),
    sa.Column("type_number", sa.ForeignKey("hit_types.number"), nullable=False),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False),
    sa.Column("question_digest", sa.ForeignKey("questions.digest"), nullable=False),
    # Whether the question is a QuestionForm, whose answers the marketplace itself checks.
    sa.Column("is_form", sa.Boolean, nullable=False),
    sa.Column("layout_id", sa.ForeignKey("layouts.layout_id")),
    # Review policies as JSON in the protocol's shape.
    sa.Column("assignment_policy", sa.Text),
    sa.Column("hit_policy", sa.Text),
    # Set when a HIT's becoming Reviewable still has to be noticed: it has a policy or its type is notified.
    sa.Column("unseen", sa.Boolean, nullable=False),
    sa.Column("annotation", sa.Text),
    sa.Column("max_assignments", sa.Integer, nullable=False),
    sa.Column("fee_cents", sa.BigInteger, nullable=False),
    # How many assignments are in each state; kept in the transaction that moves an assignment.
    sa.Column("pending", sa.Integer, nullable=False),
    sa.Column("submitted", sa.Integer, nullable=False),
    sa.Column("approved", sa.Integer, nullable=False),
    sa.Column("rejected", sa.Integer, nullable=False),
    sa.Column("reviewing", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("disposed_at", UtcDateTime),
    sa.CheckConstraint("pending + submitted + approved + rejected <= max_assignments", "not_oversubscribed"),
    sa.CheckConstraint("pending >= 0 AND submitted >= 0 AND approved >= 0 AND rejected >= 0", "counts"),
)

# SQLite uses the index only where the column stands on the left: it turns the other form round.
UNTAKEN = sa.text("max_assignments > pending + submitted + approved + rejected AND disposed_at IS NULL")
KEPT = sa.text("disposed_at IS NULL")

sa.Index(
    "ix_hits_untaken",
    hits.c.type_number,
    hits.c.expires_at,
    hits.c.number,
    sqlite_where=UNTAKEN,
    postgresql_where=UNTAKEN,
)
UNSEEN = sa.text("unseen AND disposed_at IS NULL")
sa.Index("ix_hits_unseen", hits.c.expires_at, sqlite_where=UNSEEN, postgresql_where=UNSEEN)
sa.Index("ix_hits_kept", hits.c.requester_id, hits.c.number, sqlite_where=KEPT, postgresql_where=KEPT)
sa.Index("ix_hits_changed_at", hits.c.changed_at, sqlite_where=KEPT, postgresql_where=KEPT)

assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("assignment_id", Identifier, nullable=False, unique=True),
    sa.Column("hit_number", sa.ForeignKey("hits.number"), nullable=False),
    # The HIT's type when it was accepted: what is known of the pace of a type.
    sa.Column("type_number", sa.ForeignKey("hit_types.number"), nullable=False),
    sa.Column("worker_id", sa.ForeignKey("workers.worker_id"), nullable=False),
    # The panel's session that pays for it instead of its HIT.
    sa.Column("session_number", sa.ForeignKey("study_sessions.number"), index=True),
    sa.Column("state", choice("state", *(state.value for state in AssignmentState)), nullable=False),
    # What was promised when it was accepted: its HIT's type may be changed later.
    sa.Column("reward_cents", sa.BigInteger, nullable=False),
    sa.Column("fee_cents", sa.BigInteger, nullable=False),
    sa.Column("accepted_at", UtcDateTime, nullable=False),
    sa.Column("deadline", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("submitted_at", UtcDateTime),
    sa.Column("auto_approval_at", UtcDateTime),
    sa.Column("approved_at", UtcDateTime),
    sa.Column("rejected_at", UtcDateTime),
    sa.Column("answer", sa.Text),
    sa.Column("feedback", sa.Text),
)

HELD_OR_DONE = sa.text("state NOT IN ('Returned', 'Abandoned')")
ACCEPTED = sa.text("state = 'Accepted'")
SUBMITTED = sa.text("state = 'Submitted'")

# One worker, one assignment of a HIT: whatever races, the database holds it.
sa.Index(
    "uq_assignments_hit_number_worker_id",
    assignments.c.hit_number,
    assignments.c.worker_id,
    unique=True,
    sqlite_where=HELD_OR_DONE,
    postgresql_where=HELD_OR_DONE,
)
sa.Index("ix_assignments_review", assignments.c.hit_number, assignments.c.submitted_at, assignments.c.number)
sa.Index("ix_assignments_worker", assignments.c.worker_id, assignments.c.number)
sa.Index("ix_assignments_earnings", assignments.c.worker_id, assignments.c.state, assignments.c.reward_cents)
DONE = sa.text("submitted_at IS NOT NULL")
sa.Index(
    "ix_assignments_pace",
    assignments.c.type_number,
    # Not the row number: PostgreSQL would rather go back through the whole table by its primary key.
    assignments.c.submitted_at,
    sqlite_where=DONE,
    postgresql_where=DONE,
)
sa.Index("ix_assignments_deadline", assignments.c.deadline, sqlite_where=ACCEPTED, postgresql_where=ACCEPTED)
sa.Index(
    "ix_assignments_auto_approval",
    assignments.c.auto_approval_at,
    sqlite_where=SUBMITTED,
    postgresql_where=SUBMITTED,
)

request_tokens = sa.Table(
    "request_tokens",
    metadata,
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), primary_key=True),
    sa.Column("scope", choice("scope", "create", "extend"), primary_key=True),
    sa.Column("token", Identifier, primary_key=True),
    sa.Column("hit_number", sa.ForeignKey("hits.number"), nullable=False),
    sa.Column("used_at", UtcDateTime, nullable=False),
)
