"""What people answered: workers, their assignments and votes, the verdicts; and what the platform is owed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hits.database import UtcDateTime, choice
from hits.model import Answer, AssignmentStatus, Decision, Exclusion, ReportReason

from .shared import ROW_ID, metadata

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("platform_worker_id", sa.String(64), nullable=False),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("endpoint", "platform_worker_id"),
)

exclusions = sa.Table(
    "exclusions",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("worker_id", ROW_ID, sa.ForeignKey("workers.id"), nullable=False),
    sa.Column("reason", choice("reason", *Exclusion), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
    # When the platform had been told to give the worker the qualification that keeps new work away.
    sa.Column("told_at", UtcDateTime),
    # A worker whom the requester takes back is not excluded again by a program.
    sa.Column("lifted_at", UtcDateTime),
    sa.Column("lift_told_at", UtcDateTime),
    # All votes together give no reason any more: verdicts hear this worker again, who gets no new work all the same.
    sa.Column("unfounded", sa.Boolean, nullable=False),
    # What the verdicts follow, so that no clock says which exclusions they do not know of yet.
    sa.Column("votes_left_out", sa.Boolean, nullable=False),
    sa.Index(
        "uq_exclusions_standing",
        "worker_id",
        unique=True,
        sqlite_where=sa.text("lifted_at IS NULL"),
        postgresql_where=sa.text("lifted_at IS NULL"),
    ),
)

assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("hit_id", ROW_ID, sa.ForeignKey("hits.id"), nullable=False, index=True),
    sa.Column("worker_id", ROW_ID, sa.ForeignKey("workers.id"), nullable=False, index=True),
    sa.Column("platform_assignment_id", sa.String(64), nullable=False),
    sa.Column("status", choice("status", *AssignmentStatus), nullable=False),
    sa.Column("accepted_at", UtcDateTime, nullable=False),
    sa.Column("submitted_at", UtcDateTime, nullable=False),
    sa.Column("collected_at", UtcDateTime, nullable=False),
    sa.Column("page_seconds", sa.Float),
    # Controls answered rightly, of those shown; a page that could not be read has no votes and says why.
    sa.Column("controls_right", sa.Integer, nullable=False),
    sa.Column("controls_shown", sa.Integer, nullable=False),
    sa.Column("unreadable", sa.Text),
    sa.Column("answer_xml", sa.Text, nullable=False),
    sa.UniqueConstraint("hit_id", "platform_assignment_id"),
)

votes = sa.Table(
    "votes",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("question_id", ROW_ID, sa.ForeignKey("questions.id"), nullable=False),
    sa.Column("assignment_id", ROW_ID, sa.ForeignKey("assignments.id"), nullable=False),
    sa.Column("worker_id", ROW_ID, sa.ForeignKey("workers.id"), nullable=False, index=True),
    sa.Column("answer", choice("answer", *Answer), nullable=False),
    sa.Column("report_reason", choice("report_reason", *ReportReason)),
    # Every vote is stored; a worker's first on a question counts, and answers to controls never do.
    sa.Column("counts", sa.Boolean, nullable=False),
    sa.Column("cast_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("assignment_id", "question_id"),
    sa.CheckConstraint("(answer = 'report') = (report_reason IS NOT NULL)", name="report_has_reason"),
    sa.Index("ix_votes_question_id", "question_id"),
    # Few among many: looked at in every run.
    sa.Index(
        "ix_votes_reported",
        "question_id",
        sqlite_where=sa.text("answer = 'report'"),
        postgresql_where=sa.text("answer = 'report'"),
    ),
    sa.Index(
        "uq_votes_counting",
        "worker_id",
        "question_id",
        unique=True,
        sqlite_where=sa.text("counts"),
        postgresql_where=sa.text("counts"),
    ),
)

# No foreign keys in these three, which PostgreSQL looks up row by row: they cost more than writing the row. What is
# decided are questions of hit_questions, and nothing here but a verdict is ever changed.
rulings = sa.Table(
    "rulings",
    metadata,
    # What the verdicts of one run by one rule have in common.
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("rule", sa.String(32), nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
)


def _said() -> list[sa.Column[Any]]:
    """What a verdict says; what every run counts comes first: engines read a row up to the last column they need."""
    return [
        sa.Column("decision", choice("decision", *Decision, checked=False), nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("ruling_id", ROW_ID, nullable=False),
        sa.Column("probability", sa.Float),
        *(sa.Column(answer.value, sa.Integer, nullable=False) for answer in Answer),
    ]


verdicts = sa.Table(
    "verdicts",
    metadata,
    # The verdict that stands, one a question.
    sa.Column("question_id", ROW_ID, primary_key=True, autoincrement=False),
    *_said(),
    # Not IN, which costs SQLite as much as writing half the row.
    sa.CheckConstraint(" OR ".join(f"decision = '{word}'" for word in Decision), name="decision"),
)

superseded_verdicts = sa.Table(
    "superseded_verdicts",
    metadata,
    # History is kept: what stood before, and the ruling that put something else in its place.
    sa.Column("question_id", ROW_ID, nullable=False),
    *_said(),
    sa.Column("superseded_by", ROW_ID, nullable=False),
)

watermarks = sa.Table(
    "watermarks",
    metadata,
    # How far a stage has got: votes up to this row are in the verdicts.
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("moved_at", UtcDateTime, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    # Calls that must reach the platform, committed before they are made and marked done after.
    sa.Column("call", choice("call", "approve", "extend", "expire"), nullable=False),
    sa.Column("assignment_id", ROW_ID, sa.ForeignKey("assignments.id")),
    sa.Column("hit_id", ROW_ID, sa.ForeignKey("hits.id")),
    sa.Column("token", sa.String(64), nullable=False, unique=True),
    sa.Column("amount", sa.Integer, nullable=False),
    sa.Column("intended_at", UtcDateTime, nullable=False),
    sa.Column("done_at", UtcDateTime),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
)
