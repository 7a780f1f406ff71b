"""How a host's state answers trouble and good answers, under a clock of the test's own."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.config import ProjectSettings
from imagenet_builder.crawl.politeness import (
    BREAK_AFTER,
    FIRST_BACKOFF,
    FIRST_OPEN,
    LONGEST_BACKOFF,
    LONGEST_DELAY,
    LONGEST_OPEN,
    LONGEST_PAUSE,
    RECOVERY,
    Host,
    HostPaused,
    Hosts,
    backoff,
    retry_after_seconds,
    user_agent,
)

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Clock:
    """Seconds that pass only where someone sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def host(clock: Clock, connections: int = 4, delay: float = 0.0) -> Host:
    return Host(connections, delay, clock=clock, sleep=clock.sleep)


async def test_no_more_connections_than_allowed_are_held_at_once() -> None:
    clock = Clock()
    gentle = host(clock, connections=3)
    held = most = 0

    async def visit() -> None:
        nonlocal held, most
        async with gentle.turn():
            held += 1
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 1

    await asyncio.gather(*(visit() for _ in range(20)))
    assert most == 3


async def test_who_waits_is_served_in_turn_and_woken_only_then() -> None:
    class Watched(Host):
        looks = 0

        def _has_room(self) -> bool:
            self.looks += 1
            return super()._has_room()

    clock = Clock()
    watched = Watched(2, 0.0, clock=clock, sleep=clock.sleep)
    served = []

    async def visit(number: int) -> None:
        async with watched.turn():
            served.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(visit(number) for number in range(500)))
    assert served == list(range(500))
    assert watched.looks < 5 * 500, "the work of a turn grows with how many wait"


async def test_a_turn_that_is_given_to_one_who_left_goes_to_the_next() -> None:
    gentle = host(Clock(), connections=1)
    free, served = asyncio.Event(), []

    async def visit(number: int) -> None:
        async with gentle.turn():
            served.append(number)
            if number == 0:
                await free.wait()
        if number == 0:
            # The turn was given to the third just now, and it has not run since.
            visits[2].cancel()

    visits = [asyncio.create_task(visit(number)) for number in range(4)]
    await asyncio.sleep(0)
    visits[1].cancel()
    free.set()
    await asyncio.wait(visits)
    assert served == [0, 3]
    async with gentle.turn():
        pass


async def test_requests_start_at_least_the_delay_apart() -> None:
    clock = Clock()
    gentle = host(clock, connections=1, delay=2.0)
    starts = []
    for _ in range(4):
        async with gentle.turn():
            starts.append(clock())
    assert [later - earlier for earlier, later in itertools.pairwise(starts)] == [2.0, 2.0, 2.0]


async def test_a_site_that_asks_for_a_delay_gets_it_whatever_happens_but_none_without_end() -> None:
    clock = Clock()
    gentle = host(clock, connections=4, delay=1.0)
    gentle.keep_apart(0.0)
    assert gentle.delay == 1.0
    gentle.keep_apart(5.0)
    starts = []
    for _ in range(3 * RECOVERY):
        async with gentle.turn():
            starts.append(clock())
        gentle.satisfied()
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) == 5.0
    gentle.keep_apart(86_400.0)
    assert gentle.delay == LONGEST_DELAY


async def test_trouble_slows_a_host_and_retry_after_pauses_it() -> None:
    clock = Clock()
    gentle = host(clock)
    gentle.troubled(7.0, too_fast=True)
    assert gentle.connections == 2
    assert gentle.delay > 0
    assert gentle.pause == 7.0
    async with gentle.turn():
        assert clock() >= 107.0


async def test_a_busy_moment_costs_its_pause_and_trouble_that_goes_on_ever_more() -> None:
    clock = Clock()
    gentle = host(clock)
    gentle.troubled(1.0)
    assert (gentle.connections, gentle.delay, gentle.pause) == (2, 0.0, 1.0)
    gentle.troubled(0.0)
    gentle.troubled(0.0)
    gentle.troubled(0.0)
    assert (gentle.connections, gentle.delay) == (1, 2 * FIRST_BACKOFF)
    clock.now += 10
    gentle.troubled(0.0)
    assert gentle.pause == 4 * FIRST_BACKOFF


async def test_a_pause_that_outlasts_the_run_is_not_waited_for() -> None:
    clock = Clock()
    gentle = host(clock)
    gentle.troubled(LONGEST_PAUSE + 1)
    with pytest.raises(HostPaused, match="left alone for 61 s"):
        async with gentle.turn():
            pytest.fail("the host was asked during its pause")
    assert clock.slept == []
    clock.now += LONGEST_PAUSE + 1
    async with gentle.turn():
        pass


async def test_a_connection_is_free_again_after_an_error_in_its_turn() -> None:
    gentle = host(Clock(), connections=1)
    for _ in range(3):
        with pytest.raises(OSError, match="broken"):
            async with gentle.turn():
                raise OSError("broken")


@given(st.lists(st.one_of(st.floats(0, 1e6), st.none()), max_size=200))
def test_no_history_makes_a_host_faster_than_the_settings_or_stops_it_for_good(
    history: list[float | None],
) -> None:
    gentle = host(Clock(), connections=4, delay=0.25)
    for trouble in history:
        connections, delay = gentle.connections, gentle.delay
        if trouble is None:
            gentle.satisfied()
        else:
            gentle.troubled(trouble)
            assert gentle.connections <= connections
            assert gentle.delay >= min(delay, LONGEST_DELAY)
        assert 1 <= gentle.connections <= 4
        assert 0.25 <= gentle.delay <= LONGEST_DELAY


