"""Whole columns between the store and numpy, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.store.columns import (
    copy_in,
    integer,
    one_of,
    read_columns,
    read_numbers,
)
from tests.builder_store import insert_columns

numbers = sa.Table(
    "numbers",
    sa.MetaData(),
    sa.Column("whole", sa.BigInteger),
    sa.Column("real", sa.Double),
)


def filled(url: str) -> sa.Engine:
    """A database with five thousand numbers."""
    engine = database.open_engine(url)
    with database.writing(engine) as connection:
        numbers.create(connection)
        whole = np.arange(5000, dtype=np.int64) * 10**14 - 7
        insert_columns(connection, numbers, [whole, np.sqrt(np.arange(5000.0))])
    return engine


def test_columns_come_back_as_they_were_loaded(store_url: str) -> None:
    engine = filled(store_url)
    query = sa.select(integer(numbers.c.whole), numbers.c.real).order_by(numbers.c.whole)
    with database.reading(engine) as connection:
        for _ in range(2):
            whole, real = read_columns(connection, query, "if")
            np.testing.assert_array_equal(whole, np.arange(5000) * 10**14 - 7)
            np.testing.assert_array_equal(real, np.sqrt(np.arange(5000.0)))
        (none,) = read_columns(connection, sa.select(integer(numbers.c.whole)).where(sa.false()), "i")
    assert none.size == 0


def test_a_query_that_fails_on_the_way_is_an_error_of_the_database_and_the_next_one_works(
    postgres_url: str,
) -> None:
    engine = filled(postgres_url)
    failing = sa.select(integer(sa.literal_column("1 / (whole - 399999999999993)"))).select_from(numbers)
    with database.reading(engine) as connection, pytest.raises(sa.exc.DBAPIError, match="division by zero"):
        read_columns(connection, failing, "i")
    with database.reading(engine) as connection:
        (whole,) = read_columns(connection, sa.select(integer(numbers.c.whole)), "i")
    assert whole.size == 5000


def test_many_rows_come_back_in_stretches_of_a_number_of_theirs(store_url: str) -> None:
    table = sa.Table(
        "pairs", sa.MetaData(), sa.Column("place", sa.BigInteger), sa.Column("whole", sa.BigInteger)
    )
    engine = database.open_engine(store_url)
    query = sa.select(integer(table.c.place), integer(table.c.whole)).where(table.c.place != 4)
    with database.writing(engine) as connection:
        table.create(connection)
        nothing = read_numbers(connection, query, table.c.place, 3)
        whole = np.array([-(2**62), 2**62, 0, 5, 7, -1, 12])
        insert_columns(connection, table, [np.array([1, 2, 3, 4, 20, 21, 22]), whole])
        place, back = read_numbers(connection, query.order_by(table.c.place), table.c.place, 3)
        later, _ = read_numbers(connection, query.order_by(table.c.place), table.c.place, 3, after=20)
        between, _ = read_numbers(
            connection, query.order_by(table.c.place), table.c.place, 3, after=1, until=21
        )
    assert [column.size for column in nothing] == [0, 0]
    assert place.tolist() == [1, 2, 3, 20, 21, 22]
    assert back.tolist() == np.delete(whole, 3).tolist()
    assert later.tolist() == [21, 22]
    assert between.tolist() == [2, 3, 20, 21]


def test_rows_are_copied_in_with_what_all_of_them_share(postgres_url: str) -> None:
    table = sa.Table(
        "told",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger),
        sa.Column("word", sa.String(9)),
        sa.Column("share", sa.Double),
        sa.Column("small", sa.Integer),
        sa.Column("sure", sa.Boolean),
        sa.CheckConstraint("word <> 'none'", name="no_none"),
    )
    engine = database.open_engine(postgres_url)
    fields = {
        "id": np.array([2**40, -1]),
        "word": np.array([b"yes!", b"no\xc3\xa9"]),
        "share": None,
        "small": np.array([7, -7], dtype=np.int32),
        "sure": np.array([True, False]),
    }
    with database.writing(engine) as connection:
        table.create(connection)
        copy_in(connection, table, fields)
        rows = connection.execute(sa.select(table).order_by(table.c.id)).all()
    assert [tuple(row) for row in rows] == [
        (-1, "noé", None, -7, False),
        (2**40, "yes!", None, 7, True),
    ]
    with pytest.raises(sa.exc.IntegrityError, match="no_none"), database.writing(engine) as connection:
        copy_in(connection, table, {**fields, "word": b"none"})


def test_a_column_is_compared_with_more_numbers_than_an_engine_takes_parameters(store_url: str) -> None:
    engine = filled(store_url)
    some = np.concatenate([np.arange(0, 5000, 7) * 10**14 - 7, np.arange(100_000)])
    query = sa.select(integer(numbers.c.whole)).order_by(numbers.c.whole)
    with database.reading(engine) as connection:
        (many,) = read_columns(connection, query.where(one_of(connection, numbers.c.whole, some)), "i")
        nobody = one_of(connection, numbers.c.whole, some[:0])
        assert connection.execute(query.where(nobody)).all() == []
        found = connection.scalars(query.where(one_of(connection, numbers.c.whole, some[:3]))).all()
    np.testing.assert_array_equal(many, np.arange(0, 5000, 7) * 10**14 - 7)
    assert found == some[:3].tolist()
