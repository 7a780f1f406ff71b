"""Tables of what lies between requesters and workers: qualifications, blocks, bonuses, messages, reviews, notices."""

from __future__ import annotations

import sqlalchemy as sa

from ..database import UtcDateTime, choice
from .columns import Identifier, RowNumber, metadata

qualification_types = sa.Table(
    "qualification_types",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("qualification_type_id", Identifier, nullable=False, unique=True),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("keywords", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("retry_delay_seconds", sa.BigInteger),
    sa.Column("test", sa.Text),
    sa.Column("answer_key", sa.Text),
    sa.Column("test_seconds", sa.BigInteger),
    sa.Column("auto_granted_value", sa.Integer),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("deleted_at", UtcDateTime),
)

LISTED = sa.text("deleted_at IS NULL")
OPEN_REQUEST = sa.text("state IN ('Started', 'Pending')")

sa.Index(
    "uq_qualification_types_requester_id_name",
    qualification_types.c.requester_id,
    qualification_types.c.name,
    unique=True,
    sqlite_where=LISTED,
    postgresql_where=LISTED,
)

hit_type_qualifications = sa.Table(
    "hit_type_qualifications",
    metadata,
    sa.Column("type_number", sa.ForeignKey("hit_types.number"), primary_key=True),
    # No foreign key: the system's own types have no row.
    sa.Column("qualification_type_id", Identifier, primary_key=True),
    sa.Index("ix_hit_type_qualifications_qualification_type_id", "qualification_type_id"),
)

qualifications = sa.Table(
    "qualifications",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("type_number", sa.ForeignKey("qualification_types.number"), nullable=False),
    sa.Column("worker_id", sa.ForeignKey("workers.worker_id"), nullable=False, index=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("status", choice("status", "Granted", "Revoked"), nullable=False),
    sa.Column("granted_at", UtcDateTime, nullable=False),
    sa.Column("reason", sa.Text),
    sa.UniqueConstraint("type_number", "worker_id"),
)

qualification_requests = sa.Table(
    "qualification_requests",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("request_id", Identifier, nullable=False, unique=True),
    sa.Column("type_number", sa.ForeignKey("qualification_types.number"), nullable=False),
    sa.Column("worker_id", sa.ForeignKey("workers.worker_id"), nullable=False),
    # A test is Started when it is opened, and Lapsed when it was not handed in within its time.
    sa.Column(
        "state",
        choice("state", "Started", "Pending", "Granted", "Rejected", "Lapsed"),
        nullable=False,
    ),
    # The test as it was when it was opened: the type's own may change meanwhile.
    sa.Column("test", sa.Text),
    sa.Column("answer_key", sa.Text),
    sa.Column("answer", sa.Text),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("deadline", UtcDateTime),
    sa.Column("submitted_at", UtcDateTime),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("reason", sa.Text),
)

# One request at a time: whatever races, the database holds it.
sa.Index(
    "uq_qualification_requests_type_number_worker_id",
    qualification_requests.c.type_number,
    qualification_requests.c.worker_id,
    unique=True,
    sqlite_where=OPEN_REQUEST,
    postgresql_where=OPEN_REQUEST,
)
sa.Index("ix_qualification_requests_worker", qualification_requests.c.worker_id)

worker_blocks = sa.Table(
    "worker_blocks",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False),
    sa.Column("worker_id", sa.ForeignKey("workers.worker_id"), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("blocked_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("requester_id", "worker_id"),
)

bonuses = sa.Table(
    "bonuses",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False),
    sa.Column("assignment_number", sa.ForeignKey("assignments.number"), nullable=False, index=True),
    sa.Column("cents", sa.BigInteger, nullable=False),
    sa.Column("fee_cents", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    # The first use of a token stands for good, so that no repeat pays twice however late it comes.
    sa.Column("token", Identifier),
    sa.Column("granted_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("requester_id", "token"),
    sa.CheckConstraint("cents > 0 AND fee_cents > 0", "positive"),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("worker_id", sa.ForeignKey("workers.worker_id"), nullable=False, index=True),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("sent_at", UtcDateTime, nullable=False),
    sa.Column("read_at", UtcDateTime),
)

layouts = sa.Table(
    "layouts",
    metadata,
    sa.Column("layout_id", Identifier, primary_key=True),
    sa.Column("requester_id", sa.ForeignKey("requesters.requester_id"), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("html", sa.Text, nullable=False),
    sa.Column("frame_height", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

# What review policies found and did, in the order in which it happened; `key` and `value` are a result's.
reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("hit_number", sa.ForeignKey("hits.number"), nullable=False, index=True),
    sa.Column("level", choice("level", "Assignment", "HIT"), nullable=False),
    sa.Column("action_id", Identifier, nullable=False),
    sa.Column("subject_id", Identifier, nullable=False),
    sa.Column("subject_type", sa.String(16), nullable=False),
    sa.Column("question_id", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("value", sa.Text),
    sa.Column("action", sa.String(16)),
    sa.Column("succeeded", sa.Boolean),
    sa.Column("result", sa.Text),
    sa.Column("error_code", sa.String(64)),
    sa.Column("at", UtcDateTime, nullable=False),
)

notification_settings = sa.Table(
    "notification_settings",
    metadata,
    sa.Column("type_number", sa.ForeignKey("hit_types.number"), primary_key=True),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("transport", choice("transport", "Email", "SQS", "SNS"), nullable=False),
    sa.Column("version", sa.String(16), nullable=False),
    sa.Column("event_types", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
)

# Notices on their way; a row goes when it was delivered or given up.
notices = sa.Table(
    "notices",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("transport", choice("transport", "Email", "SQS", "SNS"), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False, index=True),
)
