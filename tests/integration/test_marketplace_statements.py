"""How often a request goes to the store: every round trip costs server and database more than what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits.backup import back_up, restore
from hits.database import glancing, open_engine, upgrade, writing
from hits.errors import RequestRefused
from hits.marketplace import arrivals, offers, people, publishing, working, workplace
from hits.marketplace.notices import Specification, update_settings
from hits.marketplace.publishing import HitOrder, HitTypeTerms
from hits.marketplace.questions import parse_question
from hits.marketplace.tables import MIGRATIONS, notices, questions
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
