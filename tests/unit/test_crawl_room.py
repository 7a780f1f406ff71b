"""Room for bytes: never more taken than there is, nobody forgotten."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_builder.crawl.room import Room


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 150), max_size=40), st.integers(0, 2**32))
def test_no_more_is_taken_than_fits_and_everyone_is_served(counts: list[int], seed: int) -> None:
    source = random.Random(seed)
    served = 0

    async def visit(room: Room, count: int) -> None:
        nonlocal served
        await room.take(count)
        assert room.taken <= max(100, *counts)
        for _ in range(source.randrange(4)):
            await asyncio.sleep(0)
        room.give_back(count)
        served += 1

    async def all_visits() -> None:
        room = Room(100)
        await asyncio.wait_for(asyncio.gather(*(visit(room, count) for count in counts)), 30)
        assert room.taken == 0

    asyncio.run(all_visits())
    assert served == len(counts)


async def test_one_that_is_larger_than_the_room_goes_alone() -> None:
    room = Room(10)
    await room.take(1000)
    waiting = asyncio.create_task(room.take(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    room.give_back(1000)
    await waiting
    assert room.taken == 1


async def test_one_that_stops_waiting_leaves_nothing_behind() -> None:
    room = Room(10)
    await room.take(10)
    given_up, patient = asyncio.create_task(room.take(10)), asyncio.create_task(room.take(4))
    await asyncio.sleep(0)
    given_up.cancel()
    room.give_back(10)
    await patient
    assert room.taken == 4
    await asyncio.gather(given_up, return_exceptions=True)
    assert room.taken == 4
