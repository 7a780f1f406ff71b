"""How often a request goes to the store: every round trip costs server and database more than what it asks for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from psycopg import sql

from hits.backup import back_up, restore
from hits.database import glancing, open_engine, upgrade, writing
from hits.errors import RequestRefused
from hits.marketplace import arrivals, dues, offers, people, publishing, working, workplace
from hits.marketplace.earnings import earnings, in_hand
from hits.marketplace.notices import Specification, update_settings
from hits.marketplace.publishing import HitOrder, HitTypeTerms
from hits.marketplace.questions import parse_question
from hits.marketplace.tables import MIGRATIONS, assignments, hits, notices, questions
from hits.marketplace.workplace import _KnownQuestions

from ..marketplace_worker import html_question

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TERMS = HitTypeTerms("Umbrellas", "Which show one?", "", 25, 3600, 86400)


@pytest.fixture
def engine(store_url: str) -> Iterator[sa.Engine]:
    opened = open_engine(store_url)
    upgrade(opened, MIGRATIONS)
    yield opened
    opened.dispose()


@contextmanager
def counted(engine: sa.Engine) -> Iterator[list[str]]:
    """The statements that go to the store meanwhile, without those that begin and end transactions."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.split()[0] not in {"BEGIN", "SAVEPOINT"}:
            sent.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(engine, "before_cursor_execute", note)


def statements(engine: sa.Engine, run: Callable[[], object]) -> int:
    with counted(engine) as sent:
        run()
    return len(sent)


def test_a_round_of_work_and_a_new_hit_take_few_statements(engine: sa.Engine) -> None:
    keys = people.create_requester(engine, "tester")
    signer, _ = arrivals.find_signer(engine, keys.access_key, NOW)
    assert signer is not None
    order = HitOrder(html_question("<p>?</p>"), 3, 3600, token="one")
    type_id = publishing.create_hit_type(engine, signer.requester_id, TERMS, NOW)
    worker = people.invited_worker(engine, people.invite(engine, "Ada").token)
    assert worker is not None
    cookie, worker_id = people.sign_in(engine, worker, 30, NOW), worker.worker_id
    # Changes that go together are one statement on PostgreSQL, and two on SQLite, which has no round trips.
    apart = engine.dialect.name == "sqlite"

    with counted(engine) as sent:
        hit_id = publishing.create_hit(engine, signer.requester_id, type_id, order, NOW).hit_id
    assert len(sent) == 2 + 6 * apart
    again = replace(order, token="two")
    # Its type is known by now.
    made = statements(engine, lambda: publishing.create_hit(engine, signer.requester_id, type_id, again, NOW))
    assert made == 1 + 6 * apart
    assert statements(engine, lambda: arrivals.find_signer(engine, keys.access_key, NOW)) == 1
    assert statements(engine, lambda: arrivals.session_worker(engine, cookie, NOW)) == 1
    assert statements(engine, lambda: offers.open_groups(engine, worker_id, NOW)) == 1
    assert statements(engine, lambda: working.accept(engine, hit_id, worker_id, 5, NOW)) == 3 + apart
    assignment_id = working.accept(engine, hit_id, worker_id, 5, NOW)
    workplace.own_assignment(engine, assignment_id, worker_id)
    assert statements(engine, lambda: workplace.own_assignment(engine, assignment_id, worker_id)) == 1
    assert statements(engine, lambda: workplace.framed_question(engine, hit_id, worker_id, NOW)) == 1
    assert statements(engine, lambda: working.submit(engine, assignment_id, [("a", "b")], NOW)) == 2 + apart


