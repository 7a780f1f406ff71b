"""Rows by many ids, neighbours looked up together, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.store import stretches
from imagenet_builder.store.columns import integer
from imagenet_builder.store.engine import MIGRATIONS, open_store
from imagenet_builder.store.stretches import along, among, read_chosen
from tests.builder_store import insert_columns

metadata = sa.MetaData()
asked = sa.Table(
    "asked",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("question", sa.BigInteger, index=True),
)

FIRST, LAST = 10_000, 20_000


@pytest.fixture
def engine(store_url: str) -> sa.Engine:
    """Two rows of every question from FIRST up to LAST."""
    engine = database.open_engine(store_url)
    row = np.arange(2 * (LAST - FIRST))
    with database.writing(engine) as connection:
        metadata.create_all(connection)
        insert_columns(connection, asked, [row, FIRST + row // 2])
        connection.exec_driver_sql("ANALYZE")
    return engine


def rows_of(source: sa.FromClause) -> sa.Select[int, int]:
    return sa.select(integer(asked.c.id), integer(asked.c.question)).select_from(source)


@pytest.mark.parametrize(
    "ids",
    [
        [],
        [FIRST],
        [LAST - 1, LAST],
        [1, 2, 3],
        [*range(FIRST, FIRST + 90), FIRST + 91, 12_000, 12_002, 2**40],
    ],
)
def test_each_row_of_the_chosen_ids_is_read_once_and_no_other(engine: sa.Engine, ids: list[int]) -> None:
    with database.reading(engine) as connection:
        row, question = read_chosen(connection, rows_of, asked.c.question, np.array(ids, dtype=np.int64))
    there = [one for one in ids if FIRST <= one < LAST]
    assert sorted(row.tolist()) == sorted(2 * (one - FIRST) + which for one in there for which in (0, 1))
    assert question.tolist() == (FIRST + row // 2).tolist()


def test_more_ids_than_one_answer_holds_are_all_read(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "IDS_AT_ONCE", 7)
    ids = np.arange(FIRST, FIRST + 300, 3)
    with database.reading(engine) as connection:
        _, question = read_chosen(connection, rows_of, asked.c.question, ids)
    assert np.unique(question, return_counts=True)[0].tolist() == ids.tolist()
    assert question.size == 2 * ids.size


def test_a_few_stretches_of_many_rows_are_found_by_the_index(engine: sa.Engine) -> None:
    ids = np.concatenate([np.arange(FIRST, FIRST + 40), np.arange(15_000, 15_040)])
    with database.reading(engine) as connection:
        query = rows_of(along(connection, asked.c.question, ids))
        text = str(query.compile(connection.engine, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {text}"))
    assert "ix_asked_question" in plan
    assert "Seq Scan" not in plan
    assert "SCAN asked" not in plan


def test_a_change_meets_the_chosen_ids_alone(engine: sa.Engine) -> None:
    ids = np.array([FIRST + 1, FIRST + 2, 15_000])
    with database.writing(engine) as connection:
        change = asked.update().where(among(connection, asked.c.question, ids)).values(question=1)
        assert connection.execute(change).rowcount == 6
        changed = connection.scalars(sa.select(asked.c.id).where(asked.c.question == 1).order_by(asked.c.id))
        assert changed.all() == [2, 3, 4, 5, 10_000, 10_001]


def test_a_store_on_postgresql_compiles_no_statements(postgres_url: str) -> None:
    database.upgrade(database.open_engine(postgres_url), MIGRATIONS)
    with database.reading(open_store(postgres_url)) as connection:
        assert connection.exec_driver_sql("SHOW jit").scalar() == "off"
        connection.rollback()
        assert connection.exec_driver_sql("SHOW jit").scalar() == "off"
