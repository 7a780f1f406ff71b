"""Page design: every question once, controls spread evenly, nothing told by position."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.design import Slot, lay_out

layouts = st.fixed_dictionaries(
    {
        "n_questions": st.integers(0, 300),
        "n_controls": st.integers(0, 20),
        "page_size": st.integers(8, 60),
        "controls_per_page": st.integers(0, 7),
        "seed": st.integers(0, 2**32),
    }
)


def pages_of(layout: dict[str, int]) -> list[tuple[Slot, ...]]:
    return lay_out(
        range(layout["n_questions"]),
        range(1000, 1000 + layout["n_controls"]),
        page_size=layout["page_size"],
        controls_per_page=layout["controls_per_page"],
        rng=random.Random(layout["seed"]),
    )


@given(layouts)
def test_every_question_comes_exactly_once(layout: dict[str, int]) -> None:
    asked = [slot.question_id for page in pages_of(layout) for slot in page if not slot.is_control]
    assert sorted(asked) == list(range(layout["n_questions"]))


@given(layouts)
def test_all_pages_but_the_last_are_full_and_none_is_overfull(layout: dict[str, int]) -> None:
    sizes = [len(page) for page in pages_of(layout)]
    assert all(size == layout["page_size"] for size in sizes[:-1])
    assert all(size <= layout["page_size"] for size in sizes)


@given(layouts)
def test_controls_are_known_ids_never_twice_on_a_page_and_as_many_as_there_are(
    layout: dict[str, int],
) -> None:
    pages = pages_of(layout)
    expected = min(layout["controls_per_page"], layout["n_controls"])
    for number, page in enumerate(pages):
        controls = [slot.question_id for slot in page if slot.is_control]
        assert len(set(controls)) == len(controls)
        assert set(controls) <= set(range(1000, 1000 + layout["n_controls"]))
        assert len(controls) == expected or (number == len(pages) - 1 and len(controls) <= expected)
        assert not expected or controls


@given(layouts)
def test_controls_are_used_equally_often(layout: dict[str, int]) -> None:
    uses = Counter(slot.question_id for page in pages_of(layout) for slot in page if slot.is_control)
    if uses:
        least = min(uses.get(1000 + control, 0) for control in range(layout["n_controls"]))
        assert max(uses.values()) - least <= 1


@given(layouts)
def test_the_same_generator_gives_the_same_pages(layout: dict[str, int]) -> None:
    assert pages_of(layout) == pages_of(layout)


def test_a_page_holds_42_questions_and_6_controls_by_default() -> None:
    pages = lay_out(range(84), range(100, 130), rng=random.Random(1))
    assert [Counter(slot.is_control for slot in page) for page in pages] == [{False: 42, True: 6}] * 2


@pytest.mark.parametrize(
    ("positive", "negative", "expected"), [(9, 9, 3), (9, 2, 2), (1, 9, 5), (9, 0, 0), (0, 9, 6), (2, 2, 2)]
)
def test_half_of_the_controls_are_negative_as_far_as_there_are_so_many(
    positive: int, negative: int, expected: int
) -> None:
    controls = range(1000, 1000 + positive + negative)
    negatives = set(controls[positive:])
    uses: Counter[int] = Counter()
    for page in lay_out(range(420), controls, negatives=negatives, rng=random.Random(1)):
        known = [slot.question_id for slot in page if slot.is_control]
        if len(page) == 48:
            assert len(known) == min(6, positive + negative)
            assert len(negatives.intersection(known)) == expected
        uses.update(known)
    for kind in (negatives, set(controls) - negatives):
        counts = [uses[control] for control in kind]
        assert not counts or max(counts) - min(counts) <= 1


def test_position_does_not_tell_controls_from_questions() -> None:
    places: Counter[int] = Counter()
    for seed in range(800):
        (page,) = lay_out(range(42), range(100, 106), rng=random.Random(seed))
        places.update(place for place, slot in enumerate(page) if slot.is_control)
    # 4,800 controls over 48 places: 100 each, with a standard deviation of about 9.4.
    assert len(places) == 48
    assert all(50 < count < 150 for count in places.values())


def test_a_short_last_page_has_fewer_controls() -> None:
    pages = lay_out(range(43), range(100, 130), rng=random.Random(1))
    assert len(pages[1]) == 2
    assert sum(slot.is_control for slot in pages[1]) == 1


@pytest.mark.parametrize(
    ("questions", "controls", "page_size", "controls_per_page"),
    [([1, 1], [], 48, 6), ([1], [2, 2], 48, 6), ([1, 2], [2], 48, 6), ([1], [2], 6, 6), ([1], [2], 6, -1)],
)
def test_ids_that_repeat_and_pages_without_room_are_refused(
    questions: list[int], controls: list[int], page_size: int, controls_per_page: int
) -> None:
    with pytest.raises(ValueError):
        lay_out(
            questions,
            controls,
            page_size=page_size,
            controls_per_page=controls_per_page,
            rng=random.Random(1),
        )