def test_many_good_answers_bring_a_host_back_to_its_settings() -> None:
    gentle = host(Clock(), connections=4, delay=0.0)
    for _ in range(10):
        gentle.troubled(0)
    for _ in range(RECOVERY * 20):
        gentle.satisfied()
    assert (gentle.connections, gentle.delay) == (4, 0.0)


def test_each_host_and_port_has_its_own_state() -> None:
    hosts = Hosts(4, 0.0, clock=Clock())
    hosts["a.example:443"].troubled(5)
    assert hosts["a.example:443"].pause == 5
    assert hosts["a.example:80"].pause == 0
    assert hosts["a.example:443"] is hosts["a.example:443"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("5", 5),
        (" 120 ", 120),
        ("Mon, 04 May 2026 12:00:30 GMT", 30),
        ("Mon, 04 May 2026 11:00:00 GMT", 0),
        ("soon", 0),
        ("-3", 0),
        ("", 0),
        ("9" * 400, 999_999_999),
        ("Mon, 04 May 2026 12:00:30 +" + "9" * 20, 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_header_raises_or_asks_for_negative_time(header: str) -> None:
    assert retry_after_seconds(header, NOW) >= 0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_is_bounded_and_never_nothing(attempt: int, number: float) -> None:
    assert 0 < backoff(attempt, number) <= LONGEST_BACKOFF


def test_the_user_agent_names_the_project_and_its_contact_in_a_header_that_can_be_sent() -> None:
    agent = user_agent(ProjectSettings(name="Bäume (und mehr)\r\nX: y", contact="ann@example.org"))
    assert agent.startswith("imagenet-builder/0.1 (")
    assert "ann@example.org" in agent
    assert agent.isascii()
    assert agent.isprintable()


async def visit(gentle: Host, clock: Clock) -> float:
    async with gentle.turn():
        return clock()


async def test_failures_in_a_row_open_the_circuit_and_one_answer_closes_it() -> None:
    clock = Clock()
    gentle = host(clock)
    states = []
    for _ in range(BREAK_AFTER - 1):
        gentle.failed()
    states.append(gentle.is_open)
    gentle.answered()
    for _ in range(BREAK_AFTER):
        gentle.failed()
    assert [*states, gentle.is_open] == [False, True]
    assert await visit(gentle, clock) == 100.0 + FIRST_OPEN
    gentle.answered()
    assert not gentle.is_open
    assert await visit(gentle, clock) == clock()


async def test_a_half_open_circuit_lets_one_probe_through_at_a_time() -> None:
    clock = Clock()
    gentle = host(clock, connections=4)
    for _ in range(BREAK_AFTER):
        gentle.failed()
    held = most = 0

    async def probe() -> None:
        nonlocal held, most
        async with gentle.turn():
            held += 1
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 1

    await asyncio.gather(*(probe() for _ in range(6)))
    assert most == 1


async def test_a_host_that_stays_down_is_left_alone_longer_and_then_given_up() -> None:
    clock = Clock()
    gentle = host(clock)
    for _ in range(BREAK_AFTER):
        gentle.failed()
    for expected in (FIRST_OPEN, 2 * FIRST_OPEN, 4 * FIRST_OPEN):
        before = clock()
        assert await visit(gentle, clock) - before == expected
        gentle.failed()
    with pytest.raises(HostPaused, match="failed too often") as caught:
        await visit(gentle, clock)
    assert caught.value.down
    for _ in range(20):
        clock.now += LONGEST_OPEN
        gentle.failed()
    assert gentle.pause == LONGEST_OPEN


async def test_failures_that_were_under_way_when_the_circuit_opened_do_not_prolong_it() -> None:
    clock = Clock()
    gentle = host(clock)
    for _ in range(BREAK_AFTER + 30):
        gentle.failed()
    assert gentle.pause == FIRST_OPEN


def test_a_host_whose_answers_grow_slow_is_asked_less_and_more_again_when_they_are_quick() -> None:
    clock = Clock()
    gentle = host(clock, connections=3)
    gentle.satisfied(0.05)
    for _ in range(2 * RECOVERY):
        gentle.satisfied(5.0)
    assert gentle.connections == 1
    for _ in range(RECOVERY):
        gentle.satisfied(5.0)
    assert gentle.delay == pytest.approx(5.0, rel=0.05)
    for _ in range(12 * RECOVERY):
        gentle.satisfied(0.05)
    assert (gentle.connections, gentle.delay) == (3, 0.0)


def test_a_host_that_is_always_slow_is_not_strained_by_us() -> None:
    gentle = host(Clock(), connections=3)
    for _ in range(10 * RECOVERY):
        gentle.satisfied(3.0)
    assert (gentle.connections, gentle.delay) == (3, 0.0)


@given(st.lists(st.sampled_from(["failed", "answered", "satisfied", "troubled"]), max_size=200))
def test_no_course_of_events_makes_a_host_faster_than_the_settings(events: list[str]) -> None:
    gentle = host(Clock(), connections=4, delay=0.5)
    for event in events:
        arguments = {"troubled": (3.0,), "satisfied": (2.0,)}.get(event, ())
        getattr(gentle, event)(*arguments)
        assert 1 <= gentle.connections <= 4
        assert 0.5 <= gentle.delay <= LONGEST_DELAY
