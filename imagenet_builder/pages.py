"""The pages of HITs: laid out before they are intended, rendered when they are published."""

from __future__ import annotations

import hashlib
import hmac
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hits.design import lay_out
from hits.model import Answer, Cell, HitTerms, Page
from hits.page import render
from hits.pricing import fee_cents, reward_cents

from .concepts import concept_of
from .errors import ProjectError, PublishError
from .examples import Examples, examples_of
from .store.publish import HitIntent, IntendedSlot, StoredHit

if TYPE_CHECKING:
    from .config import VerificationSettings
    from .policy import Policy
    from .project import Project


def room(settings: VerificationSettings, known: int) -> int:
    """How many questions a page holds beside its controls, of which there are `known`."""
    return settings.page_size - min(settings.controls, known)


@dataclass(frozen=True, slots=True)
class PageDesigner:
    """Lays one category's questions out as HITs; pure but for the tokens."""

    settings: VerificationSettings
    secret: bytes
    endpoint: str
    live: bool
    reward_cents: int | None
    seconds_per_picture: float

    def design(
        self,
        wnid: str,
        policy: Policy,
        pending: Sequence[str],
        known: Mapping[str, Answer],
        earlier: int,
    ) -> list[HitIntent]:
        """Return HITs that ask about each of `pending` once under `policy`; `known` are controls (SHA-256 → answer).

        The order on the pages follows from the secret, the category and `earlier`, the number of HITs it had.
        Raises PublishError for a page without room for questions.
        """
        shown = [*pending, *known]
        seed = hmac.digest(self.secret, f"layout:{wnid}:{earlier}".encode(), hashlib.sha256)
        try:
            pages = lay_out(
                range(len(pending)),
                range(len(pending), len(shown)),
                page_size=self.settings.page_size,
                controls_per_page=self.settings.controls,
                negatives={
                    number
                    for number, answer in enumerate(known.values(), start=len(pending))
                    if answer is Answer.NO
                },
                rng=random.Random(seed),
            )
        except ValueError as error:
            raise PublishError(f"no page can be laid out: {error}; see --page-size and --controls") from error
        return [
            self._intent(
                wnid,
                policy,
                [
                    (shown[slot.question_id], known[shown[slot.question_id]] if slot.is_control else None)
                    for slot in page
                ],
            )
            for page in pages
        ]

    def _intent(self, wnid: str, policy: Policy, slots: Sequence[tuple[str, Answer | None]]) -> HitIntent:
        token = secrets.token_hex(16)
        reward = self.reward_cents
        if reward is None:
            reward = reward_cents(
                len(slots),
                seconds_per_picture=self.seconds_per_picture,
                hourly_floor_cents=self.settings.pay_per_hour_cents,
            )
        return HitIntent(
            wnid=wnid,
            token=token,
            endpoint=self.endpoint,
            live=self.live,
            votes=policy.votes,
            rule=policy.rule,
            rounds=policy.document,
            reward_cents=reward,
            fee_cents=fee_cents(reward, policy.votes),
            slots=tuple(
                IntendedSlot(sha256, known is not None, picture_name(self.secret, token, sha256), known)
                for sha256, known in slots
            ),
        )


class PageMaker:
    """Renders HITs: within a run the same HIT always gives the same page."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._known_examples: dict[str, Examples] = {}
        self.pictures_url = project.settings.marketplace.pictures_url.rstrip("/")
        if not self.pictures_url.startswith(("http://", "https://")):
            raise ProjectError(
                f"[marketplace] pictures_url must begin with http:// or https://: {self.pictures_url}"
            )

    def question(self, wnid: str, names: Sequence[str]) -> str:
        """The HTMLQuestion of a page. Raises PageTooLarge."""
        addresses = self._addresses(names)
        cells = tuple(Cell(name, address) for name, address in zip(names, addresses, strict=True))
        graph = self.project.graph
        # Resolved now, so that a misspelt category is an error and not a page without its warning.
        named = {graph.resolve(name).wnid for name in self.project.settings.verification.sensitive}
        sensitive = not named.isdisjoint({wnid, *graph.ancestors(wnid)})
        found = self._examples(wnid)
        page = Page(
            concept_of(graph, wnid),
            cells,
            examples=self._addresses(found.showing),
            counter_examples=self._addresses(found.not_showing),
            sensitive=sensitive,
        )
        return render(page)

    def _examples(self, wnid: str) -> Examples:
        """The same for all pages of a category that one run makes."""
        if wnid not in self._known_examples:
            self._known_examples[wnid] = examples_of(self.project, wnid)
        return self._known_examples[wnid]

    def _addresses(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{self.pictures_url}/{name}.jpg" for name in names)

    def check_fits(self, intent: HitIntent) -> None:
        """Raise PageTooLarge now rather than between two HITs; a category's first page is its largest."""
        self.question(intent.wnid, [slot.picture_name for slot in intent.slots])

    def terms(
        self, hit: StoredHit, shown: int, barred: Sequence[str], required: Sequence[tuple[str, int]] = ()
    ) -> HitTerms:
        """What a HIT with `shown` pictures offers to those who hold none of the `barred` qualification types and the
        least values of the `required` ones."""
        settings = self.project.settings.verification
        name = self.project.graph[hit.wnid].words[0]
        return HitTerms(
            title=f"Which of these pictures show this: {name}?",
            description=(
                f"Look at {shown} pictures and say of each whether it shows what is described. "
                "No account elsewhere and no special knowledge are needed."
            ),
            keywords=("pictures", "images", "labelling", "yes or no"),
            reward_cents=hit.reward_cents,
            assignment_duration=settings.assignment_duration,
            lifetime=settings.lifetime,
            auto_approval_delay=settings.auto_approval_delay,
            max_assignments=hit.votes,
            barred=tuple(barred),
            required=tuple(required),
        )


def picture_name(secret: bytes, token: str, sha256: str) -> str:
    """The name (128 bits, hexadecimal) under which one HIT shows a picture: no worker can tell that two HITs
    show the same one, which would give controls away."""
    return hmac.digest(secret, f"picture:{token}:{sha256}".encode(), hashlib.sha256).hex()[:32]
