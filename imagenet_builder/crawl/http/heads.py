"""Heads of HTTP/1.1 answers (RFC 9112): what they state, and how the body that follows is bounded."""

from __future__ import annotations

import re

import httptools

# Of one answer, with the provisional ones before it.
MOST_HEAD_BYTES = 65_536
_LINE_END = re.compile(rb"\r?\n")
_FOLD = re.compile(rb"\r\n[ \t]+")
# Answers that have no body, whatever their head states (RFC 9112, section 6.3).
_BODILESS = frozenset({204, 304})


class BadAnswer(Exception):
    """What a server sent is not an answer in HTTP."""


class Head:
    """An answer's status and headers, which are asked for by their names in small letters.

    `length` is the body's in bytes; None where chunks tell it (`chunked`), or else the connection's end.
    """

    __slots__ = ("_names", "_text", "chunked", "keeps_alive", "length", "status")

    def __init__(self, text: bytes, status: int, version: str) -> None:
        self._text = text
        # Only looked at where a header is asked for: most of what servers send nobody asks for.
        self._names = text.lower()
        self.status = status
        codings = (self.get("transfer-encoding") or "").lower()
        if codings not in ("", "chunked"):
            raise BadAnswer(f"its transfer coding is {codings[:40]!r}")
        bodiless = status in _BODILESS or status < 200
        length = self.get("content-length")
        self.length = 0 if bodiless else None if length is None else int(length)
        self.chunked = bool(codings) and not bodiless
        said = (self.get("connection") or "").lower()
        # HTTP/1.0 knows no chunks: who sends them in it may be wrong about the next answer too (section 6.1).
        self.keeps_alive = "close" not in said if version == "1.1" else "keep-alive" in said and not codings

    def get(self, name: str) -> str | None:
        """The values of a header as one (RFC 9110, section 5.3); None without it."""
        values = self.all(name)
        return ", ".join(values) if values else None

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        values = []
        marker = b"\r\n%b:" % name.encode()
        end = 0
        while (begin := self._names.find(marker, end)) >= 0:
            begin += len(marker)
            end = self._text.index(b"\r\n", begin)
            values.append(self._text[begin:end].strip(b" \t").decode("utf-8", "surrogateescape"))
        return values


def end_of_head(received: bytearray, begin: int) -> int:
    """Where the head ends whose empty line `received` has at `begin` or later; -1 if there is none yet."""
    end = received.find(b"\n\r\n", begin)
    bare = received.find(b"\n\n", begin, len(received) if end < 0 else end + 1)
    if bare >= 0:
        return bare + 2
    return end if end < 0 else end + 3


def parse_head(head: bytes) -> Head:
    """The head that `head` is all of, to its empty line. Raises BadAnswer.

    Taken is what RFC 9112 lets a user agent take because it can be read in one way only: lines that end without CR
    (section 2.2), folded lines (5.2), one length said several times (6.3). Parsers that guess further are fooled: two
    lengths, or a length beside chunks, are no answer.
    """
    try:
        return _parsed(head)
    except BadAnswer:
        mended = _mended(head)
        if mended == head:
            raise
    return _parsed(mended)


def _parsed(head: bytes) -> Head:
    listener = _Listener()
    parser = httptools.HttpResponseParser(listener)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade as error:
        raise BadAnswer("it changes to another protocol") from error
    except httptools.HttpParserError as error:
        raise BadAnswer(str(error)) from error
    if not listener.is_complete:
        raise BadAnswer("its head does not end")
    return Head(head, parser.get_status_code(), parser.get_http_version())


def _mended(head: bytes) -> bytes:
    """`head` as a careful server would have written it."""
    # A line folded into the first one is left: it would be no field any more.
    first, _, fields = _LINE_END.sub(b"\r\n", head).partition(b"\r\n")
    lines = _FOLD.sub(b" ", fields).split(b"\r\n")
    lengths = [line for line in lines if line.partition(b":")[0].lower() == b"content-length"]
    said = {length.strip(b" \t") for line in lengths for length in line.partition(b":")[2].split(b",")}
    if len(said) == 1:
        lines = [b"Content-Length: " + said.pop(), *(line for line in lines if line not in lengths)]
    return b"\r\n".join([first, *lines])


class _Listener:
    """Hears from httptools that a head was valid to its end."""

    is_complete = False

    def on_headers_complete(self) -> None:
        self.is_complete = True
