"""What servers answer: bodies read within bounds, statuses and errors brought to named reasons. And own files."""

from __future__ import annotations

import zlib
from pathlib import Path

import aiohttp

from imagenet_builder.records import Failed, Reason, Rejected

from .addresses import ForbiddenAddress

# Content codings that are undone although none was asked for; zlib tells gzip and deflate apart itself.
CODINGS = frozenset({"gzip", "x-gzip", "deflate"})


def expected_bytes(response: aiohttp.ClientResponse, most_bytes: int) -> int:
    """How many bytes the body may take: what it declares, or the most that is read of any."""
    declared = response.content_length
    if declared is None or "Content-Encoding" in response.headers:
        return most_bytes
    return min(declared, most_bytes)


async def read_body(
    response: aiohttp.ClientResponse, most_bytes: int, *, cut: bool
) -> bytes | Rejected | Failed:
    """The body with its content coding undone; refused beyond `most_bytes`, or ended there if `cut`."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in CODINGS and coding not in ("", "identity"):
        return Failed(Reason.REFUSED, False, f"sent as {coding[:40]}, which was not asked for")
    too_large = Rejected(Reason.TOO_LARGE, f"over {most_bytes} bytes")
    if not cut and response.content_length is not None and response.content_length > most_bytes:
        return too_large
    undo = zlib.decompressobj(wbits=47) if coding in CODINGS else None
    parts, length = [], 0
    async for chunk in response.content.iter_any():
        try:
            # One byte more than allowed tells a bomb without unpacking it.
            part = undo.decompress(chunk, most_bytes + 1 - length) if undo else chunk
        except zlib.error as error:
            return Rejected(Reason.DAMAGED, f"its {coding} coding: {error}")
        parts.append(part)
        length += len(part)
        if length > most_bytes:
            return b"".join(parts)[:most_bytes] if cut else too_large
    if undo is not None and not undo.eof:
        return Failed(Reason.INTERRUPTED, True, f"its {coding} coding ends early")
    return b"".join(parts)


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


def classified(error: Exception, *, body_begun: bool) -> Failed:
    """What an error of the network or of aiohttp means for a candidate; `body_begun` once headers were read."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ForbiddenAddress):
        return Failed(Reason.FORBIDDEN_ADDRESS, False, str(cause))
    if isinstance(error, aiohttp.InvalidURL):
        return Failed(Reason.BAD_URL, False, one_line(error))
    if isinstance(error, aiohttp.ClientResponseError):
        return Failed(Reason.SERVER_ERROR, True, f"not HTTP: {one_line(error)}")
    if body_begun:
        return Failed(Reason.INTERRUPTED, True, one_line(error))
    return Failed(Reason.UNREACHABLE, True, one_line(error))


def one_line(error: Exception) -> str:
    """The text of `error` in one line of at most 200 characters; its class where it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__
