"""Assignments from marketplaces into the store, and payments the other way.

Collect over HTTP → commit votes and owed payments together → pay over HTTP → commit: no call within a transaction.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hits import database
from hits.errors import MarketplaceFaulty, MarketplaceUnavailable, RequestRefused
from hits.model import Answer, Assignment, AssignmentStatus, HitStatus

from .answering import ReadPage, read_page
from .store import aggregate as store
from .store import payments
from .store import publish as publish_store
from .store.publish import StoredHit

if TYPE_CHECKING:
    import sqlalchemy as sa

    from hits.requester import Requester

logger = logging.getLogger(__name__)

# HITs whose assignments are stored in one transaction, so that it stays short.
HITS_AT_ONCE = 50
COLLECTABLE = frozenset({AssignmentStatus.SUBMITTED, AssignmentStatus.APPROVED})
# A marketplace that fails over so many calls in a row fails over all of them.
FAULTS_IN_A_ROW = 5

Fault = MarketplaceFaulty | RequestRefused
Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Collected:
    """What one run collected and paid. Money in US cents.

    `repeated` votes are a worker's second on a question; `unknown_pictures` and `missing_pictures` are answers
    to pictures that are not on the page, and pictures of the page without an answer; `lost_hits` are published,
    but their marketplace does not know them; of `faulty_hits` it could not say what was answered, and `unlisted`
    assignments it has, but does not list: both are asked for again by the next run.
    """

    assignments: int = 0
    unreadable: int = 0
    unknown_pictures: int = 0
    missing_pictures: int = 0
    votes: Counter[Answer] = field(default_factory=Counter)
    repeated: int = 0
    controls_right: int = 0
    controls_shown: int = 0
    payments: int = 0
    payments_refused: int = 0
    paid_cents: int = 0
    lost_hits: int = 0
    faulty_hits: int = 0
    unlisted: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """A HIT whose marketplace listed its assignments: those that are stored, and those of the list."""

    hit: StoredHit
    assignment_ids: set[str]


class Collecting:
    """One run's calls to marketplaces; `collected` counts what came of them.

    `faults` are those that one page or one payment had: the others go on. `offered` is how long a page is on offer and
    in a worker's hands at most.
    """

    def __init__(self, engine: sa.Engine, now: datetime, offered: timedelta, progress: Progress) -> None:
        self.engine = engine
        self.now = now
        self.offered = offered
        self.progress = progress
        self.collected = Collected()
        self.faults: list[Fault] = []
        self._in_a_row = 0

    def collect(self, requester: Requester, endpoint: str) -> list[int]:
        """Store what is new of an endpoint's open HITs; returns the rows of HITs that bring nothing more."""
        with database.reading(self.engine) as connection:
            published = publish_store.hits_in_state(connection, "published", endpoint=endpoint)
        if not published:
            return []
        self._in_a_row = 0
        # Asked first: a HIT that was reviewable before its assignments were listed gets no others.
        over = set(requester.reviewable())
        listed: list[Listed] = []
        for start in range(0, len(published), HITS_AT_ONCE):
            batch = published[start : start + HITS_AT_ONCE]
            listed += self._collect_batch(requester, endpoint, batch)
            self.progress("HITs", start + len(batch), len(published))
        with database.reading(self.engine) as connection:
            counts = store.count_assignments(connection, [one.hit.id for one in listed])
        completed: list[int] = []
        for one in listed:
            if counts.get(one.hit.id, 0) >= one.hit.votes:
                completed.append(one.hit.id)
            elif one.hit.platform_hit_id in over:
                if self._is_whole(requester, one):
                    completed.append(one.hit.id)
            elif one.hit.intended_at + self.offered < self.now:
                self._look_for(requester, one.hit)
        return completed

    def _collect_batch(self, requester: Requester, endpoint: str, batch: Sequence[StoredHit]) -> list[Listed]:
        ids = [hit.id for hit in batch]
        with database.reading(self.engine) as connection:
            slots = store.asked_slots(connection, ids)
            known = store.known_assignments(connection, ids)
        listed: list[Listed] = []
        pages: list[ReadPage] = []
        stopped: MarketplaceUnavailable | RequestRefused | None = None
        for hit in batch:
            try:
                found = self._assignments(requester, hit)
            except (MarketplaceUnavailable, RequestRefused) as error:
                # What was listed before is stored: the next run need not be luckier.
                stopped = error
                break
            if found is None:
                continue
            # By id: a marketplace that lists an assignment twice must not have it counted twice.
            every = {one.assignment_id: one for one in found}
            listed.append(Listed(hit, known[hit.id].union(every)))
            pages += [
                read_page(hit.id, slots[hit.id], one)
                for one in every.values()
                if one.assignment_id not in known[hit.id] and one.status in COLLECTABLE
            ]
        with database.writing(self.engine) as connection:
            self.collected.repeated += store.store_assignments(
                connection, endpoint, [page.collected for page in pages], self.now
            )
        for page in pages:
            self._count(page)
        if stopped is not None:
            raise stopped
        return listed

    def _assignments(self, requester: Requester, hit: StoredHit) -> list[Assignment] | None:
        """A HIT's finished assignments; None where its marketplace does not know it, or fails over it."""
        try:
            found = list(requester.assignments(hit.platform_hit_id or ""))
        except (MarketplaceFaulty, RequestRefused) as error:
            self._bear_with(hit, error)
            return None
        self._in_a_row = 0
        return found

    def _bear_with(self, hit: StoredHit, error: Fault) -> None:
        """Leave a HIT whose marketplace fails over it to the next run."""
        if isinstance(error, RequestRefused) and error.code == "HITDoesNotExist":
            self._lose(hit)
            return
        logger.warning("the answers to HIT %s could not be had: %s", hit.platform_hit_id, error)
        self.collected.faulty_hits += 1
        self._note_fault(error)

    def _lose(self, hit: StoredHit) -> None:
        logger.warning("HIT %s is not known to %s any more", hit.platform_hit_id, hit.endpoint)
        self.collected.lost_hits += 1

    def _look_for(self, requester: Requester, hit: StoredHit) -> None:
        """Name a HIT whose time is long over if its marketplace has disposed of it: it would never be over here."""
        try:
            there = requester.hit(hit.platform_hit_id or "")
        except (MarketplaceFaulty, RequestRefused) as error:
            self._bear_with(hit, error)
            return
        if there.status is HitStatus.DISPOSED:
            self._lose(hit)

    def _note_fault(self, error: Fault) -> None:
        """Keep a fault for the end of the run; raises it if the marketplace does nothing else any more."""
        self.faults.append(error)
        self._in_a_row += 1
        if self._in_a_row >= FAULTS_IN_A_ROW:
            raise error

    def _is_whole(self, requester: Requester, listed: Listed) -> bool:
        """Whether all that was handed in for a HIT which is over was listed: a listing may have left some out."""
        hit, seen = listed.hit, listed.assignment_ids
        if len(seen) >= hit.votes:
            return True
        try:
            there = requester.hit(hit.platform_hit_id or "")
            again = {one.assignment_id for one in requester.assignments(there.hit_id)}
        except (MarketplaceFaulty, RequestRefused) as error:
            self._bear_with(hit, error)
            return False
        # Over before its time is a page of which every assignment was handed in.
        known = max(
            len(seen | again), there.max_assignments if there.expires_at > self.now else there.reviewed
        )
        if known > len(seen):
            logger.warning(
                "HIT %s has %d assignments, of which %d were listed", there.hit_id, known, len(seen)
            )
            self.collected.unlisted += known - len(seen)
        return known == len(seen)

    def _count(self, page: ReadPage) -> None:
        totals, stored = self.collected, page.collected
        totals.assignments += 1
        totals.unknown_pictures += page.unknown
        totals.missing_pictures += page.missing
        totals.controls_right += stored.controls_right
        totals.controls_shown += stored.controls_shown
        totals.votes.update(vote.answer for vote in stored.votes if not vote.is_control)
        if stored.unreadable is not None:
            totals.unreadable += 1
            logger.warning(
                "assignment %s cannot be read, and is paid: %s",
                stored.assignment.assignment_id,
                stored.unreadable,
            )
        elif page.unknown or page.missing:
            logger.warning(
                "assignment %s answers %d pictures that are not on its page, and leaves out %d that are",
                stored.assignment.assignment_id,
                page.unknown,
                page.missing,
            )

    def pay(self, requester: Requester, endpoint: str) -> None:
        """Approve what an endpoint still has to be told of."""
        with database.reading(self.engine) as connection:
            owed = payments.payments_to_make(connection, endpoint)
        for number, payment in enumerate(owed, start=1):
            try:
                requester.approve(payment.platform_assignment_id)
            except MarketplaceFaulty as error:
                logger.warning("assignment %s is not paid yet: %s", payment.platform_assignment_id, error)
                self._note_fault(error)
                continue
            except RequestRefused as error:
                logger.warning("assignment %s is not paid: %s", payment.platform_assignment_id, error)
                self.collected.payments_refused += 1
                with database.writing(self.engine) as connection:
                    payments.record_refused(connection, payment, str(error))
                continue
            self._in_a_row = 0
            with database.writing(self.engine) as connection:
                payments.record_paid(connection, payment, self.now)
            self.collected.payments += 1
            self.collected.paid_cents += payment.cost_cents
            self.progress("payments", number, len(owed))
