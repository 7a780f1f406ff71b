"""The marketplace's store on both engines: migrations, races, time, and a ledger that always balances."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
from alembic import command

from hits.database import (
    alembic_config,
    current_revision,
    downgrade,
    head_revision,
    open_engine,
    reading,
    upgrade,
    writing,
)
from hits.errors import HitsError, RequestRefused, SchemaMismatch
from hits.marketplace import arrivals, deciding, dues, people, publishing, records, store, working
from hits.marketplace.app import create_app
from hits.marketplace.lifecycle import AssignmentState, Unavailable, hit_status
from hits.marketplace.publishing import HitOrder, HitTypeTerms
from hits.marketplace.settings import MarketplaceSettings
from hits.marketplace.tables import MIGRATIONS, SCHEMA, accounts, hits, metadata, questions, transfers
from hits.marketplace.working import CannotAccept, NotHeld
from hits.model import HitStatus

from ..marketplace_worker import html_question

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMS = HitTypeTerms("Umbrellas?", "Look.", "pictures", 25, 300, 3600)
ORDER = HitOrder(html_question(), 1, 3600)


@pytest.fixture
def engine(store_url: str) -> Iterator[sa.Engine]:
    engine = open_engine(store_url)
    upgrade(engine, MIGRATIONS)
    yield engine
    engine.dispose()


@pytest.fixture
def requester(engine: sa.Engine) -> str:
    return new_requester(engine, "tester")


def new_requester(engine: sa.Engine, name: str, cents: int = 1_000_000) -> str:
    keys = people.create_requester(engine, name, cents)
    signer, _ = arrivals.find_signer(engine, keys.access_key, NOW)
    assert signer is not None
    return signer.requester_id


def new_worker(engine: sa.Engine, name: str) -> str:
    return people.invite(engine, name).worker_id


def find(engine: sa.Engine, hit_id: str) -> records.Hit:
    with reading(engine) as connection:
        return store.find_hit(connection, hit_id)


def state_of(engine: sa.Engine, assignment_id: str) -> AssignmentState:
    with reading(engine) as connection:
        found = store.find_assignment(connection, assignment_id)
    assert found is not None
    return found.state


def assert_balanced(engine: sa.Engine) -> None:
    """Every balance is what its transfers make it, all together are zero, and escrows hold what HITs still owe."""
    with reading(engine) as connection:
        balances = {name: int(cents) for name, cents in connection.execute(sa.select(accounts))}
        moved = dict.fromkeys(balances, 0)
        for source, destination, cents in connection.execute(
            sa.select(transfers.c.source, transfers.c.destination, transfers.c.cents)
        ):
            moved[source] -= cents
            moved[destination] += cents
        stored = [records.hit_from(row) for row in connection.execute(records.select_hits())]
        waiting = [
            (row.hit_id, records.assignment_from(row))
            for row in connection.execute(records.select_assignments())
            if row.work_state in {"Accepted", "Submitted"}
        ]
    assert balances == moved
    assert sum(balances.values()) == 0
    for hit in stored:
        state = hit.state
        owed = (state.max_assignments - state.taken) * hit.price_cents
        for assignment in (found for hit_id, found in waiting if hit_id == hit.hit_id):
            # In a worker's hands a place holds what it would cost if it came back, where that is more.
            held = assignment.state is AssignmentState.ACCEPTED
            owed += max(assignment.price_cents, hit.price_cents if held else 0)
        assert balances[f"escrow:{hit.hit_id}"] == (0 if state.disposed_at else owed)


# --- migrations ----------------------------------------------------------------------------------------


def test_the_history_goes_up_down_and_up_and_matches_the_tables(store_url: str) -> None:
    engine = open_engine(store_url)
    upgrade(engine, MIGRATIONS)
    command.check(alembic_config(engine, MIGRATIONS))
    assert current_revision(engine) == head_revision(MIGRATIONS) == SCHEMA
    downgrade(engine, MIGRATIONS, "base")
    assert set(sa.inspect(engine).get_table_names()) == {"alembic_version"}
    upgrade(engine, MIGRATIONS)
    assert set(sa.inspect(engine).get_table_names()) == {"alembic_version", *metadata.tables}
    engine.dispose()


def test_migrated_indices_are_as_partial_as_the_tables_say(engine: sa.Engine) -> None:
    """`alembic check` does not compare the conditions of indices."""
    dialect = engine.dialect.name
    for table in metadata.tables.values():
        declared = {
            index.name: index.dialect_options[dialect]["where"] is not None for index in table.indexes
        }
        found = {
            index["name"]: f"{dialect}_where" in index.get("dialect_options", {})
            for index in sa.inspect(engine).get_indexes(table.name)
            if not index.get("duplicates_constraint")
        }
        assert found == declared


def test_the_file_with_the_secret_keys_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "marketplace.sqlite3"
    path.touch(mode=0o644)
    path.chmod(0o644)
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine, MIGRATIONS)
    new_requester(engine, "tester")
    modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    engine.dispose()


def test_the_application_refuses_a_store_that_is_not_migrated(store_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="db upgrade"):
        create_app(MarketplaceSettings(store_url))


# --- races ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seats", [1, 3])
def test_of_many_workers_at_once_only_as_many_get_a_hit_as_it_has_assignments(
    engine: sa.Engine, requester: str, seats: int
) -> None:
    order = HitOrder(html_question(), seats, 3600)
    hit = publishing.create_hit(engine, requester, TERMS, order, NOW)
    workers = [new_worker(engine, f"worker {n}") for n in range(8)]
    start = Barrier(len(workers))

    def try_it(worker_id: str) -> str | Unavailable:
        start.wait()
        try:
            return working.accept(engine, hit.hit_id, worker_id, 10, NOW)
        except CannotAccept as error:
            return error.reason

    with ThreadPoolExecutor(len(workers)) as pool:
        answers = list(pool.map(try_it, workers))
    assert answers.count(Unavailable.HIT_UNAVAILABLE) == 8 - seats
    assert len(set(answers)) == seats + 1
    assert find(engine, hit.hit_id).state.pending == seats


def test_one_worker_in_two_windows_gets_one_assignment(engine: sa.Engine, requester: str) -> None:
    hit = publishing.create_hit(engine, requester, TERMS, HitOrder(html_question(), 5, 3600), NOW)
    worker = new_worker(engine, "Ada")
    start = Barrier(4)

    def try_it(_: int) -> str:
        start.wait()
        return working.accept(engine, hit.hit_id, worker, 10, NOW)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(try_it, range(4)))) == 1
    assert find(engine, hit.hit_id).state.pending == 1


def test_a_worker_holds_no_more_than_is_allowed_though_asking_at_once(
    engine: sa.Engine, requester: str
) -> None:
    made = [publishing.create_hit(engine, requester, TERMS, ORDER, NOW).hit_id for _ in range(6)]
    worker = new_worker(engine, "Ada")
    start = Barrier(len(made))

    def try_it(hit_id: str) -> str | Unavailable:
        start.wait()
        try:
            return working.accept(engine, hit_id, worker, 2, NOW)
        except CannotAccept as error:
            return error.reason

    with ThreadPoolExecutor(len(made)) as pool:
        assert list(pool.map(try_it, made)).count(Unavailable.TOO_MANY_HELD) == 4


def test_of_two_equal_requests_at_once_one_makes_the_hit(engine: sa.Engine, requester: str) -> None:
    order = HitOrder(html_question(), 1, 3600, token="page-1")
    start = Barrier(4)

    def try_it(_: int) -> str:
        start.wait()
        try:
            return publishing.create_hit(engine, requester, TERMS, order, NOW).hit_id
        except RequestRefused as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(try_it, range(4)))
    assert answers.count("HitAlreadyExists") == 3
    with reading(engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(hits)) == 1
    assert_balanced(engine)


def test_a_submission_is_approved_or_rejected_but_never_both(engine: sa.Engine, requester: str) -> None:
    hit = publishing.create_hit(engine, requester, TERMS, ORDER, NOW)
    assignment_id = working.accept(engine, hit.hit_id, new_worker(engine, "Ada"), 10, NOW)
    working.submit(engine, assignment_id, [("a", "b")], NOW)
    start = Barrier(4)

    def decide(place: int) -> str:
        start.wait()
        try:
            if place % 2:
                deciding.reject(engine, requester, assignment_id, "No", NOW)
            else:
                deciding.approve(engine, requester, assignment_id, None, False, NOW)
        except RequestRefused as error:
            return error.code
        return "decided"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(decide, range(4))) == ["InvalidAssignmentState"] * 3 + ["decided"]
    assert_balanced(engine)


def test_sweeps_that_meet_do_everything_once(engine: sa.Engine, requester: str) -> None:
    made = [publishing.create_hit(engine, requester, TERMS, ORDER, NOW).hit_id for _ in range(6)]
    worker = new_worker(engine, "Ada")
    held = [working.accept(engine, hit_id, worker, 10, NOW) for hit_id in made]
    for assignment_id in held[:3]:
        working.submit(engine, assignment_id, [("a", "b")], NOW)
    later = NOW + timedelta(hours=2)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: dues.settle(engine, later), range(4)))
    assert [state_of(engine, found) for found in held] == ["Approved"] * 3 + ["Abandoned"] * 3
    assert people.list_workers(engine)[0].earned_cents == 75
    assert_balanced(engine)


def test_everybody_at_once_ends_with_every_cent_in_its_place(engine: sa.Engine) -> None:
    """Requesters who publish, extend and decide while workers work: no deadlock, nothing lost."""
    owners = [new_requester(engine, f"requester {n}") for n in range(3)]
    workers = [new_worker(engine, f"worker {n}") for n in range(5)]
    made = [
        publishing.create_hit(engine, owners[n % 3], TERMS, HitOrder(html_question(), 3, 3600), NOW)
        for n in range(9)
    ]

    def work(place: int) -> int:
        count = 0
        for hit in made:
            try:
                assignment_id = working.accept(engine, hit.hit_id, workers[place], 10, NOW)
            except CannotAccept:
                continue
            working.submit(engine, assignment_id, [("a", str(place))], NOW)
            if place % 2:
                deciding.approve(engine, hit.requester_id, assignment_id, None, False, NOW)
            else:
                deciding.reject(engine, hit.requester_id, assignment_id, "No", NOW)
            count += 1
        return count

    def publish(place: int) -> int:
        for hit in made[place::3]:
            publishing.create_hit(engine, owners[place], TERMS, HitOrder(html_question("x"), 2, 3600), NOW)
            publishing.extend_hit(engine, owners[place], hit.hit_id, 1, f"more {hit.hit_id}", NOW)
            dues.settle(engine, NOW + timedelta(seconds=1))
        return 0

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(work, n) for n in range(5)] + [pool.submit(publish, n) for n in range(3)]
        done = sum(job.result() for job in jobs)
    states = [find(engine, hit.hit_id).state for hit in made]
    assert [state.max_assignments for state in states] == [4] * 9
    assert sum(state.taken for state in states) == done >= 9 * 3
    assert_balanced(engine)


# --- time ----------------------------------------------------------------------------------------------


def test_a_token_is_free_again_after_a_day(engine: sa.Engine, requester: str) -> None:
    order = HitOrder(html_question(), 1, 3600, token="page-1")
    first = publishing.create_hit(engine, requester, TERMS, order, NOW)
    with pytest.raises(RequestRefused, match=first.hit_id):
        publishing.create_hit(engine, requester, TERMS, order, NOW + timedelta(hours=23, minutes=59))
    again = publishing.create_hit(engine, requester, TERMS, order, NOW + timedelta(hours=24))
    assert again.hit_id != first.hit_id


def test_an_assignment_not_submitted_in_time_goes_back(engine: sa.Engine, requester: str) -> None:
    hit = publishing.create_hit(engine, requester, TERMS, ORDER, NOW)
    ada, bo = new_worker(engine, "Ada"), new_worker(engine, "Bo")
    assignment_id = working.accept(engine, hit.hit_id, ada, 10, NOW)
    late = NOW + timedelta(seconds=300)
    with pytest.raises(NotHeld):  # Even before any sweep has seen it.
        working.submit(engine, assignment_id, [("a", "b")], late)
    dues.settle(engine, late)
    assert state_of(engine, assignment_id) is AssignmentState.ABANDONED
    assert working.accept(engine, hit.hit_id, bo, 10, late)


def test_a_returned_hit_can_be_taken_again_as_a_new_assignment(engine: sa.Engine, requester: str) -> None:
    hit = publishing.create_hit(engine, requester, TERMS, ORDER, NOW)
    ada = new_worker(engine, "Ada")
    first = working.accept(engine, hit.hit_id, ada, 10, NOW)
    working.give_back(engine, first, ada, NOW)
    second = working.accept(engine, hit.hit_id, ada, 10, NOW)
    assert second != first
    with pytest.raises(NotHeld):
        working.submit(engine, first, [("a", "b")], NOW)
    assert working.submit(engine, second, [("a", "b")], NOW).state is AssignmentState.SUBMITTED


def test_a_hit_is_disposed_of_120_days_after_its_last_change(engine: sa.Engine, requester: str) -> None:
    hit = publishing.create_hit(engine, requester, TERMS, ORDER, NOW)
    dues.settle(engine, NOW + timedelta(days=119, hours=23))
    assert find(engine, hit.hit_id).state.disposed_at is None
    old = NOW + timedelta(days=120)
    dues.settle(engine, old)
    assert hit_status(find(engine, hit.hit_id).state, old) is HitStatus.DISPOSED
    assert_balanced(engine)
    with reading(engine) as connection:
        account = accounts.c.name == f"requester:{requester}"
        assert connection.scalar(sa.select(accounts.c.cents).where(account)) == 1_000_000


def test_answers_sent_again_change_nothing(engine: sa.Engine, requester: str) -> None:
    hit = publishing.create_hit(engine, requester, TERMS, ORDER, NOW)
    assignment_id = working.accept(engine, hit.hit_id, new_worker(engine, "Ada"), 10, NOW)
    first = working.submit(engine, assignment_id, [("a", "first")], NOW)
    again = working.submit(engine, assignment_id, [("a", "second")], NOW + timedelta(seconds=5))
    assert again == first
    assert first.answer is not None
    assert "first" in first.answer


# --- storage and people --------------------------------------------------------------------------------


def test_equal_questions_are_stored_once(engine: sa.Engine, requester: str) -> None:
    other = new_requester(engine, "other")
    for owner in (requester, requester, other):
        publishing.create_hit(engine, owner, TERMS, ORDER, NOW)
    with reading(engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(questions)) == 1


def test_the_store_itself_refuses_an_unbalanced_or_overdrawn_ledger(
    engine: sa.Engine, requester: str
) -> None:
    account = accounts.c.name == f"requester:{requester}"
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:
        connection.execute(accounts.update().where(account).values(cents=-1))
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:
        connection.execute(
            transfers.insert().values(at=NOW, kind="grant", source="grants", destination="nobody", cents=1)
        )
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:
        connection.execute(
            transfers.insert().values(at=NOW, kind="grant", source="grants", destination="fees", cents=0)
        )


def test_a_requesters_name_is_taken_once_and_her_keys_are_found_again(engine: sa.Engine) -> None:
    keys = people.create_requester(engine, "tester")
    assert people.requester_keys(engine, "tester") == keys
    assert people.requester_keys(engine, "nobody") is None
    assert keys.secret_key not in repr(keys)
    with pytest.raises(HitsError, match="already"):
        people.create_requester(engine, "tester")


def test_a_new_invitation_replaces_the_old_one_of_the_same_worker(engine: sa.Engine) -> None:
    first, second = people.invite(engine, "Ada"), people.invite(engine, "Ada")
    assert first.worker_id == second.worker_id
    assert people.invited_worker(engine, first.token) is None
    found = people.invited_worker(engine, second.token)
    assert found is not None
    assert (found.pseudonym, found.consented_at) == ("Ada", None)


def test_sessions_end_by_sign_out_and_by_time(engine: sa.Engine) -> None:
    worker = people.invited_worker(engine, people.invite(engine, "Ada").token)
    assert worker is not None
    kept, left = (people.sign_in(engine, worker, 30, NOW) for _ in range(2))
    people.sign_out(engine, left)

    def whose(token: str, now: datetime) -> people.Worker | None:
        return arrivals.session_worker(engine, token, now)[0]

    assert whose(left, NOW) is None
    found = whose(kept, NOW + timedelta(days=29))
    assert found is not None
    assert found.consented_at == NOW
    assert whose(kept, NOW + timedelta(days=30)) is None


def test_no_secret_of_a_link_or_session_is_stored(engine: sa.Engine) -> None:
    invitation = people.invite(engine, "Ada")
    worker = people.invited_worker(engine, invitation.token)
    assert worker is not None
    session = people.sign_in(engine, worker, 30, NOW)
    with reading(engine) as connection:
        everything = [
            str(value)
            for table in metadata.tables.values()
            for row in connection.execute(sa.select(table))
            for value in row
        ]
    assert not {invitation.token, session} & set(everything)


def test_the_sites_secret_is_made_once(engine: sa.Engine) -> None:
    assert people.site_secret(engine) == people.site_secret(engine)
    assert len(people.site_secret(engine)) == 40


def test_workers_are_listed_with_their_work(engine: sa.Engine, requester: str) -> None:
    ada, bo = new_worker(engine, "Ada"), new_worker(engine, "Bo")
    for decide in ("approve", "reject", "wait"):
        hit = publishing.create_hit(engine, requester, TERMS, ORDER, NOW)
        assignment_id = working.accept(engine, hit.hit_id, ada, 10, NOW)
        working.submit(engine, assignment_id, [("a", "b")], NOW)
        if decide == "approve":
            deciding.approve(engine, requester, assignment_id, None, False, NOW)
        if decide == "reject":
            deciding.reject(engine, requester, assignment_id, "No", NOW)
    found = {summary.worker_id: summary for summary in people.list_workers(engine)}
    assert [found[bo].submitted, found[bo].earned_cents] == [0, 0]
    summary = found[ada]
    assert (summary.submitted, summary.approved, summary.rejected, summary.earned_cents) == (1, 1, 1, 25)
