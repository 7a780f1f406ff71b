"""Where a body ends (RFC 9112, section 6): after so many bytes, with its last chunk, or with the connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import httptools

from .heads import MOST_HEAD_BYTES, BadAnswer, Head

Take = Callable[[bytes | memoryview], None]
# For each byte of the content so many beside it may come: sizes of chunks, what else is said of them, the trailer.
MOST_BESIDE = 16
_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Body(Protocol):
    """Told what is received, gives the body's own bytes on."""

    # Whether all of it was received, and whether more was than belongs to it.
    is_complete: bool
    is_exceeded: bool
    # Whether the connection's end is the body's.
    ends_with_connection: bool

    def feed(self, received: bytes | memoryview) -> None:
        """Go on with what was received. Raises BadAnswer where it cannot be part of a body."""


def body_after(head: Head, take: Take) -> Body:
    """The body that `head` announces; `take` gets its bytes."""
    if head.chunked:
        return Chunked(take)
    return UntilTheEnd(take) if head.length is None else Counted(take, head.length)


class Counted:
    """A body of `length` bytes."""

    ends_with_connection = False

    def __init__(self, take: Take, length: int) -> None:
        self._take = take
        self._left = length
        self.is_complete = not length
        self.is_exceeded = False

    def feed(self, received: bytes | memoryview) -> None:
        """Go on with what was received."""
        self.is_exceeded = len(received) > self._left
        self._take(received[: self._left])
        self._left -= min(self._left, len(received))
        self.is_complete = not self._left


class UntilTheEnd:
    """A body that lasts as long as the connection."""

    ends_with_connection = True
    is_complete = is_exceeded = False

    def __init__(self, take: Take) -> None:
        self._take = take

    def feed(self, received: bytes | memoryview) -> None:
        """Go on with what was received."""
        self._take(received)


class Chunked:
    """A body in chunks (RFC 9112, section 7.1)."""

    ends_with_connection = False

    def __init__(self, take: Take) -> None:
        self._take = take
        self._received = self._taken = 0
        self.is_complete = self.is_exceeded = False
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)

    def feed(self, received: bytes | memoryview) -> None:
        """Go on with what was received."""
        self._received += len(received)
        try:
            self._parser.feed_data(received)
        except httptools.HttpParserError as error:
            # What comes behind the body is not taken for an answer: nobody asked for it.
            if not self.is_complete:
                raise BadAnswer(f"its chunks: {error}") from error
            self.is_exceeded = True
        if self._received > (1 + MOST_BESIDE) * self._taken + MOST_HEAD_BYTES:
            raise BadAnswer("more is said of its chunks than is in them")

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self.is_exceeded = self.is_complete

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        if not self.is_complete:
            self._taken += len(part)
            self._take(part)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.is_complete = True
