"""Tar archives to the byte: headers that depend on nothing but a member's name and size."""

from __future__ import annotations

import tarfile
from functools import cache
from typing import IO, TypeVar

from .places import WRITTEN_AT_NS

# Where a header has its name, its size and its checksum (POSIX.1-1988, ustar).
NAME_BYTES, SIZE_AT, CHECKSUM_AT = 100, 124, 148
LARGEST_OCTAL = 8**11 - 1
Content = TypeVar("Content", bytes, memoryview)
PADDING = [bytes(length) for length in range(tarfile.BLOCKSIZE)]


def tar_header(name: str, size: int) -> bytes:
    """The header of a member of `size` bytes, written when everything in a release was."""
    encoded = name.encode()
    if len(encoded) > NAME_BYTES or size > LARGEST_OCTAL or not name.isascii():
        # POSIX's own format holds 8 GiB and 100 bytes; GNU's extensions are read by every tar too.
        return _member(name, size).tobuf(tarfile.GNU_FORMAT)
    # All headers are equal but for these: tobuf would take as long for one as writing a picture takes.
    blank, blank_sum = _blank()
    octal = b"%011o" % size
    checksum = b"%06o" % (blank_sum + sum(encoded) + sum(octal))
    return b"".join(
        [
            encoded.ljust(NAME_BYTES, b"\0"),
            blank[NAME_BYTES:SIZE_AT],
            octal,
            blank[SIZE_AT + len(octal) : CHECKSUM_AT],
            checksum,
            blank[CHECKSUM_AT + len(checksum) :],
        ]
    )


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = WRITTEN_AT_NS // 10**9
    return member


@cache
def _blank() -> tuple[bytes, int]:
    """The header of a member without name and size, and the checksum of what it has beside them."""
    blank = _member("", 0).tobuf(tarfile.GNU_FORMAT)
    size = blank[SIZE_AT : SIZE_AT + 11]
    return blank, int(blank[CHECKSUM_AT : CHECKSUM_AT + 6], 8) - sum(size)


def tar_member(name: str, content: Content) -> tuple[bytes, Content, bytes]:
    """A member, for `writelines`: header, content as it is, uncopied, and zeros up to a whole block."""
    return tar_header(name, len(content)), content, PADDING[-len(content) % tarfile.BLOCKSIZE]


def tar_end(size: int) -> bytes:
    """What ends an archive whose members have `size` bytes: two empty blocks, and zeros up to a whole record."""
    empty = 2 * tarfile.BLOCKSIZE
    return bytes(empty + -(size + empty) % tarfile.RECORDSIZE)


def write_tar_end(file: IO[bytes], starts: int = 0) -> None:
    """End the archive that starts at `starts` of `file` and goes up to where it stands."""
    file.write(tar_end(file.tell() - starts))
