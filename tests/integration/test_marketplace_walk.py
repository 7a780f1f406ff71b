"""Random walks through the marketplace against a model of it: no impossible state, no lost or doubled cent."""

from __future__ import annotations

import json
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
from hits.marketplace import (
    blocks,
    bonuses,
    deciding,
    dues,
    people,
    publishing,
    qualification_types,
    qualifications,
    records,
    retyping,
    tables,
    working,
)
from hits.marketplace.lifecycle import available
from hits.marketplace.publishing import HitOrder, HitTypeTerms
from hits.marketplace.qualification_types import TypeTerms
from hits.marketplace.qualifying import Guard, Requirement
from hits.marketplace.tables import assignments, metadata
from hits.marketplace.working import CannotAccept, NotHeld

from ..marketplace_worker import html_question
from .test_marketplace_store import assert_balanced, new_requester, new_worker

REWARD, LEVEL = 11, 5
KNOWN_ANSWERS = json.dumps(
    {
        "PolicyName": "ScoreMyKnownAnswers/2011-09-01",
        "Parameters": [
            {"Key": "AnswerKey", "MapEntries": [{"Key": "q", "Values": ["a"]}]},
            {"Key": "RejectIfKnownAnswerScoreIsLessThan", "Values": ["50"]},
        ],
    }
)
PLURALITY = json.dumps(
    {
        "PolicyName": "SimplePlurality/2011-09-01",
        "Parameters": [
            {"Key": "QuestionIds", "Values": ["q"]},
            {"Key": "QuestionAgreementThreshold", "Values": ["60"]},
            {"Key": "ApproveIfWorkerAgreementScoreIsAtLeast", "Values": ["100"]},
            {"Key": "ExtendIfHITAgreementScoreIsLessThan", "Values": ["100"]},
            {"Key": "ExtendMaximumAssignments", "Values": ["5"]},
            {"Key": "ExtendMinimumTimeInSeconds", "Values": ["3600"]},
        ],
    }
)
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
        terms = TypeTerms("Umbrellas", "", "Knows umbrellas.", True)
        made = qualification_types.create_type(self.engine, self.requester, terms, self.now)
        self.qualification = made.qualification_type_id
        self.blocked: set[str] = set()
        self.values: dict[str, int] = {}
        self.asking: set[str] = set()
        self.tokens: dict[str, int] = {}

    def teardown(self) -> None:
        self.engine.dispose()
        self.folder.cleanup()

    def terms(self, reward: int, asking: bool) -> HitTypeTerms:
        wanted = Requirement(self.qualification, "GreaterThan", (LEVEL,), Guard.ACCEPT)
        return HitTypeTerms("t", "d", "", reward, 300, 1800, (wanted,) if asking else ())

    @rule(
        seats=st.integers(1, 12),
        lifetime=st.sampled_from([60, 3600, 86400]),
        asking=st.booleans(),
        assignment_policy=st.sampled_from([None, KNOWN_ANSWERS]),
        hit_policy=st.sampled_from([None, PLURALITY]),
    )
    def publish(
        self, seats: int, lifetime: int, asking: bool, assignment_policy: str | None, hit_policy: str | None
    ) -> None:
        with suppress(RequestRefused):  # The purse is small on purpose.
            order = HitOrder(
                html_question(), seats, lifetime, assignment_policy=assignment_policy, hit_policy=hit_policy
            )
            hit = publishing.create_hit(
                self.engine, self.requester, self.terms(REWARD, asking), order, self.now
            )
            self.made.append(hit.hit_id)
            self.asking |= {hit.hit_id} if asking else set()

    @precondition(lambda self: self.made)
    @rule(place=PLACES, reward=st.sampled_from([1, REWARD, 30]), asking=st.booleans())
    def retype(self, place: int, reward: int, asking: bool) -> None:
        hit_id = self.made[place % len(self.made)]
        terms = self.terms(reward, asking)
        type_id = publishing.create_hit_type(self.engine, self.requester, terms, self.now)
        with suppress(RequestRefused):
            retyping.change_type(self.engine, self.requester, hit_id, type_id, self.now)
            self.asking = self.asking | {hit_id} if asking else self.asking - {hit_id}

    @precondition(lambda self: self.made)
    @rule(place=PLACES, who=st.integers(0, 2), reward=st.sampled_from([1, 30]), back=st.booleans())
    def retype_in_hand(self, place: int, who: int, reward: int, back: bool) -> None:
        before = len(self.held)
        self.accept(place, who)
        self.retype(place, reward, False)
        if len(self.held) > before:
            self.give_back(-1) if back else self.submit(0)

    @rule(who=st.integers(0, 2), block=st.booleans())
    def block(self, who: int, block: bool) -> None:
        worker_id = self.workers[who]
        if block:
            blocks.block(self.engine, self.requester, worker_id, "r", self.now)
            self.blocked.add(worker_id)
        else:
            blocks.unblock(self.engine, self.requester, worker_id)
            self.blocked.discard(worker_id)

    @rule(who=st.integers(0, 2), value=st.sampled_from([None, LEVEL, LEVEL + 1]))
    def qualify(self, who: int, value: int | None) -> None:
        where = (self.engine, self.requester, self.qualification, self.workers[who])
        if value is not None:
            qualifications.associate(*where, value, False, self.now)
            self.values[self.workers[who]] = value
        elif self.workers[who] in self.values:
            qualifications.disassociate(*where, "", self.now)
            del self.values[self.workers[who]]

    @precondition(lambda self: self.worked)
    @rule(place=PLACES, cents=st.integers(1, 40), token=st.sampled_from(["a", "b", None]))
    def bonus(self, place: int, cents: int, token: str | None) -> None:
        assignment_id = self.worked[place % len(self.worked)]
        worker_id = self.held[assignment_id]
        code = ""
        try:
            bonuses.send_bonus(
                self.engine, self.requester, worker_id, assignment_id, cents, "r", token, self.now
            )
        except RequestRefused as refused:
            code = refused.code
        assert (code == "BonusAlreadyExists") is (token in self.tokens)
        if not code and token is not None:
            self.tokens[token] = cents

    @precondition(lambda self: self.made)
    @rule(place=PLACES, who=st.integers(0, 2))
    def accept(self, place: int, who: int) -> None:
        hit_id, worker_id = self.made[place % len(self.made)], self.workers[who]
        with suppress(CannotAccept):
            assignment_id = working.accept(self.engine, hit_id, worker_id, 4, self.now)
            if assignment_id not in self.held:
                assert worker_id not in self.blocked
                assert hit_id not in self.asking or self.values.get(worker_id, 0) > LEVEL
            self.held[assignment_id] = worker_id

    @precondition(lambda self: self.held)
    @rule(place=PLACES)
    def submit(self, place: int) -> None:
        assignment_id = list(self.held)[-1 - place % len(self.held)]
        with suppress(NotHeld):
            working.submit(self.engine, assignment_id, [("q", "ab"[place % 2])], self.now)
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
                deciding.reject(self.engine, self.requester, assignment_id, "No", self.now)
            else:
                override = verdict == "override"
                deciding.approve(self.engine, self.requester, assignment_id, None, override, self.now)

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
        dues.settle(self.engine, self.now)

    @invariant()
    def every_cent_has_two_sides(self) -> None:
        if hasattr(self, "requester"):
            assert_balanced(self.engine)

    @invariant()
    def every_count_is_what_the_assignments_say(self) -> None:
        if not self.made:
            return
        with reading(self.engine) as connection:
            stored = [records.hit_from(row) for row in connection.execute(records.select_hits())]
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
        approved, paid = tables.assignments.c, tables.bonuses.c
        with reading(self.engine) as connection:
            rewards = connection.execute(
                sa.select(approved.worker_id, approved.reward_cents, approved.fee_cents).where(
                    approved.state == "Approved"
                )
            ).all()
            extra = connection.execute(
                sa.select(approved.worker_id, paid.cents, paid.fee_cents).select_from(
                    tables.bonuses.join(tables.assignments)
                )
            ).all()
        earned = {summary.worker_id: summary.earned_cents for summary in people.list_workers(self.engine)}
        for worker_id, cents, _ in [*rewards, *extra]:
            earned[worker_id] -= cents
        assert set(earned.values()) == {0}
        assert sum(cents + fee for _, cents, fee in [*rewards, *extra]) <= PURSE


MarketplaceWalk.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestMarketplaceWalk = MarketplaceWalk.TestCase
