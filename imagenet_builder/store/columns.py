"""Whole columns between the store and numpy, without a Python object a row where the engine allows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

Column = NDArray[np.int64] | NDArray[np.float64]

# PostgreSQL's binary COPY: a signature, flags, no extension; before each row its number of fields, before each
# field its length; at the end −1. (PostgreSQL documentation, "COPY", "Binary Format".)
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
NO_ROWS = COPY_HEADER + COPY_END


def read_columns(connection: sa.Connection, query: sa.Select[*tuple[Any, ...]], kinds: str) -> list[Column]:
    """Return a query's columns as arrays: a letter of `kinds` a column, i for int64 or f for float64.

    The query must give eight-byte numbers (see `integer`) and no null.
    """
    text = str(query.compile(connection.engine, compile_kwargs={"literal_binds": True}))
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "postgresql":
        content = _copied_out(driver, f"COPY ({text}) TO STDOUT (FORMAT BINARY)")
        layout = _copy_layout(kinds)
        rows = np.frombuffer(content, layout, offset=len(COPY_HEADER), count=_rows(content, layout))
    else:
        layout = np.dtype([(f"c{place}", f"{kind}8") for place, kind in enumerate(kinds)])
        cursor = driver.cursor()
        rows = np.fromiter(cursor.execute(text), layout)
        cursor.close()
    return [rows[f"c{place}"].astype(f"{kind}8") for place, kind in enumerate(kinds)]


def load_columns(connection: sa.Connection, table: sa.Table, columns: Sequence[Column]) -> None:
    """Append arrays to a table of eight-byte numbers, one array a column, in the table's order."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "postgresql":
        kinds = "".join(column.dtype.kind for column in columns)
        layout = _copy_layout(kinds)
        rows = np.empty(len(columns[0]), layout)
        rows["fields"] = len(kinds)
        for place, column in enumerate(columns):
            rows[f"n{place}"] = 8
            rows[f"c{place}"] = column
        with driver.cursor().copy(f"COPY {table.name} FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(COPY_HEADER + rows.tobytes() + COPY_END)
        # Without it the planner takes the table for a large one, and reads others whole.
        connection.exec_driver_sql(f"ANALYZE {table.name}")
        return
    places = ", ".join("?" * len(columns))
    values = zip(*(column.tolist() for column in columns), strict=True)
    driver.executemany(f"INSERT INTO {table.name} VALUES ({places})", values)


def _copied_out(driver: Any, statement: str) -> bytearray:
    """What COPY sends. Read from libpq itself: psycopg's own reading takes several times as long, row by row."""
    import psycopg

    content = bytearray()
    receive = driver.pgconn.get_copy_data
    try:
        with driver.cursor().copy(statement) as copy:
            row = b""
            while row not in (COPY_END, NO_ROWS):
                length, row = receive(0)
                if length < 0:
                    raise psycopg.OperationalError(_ended_by(driver))
                content += row
            # psycopg takes the end of the statement.
            copy.read()
    except psycopg.Error as error:
        raise sa.exc.DBAPIError.instance(statement, None, error, psycopg.Error) from error
    return content


def _ended_by(driver: Any) -> str:
    """What the server said when it ended a COPY that was not at its end."""
    result = driver.pgconn.get_result()
    said: bytes = result.error_message if result is not None else b"the connection was lost"
    return str(said.decode(errors="replace").strip())


def _copy_layout(kinds: str) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for place, kind in enumerate(kinds):
        fields += [(f"n{place}", ">i4"), (f"c{place}", f">{kind}8")]
    return np.dtype(fields)


def _rows(content: bytearray, layout: np.dtype[Any]) -> int:
    rows, rest = divmod(len(content) - len(COPY_HEADER) - len(COPY_END), layout.itemsize)
    if rest:
        raise ValueError("the query gives a null, or a number of fewer than eight bytes")
    return rows


def integer(expression: Any) -> sa.ColumnElement[int]:
    """The expression as an eight-byte integer."""
    return sa.cast(expression, sa.BigInteger)
