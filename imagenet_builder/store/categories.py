"""The store's categories: selected, listed, dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from imagenet_builder.records import Category

from .tables import categories


@dataclass(frozen=True, slots=True)
class SelectionChange:
    """What a selection changed: categories that are new, that came back, and that were there already."""

    added: int
    restored: int
    known: int


def select(connection: sa.Connection, chosen: Sequence[Category], now: datetime) -> SelectionChange:
    """Make `chosen` categories of the project, in their order, after those that are there already."""
    dropped_at = dict(connection.execute(sa.select(categories.c.wnid, categories.c.dropped_at)).all())
    last = connection.scalar(sa.select(sa.func.max(categories.c.position)))
    position = -1 if last is None else last
    rows = []
    for category in chosen:
        if category.wnid not in dropped_at:
            position += 1
            rows.append(
                {
                    "wnid": category.wnid,
                    "sense_key": category.sense_key,
                    "name": category.name,
                    "lemmas": list(category.lemmas),
                    "gloss": category.gloss,
                    "position": position,
                    "selected_at": now,
                }
            )
    if rows:
        connection.execute(categories.insert(), rows)
    returning = [category.wnid for category in chosen if dropped_at.get(category.wnid) is not None]
    _set_dropped(connection, returning, None)
    return SelectionChange(len(rows), len(returning), len(chosen) - len(rows) - len(returning))


def drop(connection: sa.Connection, wnids: Iterable[str], now: datetime) -> int:
    """Take `wnids` out of the project and return how many were in it; their rows and pictures stay."""
    live = {category.wnid for category in selected(connection)}
    leaving = [wnid for wnid in wnids if wnid in live]
    _set_dropped(connection, leaving, now)
    return len(leaving)


def _set_dropped(connection: sa.Connection, wnids: Sequence[str], at: datetime | None) -> None:
    if wnids:
        statement = categories.update().where(categories.c.wnid == sa.bindparam("key"))
        connection.execute(statement.values(dropped_at=at), [{"key": wnid} for wnid in wnids])


def selected(connection: sa.Connection) -> list[Category]:
    """The project's categories, in order of selection."""
    rows = connection.execute(
        sa.select(categories).where(categories.c.dropped_at.is_(None)).order_by(categories.c.position)
    )
    return [
        Category(row.wnid, row.name, row.sense_key, tuple(row.lemmas), row.gloss, row.position)
        for row in rows
    ]


def gloss(connection: sa.Connection, wnid: str) -> str:
    """What WordNet says that a category is."""
    found = connection.scalar(sa.select(categories.c.gloss).where(categories.c.wnid == wnid))
    return found or ""
