"""Whole columns between the store and numpy, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.store.columns import integer, load_columns, read_columns

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
        load_columns(connection, numbers, [whole, np.sqrt(np.arange(5000.0))])
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
