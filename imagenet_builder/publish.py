"""`publish-hits`: pictures without a verdict become questions on HITs.

Every HIT is committed with its unique token before the platform is called with that token, and with the
platform's id after. A run that is killed in between leaves intended HITs; the next run creates those first,
with the same tokens, so that none is created twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hits import database
from hits.errors import HitsError, MarketplaceUnavailable, RequestRefused

from . import excluded_workers, marketplace_keys
from .entrance import required_qualifications
from .errors import PublishError
from .pages import PageMaker
from .planning import Planner, Progress
from .publication import PublishReport, PublishRequest, dollars, intent_cost
from .reconcile import PUBLISH_LOCK, annotation, list_whole, record_found, utc_now
from .store import bars, ledger
from .store import publish as store
from .store.publish import HitIntent, StoredHit

if TYPE_CHECKING:
    import sqlalchemy as sa

    from hits.requester import Requester

    from .project import Project

logger = logging.getLogger(__name__)

__all__ = ["PublishReport", "PublishRequest", "dollars", "publish"]

# The platform forgets a token after 24 hours; an hour is left for clocks that differ.
TOKEN_LIFE = timedelta(hours=23)

# The page itself was refused: the same page will be refused again.
HOPELESS = frozenset({"InvalidParameterValue", "XMLParseError", "XHTMLParseError"})

EVERYTHING = PublishRequest()


def publish(
    project: Project,
    request: PublishRequest = EVERYTHING,
    *,
    clock: Callable[[], datetime] = utc_now,
    confirm: Callable[[PublishReport], None] | None = None,
    progress: Progress | None = None,
) -> PublishReport:
    """Publish the pending pictures of `project`; intended HITs of earlier runs first.

    `confirm` sees the plan before anything is committed and may raise. Raises LockHeld while another run
    publishes, PublishError before anything is spent, MarketplaceUnavailable and RequestRefused; HITs that were
    intended by then are created by the next run.
    """
    return _Publication(project, request, clock, progress or _silent).run(confirm)


def _silent(stage: str, done: int, total: int) -> None:
    pass


class _Publication:
    """One run of `publish`."""

    def __init__(
        self, project: Project, request: PublishRequest, clock: Callable[[], datetime], progress: Progress
    ) -> None:
        self.project = project
        self.request = request
        self.clock = clock
        self.progress = progress
        self.endpoint = marketplace_keys.endpoint_of(project, live=request.live)
        self.pages = PageMaker(project)
        self.blocks: list[str] | None = None
        self.required: tuple[tuple[str, int], ...] | None = None
        self.planner = Planner(project, request, self.endpoint, self.pages, progress)
        self.budget = self.planner.budget

    def run(self, confirm: Callable[[PublishReport], None] | None) -> PublishReport:
        with database.exclusive_lock(self.project.engine, PUBLISH_LOCK):
            waiting = self._waiting()
            unasked = self.planner.unasked()
            if not waiting and not unasked:
                return self.planner.empty_report()
            requester = marketplace_keys.requester(self.project, self.endpoint)
            # Asked first: thumbnails take long, and a marketplace that is down is told at once.
            balance = requester.balance_cents()
            intents, report = self.planner.plan(waiting, unasked)
            report = replace(report, balance_cents=balance)
            if self.request.dry_run or report.nothing:
                return report
            if confirm is not None:
                confirm(report)
            # Now, so that a test which the marketplace refuses costs no page.
            self._required(requester)
            created = self._create_all(requester, self._forgotten_tokens(requester, waiting))
            _check_balance(requester.balance_cents(), intents)
            for category in intents:
                created += self._publish_category(requester, category, created, report.cost.pages)
            return replace(report, published=created, balance_cents=requester.balance_cents())

    def _waiting(self) -> list[StoredHit]:
        with database.reading(self.project.engine) as connection:
            waiting = store.hits_in_state(connection, "intended")
        ours = [hit for hit in waiting if (hit.endpoint, hit.live) == (self.endpoint, self.request.live)]
        for endpoint in sorted({hit.endpoint for hit in waiting} - {self.endpoint}):
            logger.warning(
                "some pages are intended for %s; they wait until that is the endpoint again", endpoint
            )
        return ours

    def _forgotten_tokens(self, requester: Requester, waiting: Sequence[StoredHit]) -> list[StoredHit]:
        """The intended HITs that are still to be created: those whose token lapsed are looked for first."""
        lapsed = [hit for hit in waiting if self.clock() - hit.intended_at > TOKEN_LIFE]
        if not lapsed:
            return list(waiting)
        with database.reading(self.project.engine) as connection:
            published = store.hits_in_state(connection, "published", endpoint=self.endpoint)
        listed, _ = list_whole(requester, lapsed, published)
        found = record_found(self.project.engine, lapsed, listed)
        return [hit for hit in waiting if hit.id not in found]

    def _publish_category(
        self, requester: Requester, intents: Sequence[HitIntent], created: int, total: int
    ) -> int:
        with database.writing(self.project.engine) as connection:
            self._hold_to_budget(connection, intents)
            store.intend(connection, intents, self.clock())
        tokens = {intent.token for intent in intents}
        with database.reading(self.project.engine) as connection:
            waiting = store.hits_in_state(connection, "intended", endpoint=self.endpoint)
        return self._create_all(requester, [hit for hit in waiting if hit.token in tokens], created, total)

    def _hold_to_budget(self, connection: sa.Connection, intents: Sequence[HitIntent]) -> None:
        """Refuse a reservation beyond the budget, whatever else was reserved since the plan was made."""
        if self.budget is None:
            return
        committed = ledger.committed(connection, self.endpoint, live=self.request.live).total
        wanted = sum(intent.promised_cents for intent in intents)
        if committed + wanted > self.budget:
            raise PublishError(
                f"{dollars(wanted)} more would exceed the budget of {dollars(self.budget)}, of which "
                f"{dollars(committed)} are reserved or spent; nothing more was published"
            )

    def _create_all(
        self, requester: Requester, waiting: Sequence[StoredHit], before: int = 0, total: int | None = None
    ) -> int:
        for number, hit in enumerate(waiting):
            left = len(waiting) - number
            try:
                self._create(requester, hit)
            except RequestRefused as error:
                raise self._refused(hit, left, error) from error
            except MarketplaceUnavailable as error:
                raise MarketplaceUnavailable(f"{error}; {_stay_intended(left)}") from error
            self.progress("pages", before + number + 1, len(waiting) if total is None else total)
        return len(waiting)

    def _create(self, requester: Requester, hit: StoredHit) -> None:
        with database.reading(self.project.engine) as connection:
            names = [name for name, _ in store.page_pictures(connection, hit.id)]
        question = self.pages.question(hit.wnid, names)
        terms = self.pages.terms(hit, len(names), self._barred(requester, hit), self._required(requester))
        platform_hit_id = requester.create_hit(hit.token, annotation(hit.token), terms, question)
        with database.writing(self.project.engine) as connection:
            store.record_published(connection, hit.id, platform_hit_id, self.clock())
        logger.debug("published HIT %s of %s", platform_hit_id, hit.wnid)

    def _barred(self, requester: Requester, hit: StoredHit) -> list[str]:
        """The qualification types whose holders are kept from a page."""
        if self.blocks is None:
            name = self.project.settings.project.name
            self.blocks = sorted(excluded_workers.soft_block_types(requester, name).values())
        bar = hit.bar_type_id or self._bar_earlier_voters(requester, hit)
        return [*self.blocks, bar] if bar else self.blocks

    def _required(self, requester: Requester) -> tuple[tuple[str, int], ...]:
        """The qualifications that every page of the run asks for."""
        if self.required is None:
            self.required = required_qualifications(self.project, requester)
        return self.required

    def _bar_earlier_voters(self, requester: Requester, hit: StoredHit) -> str | None:
        """Give those whose votes would be repeats a qualification that keeps them from the page, and return its type.

        None if there are none. Named by the page's token: a run that was killed in between finds it again.
        """
        with database.reading(self.project.engine) as connection:
            voters = bars.earlier_voters(connection, hit.id)
        if not voters:
            return None
        name = (
            f"{self.project.settings.project.name[:120]}: answered these pictures before ({hit.token[:16]})"
        )
        type_id = requester.qualification_type(
            name, "Who has this answered these pictures before: a page of them is for others."
        )
        for voter in voters:
            requester.qualify(type_id, voter)
        with database.writing(self.project.engine) as connection:
            bars.record_bar(connection, hit.id, type_id)
        return type_id

    def _refused(self, hit: StoredHit, left: int, error: RequestRefused) -> HitsError | PublishError:
        if error.code not in HOPELESS:
            return RequestRefused(f"{error}; {_stay_intended(left)}", error.code)
        with database.writing(self.project.engine) as connection:
            store.record_abandoned(connection, [hit.id], self.clock())
        return PublishError(
            f"the marketplace does not take a page of {hit.wnid}: {error}; the page was given up, its pictures "
            "can be published again when the cause is mended"
        )


def _stay_intended(left: int) -> str:
    return f"{left} pages of this category stay intended, the next publish-hits creates them first"


def _check_balance(balance: int, intents: Sequence[Sequence[HitIntent]]) -> None:
    needed = sum(intent_cost(intent).total_cents for category in intents for intent in category)
    if needed > balance:
        raise PublishError(
            f"these pages cost {dollars(needed)}, but the balance is {dollars(balance)}; "
            "pay more in, or publish fewer with --budget or --category"
        )
