"""`aggregate`: assignments are collected, their votes stored once, their workers paid, questions decided.

Collect over HTTP → commit votes and owed payments together → pay over HTTP → commit → decide → commit. It can
be killed at any point and run again: what is stored is known by the platform's ids, a payment that was made
is refused by the platform the second time and counts as made, and verdicts follow from the votes alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from hits import database
from hits.consensus import RULES
from hits.errors import MarketplaceUnavailable, RequestRefused
from hits.model import Answer, Assignment, AssignmentStatus, Decision

from . import excluded_workers, marketplace_keys
from .answering import ReadPage, read_page
from .deciding import Deciding
from .errors import ProjectError
from .reconcile import utc_now
from .store import aggregate as store
from .store import publish as publish_store
from .store import verdicts as verdict_store
from .store import workers as worker_store
from .store.publish import StoredHit
from .store.verdicts import ReportedPicture

if TYPE_CHECKING:
    import sqlalchemy as sa

    from hits.requester import Requester

    from .project import Project

logger = logging.getLogger(__name__)

AGGREGATE_LOCK = "aggregate"
# HITs whose assignments are stored in one transaction, so that it stays short.
HITS_AT_ONCE = 50
COLLECTABLE = (AssignmentStatus.SUBMITTED, AssignmentStatus.APPROVED)

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Collected:
    """What one run collected and paid. Money in US cents.

    `repeated` votes are a worker's second on a question; `unknown_pictures` and `missing_pictures` are answers
    to pictures that are not on the page, and pictures of the page without an answer; `lost_hits` are published,
    but their marketplace does not know them.
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


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """What one run did (`collected`, `hits_closed`, `verdicts_changed`), and where the project stands after it.

    `workers_excluded` get no more work from now on. `decisions` counts the verdicts that stand, `provisional` those
    among them that more votes may change.
    """

    collected: Collected
    hits_closed: int
    hits_open: int
    workers_excluded: int
    verdicts_changed: int
    decisions: dict[Decision, int]
    provisional: int
    reported: tuple[ReportedPicture, ...]
    payments_given_up: int
    spent_cents: int


