"""The builder's store: one table a word of the vocabulary. Money is US cents, times are UTC, sizes are bytes.

A change here needs a migration in `migrations/builder` (a test compares the two) and a new SCHEMA.
"""

from __future__ import annotations

import sqlalchemy as sa

from hits.database import NAMING_CONVENTION, UtcDateTime, choice
from hits.model import Answer, AssignmentStatus, Decision, Exclusion, ReportReason
from imagenet_builder.records import Reason, Split

SCHEMA = "0001"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

WNID = sa.String(9)
SHA256 = sa.String(64)
# SQLite gives row ids only to INTEGER primary keys; PostgreSQL should count past 2³¹.
ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


categories = sa.Table(
    "categories",
    metadata,
    sa.Column("wnid", WNID, primary_key=True),
    # Identity is frozen by the sense key too: it survives other editions of WordNet, offsets do not.
    sa.Column("sense_key", sa.String(255), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("lemmas", sa.JSON, nullable=False),
    sa.Column("gloss", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("selected_at", UtcDateTime, nullable=False),
    # A dropped category keeps its rows: nothing that was paid for is deleted.
    sa.Column("dropped_at", UtcDateTime),
)

queries = sa.Table(
    "queries",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("wnid", WNID, sa.ForeignKey("categories.wnid"), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("words", sa.String(255), nullable=False),
    sa.Column("language", sa.String(16), nullable=False),
    sa.Column("continuation", sa.Text),
    sa.Column("exhausted", sa.Boolean, nullable=False),
    sa.Column("found", sa.Integer, nullable=False),
    sa.Column("known", sa.Integer, nullable=False),
    sa.Column("asked_at", UtcDateTime),
    sa.UniqueConstraint("wnid", "source", "words"),
)

images = sa.Table(
    "images",
    metadata,
    sa.Column("sha256", SHA256, primary_key=True),
    sa.Column("format", sa.String(16), nullable=False),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("byte_count", sa.BigInteger, nullable=False),
    sa.Column("orientation", sa.SmallInteger, nullable=False),
    # The 64 bits as a signed integer: both engines' widest.
    sa.Column("perceptual_hash", sa.BigInteger, nullable=False, index=True),
    # 24 × 24 grey values as int8: windows are hashed and near hashes confirmed from them (`descriptors`).
    sa.Column("descriptor", sa.LargeBinary(576)),
    sa.Column("stored_at", UtcDateTime, nullable=False),
)

candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("wnid", WNID, sa.ForeignKey("categories.wnid"), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("query_id", ROW_ID, sa.ForeignKey("queries.id"), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("title", sa.Text),
    sa.Column("page_url", sa.Text),
    sa.Column("licence", sa.String(64)),
    sa.Column("licence_version", sa.String(16)),
    sa.Column("licence_url", sa.Text),
    sa.Column("author", sa.Text),
    sa.Column("credit", sa.Text),
    sa.Column("original_url", sa.Text),
    sa.Column("original_sha1", sa.String(40)),
    sa.Column("claimed_width", sa.Integer),
    sa.Column("claimed_height", sa.Integer),
    sa.Column("found_at", UtcDateTime, nullable=False),
    sa.Column("state", choice("state", "pending", "stored", "rejected", "failed"), nullable=False),
    sa.Column("reason", choice("reason", *Reason)),
    sa.Column("detail", sa.Text),
    sa.Column("retryable", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("http_status", sa.Integer),
    sa.Column("robots", sa.String(32)),
    sa.Column("opt_out", sa.String(255)),
    sa.Column("etag", sa.Text),
    sa.Column("last_modified", sa.String(64)),
    sa.Column("sha256", SHA256, sa.ForeignKey("images.sha256"), index=True),
    sa.Column("file_artist", sa.Text),
    sa.Column("file_copyright", sa.Text),
    sa.Column("file_credit", sa.Text),
    sa.Column("file_usage_terms", sa.Text),
    # The address first: it is looked up across categories too, so that it is fetched once.
    sa.UniqueConstraint("url", "wnid"),
    sa.CheckConstraint("(state = 'stored') = (sha256 IS NOT NULL)", name="stored_has_image"),
    sa.CheckConstraint("(state IN ('rejected', 'failed')) = (reason IS NOT NULL)", name="refusal_has_reason"),
    sa.CheckConstraint("(state = 'pending') = (ended_at IS NULL)", name="end_has_time"),
    sa.Index("ix_candidates_state", "state", "wnid"),
    sa.Index("ix_candidates_wnid", "wnid"),
)

renditions = sa.Table(
    "renditions",
    metadata,
    sa.Column("sha256", SHA256, sa.ForeignKey("images.sha256"), primary_key=True),
    # What it was made for and how, e.g. "thumbnail-300": the same words make the same bytes.
    sa.Column("purpose", sa.String(64), primary_key=True),
    sa.Column("rendition_sha256", SHA256, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("byte_count", sa.BigInteger, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
)

TOMBSTONE_KINDS = ("image", "url", "author")

# What was taken down stays away: images by SHA-256, addresses, authors as `store.tombstones.author_key` writes them.
# No foreign key: what never was in the store can be kept out of it too.
tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("kind", choice("kind", *TOMBSTONE_KINDS), nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("laid_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("target", "kind"),
)

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

verdicts = sa.Table(
    "verdicts",
    metadata,
    # No key of its own, which nothing would refer to, and no foreign key, which PostgreSQL looks up row by row: these
    # cost more than writing the row. What is decided are questions of hit_questions, and no question is ever deleted.
    sa.Column("question_id", ROW_ID, nullable=False),
    # What every run counts comes first: engines read a row up to the last column that they need.
    sa.Column("decision", choice("decision", *Decision), nullable=False),
    sa.Column("final", sa.Boolean, nullable=False),
    # History is kept: a verdict is current until a later one supersedes it.
    sa.Column("superseded_at", UtcDateTime),
    sa.Column("rule", sa.String(32), nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("probability", sa.Float),
    sa.Column("yes", sa.Integer, nullable=False),
    sa.Column("no", sa.Integer, nullable=False),
    sa.Column("unsure", sa.Integer, nullable=False),
    sa.Column("broken", sa.Integer, nullable=False),
    sa.Column("report", sa.Integer, nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
    sa.Index(
        "uq_verdicts_current",
        "question_id",
        unique=True,
        sqlite_where=sa.text("superseded_at IS NULL"),
        postgresql_where=sa.text("superseded_at IS NULL"),
    ),
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

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("digest", SHA256, nullable=False),
    sa.Column("classes", sa.Integer, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("written_at", UtcDateTime, nullable=False),
)

release_images = sa.Table(
    "release_images",
    metadata,
    sa.Column("release_id", ROW_ID, sa.ForeignKey("releases.id"), primary_key=True),
    sa.Column("file_name", sa.String(64), primary_key=True),
    sa.Column("sha256", SHA256, sa.ForeignKey("images.sha256"), nullable=False, index=True),
    sa.Column("wnid", WNID, sa.ForeignKey("categories.wnid"), nullable=False),
    sa.Column("split", choice("split", *Split), nullable=False),
)
