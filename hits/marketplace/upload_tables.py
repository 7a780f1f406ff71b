"""The tables of files that workers uploaded: they go with the store's backups."""

from __future__ import annotations

import sqlalchemy as sa

from .columns import Identifier, RowNumber, metadata

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    # The UploadedFileKey of the answer.
    sa.Column("upload_key", Identifier, nullable=False, unique=True),
    sa.Column("assignment_number", sa.ForeignKey("assignments.number"), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    # As the worker's machine called it: not to be trusted.
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("assignment_number", "question"),
)

# A file is written and read piece by piece, so that its size costs no memory.
upload_pieces = sa.Table(
    "upload_pieces",
    metadata,
    sa.Column("upload_number", sa.ForeignKey("uploads.number"), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
