"""One connection to a server: a question at a time, and answers whose bodies are received where they are to be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, cast

from .bodies import Body, body_after
from .heads import MOST_HEAD_BYTES, BadAnswer, Head, end_of_head, parse_head


class Disconnected(ConnectionError):
    """A connection ended before the answer did."""


class Taker(Protocol):
    """Takes a body part by part."""

    def take(self, part: bytes | memoryview) -> bool:
        """Take the next part, whose memory is used for others afterwards; False if no more is wanted."""


# Memory for all of a body whose length is told, or who takes it; None if it is not wanted.
Place = memoryview | Taker | None


@dataclass(frozen=True, slots=True)
class Later:
    """It is not known yet where a body goes: the server waits until `place` has told."""

    place: Callable[[], Awaitable[Place]]


# Asked as soon as a head is there.
Begin = Callable[[Head], Place | Later]


class Connection(asyncio.BufferedProtocol):
    """Used within one event loop, by one at a time. All connections of a loop may share `scratch`.

    What is received there is copied once more: heads and what comes with them, and bodies that a Taker takes.
    """

    def __init__(self, scratch: memoryview) -> None:
        self._scratch = scratch
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[Later | None] | None = None
        self._begin: Begin | None = None
        self._received = bytearray()
        self._head_bytes = 0
        self._head: Head | None = None
        self._view: memoryview | None = None
        self._filled = 0
        self._body: Body | None = None
        self._is_wanted = True
        self._has_ended = False
        self.is_open = False

    @property
    def is_answering(self) -> bool:
        """Whether anything of the last answer was received."""
        return self._head_bytes > 0

    async def ask(self, request: bytes, begin: Begin) -> Head:
        """Send `request`; the answer's head, once its body is where `begin` wants it.

        Afterwards the connection is open only if it may be asked again. Raises BadAnswer, OSError and what `begin`
        raises.
        """
        loop = asyncio.get_running_loop()
        self._expect(begin)
        try:
            self._waiter = loop.create_future()
            if not self.is_open:
                raise Disconnected("the server ended the connection")
            self._transport.write(request)
            later = await self._waiter
            if later is not None:
                place = await later.place()
                self._waiter = loop.create_future()
                self._go_on(place)
                await self._waiter
        except BaseException:
            self.abort()
            raise
        finally:
            # An idle connection must not keep memory that others wait for.
            self._waiter = self._view = self._body = self._begin = None
        assert self._head is not None
        return self._head

    def _expect(self, begin: Begin) -> None:
        self._begin, self._head, self._head_bytes = begin, None, 0
        self._received.clear()

    def abort(self) -> None:
        """End the connection at once."""
        self.is_open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def eof_received(self) -> bool:
        """Called by the event loop."""
        self._has_ended = True
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self.is_open = False
        if self._has_ended and self._body is not None and self._body.ends_with_connection:
            self._finish(is_reusable=False)
        else:
            self._fail(error or Disconnected("the server ended the connection"))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the event loop."""
        return self._scratch if self._view is None else self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the event loop."""
        if self._view is not None:
            self._filled += nbytes
            if self._filled == len(self._view):
                self._finish(is_reusable=True)
            return
        if self._waiter is None or self._waiter.done():
            # Nobody asked for it, and a next answer could not be told from it.
            self.abort()
            return
        try:
            if self._body is not None:
                self._feed(self._body, self._scratch[:nbytes])
            else:
                self._receive_head(self._scratch[:nbytes])
        except Exception as error:  # noqa: BLE001  Raised again where the answer is waited for.
            self._fail(error)

    def _receive_head(self, part: memoryview) -> None:
        # An empty line may have begun in the part before.
        looked_at = max(0, len(self._received) - 2)
        self._received += part
        self._head_bytes += len(part)
        while (end := end_of_head(self._received, looked_at)) >= 0:
            looked_at = 0
            head = parse_head(bytes(self._received[:end]))
            del self._received[:end]
            # Others are provisional (RFC 9110, section 15.2): the answer follows.
            if head.status >= 200:
                self._open_body(head)
                return
        if self._head_bytes > MOST_HEAD_BYTES:
            raise BadAnswer(f"its head is over {MOST_HEAD_BYTES} bytes")

    def _open_body(self, head: Head) -> None:
        assert self._begin is not None
        self._head = head
        place = self._begin(head)
        if isinstance(place, Later):
            self._transport.pause_reading()
            self._settle(place)
        else:
            self._put(head, place)

    def _go_on(self, place: Place) -> None:
        """Read on, after a pause."""
        assert self._head is not None
        self._put(self._head, place)
        if self.is_open:
            self._transport.resume_reading()
        else:
            self._fail(Disconnected("the server ended the connection"))

    def _put(self, head: Head, place: Place) -> None:
        """Begin a body with what was received behind its head."""
        rest = bytes(self._received)
        self._received.clear()
        if place is None:
            self._finish(is_reusable=len(rest) == head.length)
        elif isinstance(place, memoryview):
            self._filled = min(len(rest), len(place))
            place[: self._filled] = rest[: self._filled]
            if self._filled == len(place):
                self._finish(is_reusable=len(rest) == self._filled)
            else:
                self._view = place
        else:
            self._is_wanted = True
            self._body = body_after(head, lambda part: self._take(place, part))
            self._feed(self._body, rest)

    def _take(self, taker: Taker, part: bytes | memoryview) -> None:
        self._is_wanted = self._is_wanted and taker.take(part)

    def _feed(self, body: Body, received: bytes | memoryview) -> None:
        body.feed(received)
        if body.is_complete or not self._is_wanted:
            self._finish(is_reusable=body.is_complete and not body.is_exceeded)

    def _finish(self, *, is_reusable: bool) -> None:
        self._view = self._body = None
        if not is_reusable or self._head is None or not self._head.keeps_alive:
            self.abort()
        self._settle(None)

    def _settle(self, later: Later | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(later)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
