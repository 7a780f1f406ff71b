"""Tar archives to the byte: headers that depend on nothing but a member's name and size."""

from __future__ import annotations

import tarfile
from typing import IO

from .tree import WRITTEN_AT_NS


def tar_header(name: str, size: int) -> bytes:
    """The header of a member of `size` bytes, written when everything in a release was."""
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = WRITTEN_AT_NS // 10**9
    # POSIX's own format holds 8 GiB; GNU's larger numbers are read by every tar too.
    return member.tobuf(tarfile.GNU_FORMAT)


def tar_member(name: str, content: bytes) -> bytes:
    """A whole member: header, content, and zeros up to a whole block."""
    return tar_header(name, len(content)) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def tar_end(size: int) -> bytes:
    """What ends an archive whose members have `size` bytes: two empty blocks, and zeros up to a whole record."""
    empty = 2 * tarfile.BLOCKSIZE
    return bytes(empty + -(size + empty) % tarfile.RECORDSIZE)


def write_tar_end(file: IO[bytes], starts: int = 0) -> None:
    """End the archive that starts at `starts` of `file` and goes up to where it stands."""
    file.write(tar_end(file.tell() - starts))
