"""Random walks through the marketplace against a model of it: no impossible state, no lost or doubled cent."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hits.database import open_engine, reading
from hits.errors import RequestRefused
from hits.marketplace import people, publishing, store, working
from hits.marketplace.lifecycle import available, fee_cents
from hits.marketplace.publishing import HitOrder, HitTypeTerms
from hits.marketplace.tables import assignments, metadata
from hits.marketplace.working import CannotAccept, NotHeld

from ..marketplace_worker import html_question
from .test_marketplace_store import assert_balanced, new_requester, new_worker

REWARD = 11
PURSE = 400
PLACES = st.integers(0, 30)


class MarketplaceWalk(RuleBasedStateMachine):
    """One requester, three workers, and a clock that only goes forward.

    Choices are by order of events, never by identifiers: those are random, and a walk must repeat exactly.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.engine = open_engine(f"sqlite:///{Path(self.folder.name) / 'walk.sqlite3'}")
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.made: list[str] = []
        self.held: dict[str, str] = {}
        self.worked: list[str] = []

    @initialize()
    def open(self) -> None:
        metadata.create_all(self.engine)
        self.requester = new_requester(self.engine, "walker", PURSE)
        self.workers = [new_worker(self.engine, name) for name in ("Ada", "Bo", "Cy")]

    def teardown(self) -> None:
        self.engine.dispose()
        self.folder.cleanup()

    @rule(seats=st.integers(1, 12), lifetime=st.sampled_from([60, 3600, 86400]))
    def publish(self, seats: int, lifetime: int) -> None:
        terms = HitTypeTerms("t", "d", "", REWARD, 300, 1800)
        with suppress(RequestRefused):  # The purse is small on purpose.
            order = HitOrder(html_question(), seats, lifetime)
            self.made.append(
                publishing.create_hit(self.engine, self.requester, terms, order, self.now).hit_id
            )

    @precondition(lambda self: self.made)
    @rule(place=PLACES, who=st.integers(0, 2))
    def accept(self, place: int, who: int) -> None:
        hit_id, worker_id = self.made[place % len(self.made)], self.workers[who]
        with suppress(CannotAccept):
            self.held[working.accept(self.engine, hit_id, worker_id, 4, self.now)] = worker_id

    @precondition(lambda self: self.held)
    @rule(place=PLACES)
    def submit(self, place: int) -> None:
        assignment_id = list(self.held)[place % len(self.held)]
        with suppress(NotHeld):
            working.submit(self.engine, assignment_id, [("a", str(place))], self.now)
            self.worked.append(assignment_id)

    @precondition(lambda self: self.held)
    @rule(place=PLACES)
    def give_back(self, place: int) -> None:
        assignment_id = list(self.held)[place % len(self.held)]
        with suppress(NotHeld):
            working.give_back(self.engine, assignment_id, self.held[assignment_id], self.now)

    @precondition(lambda self: self.worked)
    @rule(place=PLACES, verdict=st.sampled_from(["approve", "reject", "override"]))
    def decide(self, place: int, verdict: str) -> None:
        assignment_id = self.worked[place % len(self.worked)]
        with suppress(RequestRefused):
            if verdict == "reject":
                working.reject(self.engine, self.requester, assignment_id, "No", self.now)
            else:
                override = verdict == "override"
                working.approve(self.engine, self.requester, assignment_id, None, override, self.now)

    @precondition(lambda self: self.made)
    @rule(place=PLACES, change=st.sampled_from(["extend", "expire", "reopen", "review", "delete"]))
    def change(self, place: int, change: str) -> None:
        hit_id = self.made[place % len(self.made)]
        where = (self.engine, self.requester, hit_id)
        with suppress(RequestRefused):
            if change == "extend":
                publishing.extend_hit(*where, 2, None, self.now)
            elif change == "review":
                publishing.set_reviewing(*where, False, self.now)
            elif change == "delete":
                publishing.delete_hit(*where, self.now)
            else:
                ahead = timedelta(hours=1 if change == "reopen" else -1)
                publishing.set_expiration(*where, self.now + ahead, self.now)

    @rule(seconds=st.sampled_from([1, 301, 1801, 90_000, 121 * 86400]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        working.settle(self.engine, self.now)

    @invariant()
    def every_cent_has_two_sides(self) -> None:
        if hasattr(self, "requester"):
            assert_balanced(self.engine)

    @invariant()
    def every_count_is_what_the_assignments_say(self) -> None:
        if not self.made:
            return
        with reading(self.engine) as connection:
            stored = [store.hit_from(row) for row in connection.execute(store.select_hits())]
            grouped = sa.select(assignments.c.hit_number, assignments.c.state, sa.func.count()).group_by(
                assignments.c.hit_number, assignments.c.state
            )
            found = {(number, state): count for number, state, count in connection.execute(grouped)}
            live = [
                tuple(row)
                for row in connection.execute(
                    sa.select(assignments.c.hit_number, assignments.c.worker_id).where(
                        assignments.c.state.not_in(["Returned", "Abandoned"])
                    )
                )
            ]
        assert len(set(live)) == len(live), "one worker, one assignment of a HIT"
        for hit in stored:
            counts = (hit.state.pending, hit.state.submitted, hit.state.approved, hit.state.rejected)
            names = ("Accepted", "Submitted", "Approved", "Rejected")
            assert counts == tuple(found.get((hit.number, name), 0) for name in names)
            assert 0 <= available(hit.state, self.now) <= hit.state.max_assignments - sum(counts)

    @invariant()
    def workers_earned_what_was_approved(self) -> None:
        if not hasattr(self, "requester"):
            return
        summaries = people.list_workers(self.engine)
        assert [summary.earned_cents for summary in summaries] == [
            REWARD * summary.approved for summary in summaries
        ]
        assert sum(summary.approved for summary in summaries) * (REWARD + fee_cents(REWARD, 1)) <= PURSE


MarketplaceWalk.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestMarketplaceWalk = MarketplaceWalk.TestCase
