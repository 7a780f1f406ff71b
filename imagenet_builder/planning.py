"""What a publication would publish, and what it costs: laid out before anything is committed."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from hits import database
from hits.model import Answer

from . import asking, pictures
from .asking import Batch
from .concepts import confusable
from .errors import PublishError
from .pages import PageDesigner, PageMaker, room
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
from .store import categories, experience, ledger
from .store import controls as known_controls
from .store import publish as store
from .store.publish import HitIntent, StoredHit

if TYPE_CHECKING:
    import sqlalchemy as sa

    from .project import Project

# Fewer timed pages than these say less than the settings do.
PAGES_TO_TRUST = 20
# However fast or slow people are, the settings' seconds a picture bound what is paid.
LEAST_PACE, MOST_PACE = 0.5, 4.0

# Negative controls that a category should have; what is missing is borrowed. Few would soon be known by sight.
NEGATIVES = 12

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Unasked:
    """A category's batches of pictures to ask about and its controls (SHA-256), and how many HITs it had so far."""

    wnid: str
    batches: list[Batch]
    controls: dict[str, Answer]
    earlier: int

    @property
    def pictures(self) -> list[str]:
        return [*chain.from_iterable(batch.pictures for batch in self.batches), *self.controls]


class Planner:
    """Plans one publication. Raises ProjectError for settings that no rule takes."""

    def __init__(
        self, project: Project, request: PublishRequest, endpoint: str, pages: PageMaker, progress: Progress
    ) -> None:
        self.project = project
        self.request = request
        self.endpoint = endpoint
        self.pages = pages
        self.progress = progress
        # Now, and not when votes that were paid for cannot be decided.
        self.policy = asking.policy_of(project.settings.verification)
        self.budget = request.budget_cents
        if self.budget is None:
            self.budget = project.settings.verification.budget_cents or None
        with database.reading(project.engine) as connection:
            self.pace = experience.pace(connection)
            self.accepted = experience.accepted_by_category(connection)

    def unasked(self) -> list[Unasked]:
        """What there is to ask, by category: new pictures, and questions that want another vote."""
        again = asking.next_batches(
            self.project.engine,
            self.endpoint,
            live=self.request.live,
            ignore_excluded=self.project.settings.verification.ignore_excluded,
        )
        every = [self._unasked(wnid, again.get(wnid, [])) for wnid in self._chosen_categories()]
        return [category for category in every if category.batches]

    def empty_report(self) -> PublishReport:
        """The report of a run that found nothing to publish."""
        pages = self.pace.pages if self.pace else 0
        return PublishReport(
            endpoint=self.endpoint,
            live=self.request.live,
            dry_run=self.request.dry_run,
            votes=self.policy.votes,
            most_votes=self.policy.rounds.most if self.policy.rounds else None,
            mean_votes=self.policy.rounds.mean if self.policy.rounds else None,
            subset_votes=int(self.policy.subset.most_votes) if self.policy.subset else None,
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

    def plan(
        self, waiting: Sequence[StoredHit], unasked: Sequence[Unasked]
    ) -> tuple[list[list[HitIntent]], PublishReport]:
        """Lay out everything that is pending, up to the budget; a list of intents a category."""
        with database.reading(self.project.engine) as connection:
            committed = ledger.committed(connection, self.endpoint, live=self.request.live).total
        report = replace(
            self.empty_report(),
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
            left_out = len(unshowable.difference(category.controls))
            report = replace(report, unshowable=report.unshowable + left_out)
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
                report = counted(
                    report,
                    within,
                    self._accepted_share(category.wnid),
                    batch.policy.most_votes,
                    first=batch.first,
                )
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

    def _unasked(self, wnid: str, again: Sequence[Batch]) -> Unasked:
        with database.reading(self.project.engine) as connection:
            pending = store.pending_pictures(connection, wnid, again=self.request.again)
            controls = known_controls.control_pictures(connection, wnid)
            controls |= self._borrowed(connection, wnid, controls)
            earlier = store.count_hits(connection, wnid)
            at_work = wnid in store.categories_at_work(connection)
            subset = self.policy.subset
            subset_asked = subset is not None and wnid in store.categories_with_rule(
                connection, subset.rule, subset.votes
            )
        most = self._room(controls)
        # The project's key is made at first use: not by a run that may still be refused.
        key = b"" if subset is None else self.project.secret
        batches = asking.first_batches(
            self.policy,
            pending,
            room=most,
            subset_asked=subset_asked,
            key=hmac.digest(key, f"subset:{wnid}".encode(), hashlib.sha256),
        )
        again = [asking.full_pages(batch, most) if at_work else batch for batch in again]
        return Unasked(wnid, batches + [batch for batch in again if batch.pictures], controls, earlier)

    def _borrowed(
        self, connection: sa.Connection, wnid: str, controls: Mapping[str, Answer]
    ) -> dict[str, Answer]:
        """Negative controls out of categories that are taken for this one, where its own are too few."""
        missing = NEGATIVES - sum(answer is Answer.NO for answer in controls.values())
        if missing <= 0 or not self.project.settings.verification.controls:
            return {}
        every = [category.wnid for category in categories.selected(connection)]
        others = confusable(self.project.graph, wnid, every)
        shown = known_controls.pictures_of_others(connection, wnid, others, missing)
        return dict.fromkeys((sha256 for sha256 in shown if sha256 not in controls), Answer.NO)

    def _room(self, controls: Mapping[str, Answer]) -> int:
        return max(room(self.project.settings.verification, len(controls)), 1)

    def _make_thumbnails(self, category: Unasked) -> frozenset[str]:
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
        self, category: Unasked, batch: Batch, unshowable: frozenset[str], laid_out: int
    ) -> list[HitIntent]:
        """The pages of a batch, after `laid_out` others of its category."""
        designer = self._designer()
        asked = [sha256 for sha256 in batch.pictures if sha256 not in unshowable]
        controls = {
            sha256: answer for sha256, answer in category.controls.items() if sha256 not in unshowable
        }
        most = len(asked) if batch.first else self._room(controls)
        intents: list[HitIntent] = []
        # Questions that are asked again stay with those that had the same voters: page by page, not shuffled all.
        for start in range(0, len(asked), max(most, 1)):
            earlier = category.earlier + laid_out + len(intents)
            some = asked[start : start + most]
            intents += designer.design(category.wnid, batch.policy, some, controls, earlier)
        return intents
