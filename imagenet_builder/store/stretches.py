"""Choosing rows by many ids: neighbours are looked up together.

Ids that pages gave out together lie side by side, so that many are a few stretches of numbers; an engine goes through
an index along a stretch, and down the whole tree for a single id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.selectable import Join

from .columns import one_of, read_whole

Integers = NDArray[np.int64]

# What one answer holds, as votes of so many questions do: far from the engines' limits of a gigabyte.
IDS_AT_ONCE = 40_000


class _InThisOrder(Join):
    """A join whose left side is gone through first."""

    inherit_cache = True


@compiles(_InThisOrder, "sqlite")
def _cross_join(join: _InThisOrder, compiler: Any, **options: Any) -> str:
    # SQLite's planner, which cannot tell how many stretches a text holds, would go through the large table instead.
    left, right = (compiler.process(side, **{**options, "asfrom": True}) for side in (join.left, join.right))
    return f"{left} CROSS JOIN {right} ON {compiler.process(join.onclause, **{**options, 'asfrom': False})}"


def read_chosen(
    connection: sa.Connection,
    query: Callable[[sa.FromClause], sa.Select[*tuple[Any, ...]]],
    column: sa.Column[int],
    ids: Integers,
) -> list[Integers]:
    """Return columns of eight-byte integers, without a null, of the rows where `column` is one of the ids (ascending).

    `query` selects from the column's table, or from what it is given in its place.
    """
    parts = [
        read_whole(connection, query(along(connection, column, ids[start : start + IDS_AT_ONCE])))
        for start in range(0, max(ids.size, 1), IDS_AT_ONCE)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def along(connection: sa.Connection, column: sa.Column[int], ids: Integers) -> sa.FromClause:
    """The rows of the column's table where it is one of the ids (ascending), to select from."""
    bounds, first, last = _bounds(connection, ids)
    return _InThisOrder(bounds, column.table, column.between(first, last))


def among(connection: sa.Connection, column: sa.Column[int], ids: Integers) -> sa.ColumnElement[bool]:
    """Whether a column is one of the ids (ascending), in the condition of a change."""
    if connection.dialect.name == "postgresql":
        _, first, last = _bounds(connection, ids)
        return column.between(first, last)
    return one_of(connection, column, ids)


def _bounds(
    connection: sa.Connection, ids: Integers
) -> tuple[sa.FromClause, sa.ColumnElement[int], sa.ColumnElement[int]]:
    """A table of stretches, and in it the first and the last id of each."""
    first, last = stretches(ids)
    if connection.dialect.name == "postgresql":
        arrays = (sa.cast(sa.literal(_array(side)), sa.ARRAY(sa.BigInteger)) for side in (first, last))
        table = sa.func.unnest(*arrays).table_valued("first", "last").render_derived()
        return table, table.c.first, table.c.last
    each = sa.func.json_each(str(np.stack([first, last], axis=1).tolist())).table_valued("value")
    return each, sa.func.json_extract(each.c.value, "$[0]"), sa.func.json_extract(each.c.value, "$[1]")


def _array(ids: Integers) -> str:
    return "{" + ",".join(map(str, ids.tolist())) + "}"


def stretches(ids: Integers) -> tuple[Integers, Integers]:
    """The first and the last number of each run of numbers without a gap, of ids that ascend."""
    ends = np.flatnonzero(np.diff(ids) != 1)
    starts = np.concatenate([np.zeros(min(ids.size, 1), np.int64), ends + 1])
    return ids[starts], ids[np.concatenate([ends, np.full(min(ids.size, 1), ids.size - 1)])]
