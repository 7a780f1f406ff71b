"""What both stores' Alembic environments do: one transaction a migration, safe batch changes on SQLite."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa

from .database import UtcDateTime
from .errors import DatabaseError


def run_migrations(metadata: sa.MetaData) -> None:
    """Run the migrations of the current Alembic context on the engine in its configuration.

    On SQLite foreign keys are off meanwhile, because a batch change rebuilds a table, and dropping the
    old one with them on deletes its children's rows; afterwards every reference is checked.
    """
    from alembic import context

    engine: sa.Engine = context.config.attributes["engine"]
    sqlite = engine.url.get_backend_name() == "sqlite"
    with engine.connect().execution_options(writes=True) as connection:
        if sqlite:
            # The pragma does nothing inside a transaction, so it goes to the driver directly.
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA foreign_keys=OFF")
        try:
            context.configure(
                connection=connection,
                target_metadata=metadata,
                render_as_batch=sqlite,
                compare_type=True,
                render_item=_render,
            )
            with context.begin_transaction():
                context.run_migrations()
                if sqlite:
                    _check_references(connection)
        finally:
            if sqlite:
                connection.rollback()
                cursor.execute("PRAGMA foreign_keys=ON")
                cursor.close()


def _render(kind: str, rendered: Any, autogen_context: Any) -> str | Literal[False]:
    # Migrations are frozen: they must not change when a type of ours does.
    if kind == "type" and isinstance(rendered, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def _check_references(connection: sa.Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        table, row, parent, _ = broken[0]
        raise DatabaseError(
            f"the migration would leave {len(broken)} dangling references (row {row} of {table} to {parent}); "
            "the store is unchanged"
        )
