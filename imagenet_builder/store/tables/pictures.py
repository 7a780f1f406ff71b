"""What the crawl collects: categories, queries, candidates and images, and what was taken down."""

from __future__ import annotations

import sqlalchemy as sa

from hits.database import UtcDateTime, choice
from imagenet_builder.records import Reason

from .shared import ROW_ID, SHA256, WNID, metadata

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
    # While a crawl is under way, be it killed: what its search refused, with what had been refused as it began.
    sa.Column("refused", sa.Integer),
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
