"""What a publication costs: rewards from a pay floor, the platform's fees, totals. Money is in US cents."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

FEE_PERCENT = 20
FEE_PERCENT_MANY = 40
FEE_PERCENT_MASTERS = 5
MANY_ASSIGNMENTS = 10
MINIMUM_FEE_CENTS = 1
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Cost:
    """What a publication costs when every assignment is done and approved; sums, in US cents."""

    pages: int
    assignments: int
    reward_cents: int
    fees_cents: int

    @property
    def total_cents(self) -> int:
        return self.reward_cents + self.fees_cents

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.pages + other.pages,
            self.assignments + other.assignments,
            self.reward_cents + other.reward_cents,
            self.fees_cents + other.fees_cents,
        )


def reward_cents(pictures: int, *, seconds_per_picture: float, hourly_floor_cents: int) -> int:
    """Return the reward of a page of `pictures` that pays `hourly_floor_cents` an hour or a little more.

    Rounded up, at least one cent. Raises ValueError for a page without pictures, a time that is not positive
    or a floor that is negative.
    """
    if pictures < 1:
        raise ValueError(f"a page of {pictures} pictures has no price")
    if not (math.isfinite(seconds_per_picture) and seconds_per_picture > 0) or hourly_floor_cents < 0:
        raise ValueError(
            f"no reward follows from {seconds_per_picture} s at {hourly_floor_cents} cents an hour"
        )
    # The decimal that was written, not its nearest double: 0.1 s is a tenth, and rounding up adds no cent.
    seconds = Fraction(str(seconds_per_picture)) * pictures
    return max(1, math.ceil(seconds * hourly_floor_cents / SECONDS_PER_HOUR))


def fee_cents(reward_cents: int, max_assignments: int, *, masters: bool = False) -> int:
    """Return MTurk's fee for one assignment of a HIT made with `max_assignments`, rounded up.

    20 % of the reward, 40 % from ten assignments up, 5 % more if it is for Masters alone, and at least one cent.
    Raises ValueError for a negative reward or no assignments.
    """
    if reward_cents < 0 or max_assignments < 1:
        raise ValueError(f"no fee follows from {reward_cents} cents and {max_assignments} assignments")
    percent = FEE_PERCENT_MANY if max_assignments >= MANY_ASSIGNMENTS else FEE_PERCENT
    percent += FEE_PERCENT_MASTERS if masters else 0
    return max(MINIMUM_FEE_CENTS, -(-reward_cents * percent // 100))


def publication_cost(page_rewards: Iterable[int], *, votes: int) -> Cost:
    """Return what pages cost that pay `page_rewards` cents an assignment, with `votes` assignments each."""
    rewards = list(page_rewards)
    return Cost(
        pages=len(rewards),
        assignments=votes * len(rewards),
        reward_cents=votes * sum(rewards),
        fees_cents=votes * sum(fee_cents(reward, votes) for reward in rewards),
    )
