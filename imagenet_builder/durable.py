"""Files in a folder that appear whole or not at all and survive a power cut, written several together."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import itertools
import mmap
import os
from collections.abc import Mapping
from pathlib import Path

# A file is written under its name with this and a number behind it, and renamed.
MARK = "#"
# Open at once by each thread that writes: a process may have a thousand descriptors, and thirty such threads.
FILES_AT_ONCE = 16
# Files from here on are written past the page cache: its pages are dear (most of all in a virtual machine, whose host
# must find each of them), and nobody reads a picture soon after it was stored.
PAST_CACHE_FROM = 32 * 1024
# What such writes have a multiple of, in memory, place and length.
BLOCK = 4096
PIECE = 256 * BLOCK


class DurableFolder:
    """Writes files of a folder by their names "INNER/NAME"; safe to use from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        # Inner folders whose own entries this object has made durable.
        self._settled: set[str] = set()

    def write(self, contents: Mapping[str, bytes | memoryview]) -> None:
        """Write files, in place of those that have their names; all are durable when this returns. Raises OSError."""
        names = iter(contents)
        with mmap.mmap(-1, PIECE) as memory, memoryview(memory) as piece:
            while group := list(itertools.islice(names, FILES_AT_ONCE)):
                self._write_together({name: contents[name] for name in group}, piece)

    def _write_together(self, contents: Mapping[str, bytes | memoryview], piece: memoryview) -> None:
        with contextlib.ExitStack() as stack:
            files = []
            for name, content in contents.items():
                file = _File(f"{self._folder}/{name}")
                stack.callback(file.close)
                files.append(file)
                _write(file.descriptor, content, piece)
            # Only when all are written is the first one waited for: the first wait then settles most of them.
            for file in files:
                os.fsync(file.descriptor)
            for file in files:
                file.appear()
        # Nobody may rely on a file that a power cut takes the name from: the folders that name it are flushed too.
        inner = {name.partition("/")[0] for name in contents}
        for name in inner:
            _flush(f"{self._folder}/{name}")
        if not inner <= self._settled:
            _flush(self._folder)
            self._settled |= inner


class _File:
    """A file that is being written beside its name: it appears whole, or not at all."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._beside, self.descriptor = _open_beside(path)
        self._appeared = False

    def appear(self) -> None:
        """Give the file its name, in place of what has it."""
        Path(self._beside).replace(self._path)
        self._appeared = True

    def close(self) -> None:
        """Let go of the file; one that did not appear is gone."""
        os.close(self.descriptor)
        if not self._appeared:
            Path(self._beside).unlink(missing_ok=True)


def _open_beside(path: str) -> tuple[str, int]:
    for number in itertools.count(1):
        beside = f"{path}{MARK}{number}"
        try:
            return beside, os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            # Another process is writing the same, or was killed when it did.
            continue
    raise AssertionError("unreachable")


def _write(descriptor: int, content: bytes | memoryview, piece: memoryview) -> None:
    """Write all of `content`; `piece` is memory for it on its way."""
    view = memoryview(content)
    written = _write_past_cache(descriptor, view, piece) if len(view) >= PAST_CACHE_FROM else 0
    while written < len(view):
        written += os.pwrite(descriptor, view[written:], written)


def _write_past_cache(descriptor: int, content: memoryview, piece: memoryview) -> int:
    """Write the whole blocks of `content`; how many bytes were written: the file system may know only its cache."""
    end, written = len(content) - len(content) % BLOCK, 0
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        if _is_in_whole_blocks(content):
            while written < end:
                written += os.pwrite(descriptor, content[written:end], written)
        while written < end:
            count = min(end - written, len(piece))
            piece[:count] = content[written : written + count]
            written += os.pwrite(descriptor, piece[:count], written)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return written


def _is_in_whole_blocks(content: memoryview) -> bool:
    """Whether the memory of `content` begins with a block: such memory need not be copied."""
    return not content.readonly and ctypes.addressof(ctypes.c_char.from_buffer(content)) % BLOCK == 0


def _flush(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
