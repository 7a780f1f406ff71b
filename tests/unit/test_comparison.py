"""Pictures that are inspected at about the same time are compared with what is not wanted together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from imagenet_builder.crawl.comparison import Comparison
from imagenet_builder.crawl.inspect import inspect
from imagenet_builder.crawl.limits import Limits
from imagenet_builder.descriptors import stack
from imagenet_builder.exclusion import Described, Exclusion
from imagenet_builder.records import Inspected, Reason, Rejected
from imagenet_builder.taken_down import TakenDown
from imagenet_builder.unwanted import Unwanted
from tests.mediawiki_server import picture


def inspected(seed: int) -> Inspected:
    found = inspect(picture(seed), Limits())
    assert isinstance(found, Inspected)
    return found


PICTURES = [inspected(seed) for seed in range(8)]


class Counting(Exclusion):
    """Leaves out the first three pictures, and knows how many were asked about together."""

    def __init__(self) -> None:
        super().__init__(["a", "b", "c"], stack([one.descriptor for one in PICTURES[:3]]))
        self.asked: list[int] = []

    def matches(self, images: Sequence[Described]) -> list[str | None]:
        self.asked.append(len(images))
        return super().matches(images)


async def test_pictures_of_the_same_time_are_compared_together_and_each_gets_its_own_answer() -> None:
    exclusion = Counting()
    comparison = Comparison(Unwanted(exclusion, TakenDown(frozenset({PICTURES[7].sha256}))))
    answers = await asyncio.gather(*(comparison.refuse(image) for image in PICTURES))
    assert answers[:3] == [Rejected(Reason.EXCLUDED, f"like {name}") for name in "abc"]
    assert answers[3:] == [None] * 4 + [Rejected(Reason.TAKEN_DOWN)]
    assert await comparison.refuse(PICTURES[1]) == answers[1]
    assert exclusion.asked == [8, 1]


async def test_who_gave_up_waiting_is_not_compared() -> None:
    exclusion = Counting()
    comparison = Comparison(Unwanted(exclusion))
    leaving, staying = (asyncio.create_task(comparison.refuse(PICTURES[place])) for place in (0, 1))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == Rejected(Reason.EXCLUDED, "like b")
    assert exclusion.asked == [1]


async def test_a_comparison_that_fails_fails_for_all_who_wait() -> None:
    class Failing(Exclusion):
        def matches(self, images: Sequence[Described]) -> list[str | None]:
            raise MemoryError

    comparison = Comparison(Unwanted(Failing()))
    answers = await asyncio.gather(*(comparison.refuse(one) for one in PICTURES[:2]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [MemoryError, MemoryError]


@pytest.mark.parametrize("together", [1, 3, 8])
def test_a_picture_is_like_the_same_one_in_whatever_company(together: int) -> None:
    exclusion = Counting()
    blank = replace(PICTURES[0], descriptor=b"")
    images = [*PICTURES, blank, *PICTURES[:3]]
    found = [
        like
        for start in range(0, 12, together)
        for like in exclusion.matches(images[start : start + together])
    ]
    assert found == ["a", "b", "c", *[None] * 6, "a", "b", "c"]
