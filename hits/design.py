"""Page design: which questions and controls share a page, and in what order."""

from __future__ import annotations

import random
from collections.abc import Sequence
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
    rng: random.Random,
) -> list[tuple[Slot, ...]]:
    """Lay the questions of one category out into pages of at most `page_size` slots, shuffled.

    Every question comes exactly once. A page has `controls_per_page` controls, or all of them if there are
    fewer; a last, short page has them in proportion, so that a worker is not paid for controls alone. No
    control comes twice on a page, and all are used equally often, give or take one. Raises ValueError for
    ids that repeat, or a page without room for questions. The mix follows Recht et al. 2019: 48 pictures,
    6 of them controls.
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
        known = sorted(rng.sample(controls, len(controls)), key=uses.__getitem__)[:share]
        for control in known:
            uses[control] += 1
        slots = [Slot(question, False) for question in asked] + [Slot(control, True) for control in known]
        rng.shuffle(slots)
        pages.append(tuple(slots))
    return pages


def _check(questions: Sequence[int], controls: Sequence[int], page_size: int, controls_per_page: int) -> None:
    if controls_per_page < 0 or page_size <= controls_per_page:
        raise ValueError(
            f"a page of {page_size} with {controls_per_page} controls leaves no room for questions"
        )
    if len(set(questions)) != len(questions) or len(set(controls)) != len(controls):
        raise ValueError("a question or control is named twice")
    if not set(questions).isdisjoint(controls):
        raise ValueError("a question cannot be its own control")