def test_what_is_known_of_a_type_does_not_outlast_its_truth(engine: sa.Engine, tmp_path: Path) -> None:
    requester_id = signer_of(engine)
    order = HitOrder(html_question("<p>?</p>"), 3, 3600)
    back_up(engine, tmp_path / "before")
    type_id = publishing.create_hit_type(engine, requester_id, TERMS, NOW)
    for _ in range(2):
        publishing.create_hit(engine, requester_id, type_id, order, NOW)
    wanted = Specification("ada@example.org", "Email", "2014-08-15", ("HITCreated",))
    update_settings(engine, requester_id, type_id, wanted, True, NOW)
    publishing.create_hit(engine, requester_id, type_id, order, NOW)
    with glancing(engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(notices)) == 1
    update_settings(engine, requester_id, type_id, None, False, NOW)
    publishing.create_hit(engine, requester_id, type_id, order, NOW)

    # In the older store another type gets the number that this one had.
    restore(engine, tmp_path / "before")
    other = publishing.create_hit_type(engine, requester_id, replace(TERMS, reward_cents=99), NOW)
    with pytest.raises(RequestRefused) as refused:
        publishing.create_hit(engine, requester_id, type_id, order, NOW)
    assert refused.value.code == "HITTypeDoesNotExist"
    assert publishing.create_hit(engine, requester_id, other, order, NOW).hit_type.reward_cents == 99


def signer_of(engine: sa.Engine) -> str:
    signer, _ = arrivals.find_signer(engine, people.create_requester(engine, "tester").access_key, NOW)
    assert signer is not None
    return signer.requester_id


def test_a_glance_is_no_transaction(engine: sa.Engine) -> None:
    for _ in range(2):
        with glancing(engine) as connection:
            driver = connection.connection.driver_connection
            connection.execute(sa.select(questions.c.digest)).all()
            busy = (
                driver.in_transaction  # type: ignore[union-attr]
                if engine.dialect.name == "sqlite"
                else driver.info.transaction_status != 0  # type: ignore[union-attr]
            )
            assert not busy


def test_after_a_glance_the_same_connection_has_transactions(engine: sa.Engine) -> None:
    with glancing(engine) as connection:
        connection.execute(sa.select(questions.c.digest)).all()
    with engine.connect().execution_options(writes=True) as connection:
        connection.execute(questions.insert().values(digest="d" * 64, xml="<x/>"))
        connection.rollback()
    with glancing(engine) as connection:
        assert connection.execute(sa.select(questions.c.digest)).all() == []


