"""Whole columns between the store and numpy, without a Python object a row where the engine allows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
NO_FIELD = -1
# What one answer of `read_numbers` holds: far from the engines' limits of a gigabyte.
ROWS_AT_ONCE = 2_000_000
# Before the numbers of an array of one dimension: dimensions, nulls, type, length, first index.
ARRAY_HEADER = 20
ARRAY_ELEMENT = np.dtype([("length", ">i4"), ("number", ">i8")])


def read_columns(connection: sa.Connection, query: sa.Select[*tuple[Any, ...]], kinds: str) -> list[Column]:
    """Return a query's columns as arrays: a letter of `kinds` a column, i for int64 or f for float64.

    The query must give eight-byte numbers (see `integer`) and no null.
    """
    text = _text(connection, query)
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


def read_numbers(
    connection: sa.Connection,
    query: sa.Select[*tuple[Any, ...]],
    over: sa.Column[int],
    step: int = ROWS_AT_ONCE,
    *,
    after: int = 0,
    until: int | None = None,
) -> list[NDArray[np.int64]]:
    """Return a query's columns of eight-byte integers, without a null, as arrays: for many rows.

    It is run for one stretch of `step` numbers of the column `over` after the other, from the one `after` some number
    to the last, or `until` some number, which bounds the memory that one answer takes; each is one row of whole
    columns, so that no row costs Python a step.
    """
    columns: list[list[NDArray[np.int64]]] = [[] for _ in query.selected_columns]
    last = until if until is not None else connection.scalar(sa.select(sa.func.max(over))) or 0
    for start in range(after, last, step):
        part = query.where(over > start, over <= min(start + step, last))
        for found, column in zip(columns, read_whole(connection, part), strict=True):
            found.append(column)
    none = np.zeros(0, np.int64)
    # One by one: the parts of a column are given back before the next is put together.
    return [np.concatenate([none, *columns.pop(0)]) for _ in range(len(columns))]


def read_whole(connection: sa.Connection, query: sa.Select[*tuple[Any, ...]]) -> list[NDArray[np.int64]]:
    """Return a query's columns of eight-byte integers, without a null, as arrays; all in one answer."""
    named = query.subquery()
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection.driver_connection
        arrays = sa.select(*(sa.func.array_agg(column) for column in named.c))
        content = _copied_out(driver, f"COPY ({_text(connection, arrays)}) TO STDOUT (FORMAT BINARY)")
        return _arrays(content, len(named.c))
    lists = sa.select(*(sa.func.group_concat(column) for column in named.c))
    texts = connection.execute(lists).one()
    return [np.fromstring(text or "", dtype=np.int64, sep=",") for text in texts]


def _arrays(content: bytearray, number: int) -> list[NDArray[np.int64]]:
    """The arrays in COPY's one row."""
    found = []
    at = len(COPY_HEADER) + 2
    for _ in range(number):
        length = int.from_bytes(content[at : at + 4], "big", signed=True)
        at += 4
        if length == NO_FIELD:
            found.append(np.zeros(0, np.int64))
            continue
        rows = (length - ARRAY_HEADER) // ARRAY_ELEMENT.itemsize
        elements = np.frombuffer(content, ARRAY_ELEMENT, count=rows, offset=at + ARRAY_HEADER)
        found.append(elements["number"].astype(np.int64))
        at += length
    return found


def _text(connection: sa.Connection, query: sa.Select[*tuple[Any, ...]]) -> str:
    return str(query.compile(connection.engine, compile_kwargs={"literal_binds": True}))


def copy_in(
    connection: sa.Connection, table: sa.Table, fields: Mapping[str, NDArray[Any] | bytes | None]
) -> None:
    """Append rows to a table of PostgreSQL, by COPY: each column's array, or the bytes that all rows have there.

    An array's type must be as wide as the column; bytes are as the binary format has them (a text is its UTF-8).
    """
    arrays = [field for field in fields.values() if isinstance(field, np.ndarray)]
    layout = [("fields", ">i2")]
    for name, field in fields.items():
        layout.append((f"{name} length", ">i4"))
        if isinstance(field, np.ndarray):
            layout.append((name, field.dtype.newbyteorder(">").str))
        elif field is not None:
            layout.append((name, f"V{len(field)}"))
    rows = np.empty(len(arrays[0]), np.dtype(layout))
    rows["fields"] = len(fields)
    for name, field in fields.items():
        rows[f"{name} length"] = NO_FIELD if field is None else rows.dtype[name].itemsize
        if field is not None:
            rows[name] = np.void(field) if isinstance(field, bytes) else field
    names = ", ".join(f'"{name}"' for name in fields)
    statement = f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)"
    driver: Any = connection.connection.driver_connection
    with _as_sqlalchemy_says(statement), driver.cursor().copy(statement) as copy:
        copy.write(COPY_HEADER + rows.tobytes() + COPY_END)


def _copied_out(driver: Any, statement: str) -> bytearray:
    """What COPY sends. Read from libpq itself: psycopg's own reading takes several times as long, row by row."""
    import psycopg

    content = bytearray()
    receive = driver.pgconn.get_copy_data
    with _as_sqlalchemy_says(statement), driver.cursor().copy(statement) as copy:
        row = b""
        while row not in (COPY_END, NO_ROWS):
            length, row = receive(0)
            if length < 0:
                raise psycopg.OperationalError(_ended_by(driver))
            content += row
        # psycopg takes the end of the statement.
        copy.read()
    return content


@contextmanager
def _as_sqlalchemy_says(statement: str) -> Iterator[None]:
    """Errors of psycopg as SQLAlchemy would have raised them: `hits.database` makes one line of them."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise sa.exc.DBAPIError.instance(statement, None, error, psycopg.Error) from error


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


def one_of(
    connection: sa.Connection, column: sa.Column[int], numbers: NDArray[np.int64]
) -> sa.ColumnElement[bool]:
    """Whether a column is one of many numbers, of which engines take only so many as parameters."""
    listed = str(numbers.tolist())
    if connection.dialect.name == "postgresql":
        return column == sa.any_(sa.cast(sa.literal(f"{{{listed[1:-1]}}}"), sa.ARRAY(sa.BigInteger)))
    return column.in_(sa.select(sa.func.json_each(listed).table_valued("value").c.value))