def aggregate(
    project: Project,
    *,
    rule: str | None = None,
    finalise: bool = False,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> AggregateReport:
    """Collect, pay and decide everything that is open; run again with nothing new, it changes nothing.

    Questions with new votes are decided by the rule they were published with; with `rule`, by that one, all questions
    whose verdict is not final. `finalise` decides every question that was ever asked, for good, from the votes there
    are. Workers whose answers give a reason are excluded from new work (`excluded_workers`). `now` (the wall clock, if
    None) is written beside what is stored. Raises LockHeld while another run aggregates, ProjectError for an unknown
    rule; and, after everything else is done, MarketplaceUnavailable or ProjectError for an endpoint that did not
    answer or has no keys.
    """
    with database.exclusive_lock(project.engine, AGGREGATE_LOCK):
        return _Aggregation(project, now or utc_now(), progress or _silent).run(rule, finalise)


def settle_verdicts(project: Project, *, now: datetime | None = None) -> int:
    """Refit all rules to all votes if any verdict is provisional, so that a release does not depend on when cron ran.

    What stands on no open page and wants no more votes becomes final. Collects and pays nothing. Returns how many
    verdicts changed. Raises LockHeld while another run aggregates.
    """
    with database.exclusive_lock(project.engine, AGGREGATE_LOCK):
        with database.reading(project.engine) as connection:
            provisional = verdict_store.decisions(connection)[1]
        if not provisional:
            return 0
        ignoring = project.settings.verification.ignore_excluded
        return Deciding(project.engine, now or utc_now(), ignore_excluded=ignoring).settle()


def _silent(stage: str, done: int, total: int) -> None:
    pass


class _Aggregation:
    """One run of `aggregate`."""

    def __init__(self, project: Project, now: datetime, progress: Progress) -> None:
        self.project = project
        self.engine: sa.Engine = project.engine
        self.now = now
        self.progress = progress
        self.collected = Collected()
        self.deciding = Deciding(
            self.engine, now, ignore_excluded=project.settings.verification.ignore_excluded
        )

    def run(self, rule: str | None, finalise: bool) -> AggregateReport:
        _check_rule(rule)
        with database.reading(self.engine) as connection:
            endpoints = store.endpoints_at_work(connection)
            before = verdict_store.watermark(connection)
        completed: list[int] = []
        failures: list[MarketplaceUnavailable | ProjectError] = []
        for endpoint in endpoints:
            try:
                requester = marketplace_keys.requester(self.project, endpoint)
                completed += self._collect(requester, endpoint)
                self._pay(requester, endpoint)
            except (MarketplaceUnavailable, ProjectError) as error:
                failures.append(error)
        excluded = 0
        if self.collected.assignments:
            excluded = excluded_workers.review(self.engine, self.now, after=before)
        failures += self._tell()
        changed = self.deciding.decide(completed, rule, finalise)
        with database.writing(self.engine) as connection:
            store.record_collected(connection, completed, self.now)
            verdict_store.move_watermark(connection, self.deciding.seen, self.now)
        failures += self._delete_bars(endpoints)
        report = self._report(len(completed), changed, excluded)
        _log(report)
        if failures:
            raise failures[0]
        return report

    def _collect(self, requester: Requester, endpoint: str) -> list[int]:
        """Store what is new of an endpoint's open HITs; returns the rows of HITs that bring nothing more."""
        with database.reading(self.engine) as connection:
            published = publish_store.hits_in_state(connection, "published", endpoint=endpoint)
        if not published:
            return []
        # Asked first: a HIT that was reviewable before its assignments were listed gets no others.
        over = set(requester.reviewable())
        listed: list[StoredHit] = []
        for start in range(0, len(published), HITS_AT_ONCE):
            batch = published[start : start + HITS_AT_ONCE]
            listed += self._collect_batch(requester, endpoint, batch)
            self.progress("HITs", start + len(batch), len(published))
        with database.reading(self.engine) as connection:
            counts = store.count_assignments(connection, [hit.id for hit in listed])
        return [hit.id for hit in listed if hit.platform_hit_id in over or counts.get(hit.id, 0) >= hit.votes]

    def _collect_batch(
        self, requester: Requester, endpoint: str, batch: Sequence[StoredHit]
    ) -> list[StoredHit]:
        ids = [hit.id for hit in batch]
        with database.reading(self.engine) as connection:
            slots = store.asked_slots(connection, ids)
            known = store.known_assignments(connection, ids)
        listed: list[StoredHit] = []
        pages: list[ReadPage] = []
        for hit in batch:
            found = self._assignments(requester, hit)
            if found is None:
                continue
            listed.append(hit)
            # By id: a marketplace that lists an assignment twice must not have it counted twice.
            new = {one.assignment_id: one for one in found if one.assignment_id not in known[hit.id]}
            pages += [read_page(hit.id, slots[hit.id], one) for one in new.values()]
        with database.writing(self.engine) as connection:
            self.collected.repeated += store.store_assignments(
                connection, endpoint, [page.collected for page in pages], self.now
            )
        for page in pages:
            self._count(page)
        return listed

    def _assignments(self, requester: Requester, hit: StoredHit) -> list[Assignment] | None:
        """A HIT's finished assignments; None for a HIT that its marketplace does not know."""
        try:
            return list(requester.assignments(hit.platform_hit_id or "", COLLECTABLE))
        except RequestRefused as error:
            if error.code != "HITDoesNotExist":
                raise
            logger.warning("HIT %s is not known to %s any more", hit.platform_hit_id, hit.endpoint)
            self.collected.lost_hits += 1
            return None

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

    def _pay(self, requester: Requester, endpoint: str) -> None:
        with database.reading(self.engine) as connection:
            owed = store.payments_to_make(connection, endpoint)
        for number, payment in enumerate(owed, start=1):
            try:
                requester.approve(payment.platform_assignment_id)
            except RequestRefused as error:
                logger.warning("assignment %s is not paid: %s", payment.platform_assignment_id, error)
                self.collected.payments_refused += 1
                with database.writing(self.engine) as connection:
                    store.record_refused(connection, payment, str(error))
                continue
            with database.writing(self.engine) as connection:
                store.record_paid(connection, payment, self.now)
            self.collected.payments += 1
            self.collected.paid_cents += payment.cost_cents
            self.progress("payments", number, len(owed))

    def _tell(self) -> list[MarketplaceUnavailable | ProjectError]:
        """Let the platforms know who gets no more work."""
        failures: list[MarketplaceUnavailable | ProjectError] = []
        with database.reading(self.engine) as connection:
            endpoints = worker_store.endpoints_to_tell(connection)
        for endpoint in sorted(endpoints):
            try:
                requester = marketplace_keys.requester(self.project, endpoint)
                name = self.project.settings.project.name
                excluded_workers.tell(self.engine, requester, name, endpoint, self.now)
            except (MarketplaceUnavailable, ProjectError) as error:
                failures.append(error)
        return failures

    def _delete_bars(self, endpoints: Sequence[str]) -> list[MarketplaceUnavailable | ProjectError]:
        """Delete the qualifications that kept earlier voters from pages that have ended."""
        failures: list[MarketplaceUnavailable | ProjectError] = []
        for endpoint in endpoints:
            with database.reading(self.engine) as connection:
                bars = publish_store.bars_to_delete(connection, endpoint)
            for hit_id, type_id in bars:
                try:
                    marketplace_keys.requester(self.project, endpoint).delete_qualification_type(type_id)
                except (MarketplaceUnavailable, ProjectError) as error:
                    failures.append(error)
                    break
                with database.writing(self.engine) as connection:
                    publish_store.record_bar(connection, hit_id, None)
        return failures

    def _report(self, closed: int, changed: int, excluded: int) -> AggregateReport:
        with database.reading(self.engine) as connection:
            decisions, provisional = verdict_store.decisions(connection)
            return AggregateReport(
                collected=self.collected,
                hits_closed=closed,
                workers_excluded=excluded,
                hits_open=len(publish_store.hits_in_state(connection, "published")),
                verdicts_changed=changed,
                decisions=decisions,
                provisional=provisional,
                reported=tuple(verdict_store.reported_pictures(connection)),
                payments_given_up=store.count_refused_payments(connection),
                spent_cents=store.spent_cents(connection),
            )


def _check_rule(rule: str | None) -> None:
    if rule is not None and rule not in RULES:
        raise ProjectError(f"there is no rule {rule!r}; the rules are {', '.join(sorted(RULES))}")


def _log(report: AggregateReport) -> None:
    collected = report.collected
    fields = {
        "assignments": collected.assignments,
        "unreadable": collected.unreadable,
        "votes": {answer.value: collected.votes[answer] for answer in Answer},
        "payments": collected.payments,
        "payments_refused": collected.payments_refused,
        "paid_cents": collected.paid_cents,
        "lost_hits": collected.lost_hits,
        "hits_closed": report.hits_closed,
        "hits_open": report.hits_open,
        "workers_excluded": report.workers_excluded,
        "verdicts_changed": report.verdicts_changed,
        "decisions": {decision.value: number for decision, number in report.decisions.items()},
        "provisional": report.provisional,
        "spent_cents": report.spent_cents,
    }
    logger.info(
        "collected %d assignments, paid %d, changed %d verdicts",
        collected.assignments,
        collected.payments,
        report.verdicts_changed,
        extra={"fields": fields},
    )
