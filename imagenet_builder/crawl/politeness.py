"""How gently a host is treated: connections at once, delay, pauses that it asked for, retries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from imagenet_builder.config import ProjectSettings

AGENT_TOKEN = "imagenet-builder"
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0
# A host that asks for a longer pause is left alone until another run.
LONGEST_PAUSE = 60.0
LONGEST_DELAY = 30.0
# Good answers in a row before a host that had trouble is asked a little faster again.
RECOVERY = 20
# A host whose answers take this long, and this many times as long as its quickest, is strained by what it is asked.
STRAINED_SECONDS, STRAINED_TIMES = 1.0, 4.0
# Failures in a row that open a host's circuit, and for how long; each probe that fails doubles it.
BREAK_AFTER = 10
FIRST_OPEN, LONGEST_OPEN = 15.0, 600.0


def user_agent(project: ProjectSettings) -> str:
    """How this program names itself to servers: with the project and the address of who runs it."""
    about = "; ".join(part for part in (project.name, project.contact) if part)
    # A header holds printable ASCII; a name in another script is sent without its other letters.
    clean = "".join(letter for letter in about if " " <= letter <= "~" and letter not in "()")
    return f"{AGENT_TOKEN}/0.1 ({clean})"


def backoff(attempt: int, random_number: float) -> float:
    """Seconds to wait after failed attempt `attempt` (from 1): doubling, between half and all of its bound.

    `random_number` is in [0, 1).
    """
    bound = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt, 10))
    return bound * (0.5 + random_number / 2)


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float:
    """Seconds that a Retry-After header asks for (a number or a date); 0 without one that can be read."""
    if header is None:
        return 0.0
    text = header.strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


class HostPaused(Exception):
    """A host is to be left alone for longer than a run waits: it asked for that, or it is `down`."""

    def __init__(self, seconds: float, *, down: bool) -> None:
        why = "the host failed too often and is" if down else "the host asked to be"
        super().__init__(f"{why} left alone for {seconds:.0f} s more")
        self.down = down


class Host:
    """One host's state; used within one event loop. `clock` and `sleep` are the loop's, or a test's.

    Trouble (429, 503, Retry-After) pauses it, halves the connections and, once there is only one, doubles the delay:
    at once where the host says that requests come too fast (429). Answers that grow slow do so a step at a time. Only
    good answers undo it, slowly, and never beyond the settings. BREAK_AFTER failures in a row open the circuit:
    nothing is asked for a while, then one probe at a time, until an answer closes it.
    """

    def __init__(
        self,
        connections: int,
        delay: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._most_connections = connections
        self._least_delay = delay
        self.connections = connections
        self.delay = delay
        self._clock = clock
        self._sleep = sleep
        self._active = 0
        self._good = 0
        self._failures = 0
        self._open_seconds = 0.0
        self._latency = self._quickest = float("inf")
        self._next_start = clock()
        self._paused_until = clock()
        self._waiting: deque[asyncio.Future[None]] = deque()

    def keep_apart(self, seconds: float) -> None:
        """Never start requests quicker after one another than the site asks for, up to LONGEST_DELAY."""
        self._least_delay = max(self._least_delay, min(seconds, LONGEST_DELAY))
        self.delay = max(self.delay, self._least_delay)

    @property
    def pause(self) -> float:
        """Seconds that are left of the pause that the host asked for."""
        return max(0.0, self._paused_until - self._clock())

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open or half open: the host failed, and no answer has come since."""
        return self._open_seconds > 0

    def _has_room(self) -> bool:
        return self._active < (1 if self.is_open else self.connections)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a free connection, the host's delay and pause, and hold the connection meanwhile.

        Raises HostPaused rather than wait longer than LONGEST_PAUSE for the host.
        """
        await self._enter()
        try:
            await self._wait()
            yield
        finally:
            self._active -= 1
            self._admit()

    async def _enter(self) -> None:
        if not self._waiting and self._has_room():
            self._active += 1
            return
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.append(admitted)
        try:
            await admitted
        except asyncio.CancelledError:
            if not admitted.cancelled():
                self._active -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        """Let in those whose turn it is, and wake no others: a thousand may wait for one host."""
        while self._waiting and self._has_room():
            admitted = self._waiting.popleft()
            if not admitted.done():
                self._active += 1
                admitted.set_result(None)

    async def _wait(self) -> None:
        start = max(self._clock(), self._next_start)
        self._next_start = start + self.delay
        # Trouble that another connection meets meanwhile prolongs the wait.
        while (wait := max(start - self._clock(), self.pause)) > 0:
            if self.pause > LONGEST_PAUSE:
                raise HostPaused(self.pause, down=self.is_open)
            await self._sleep(wait)

    def troubled(self, retry_after: float, *, too_fast: bool = False) -> None:
        """The host said that it is too much: slow down, and start nothing for `retry_after` seconds."""
        self._good = 0
        # A busy moment (503) is over after the pause that was asked for; a delay as well would outlast it by minutes.
        if too_fast or self.connections == 1:
            self.delay = min(LONGEST_DELAY, max(2 * self.delay, FIRST_BACKOFF))
        self.connections = max(1, self.connections // 2)
        self._paused_until = max(
            self._paused_until, self._clock() + max(retry_after, self.delay, FIRST_BACKOFF)
        )

    def failed(self) -> None:
        """A request failed (no connection, no answer in time, broken off, HTTP 5xx): may open the circuit."""
        self._good = 0
        self._failures += 1
        # Requests that were under way when the circuit opened fail too: they say nothing new.
        if self._failures >= BREAK_AFTER and self.pause == 0:
            self._open_seconds = min(LONGEST_OPEN, 2 * self._open_seconds or FIRST_OPEN)
            self._paused_until = self._clock() + self._open_seconds

    def answered(self) -> None:
        """The host answered something, be it that it has no such picture: it is not down."""
        if self.is_open:
            self.connections = max(1, self.connections // 2)
        self._failures, self._open_seconds = 0, 0.0

    def satisfied(self, seconds: float = 0.0) -> None:
        """The host answered well after `seconds`; RECOVERY such answers make it a step faster, or slower."""
        self._latency = seconds if self._latency == float("inf") else 0.8 * self._latency + 0.2 * seconds
        self._quickest = min(self._quickest, seconds)
        self._good += 1
        if self._good < RECOVERY:
            return
        self._good = 0
        if self._latency <= max(STRAINED_SECONDS, STRAINED_TIMES * self._quickest):
            self.connections = min(self._most_connections, self.connections + 1)
            self.delay = max(self._least_delay, self.delay / 2 if self.delay > 0.05 else 0.0)
        elif self.connections > 1:
            self.connections -= 1
        else:
            self.delay = min(LONGEST_DELAY, max(self.delay, self._latency))


class Hosts:
    """The state of every host met in a run, by host and port."""

    def __init__(self, connections: int, delay: float, *, clock: Callable[[], float]) -> None:
        self._connections = connections
        self._delay = delay
        self._clock = clock
        self._known: dict[str, Host] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def open_count(self) -> int:
        """How many hosts have an open circuit."""
        return sum(host.is_open for host in self._known.values())

    def __getitem__(self, authority: str) -> Host:
        if authority not in self._known:
            self._known[authority] = Host(self._connections, self._delay, clock=self._clock)
        return self._known[authority]
