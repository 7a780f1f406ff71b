"""Heads of HTTP/1.1 answers (RFC 9112): what they state, and how the body that follows is bounded."""

from __future__ import annotations

from dataclasses import dataclass

import httptools

# Of one answer, with the provisional ones before it.
MOST_HEAD_BYTES = 65_536
END = b"\r\n\r\n"
# Answers that have no body, whatever their head states (RFC 9112, section 6.3).
_BODILESS = frozenset({204, 304})


class BadAnswer(Exception):
    """What a server sent is not an answer in HTTP."""


@dataclass(frozen=True, slots=True)
class Head:
    """An answer's status and headers, by their names in small letters.

    `length` is the body's in bytes; None where chunks tell it (`chunked`), or else the connection's end.
    """

    status: int
    headers: dict[str, list[str]]
    length: int | None
    chunked: bool
    keeps_alive: bool

    def get(self, name: str) -> str | None:
        """The values of a header as one (RFC 9110, section 5.3); None without it. `name` is in small letters."""
        values = self.headers.get(name)
        return ", ".join(values) if values else None

    def all(self, name: str) -> list[str]:
        """Every value of a header; `name` is in small letters."""
        return self.headers.get(name, [])


def parse_head(head: bytes) -> Head:
    """The head that `head` is all of, to its empty line. Raises BadAnswer.

    Strict, because parsers that guess are fooled: a second length, or a length beside chunks, is no answer.
    """
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
    headers = _headers(head)
    status = parser.get_status_code()
    codings = ", ".join(headers.get("transfer-encoding", ())).strip().lower()
    if codings not in ("", "chunked"):
        raise BadAnswer(f"its transfer coding is {codings[:40]!r}")
    lengths = headers.get("content-length", ())
    length = int(lengths[0]) if lengths else None
    bodiless = status in _BODILESS or status < 200
    if bodiless:
        length = 0
    said = ", ".join(headers.get("connection", ())).lower()
    newer = parser.get_http_version() == "1.1"
    return Head(
        status,
        headers,
        length,
        chunked=bool(codings) and not bodiless,
        keeps_alive="close" not in said if newer else "keep-alive" in said,
    )


class _Listener:
    """Hears from httptools that a head was valid to its end."""

    is_complete = False

    def on_headers_complete(self) -> None:
        self.is_complete = True


def _headers(head: bytes) -> dict[str, list[str]]:
    """The headers of a head that is known to be valid: httptools tells of each one by a call, which takes longer."""
    headers: dict[str, list[str]] = {}
    for line in head[: -len(END)].decode("utf-8", "surrogateescape").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), []).append(value.strip(" \t"))
    return headers
