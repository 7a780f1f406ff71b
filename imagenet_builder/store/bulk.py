"""Many rows at once: COPY and one statement on PostgreSQL, executemany on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

Row = Mapping[str, Any]


def insert_new(connection: Connection, table: sa.Table) -> sa.Insert:
    """An INSERT that passes over rows whose key is there already."""
    if connection.dialect.name == "postgresql":
        # Importing it takes as long as all of a small transaction; who has SQLite does without.
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def insert_rows(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert `rows`, which all name the same columns; those whose key is there already are passed over."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(insert_new(connection, table), list(rows))
        return
    names = list(rows[0])
    brought = _copied(connection, f"brought_{table.name}", [table.c[name] for name in names], rows)
    connection.execute(insert_new(connection, table).from_select(names, sa.select(brought)))


def update_rows(
    connection: Connection, table: sa.Table, key: str, rows: Sequence[Row], *, added: Sequence[str] = ()
) -> None:
    """Update by the primary key `key` what else `rows` name; columns in `added` grow by the value that is given.

    No key may be in `rows` twice, and all rows name the same columns.
    """
    if not rows:
        return
    names = [name for name in rows[0] if name != key]
    if connection.dialect.name == "postgresql":
        brought = _copied(connection, f"ended_{table.name}", [table.c[name] for name in rows[0]], rows)
        given: dict[str, sa.ColumnElement[Any]] = {name: brought.c[name] for name in rows[0]}
    else:
        given = {name: sa.bindparam(f"given_{name}", type_=table.c[name].type) for name in rows[0]}
        rows = [{f"given_{name}": value for name, value in row.items()} for row in rows]
    statement = (
        table.update()
        .where(table.c[key] == given[key])
        .values({name: table.c[name] + given[name] if name in added else given[name] for name in names})
    )
    if connection.dialect.name == "postgresql":
        connection.execute(statement)
    else:
        connection.execute(statement, list(rows))


def _copied(
    connection: Connection, name: str, columns: Iterable[sa.Column[Any]], rows: Sequence[Row]
) -> sa.Table:
    """A temporary table that holds `rows` until the transaction ends; it is made once a connection."""
    names = list(rows[0])
    # Another choice of columns is another table.
    name = f"{name}_{crc32(' '.join(names).encode()):08x}"
    temporary = sa.Table(
        name,
        sa.MetaData(),
        # Words, not choices: their constraints are checked in the table itself.
        *(sa.Column(c.name, sa.Text() if isinstance(c.type, sa.Enum) else c.type) for c in columns),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DELETE ROWS",
    )
    connection.execute(CreateTable(temporary, if_not_exists=True))
    _copy(connection, name, names, rows)
    return temporary


def _copy(connection: Connection, name: str, names: Sequence[str], rows: Sequence[Row]) -> None:
    import psycopg

    quoted = ", ".join(f'"{column}"' for column in names)
    statement = f'COPY "{name}" ({quoted}) FROM STDIN'
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([_plain(row[column]) for column in names])
    except psycopg.Error as error:
        # As SQLAlchemy would have raised it: hits.database makes one line of it.
        raise sa.exc.DBAPIError.instance(
            statement, None, error, psycopg.Error, dialect=connection.dialect
        ) from error


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
