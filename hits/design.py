"""Page design: which questions and controls share a page, and in what order."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

PAGE_SIZE = 48
CONTROLS_PER_PAGE = 6


@dataclass(frozen=True, slots=True)
class Slot:
    """One place on a page; a control looks like any other question to the worker."""

    question_id: int
    is_control: bool


def lay_out(
    questions: Sequence[int],
    controls: Sequence[int],
    *,
    page_size: int = PAGE_SIZE,
    controls_per_page: int = CONTROLS_PER_PAGE,
    negatives: Collection[int] = (),
    rng: random.Random,
) -> list[tuple[Slot, ...]]:
    """Lay the questions of one category out into pages of at most `page_size` slots, shuffled.

    Every question comes exactly once. A page has `controls_per_page` controls, or all of them if there are
    fewer; a last, short page has them in proportion, so that a worker is not paid for controls alone. Half of them
    are `negatives`, whose answer is no, as far as there are so many of both. No control comes twice on a page, and
    all of a kind are used equally often, give or take one. Raises ValueError for ids that repeat, or a page without
    room for questions. The mix follows Recht et al. 2019: 48 pictures, 3 of them positive and 3 negative controls.
    """
    _check(questions, controls, page_size, controls_per_page)
    per_page = min(controls_per_page, len(controls))
    room = page_size - per_page
    shuffled = rng.sample(questions, len(questions))
    uses = dict.fromkeys(controls, 0)
    pages: list[tuple[Slot, ...]] = []
    for start in range(0, len(shuffled), room):
        asked = shuffled[start : start + room]
        share = -(-per_page * len(asked) // room)
        # A shuffle before the stable sort: among the least used controls, chance decides.
        ordered = sorted(rng.sample(controls, len(controls)), key=uses.__getitem__)
        known = _half_and_half(ordered, negatives, share)
        for control in known:
            uses[control] += 1
        slots = [Slot(question, False) for question in asked] + [Slot(control, True) for control in known]
        rng.shuffle(slots)
        pages.append(tuple(slots))
    return pages


def _half_and_half(ordered: Sequence[int], negatives: Collection[int], share: int) -> list[int]:
    """The first `share` controls, half of them negative: or fewer, where there are fewer of one kind."""
    no = [control for control in ordered if control in negatives]
    yes = [control for control in ordered if control not in negatives]
    of_no = min(len(no), max(share // 2, share - len(yes)))
    return yes[: share - of_no] + no[:of_no]


def _check(questions: Sequence[int], controls: Sequence[int], page_size: int, controls_per_page: int) -> None:
    if controls_per_page < 0 or page_size <= controls_per_page:
        raise ValueError(
            f"a page of {page_size} with {controls_per_page} controls leaves no room for questions"
        )
    if len(set(questions)) != len(questions) or len(set(controls)) != len(controls):
        raise ValueError("a question or control is named twice")
    if not set(questions).isdisjoint(controls):
        raise ValueError("a question cannot be its own control")
