"""Hierarchical and localization errors, by hand and by other ways of counting."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from imagenet_builder.errors import TrainingError
from imagenet_builder.train.hierarchical import Hierarchy, hierarchical_errors
from imagenet_builder.train.localization import (
    Box,
    BoxedGuess,
    localization_errors,
    overlap,
    parse_boxed_predictions,
)

# 4 is above 1 and 2, 5 above 2 and 3 (two parents), 6 above all: heights as in the whole of WordNet, not here.
SMALL = Hierarchy(
    {1: (), 2: (), 3: (), 4: (1, 2), 5: (2, 3), 6: (4, 5)}, {1: 0, 2: 1, 3: 0, 4: 3, 5: 2, 6: 9}
)


def test_a_wrong_guess_costs_the_height_of_the_lowest_common_ancestor_and_a_right_one_nothing() -> None:
    assert SMALL.costs(1).tolist() == [9, 0, 3, 9]
    # A class that is no leaf of WordNet has a height of its own: guessing it is right all the same.
    assert SMALL.costs(2).tolist() == [9, 3, 0, 2]
    assert SMALL.costs(3).tolist() == [9, 9, 2, 0]


def test_the_cheapest_of_the_guesses_counts_and_missing_or_unknown_ones_cost_the_most() -> None:
    truth = np.array([1, 3, 2, 1])
    guesses = [[3, 2], [2], [], [77, 6, 1]]
    errors = hierarchical_errors(SMALL, truth, guesses, 3)
    assert errors == pytest.approx(((9 + 2 + 9 + 9) / 4, (3 + 2 + 9 + 9) / 4, (3 + 2 + 9 + 0) / 4))


@pytest.mark.parametrize("seed", range(20))
def test_costs_are_those_of_looking_at_every_common_ancestor(seed: int) -> None:
    chance = random.Random(seed)
    classes, count = 8, 20
    children: dict[int, tuple[int, ...]] = dict.fromkeys(range(1, classes + 1), ())
    for one in range(classes + 1, count):
        children[one] = tuple(sorted(chance.sample(range(1, one), chance.randint(1, 3))))
    children[count] = tuple(range(1, count))
    height = {one: chance.randint(0, 12) for one in range(1, count)} | {count: 15}
    above: dict[int, set[int]] = {one: {one} for one in children}
    for one in range(count, 0, -1):
        for child in children[one]:
            above[child] |= above[one]
    hierarchy = Hierarchy(children, height)
    for truth, guess in itertools.product(range(1, classes + 1), repeat=2):
        expected = 0 if truth == guess else min(height[one] for one in above[truth] & above[guess])
        assert hierarchy.costs(truth)[guess] == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Box(1, 1, 10, 10), 1.0),
        (Box(1, 1, 10, 5), 0.5),
        (Box(6, 1, 15, 10), 50 / 150),
        (Box(11, 1, 20, 10), 0.0),
        (Box(10, 10, 10, 10), 0.01),
    ],
)
def test_overlap_counts_pixels_with_both_ends(other: Box, expected: float) -> None:
    assert overlap(Box(1, 1, 10, 10), other) == overlap(other, Box(1, 1, 10, 10)) == pytest.approx(expected)


def test_a_thing_is_found_by_the_right_class_and_half_of_any_of_its_boxes() -> None:
    here, there = Box(1, 1, 10, 10), Box(50, 50, 59, 59)
    truth, boxes = [7, 7, 7, 7], [[here, there]] * 4
    half, less = Box(50, 50, 59, 54), Box(50, 50, 59, 53)
    guesses = [
        [BoxedGuess(7, half)],
        [BoxedGuess(7, less), BoxedGuess(7, here)],
        [BoxedGuess(8, here)],
        [],
    ]
    assert localization_errors(truth, boxes, guesses, 2) == pytest.approx((0.75, 0.5))


def test_lines_of_boxes_are_five_numbers_a_guess() -> None:
    assert parse_boxed_predictions(["7 1 2 3 4.5 8 1 1 1 1", "0"]) == [
        [BoxedGuess(7, Box(1, 2, 3, 4.5)), BoxedGuess(8, Box(1, 1, 1, 1))],
        [],
    ]
    for line, complaint in [
        ("", "line 1 is blank"),
        ("7 1 2 3", "has 4 numbers"),
        ("7 1 2 3 x", "could not convert"),
        ("n1 1 2 3 4", "is not a class id"),
        ("7 5 2 3 4", "is not a box"),
        ("7 1 2 inf 4", "is not a box"),
    ]:
        with pytest.raises(TrainingError, match=complaint):
            parse_boxed_predictions([line], "mine")
