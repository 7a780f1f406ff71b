"""`aggregate`: assignments are collected, their votes stored once, their workers paid, questions decided.

Collect over HTTP → commit votes and owed payments together → pay over HTTP → commit → decide → commit. It can
be killed at any point and run again: what is stored is known by the platform's ids, a payment that was made
is refused by the platform the second time and counts as made, and verdicts follow from the votes alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hits import database
from hits.consensus import RULES
from hits.errors import MarketplaceUnavailable, RequestRefused
from hits.model import Answer, Decision

from . import excluded_workers, marketplace_keys
from .collecting import Collected, Collecting, Progress
from .deciding import Deciding
from .errors import ProjectError
from .reconcile import utc_now
from .store import aggregate as store
from .store import bars, conduct, payments
from .store import publish as publish_store
from .store import verdicts as verdict_store
from .store import workers as worker_store
from .store.verdicts import ReportedPicture

if TYPE_CHECKING:
    import sqlalchemy as sa

    from .project import Project

logger = logging.getLogger(__name__)

AGGREGATE_LOCK = "aggregate"

# What one endpoint does, or lacks, holds neither the others nor the verdicts up; it is told at the end of the run.
FAILURES = (MarketplaceUnavailable, RequestRefused, ProjectError)
Failure = MarketplaceUnavailable | RequestRefused | ProjectError


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
    rule; and, after everything else is done, MarketplaceUnavailable, RequestRefused or ProjectError for an endpoint
    that did not answer, refused or has no keys.
    """
    with database.exclusive_lock(project.engine, AGGREGATE_LOCK):
        return _Aggregation(project, now or utc_now(), progress or _silent).run(rule, finalise)


def settle_verdicts(project: Project, *, now: datetime | None = None) -> int:
    """Refit all rules to all votes if any verdict is provisional, so that a release does not depend on when cron ran.

    All workers are judged by all votes first (`excluded_workers`). What stands on no open page and wants no more votes
    becomes final. Collects and pays nothing. Returns how many verdicts changed. Raises LockHeld while another run
    aggregates.
    """
    engine, ignoring, now = project.engine, project.settings.verification.ignore_excluded, now or utc_now()
    with database.exclusive_lock(engine, AGGREGATE_LOCK):
        excluded_workers.review_unseen_votes(engine, now)
        with database.reading(engine) as connection:
            provisional = verdict_store.decisions(connection)[1]
            unlike = worker_store.exclusions_to_follow(connection, ignoring=ignoring).size
        if not provisional and not unlike:
            return 0
        return Deciding(engine, now, ignore_excluded=ignoring).settle()


def _silent(stage: str, done: int, total: int) -> None:
    pass


class _Aggregation:
    """One run of `aggregate`."""

    def __init__(self, project: Project, now: datetime, progress: Progress) -> None:
        self.project = project
        self.engine: sa.Engine = project.engine
        self.now = now
        verification = project.settings.verification
        offered = timedelta(seconds=verification.lifetime + verification.assignment_duration)
        self.collecting = Collecting(self.engine, now, offered, progress)
        self.deciding = Deciding(self.engine, now, ignore_excluded=verification.ignore_excluded)

    def run(self, rule: str | None, finalise: bool) -> AggregateReport:
        _check_rule(rule)
        with database.reading(self.engine) as connection:
            endpoints = payments.endpoints_at_work(connection)
        completed: list[int] = []
        failures: list[Failure] = []
        for endpoint in endpoints:
            try:
                requester = marketplace_keys.requester(self.project, endpoint)
                completed += self.collecting.collect(requester, endpoint)
                self.collecting.pay(requester, endpoint)
            except FAILURES as error:
                failures.append(error)
        failures += self.collecting.faults
        excluded = self._review(finalise)
        failures += self._tell()
        changed = self.deciding.decide(completed, rule, finalise)
        with database.writing(self.engine) as connection:
            store.record_collected(connection, completed, self.now)
        failures += self._delete_bars(endpoints)
        report = self._report(len(completed), changed, excluded)
        _log(report)
        if failures:
            raise failures[0]
        return report

    def _review(self, finalise: bool) -> int:
        """Exclude those of the workers with new pages who give a reason: what a killed run left is new too.

        A page that cannot be read has no vote, and stays new until a later page's votes are in the verdicts. To
        `finalise`, all workers are judged by all votes, whenever these came.
        """
        with database.reading(self.engine) as connection:
            before = verdict_store.watermark(connection)
            latest = verdict_store.latest_vote(connection)
            new = latest != before or conduct.unreadable_since(connection, before)
        if not new and not finalise:
            return 0
        return excluded_workers.review(self.engine, self.now, after=before, everyone=finalise)

    def _tell(self) -> list[Failure]:
        """Let the platforms know who gets no more work."""
        failures: list[Failure] = []
        with database.reading(self.engine) as connection:
            endpoints = worker_store.endpoints_to_tell(connection)
        for endpoint in sorted(endpoints):
            try:
                requester = marketplace_keys.requester(self.project, endpoint)
                name = self.project.settings.project.name
                excluded_workers.tell(self.engine, requester, name, endpoint, self.now)
            except FAILURES as error:
                failures.append(error)
        return failures

    def _delete_bars(self, endpoints: Sequence[str]) -> list[Failure]:
        """Delete the qualifications that kept earlier voters from pages that have ended."""
        failures: list[Failure] = []
        for endpoint in endpoints:
            with database.reading(self.engine) as connection:
                ended = bars.bars_to_delete(connection, endpoint)
            for hit_id, type_id in ended:
                try:
                    marketplace_keys.requester(self.project, endpoint).delete_qualification_type(type_id)
                except FAILURES as error:
                    failures.append(error)
                    break
                with database.writing(self.engine) as connection:
                    bars.record_bar(connection, hit_id, None)
        return failures

    def _report(self, closed: int, changed: int, excluded: int) -> AggregateReport:
        with database.reading(self.engine) as connection:
            decisions, provisional = verdict_store.decisions(connection)
            return AggregateReport(
                collected=self.collecting.collected,
                hits_closed=closed,
                workers_excluded=excluded,
                hits_open=publish_store.count_published(connection),
                verdicts_changed=changed,
                decisions=decisions,
                provisional=provisional,
                reported=tuple(verdict_store.reported_pictures(connection)),
                payments_given_up=payments.count_refused_payments(connection),
                spent_cents=payments.spent_cents(connection),
            )


def _check_rule(rule: str | None) -> None:
    if rule is not None and rule not in RULES:
        raise ProjectError(f"there is no rule {rule!r}; the rules are {', '.join(sorted(RULES))}")


def _log(report: AggregateReport) -> None:
    collected = report.collected
    fields = {
        "assignments": collected.assignments,
        "unreadable": collected.unreadable,
        "unknown_pictures": collected.unknown_pictures,
        "missing_pictures": collected.missing_pictures,
        "repeated": collected.repeated,
        "votes": {answer.value: collected.votes[answer] for answer in Answer},
        "payments": collected.payments,
        "payments_refused": collected.payments_refused,
        "paid_cents": collected.paid_cents,
        "lost_hits": collected.lost_hits,
        "faulty_hits": collected.faulty_hits,
        "unlisted": collected.unlisted,
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
