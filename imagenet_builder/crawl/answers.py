"""What servers answer: bodies within bounds, statuses and errors brought to named reasons. And own files."""

from __future__ import annotations

import zlib
from pathlib import Path

from imagenet_builder.records import Failed, Reason, Rejected

from .addresses import ForbiddenAddress
from .http.heads import BadAnswer, Head

# Content codings that are undone although none was asked for; zlib tells gzip and deflate apart itself.
CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
PLAIN = frozenset({"", "identity"})


def coding_of(head: Head) -> str:
    """The content coding that a head states, in small letters."""
    return (head.get("content-encoding") or "").lower()


class Gathered:
    """A body whose length is not known: put together, its content coding undone.

    It is refused beyond `most_bytes`, or ended there if `cut`.
    """

    def __init__(self, coding: str, most_bytes: int, *, cut: bool) -> None:
        self._coding = coding
        self._most_bytes = most_bytes
        self._cut = cut
        self._undo = zlib.decompressobj(wbits=47) if coding in CODINGS else None
        self._content = bytearray()
        self._damage: Rejected | None = None

    def take(self, part: bytes | memoryview) -> bool:
        """Add a part; False if no more is of use."""
        try:
            # One byte more than allowed tells a bomb without unpacking it.
            left = self._most_bytes + 1 - len(self._content)
            self._content += self._undo.decompress(part, left) if self._undo else part
        except zlib.error as error:
            self._damage = Rejected(Reason.DAMAGED, f"its {self._coding} coding: {error}")
        return self._damage is None and len(self._content) <= self._most_bytes

    def result(self) -> memoryview | Rejected | Failed:
        """The content, or why there is none; to be asked for once no more comes."""
        if self._damage is not None:
            return self._damage
        if len(self._content) > self._most_bytes:
            if self._cut:
                return memoryview(self._content)[: self._most_bytes]
            return Rejected(Reason.TOO_LARGE, f"over {self._most_bytes} bytes")
        if self._undo is not None and not self._undo.eof:
            return Failed(Reason.INTERRUPTED, True, f"its {self._coding} coding ends early")
        return memoryview(self._content)


def read_file(path: Path | None, most_bytes: int) -> bytes | Rejected | Failed:
    """Read a file of the user's own; None stands for an address that no source vouches for."""
    if path is None:
        return Failed(Reason.BAD_URL, False, "a file that no source of this project names")
    try:
        if not path.is_file():
            return Failed(Reason.NOT_FOUND, False, "there is no such file now")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except PermissionError as error:
        return Failed(Reason.REFUSED, True, str(error.strerror))
    except OSError as error:
        return Failed(Reason.UNREACHABLE, True, str(error.strerror))
    if len(content) > most_bytes:
        return Rejected(Reason.TOO_LARGE, f"over {most_bytes} bytes")
    return content


def refused(status: int) -> Failed:
    """What a status other than success means for a candidate."""
    detail = f"HTTP {status}"
    if status in (404, 410):
        return Failed(Reason.NOT_FOUND, False, detail)
    if status == 408:
        return Failed(Reason.TIMEOUT, True, detail)
    if status == 429:
        return Failed(Reason.RATE_LIMITED, True, detail)
    if status >= 500:
        return Failed(Reason.SERVER_ERROR, True, detail)
    return Failed(Reason.REFUSED, False, detail)


def classified(error: BadAnswer | OSError, *, body_begun: bool) -> Failed:
    """What an error of the network or of a server means for a candidate; `body_begun` once a head was read."""
    if isinstance(error, ForbiddenAddress):
        return Failed(Reason.FORBIDDEN_ADDRESS, False, str(error))
    if isinstance(error, BadAnswer):
        return Failed(Reason.SERVER_ERROR, True, f"not HTTP: {one_line(error)}")
    if body_begun:
        return Failed(Reason.INTERRUPTED, True, one_line(error))
    return Failed(Reason.UNREACHABLE, True, one_line(error))


def one_line(error: Exception) -> str:
    """The text of `error` in one line of at most 200 characters; its class where it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__
