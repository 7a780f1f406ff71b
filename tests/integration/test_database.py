"""hits.database on both engines: transactions, locks, times."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits import database
from hits.errors import DatabaseError, LockHeld, SchemaMismatch

metadata = sa.MetaData(naming_convention=database.NAMING_CONVENTION)
counters = sa.Table(
    "counters", metadata, sa.Column("name", sa.String, primary_key=True), sa.Column("value", sa.Integer)
)
moments = sa.Table("moments", metadata, sa.Column("at", database.UtcDateTime, primary_key=True))


@pytest.fixture
def engine(store_url: str) -> sa.Engine:
    engine = database.open_engine(store_url)
    metadata.create_all(engine)
    with database.writing(engine) as connection:
        connection.execute(counters.insert().values(name="n", value=0))
    return engine


def test_concurrent_writers_lose_no_update(engine: sa.Engine) -> None:
    def add() -> None:
        for _ in range(20):
            with database.writing(engine) as connection:
                value = connection.scalar(sa.select(counters.c.value).with_for_update())
                connection.execute(counters.update().values(value=(value or 0) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading(engine) as connection:
        assert connection.scalar(sa.select(counters.c.value)) == 80


def test_an_exception_rolls_the_transaction_back(engine: sa.Engine) -> None:
    def change_and_fail() -> None:
        with database.writing(engine) as connection:
            connection.execute(counters.update().values(value=7))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    with database.reading(engine) as connection:
        assert connection.scalar(sa.select(counters.c.value)) == 0


def test_times_come_back_aware_and_equal(engine: sa.Engine) -> None:
    moment = datetime(2026, 3, 29, 2, 30, 5, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    with database.writing(engine) as connection:
        connection.execute(moments.insert().values(at=moment))
    with database.reading(engine) as connection:
        found = connection.scalar(sa.select(moments.c.at))
    assert found == moment
    assert found.tzinfo is UTC


def test_naive_times_are_refused(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.StatementError, match="naive"), database.writing(engine) as connection:
        connection.execute(moments.insert().values(at=datetime(2026, 1, 1)))


def test_the_lock_is_exclusive_across_connections_and_ends_with_its_holder(
    engine: sa.Engine, store_url: str
) -> None:
    rival = database.open_engine(store_url)
    with database.exclusive_lock(engine, "aggregate"):
        with pytest.raises(LockHeld, match="another aggregate"), database.exclusive_lock(rival, "aggregate"):
            pass
        with database.exclusive_lock(rival, "crawl"):
            pass
    with database.exclusive_lock(rival, "aggregate"):
        pass


def test_a_killed_process_leaves_no_lock(engine: sa.Engine, store_url: str) -> None:
    program = (
        "import sys, time; from hits import database\n"
        f"with database.exclusive_lock(database.open_engine({store_url!r}), 'crawl'):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockHeld), database.exclusive_lock(engine, "crawl"):
            pass
    finally:
        holder.kill()
        holder.wait()
    for _ in range(50):  # PostgreSQL notices the closed connection a moment later.
        try:
            with database.exclusive_lock(engine, "crawl"):
                return
        except LockHeld:
            threading.Event().wait(0.1)
    pytest.fail("the lock outlived its holder")


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    engine = database.open_engine(f"sqlite:///{tmp_path}/absent/store.sqlite3")
    with (
        pytest.raises(DatabaseError, match="check that the folder exists"),
        database.reading(engine) as connection,
    ):
        connection.exec_driver_sql("SELECT 1")


def test_an_unsupported_engine_is_refused() -> None:
    with pytest.raises(DatabaseError, match="only sqlite and postgresql"):
        database.open_engine("mysql://localhost/x")


def test_a_password_never_reaches_the_message() -> None:
    engine = database.open_engine("postgresql://someone:hunter2@127.0.0.1:9/nothing")
    with pytest.raises(DatabaseError) as caught, database.reading(engine):
        pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("found", "remedy"), [(None, "db upgrade"), ("0001", "db upgrade"), ("0003", "update imagenet-builder")]
)
def test_a_store_of_another_age_says_what_to_do(engine: sa.Engine, found: str | None, remedy: str) -> None:
    if found is not None:
        with database.writing(engine) as connection:
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
            connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{found}')")
    with pytest.raises(SchemaMismatch, match=remedy):
        database.require_schema(engine, "0002")