def test_refusals_and_growth_leave_the_plans_that_a_connection_has(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    upgrade(engine, MIGRATIONS)
    market = _Market.in_store(engine)
    for _ in range(12):
        market.use()
    _grow(engine)
    before = _plans(engine)
    for _ in range(12):
        market.use()
    after = _plans(engine)
    engine.dispose()

    # A worker's totals go through more rows than before: those PostgreSQL weighs anew for a while.
    used = {
        statement
        for statement, plans in after.items()
        if plans != before.get(statement) and "GROUP BY" not in statement
    }
    assert any("INSERT INTO questions" in statement for statement in used)
    assert len(used) >= 12
    # PostgreSQL plans the first five calls for their values and compares; then it has one plan for all.
    assert [statement for statement in used if after[statement][1] > 5] == []


def test_whether_anything_is_due_is_seen_in_indexes_however_much_is_stored(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    upgrade(engine, MIGRATIONS)
    _Market.in_store(engine).use()
    _grow(engine)
    with glancing(engine) as connection:
        asked = dues.ASKED_ALONE.compile(engine, compile_kwargs={"literal_binds": False})
        values = {**asked.params, **dues.at(NOW)}
        places = {name: f"${place}" for place, name in enumerate(values, 1)}
        literals = ", ".join(sql.Literal(value).as_string() for value in values.values())
        connection.exec_driver_sql("SET plan_cache_mode = force_generic_plan")
        connection.exec_driver_sql(f"PREPARE asked AS {_numbered(str(asked), places)}")
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN EXECUTE asked ({literals})").scalars())
    engine.dispose()

    assert "ix_hits_changed_at" in plan
    assert "Seq Scan on hits" not in plan
    assert "Seq Scan on assignments" not in plan


def _numbered(statement: str, places: Mapping[str, str]) -> str:
    for name, place in places.items():
        statement = statement.replace(f"%({name})s", place)
    return statement


@dataclass(frozen=True, slots=True)
class _Market:
    """A requester and a worker in an empty store."""

    engine: sa.Engine
    access_key: str
    requester_id: str
    type_id: str
    worker_id: str
    cookie: str

    @classmethod
    def in_store(cls, engine: sa.Engine) -> _Market:
        access_key = people.create_requester(engine, "tester").access_key
        signer, _ = arrivals.find_signer(engine, access_key, NOW)
        worker = people.invited_worker(engine, people.invite(engine, "Ada").token)
        assert signer is not None
        assert worker is not None
        type_id = publishing.create_hit_type(engine, signer.requester_id, TERMS, NOW)
        cookie = people.sign_in(engine, worker, 30, NOW)
        return cls(engine, access_key, signer.requester_id, type_id, worker.worker_id, cookie)

    def use(self) -> None:
        """A new HIT; then the worker's list, her work, her earnings, and a refusal."""
        engine, worker_id = self.engine, self.worker_id
        arrivals.find_signer(engine, self.access_key, NOW)
        order = HitOrder(html_question("<p>?</p>"), 3, 3600, token=uuid.uuid4().hex)
        hit_id = publishing.create_hit(engine, self.requester_id, self.type_id, order, NOW).hit_id
        arrivals.session_worker(engine, self.cookie, NOW)
        offers.open_groups(engine, worker_id, NOW)
        assignment_id = working.accept(engine, hit_id, worker_id, 5, NOW)
        in_hand(engine, worker_id)
        workplace.own_assignment(engine, assignment_id, worker_id)
        workplace.framed_question(engine, hit_id, worker_id, NOW)
        working.submit(engine, assignment_id, [("a", "b")], NOW)
        with pytest.raises(working.CannotAccept):
            working.accept(engine, hit_id, worker_id, 5, NOW)
        workplace.offer(engine, hit_id, worker_id)
        earnings(engine, worker_id)


def _grow(engine: sa.Engine) -> None:
    """Store 5,000 more HITs and assignments like the first, and let PostgreSQL know."""
    series = "generate_series(1, 5000) AS n"
    copied = {name: f"{name} || '-' || n" for name in ("hit_id", "assignment_id")}
    copied["hit_number"] = "(SELECT number FROM hits WHERE hit_id = hits_.hit_id || '-' || n)"
    other = sa.create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        for table in (hits, assignments):
            names = [column.name for column in table.c if column.name != "number"]
            values = ", ".join(copied.get(name, f"{table.name}.{name}") for name in names)
            joined = "" if table is hits else "JOIN hits AS hits_ ON hits_.number = assignments.hit_number"
            connection.exec_driver_sql(
                f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} FROM {table.name} {joined}, {series} "
                f"WHERE {table.name}.number = 1"
            )
        connection.exec_driver_sql("ANALYZE")
    other.dispose()


def _plans(engine: sa.Engine) -> dict[str, tuple[int, int]]:
    """How often the statements that a connection has prepared ran by a plan for all, and by one for their values."""
    asked = sa.text(
        "SELECT statement, parameter_types::text, generic_plans, custom_plans FROM pg_prepared_statements"
    )
    with glancing(engine) as connection:
        rows = connection.execute(asked).all()
    return {f"{row[0]} {row[1]}": (row[2], row[3]) for row in rows}


def test_only_the_latest_questions_are_remembered(engine: sa.Engine) -> None:
    pages = {f"{number}" * 64: html_question(f"<p>{number}</p>") for number in range(4)}
    with writing(engine) as connection:
        connection.execute(questions.insert(), [{"digest": d, "xml": x} for d, x in pages.items()])

    def html_of(digest: str) -> str | None:
        return parse_question(pages[digest]).html

    known = _KnownQuestions(2)
    with glancing(engine) as connection:
        for digest in ("0" * 64, "1" * 64, "0" * 64, "2" * 64, "3" * 64):
            assert known.get(connection, digest).html == html_of(digest)
    assert list(known.found) == ["2" * 64, "3" * 64]
    with counted(engine) as sent, glancing(engine) as connection:
        assert known.get(connection, "3" * 64).html == html_of("3" * 64)
        assert sent == []
        assert known.get(connection, "0" * 64).html == html_of("0" * 64)
    assert len(sent) == 1
