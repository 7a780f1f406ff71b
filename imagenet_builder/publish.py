"""`publish-hits`: pictures without a verdict become questions on HITs.

Every HIT is committed with its unique token before the platform is called with that token, and with the
platform's id after. A run that is killed in between leaves intended HITs; the next run creates those first,
with the same tokens, so that none is created twice.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from hits import database
from hits.errors import HitsError, MarketplaceUnavailable, RequestRefused

from . import asking, exclusions, marketplace_keys, pictures
from .asking import Batch
from .errors import PublishError
from .pages import PageDesigner, PageMaker
from .publication import (
    NOTHING,
    PublishReport,
    PublishRequest,
    counted,
    dollars,
    hit_cost,
    intent_cost,
    question_count,
)
from .reconcile import ANNOTATION_PREFIX, PUBLISH_LOCK, annotation, record_found, utc_now
from .store import categories, experience, ledger
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

# Fewer timed pages than these say less than the settings do.
PAGES_TO_TRUST = 20
# However fast or slow people are, the settings' seconds a picture bound what is paid.
LEAST_PACE, MOST_PACE = 0.5, 4.0

EVERYTHING = PublishRequest()

Progress = Callable[[str, int, int], None]


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


@dataclass(frozen=True, slots=True)
class _Unasked:
    """A category's batches of pictures to ask about and its controls (SHA-256), and how many HITs it had so far."""

    wnid: str
    batches: list[Batch]
    controls: list[str]
    earlier: int

    @property
    def pictures(self) -> list[str]:
        return [*chain.from_iterable(batch.pictures for batch in self.batches), *self.controls]


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
        # Now, and not when votes that were paid for cannot be decided.
        self.policy = asking.policy_of(project.settings.verification)
        self.budget = request.budget_cents
        if self.budget is None:
            self.budget = project.settings.verification.budget_cents or None
        with database.reading(project.engine) as connection:
            self.pace = experience.pace(connection)
            self.accepted = experience.accepted_by_category(connection)

    def run(self, confirm: Callable[[PublishReport], None] | None) -> PublishReport:
        with database.exclusive_lock(self.project.engine, PUBLISH_LOCK):
            waiting = self._waiting()
            again = asking.next_batches(self.project.engine)
            every = [self._unasked(wnid, again.get(wnid, [])) for wnid in self._chosen_categories()]
            unasked = [category for category in every if category.batches]
            if not waiting and not unasked:
                return self._empty_report()
            requester = marketplace_keys.requester(self.project, self.endpoint)
            # Asked first: thumbnails take long, and a marketplace that is down is told at once.
            balance = requester.balance_cents()
            intents, report = self._plan(waiting, unasked)
            report = replace(report, balance_cents=balance)
            if self.request.dry_run or report.nothing:
                return report
            if confirm is not None:
                confirm(report)
            created = self._create_all(requester, self._forgotten_tokens(requester, waiting))
            _check_balance(requester.balance_cents(), intents)
            for category in intents:
                created += self._publish_category(requester, category, created, report.cost.pages)
            return replace(report, published=created, balance_cents=requester.balance_cents())

    def _empty_report(self) -> PublishReport:
        pages = self.pace.pages if self.pace else 0
        return PublishReport(
            endpoint=self.endpoint,
            live=self.request.live,
            dry_run=self.request.dry_run,
            votes=self.policy.votes,
            most_votes=self.policy.rounds.most if self.policy.rounds else None,
            budget_cents=self.budget,
            seconds_per_picture=self._seconds_per_picture(),
            timed_pages=pages if pages >= PAGES_TO_TRUST else 0,
            decided=sum(known.decided for known in self.accepted.values()),
        )

    def _seconds_per_picture(self) -> float:
        set_by_user = self.project.settings.verification.seconds_per_picture
        if self.pace is None or self.pace.pages < PAGES_TO_TRUST:
            return set_by_user
        bounded = min(max(self.pace.seconds, LEAST_PACE * set_by_user), MOST_PACE * set_by_user)
        return round(bounded, 2)

    def _accepted_share(self, wnid: str) -> float:
        """What share of a category's questions will be accepted: its own verdicts, with two more like the rest."""
        every = sum(known.accepted for known in self.accepted.values())
        whole = (every + 1) / (sum(known.decided for known in self.accepted.values()) + 2)
        known = self.accepted.get(wnid, experience.Accepted(0, 0))
        return (known.accepted + 2 * whole) / (known.decided + 2)

    def _waiting(self) -> list[StoredHit]:
        with database.reading(self.project.engine) as connection:
            waiting = store.hits_in_state(connection, "intended")
        ours = [hit for hit in waiting if (hit.endpoint, hit.live) == (self.endpoint, self.request.live)]
        for endpoint in sorted({hit.endpoint for hit in waiting} - {self.endpoint}):
            logger.warning(
                "some pages are intended for %s; they wait until that is the endpoint again", endpoint
            )
        return ours

    def _plan(
        self, waiting: Sequence[StoredHit], unasked: Sequence[_Unasked]
    ) -> tuple[list[list[HitIntent]], PublishReport]:
        """Lay out everything that is pending, up to the budget; a list of intents a category."""
        with database.reading(self.project.engine) as connection:
            committed = ledger.committed(connection, self.endpoint, live=self.request.live).total
        report = replace(
            self._empty_report(),
            resumed=len(waiting),
            cost=sum(map(hit_cost, waiting), NOTHING),
            committed_cents=committed,
        )
        if waiting and self.budget is not None and committed > self.budget:
            raise PublishError(
                f"{dollars(committed)} are reserved or spent, {len(waiting)} pages that an earlier run intended "
                f"among them: more than the budget of {dollars(self.budget)}; raise --budget to publish them"
            )
        intents: list[list[HitIntent]] = []
        for category in unasked:
            affordable: list[HitIntent] = []
            unshowable = self._make_thumbnails(category)
            report = replace(report, unshowable=report.unshowable + len(unshowable))
            for batch in category.batches:
                laid_out = self._lay_out(category, batch, unshowable, len(affordable))
                within: list[HitIntent] = []
                for intent in laid_out:
                    committed += intent.promised_cents
                    if self.budget is not None and committed > self.budget:
                        committed -= intent.promised_cents
                        report = replace(report, over_budget=report.over_budget + question_count(intent))
                        continue
                    within.append(intent)
                    report = replace(report, cost=report.cost + intent_cost(intent))
                report = counted(report, within, self._accepted_share(category.wnid), first=batch.first)
                affordable += within
            if affordable:
                self.pages.check_fits(affordable[0])
                report = replace(report, categories=report.categories + 1)
                intents.append(affordable)
        return intents, report

    def _chosen_categories(self) -> list[str]:
        with database.reading(self.project.engine) as connection:
            known = [category.wnid for category in categories.selected(connection)]
        unknown = [wnid for wnid in self.request.categories if wnid not in known]
        if unknown:
            raise PublishError(
                f"{unknown[0]} is no category of this project; see `imagenet-builder synsets selected`"
            )
        return [wnid for wnid in known if not self.request.categories or wnid in self.request.categories]

    def _unasked(self, wnid: str, again: Sequence[Batch]) -> _Unasked:
        with database.reading(self.project.engine) as connection:
            pending = store.pending_pictures(connection, wnid, again=self.request.again)
            controls = store.control_pictures(connection, wnid)
            earlier = store.count_hits(connection, wnid)
            at_work = wnid in store.categories_at_work(connection)
            subset = self.policy.subset
            subset_asked = subset is not None and wnid in store.categories_with_rule(
                connection, subset.rule, subset.votes
            )
        room = self._designer().room(len(controls))
        key = hmac.digest(self.project.secret, f"subset:{wnid}".encode(), hashlib.sha256)
        batches = asking.first_batches(
            self.policy, pending, room=max(room, 1), subset_asked=subset_asked, key=key
        )
        again = [asking.full_pages(batch, max(room, 1)) if at_work else batch for batch in again]
        return _Unasked(wnid, batches + [batch for batch in again if batch.pictures], controls, earlier)

    def _make_thumbnails(self, category: _Unasked) -> frozenset[str]:
        """Make what is missing; returns the pictures to ask about that cannot be shown."""
        if self.request.dry_run:
            return frozenset()
        unshowable = pictures.make_thumbnails(
            self.project,
            category.pictures,
            lambda done, total: self.progress(f"thumbnails of {category.wnid}", done, total),
        )
        return frozenset(unshowable)

    def _designer(self) -> PageDesigner:
        return PageDesigner(
            self.project.settings.verification,
            self.project.secret,
            self.endpoint,
            self.request.live,
            self.request.reward_cents,
            self._seconds_per_picture(),
        )

    def _lay_out(
        self, category: _Unasked, batch: Batch, unshowable: frozenset[str], laid_out: int
    ) -> list[HitIntent]:
        """The pages of a batch, after `laid_out` others of its category."""
        designer = self._designer()
        asked = [sha256 for sha256 in batch.pictures if sha256 not in unshowable]
        controls = [sha256 for sha256 in category.controls if sha256 not in unshowable]
        room = len(asked) if batch.first else max(designer.room(len(controls)), 1)
        intents: list[HitIntent] = []
        # Questions that are asked again stay with those that had the same voters: page by page, not shuffled all.
        for start in range(0, len(asked), max(room, 1)):
            earlier = category.earlier + laid_out + len(intents)
            some = asked[start : start + room]
            intents += designer.design(category.wnid, batch.policy, some, controls, earlier)
        return intents

    def _forgotten_tokens(self, requester: Requester, waiting: Sequence[StoredHit]) -> list[StoredHit]:
        """The intended HITs that are still to be created: those whose token lapsed are looked for first."""
        lapsed = [hit for hit in waiting if self.clock() - hit.intended_at > TOKEN_LIFE]
        if not lapsed:
            return list(waiting)
        listed = list(requester.find_by_annotation(ANNOTATION_PREFIX))
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
        terms = self.pages.terms(hit, len(names), self._barred(requester, hit))
        platform_hit_id = requester.create_hit(hit.token, annotation(hit.token), terms, question)
        with database.writing(self.project.engine) as connection:
            store.record_published(connection, hit.id, platform_hit_id, self.clock())
        logger.debug("published HIT %s of %s", platform_hit_id, hit.wnid)

    def _barred(self, requester: Requester, hit: StoredHit) -> list[str]:
        """The qualification types whose holders are kept from a page."""
        if self.blocks is None:
            name = self.project.settings.project.name
            self.blocks = sorted(exclusions.soft_block_types(requester, name).values())
        bar = hit.bar_type_id or self._bar_earlier_voters(requester, hit)
        return [*self.blocks, bar] if bar else self.blocks

    def _bar_earlier_voters(self, requester: Requester, hit: StoredHit) -> str | None:
        """Give those whose votes would be repeats a qualification that keeps them from the page, and return its type.

        None if there are none. Named by the page's token: a run that was killed in between finds it again.
        """
        with database.reading(self.project.engine) as connection:
            voters = store.earlier_voters(connection, hit.id)
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
            store.record_bar(connection, hit.id, type_id)
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
