"""How gently a host is treated: connections at once, delay, pauses that it asked for, retries."""

from __future__ import annotations

import asyncio
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
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


class HostPaused(Exception):
    """A host asked to be left alone for longer than a run waits; `seconds` are left of it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the host asked to be left alone for {seconds:.0f} s more")
        self.seconds = seconds


class Host:
    """One host's state; used within one event loop. `clock` and `sleep` are the loop's, or a test's.

    Trouble (429, 503, Retry-After) halves the connections and doubles the delay; only good answers undo it,
    slowly, and never beyond the settings.
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
        self._next_start = clock()
        self._paused_until = clock()
        self._changed = asyncio.Condition()

    @property
    def pause(self) -> float:
        """Seconds that are left of the pause that the host asked for."""
        return max(0.0, self._paused_until - self._clock())

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a free connection, the host's delay and pause, and hold the connection meanwhile.

        Raises HostPaused rather than wait longer than LONGEST_PAUSE for the host.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._active < self.connections)
            self._active += 1
        try:
            await self._wait()
            yield
        finally:
            async with self._changed:
                self._active -= 1
                self._changed.notify_all()

    async def _wait(self) -> None:
        start = max(self._clock(), self._next_start)
        self._next_start = start + self.delay
        # Trouble that another connection meets meanwhile prolongs the wait.
        while (wait := max(start - self._clock(), self.pause)) > 0:
            if self.pause > LONGEST_PAUSE:
                raise HostPaused(self.pause)
            await self._sleep(wait)

    def troubled(self, retry_after: float) -> None:
        """The host said that it is too much: slow down, and start nothing for `retry_after` seconds."""
        self._good = 0
        self.connections = max(1, self.connections // 2)
        self.delay = min(LONGEST_DELAY, max(2 * self.delay, FIRST_BACKOFF))
        self._paused_until = max(self._paused_until, self._clock() + max(retry_after, self.delay))

    def satisfied(self) -> None:
        """The host answered well; RECOVERY such answers in a row make it a step faster."""
        self._good += 1
        if self._good >= RECOVERY:
            self._good = 0
            self.connections = min(self._most_connections, self.connections + 1)
            self.delay = max(self._least_delay, self.delay / 2 if self.delay > 0.05 else 0.0)


class Hosts:
    """The state of every host met in a run, by host and port."""

    def __init__(self, connections: int, delay: float, *, clock: Callable[[], float]) -> None:
        self._connections = connections
        self._delay = delay
        self._clock = clock
        self._known: dict[str, Host] = {}

    def __getitem__(self, authority: str) -> Host:
        if authority not in self._known:
            self._known[authority] = Host(self._connections, self._delay, clock=self._clock)
        return self._known[authority]
