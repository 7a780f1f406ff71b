"""Rewards from a pay floor, and MTurk's fees."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.pricing import Cost, fee_cents, publication_cost, reward_cents


@given(st.integers(1, 500), st.decimals("0.01", "60", places=2), st.integers(0, 10_000))
def test_the_reward_keeps_the_floor_and_exceeds_it_by_less_than_a_cent(
    pictures: int, seconds: object, floor: int
) -> None:
    exact = Fraction(str(seconds)) * pictures * floor / 3600
    reward = reward_cents(pictures, seconds_per_picture=float(str(seconds)), hourly_floor_cents=floor)
    assert reward >= exact
    assert reward == 1 or reward < exact + 1


def test_a_sum_that_comes_out_even_is_not_rounded_up() -> None:
    # 0.1 s × 36,000 pictures is one hour; in floating point it is a little more.
    assert reward_cents(36_000, seconds_per_picture=0.1, hourly_floor_cents=801) == 801
    assert reward_cents(48, seconds_per_picture=2.0, hourly_floor_cents=1200) == 32


@pytest.mark.parametrize(
    ("reward", "assignments", "fee"),
    [(10, 3, 2), (11, 3, 3), (1, 3, 1), (0, 3, 1), (10, 9, 2), (10, 10, 4), (32, 10, 13), (100, 1, 20)],
)
def test_fees_are_a_fifth_or_two_fifths_from_ten_assignments_up_and_at_least_a_cent(
    reward: int, assignments: int, fee: int
) -> None:
    assert fee_cents(reward, assignments) == fee


@given(st.lists(st.integers(0, 500)), st.integers(1, 30))
def test_a_publication_costs_what_its_assignments_cost(page_rewards: list[int], votes: int) -> None:
    cost = publication_cost(page_rewards, votes=votes)
    assert cost.pages == len(page_rewards)
    assert cost.assignments == votes * len(page_rewards)
    assert cost.total_cents == sum(votes * (reward + fee_cents(reward, votes)) for reward in page_rewards)


def test_costs_add_up() -> None:
    assert Cost(1, 3, 30, 6) + Cost(2, 6, 50, 12) == Cost(3, 9, 80, 18)


@pytest.mark.parametrize(
    ("pictures", "seconds", "floor"), [(0, 1.0, 800), (1, 0.0, 800), (1, float("nan"), 800), (1, 1.0, -1)]
)
def test_what_has_no_price_is_refused(pictures: int, seconds: float, floor: int) -> None:
    with pytest.raises(ValueError):
        reward_cents(pictures, seconds_per_picture=seconds, hourly_floor_cents=floor)


@pytest.mark.parametrize(("reward", "assignments"), [(-1, 3), (1, 0)])
def test_impossible_fees_are_refused(reward: int, assignments: int) -> None:
    with pytest.raises(ValueError):
        fee_cents(reward, assignments)


@pytest.mark.parametrize(
    ("reward", "assignments", "fee"), [(100, 9, 25), (100, 10, 45), (1, 3, 1), (10, 3, 3)]
)
def test_masters_cost_a_twentieth_of_the_reward_more(reward: int, assignments: int, fee: int) -> None:
    assert fee_cents(reward, assignments, masters=True) == fee
