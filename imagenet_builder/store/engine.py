"""Opening the builder's store."""

from __future__ import annotations

import sqlalchemy as sa

from hits import database

from .tables import SCHEMA

MIGRATIONS = "imagenet_builder.migrations"


def open_store(url: str) -> sa.Engine:
    """Return an engine on the store at `url`; raises SchemaMismatch unless it is at this program's schema."""
    engine = database.open_engine(url)
    database.require_schema(engine, SCHEMA)
    return engine
