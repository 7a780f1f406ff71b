"""What people are asked: questions, controls, HITs and the money that is set aside for them."""

from __future__ import annotations

import sqlalchemy as sa

from hits.database import UtcDateTime, choice
from hits.model import Answer

from .shared import ROW_ID, SHA256, WNID, metadata

questions = sa.Table(
    "questions",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("sha256", SHA256, sa.ForeignKey("images.sha256"), nullable=False),
    sa.Column("wnid", WNID, sa.ForeignKey("categories.wnid"), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("sha256", "wnid"),
    sa.Index("ix_questions_wnid", "wnid"),
)

controls = sa.Table(
    "controls",
    metadata,
    sa.Column("question_id", ROW_ID, sa.ForeignKey("questions.id"), primary_key=True),
    sa.Column("answer", choice("answer", Answer.YES, Answer.NO), nullable=False),
    # Who says so, e.g. "requester": never the crowd that it measures.
    sa.Column("provenance", sa.String(64), nullable=False),
    sa.Column("labelled_at", UtcDateTime, nullable=False),
)

hits = sa.Table(
    "hits",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("wnid", WNID, sa.ForeignKey("categories.wnid"), nullable=False),
    # The intent, committed before the platform is called.
    sa.Column("token", sa.String(64), nullable=False, unique=True),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("state", choice("state", "intended", "published", "collected", "abandoned"), nullable=False),
    sa.Column("votes_wanted", sa.Integer, nullable=False),
    sa.Column("rule", sa.String(32), nullable=False),
    sa.Column("reward_cents", sa.Integer, nullable=False),
    sa.Column("fee_cents", sa.Integer, nullable=False),
    # How its questions go on where they are asked in rounds: target, most votes. Null: asked once.
    sa.Column("rounds", sa.JSON(none_as_null=True)),
    sa.Column("intended_at", UtcDateTime, nullable=False),
    # Holders of this qualification have voted on its pictures before, and are not offered it.
    sa.Column("bar_type_id", sa.String(255)),
    # What the platform answered.
    sa.Column("platform_hit_id", sa.String(64)),
    sa.Column("published_at", UtcDateTime),
    sa.Column("collected_at", UtcDateTime),
    sa.UniqueConstraint("endpoint", "platform_hit_id"),
    sa.CheckConstraint(
        "state IN ('intended', 'abandoned') OR platform_hit_id IS NOT NULL", name="published_has_platform_id"
    ),
    sa.Index("ix_hits_state", "state"),
)

reservations = sa.Table(
    "reservations",
    metadata,
    # One a HIT, committed with it before the platform is called: what budgets are held against.
    sa.Column("hit_id", ROW_ID, sa.ForeignKey("hits.id"), primary_key=True),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("state", choice("state", "reserved", "spent", "released"), nullable=False),
    # What counts against a budget: all that was promised, then what the answered assignments cost.
    sa.Column("cents", sa.BigInteger, nullable=False),
    sa.Column("promised_cents", sa.BigInteger, nullable=False),
    sa.Column("reserved_at", UtcDateTime, nullable=False),
    sa.Column("settled_at", UtcDateTime),
    sa.CheckConstraint("(state = 'reserved') = (settled_at IS NULL)", name="settled_has_time"),
)

hit_questions = sa.Table(
    "hit_questions",
    metadata,
    sa.Column("hit_id", ROW_ID, sa.ForeignKey("hits.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("question_id", ROW_ID, sa.ForeignKey("questions.id"), nullable=False, index=True),
    # True if the question was put on the page as a control.
    sa.Column("as_control", sa.Boolean, nullable=False),
    # The name under which this HIT shows the picture: another HIT shows it under another one.
    sa.Column("picture_name", sa.String(64), nullable=False, unique=True),
    sa.UniqueConstraint("hit_id", "question_id"),
)
