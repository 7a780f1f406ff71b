"""What a publication is asked for, what it costs, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hits.pricing import Cost

from .store.publish import HitIntent, StoredHit

NOTHING = Cost(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """What to publish: all categories unless some are named; money in US cents.

    `reward_cents` is what one worker gets for a page (None: from the pay floor). `budget_cents` caps what the
    project has reserved and spent on the endpoint, earlier runs and fees included (None: as the settings say).
    `again` also asks about pictures whose final verdict is "undecided".
    """

    live: bool = False
    again: bool = False
    dry_run: bool = False
    categories: tuple[str, ...] = ()
    reward_cents: int | None = None
    budget_cents: int | None = None


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What is to be published (`cost` and the counts beside it), and what was.

    `questions` are asked for the first time, `asked_again` for one more vote. `votes` is what a first page asks for,
    `most_votes` what a question can get in rounds, `mean_votes` what they get on average at most, and `subset_votes`
    what those of a category's first page get (None: no more than others). `resumed` of the pages were intended by an
    earlier run; the counts of questions and controls are of the new pages. `new_cents` is what first asking costs, and
    `new_most_cents` with the votes of all later rounds at the same price. `unshowable` pictures have no thumbnail and
    were left out; `over_budget` questions wait for money. `committed_cents` is what was reserved and spent before this
    run. A picture takes `seconds_per_picture` by the clocks of `timed_pages` pages, or by the settings if that is 0.
    `expected_accepted` of the questions will be accepted, going by `decided` verdicts.
    """

    endpoint: str
    live: bool
    dry_run: bool
    categories: int = 0
    questions: int = 0
    asked_again: int = 0
    controls: int = 0
    resumed: int = 0
    votes: int = 0
    most_votes: int | None = None
    mean_votes: float | None = None
    subset_votes: int | None = None
    cost: Cost = NOTHING
    over_budget: int = 0
    unshowable: int = 0
    published: int = 0
    balance_cents: int | None = None
    budget_cents: int | None = None
    committed_cents: int = 0
    new_cents: int = 0
    new_most_cents: float = 0.0
    seconds_per_picture: float = 0.0
    timed_pages: int = 0
    expected_accepted: float = 0.0
    decided: int = 0

    @property
    def nothing(self) -> bool:
        """Whether there was nothing to publish."""
        return self.cost.pages == 0

    @property
    def cents_per_candidate(self) -> float | None:
        """What a new question costs with its share of controls and fees; None without one."""
        return self.new_cents / self.questions if self.questions else None

    @property
    def most_cents_per_candidate(self) -> float | None:
        """What a new question costs with all votes that it may get in rounds; None without one."""
        return self.new_most_cents / self.questions if self.questions else None

    @property
    def cents_per_accepted(self) -> float | None:
        """What a picture costs that is expected to be accepted; None without one."""
        return self.new_cents / self.expected_accepted if self.expected_accepted else None

    @property
    def most_cents_per_accepted(self) -> float | None:
        """The same with all votes that questions may get in rounds; None without a picture."""
        return self.new_most_cents / self.expected_accepted if self.expected_accepted else None


def dollars(cents: int) -> str:
    """US cents as people write them."""
    return f"${cents / 100:,.2f}"


def counted(
    report: PublishReport,
    intents: Sequence[HitIntent],
    accepted_share: float,
    most_votes: float,
    *,
    first: bool,
) -> PublishReport:
    """The report with intents of a category counted.

    Of their questions `accepted_share` will be accepted; each gets up to `most_votes`.
    """
    asked = sum(map(question_count, intents))
    report = replace(report, controls=report.controls + sum(len(intent.slots) for intent in intents) - asked)
    if not first:
        return replace(report, asked_again=report.asked_again + asked)
    return replace(
        report,
        new_cents=report.new_cents + sum(intent.promised_cents for intent in intents),
        new_most_cents=report.new_most_cents
        + sum(intent.promised_cents / intent.votes * most_votes for intent in intents),
        expected_accepted=report.expected_accepted + asked * accepted_share,
        questions=report.questions + asked,
    )


def question_count(intent: HitIntent) -> int:
    """How many of a page's pictures are no controls."""
    return sum(not slot.is_control for slot in intent.slots)


def intent_cost(intent: HitIntent) -> Cost:
    """What a page costs that is to be intended."""
    return Cost(1, intent.votes, intent.votes * intent.reward_cents, intent.votes * intent.fee_cents)


def hit_cost(hit: StoredHit) -> Cost:
    """What a page costs that was intended."""
    return Cost(1, hit.votes, hit.votes * hit.reward_cents, hit.votes * hit.fee_cents)
