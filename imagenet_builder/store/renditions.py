"""The table of renditions: what was made of which image, for which purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from .tables import renditions

# SQLite takes at most 32,766 bound values a statement.
IMAGES_AT_ONCE = 5_000


class StoredRendition(NamedTuple):
    """A rendition's own hash, its size in pixels and its length in bytes."""

    rendition_sha256: str
    width: int
    height: int
    byte_count: int


def find_renditions(
    connection: sa.Connection, purpose: str, images: Sequence[str]
) -> dict[str, StoredRendition]:
    """SHA-256 of an image → its rendition for `purpose`, for those of `images` that have one."""
    found: dict[str, StoredRendition] = {}
    columns = renditions.c
    for start in range(0, len(images), IMAGES_AT_ONCE):
        rows = connection.execute(
            sa.select(
                columns.sha256, columns.rendition_sha256, columns.width, columns.height, columns.byte_count
            ).where(columns.purpose == purpose, columns.sha256.in_(images[start : start + IMAGES_AT_ONCE]))
        )
        found |= {row.sha256: StoredRendition(*row[1:]) for row in rows}
    return found


def record_renditions(
    connection: sa.Connection, purpose: str, made: Mapping[str, StoredRendition], now: datetime
) -> None:
    """Record what was made of each image; what was recorded for the same image and purpose is replaced."""
    if not made:
        return
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(renditions)
    changing = {
        name: statement.excluded[name]
        for name in ("rendition_sha256", "width", "height", "byte_count", "made_at")
    }
    connection.execute(
        statement.on_conflict_do_update(index_elements=["sha256", "purpose"], set_=changing),
        [
            {"sha256": sha256, "purpose": purpose, "made_at": now, **rendition._asdict()}
            for sha256, rendition in made.items()
        ],
    )
