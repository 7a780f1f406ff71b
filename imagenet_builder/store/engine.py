"""Opening the builder's store."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from hits import database

from .tables import SCHEMA

MIGRATIONS = "imagenet_builder.migrations"


def open_store(url: str) -> sa.Engine:
    """Return an engine on the store at `url`; raises SchemaMismatch unless it is at this program's schema."""
    engine = database.open_engine(url)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _interpret)
    database.require_schema(engine, SCHEMA)
    return engine


def _interpret(connection: Any, _entry: Any) -> None:
    # PostgreSQL compiles statements that look dear to it, which takes it longer than these take: it cannot tell how few
    # rows a stretch of ids holds.
    connection.execute("SET jit = off")
    connection.commit()
