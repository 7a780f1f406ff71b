"""What was exported."""

from __future__ import annotations

import sqlalchemy as sa

from hits.database import UtcDateTime, choice
from imagenet_builder.records import Split

from .shared import ROW_ID, SHA256, WNID, metadata

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
