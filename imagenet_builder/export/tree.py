"""The folder that a release is written into: every file has its checksum, nothing depends on the clock."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

SUMS_NAME = "SHA256SUMS"
# All files and folders of all releases say that they were written then: equal releases are equal to the byte.
WRITTEN_AT_NS = 1_577_836_800 * 10**9  # 2020-01-01T00:00:00Z
BUFFER = 1 << 20


class LargeFile(NamedTuple):
    """A file that was written piece by piece: its bytes and their SHA-256."""

    size: int
    sha256: str


class Tree:
    """Files below one folder, listed with their SHA-256 in SHA256SUMS in the order in which they were finished.

    Paths are relative, with slashes. `large_files` has those that were written through `open`, by path. Not for
    several threads. Raises OSError as the disk does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = {""}
        self.large_files: dict[str, LargeFile] = {}
        folder.mkdir(parents=True)
        self._sums: IO[str] = (folder / SUMS_NAME).open("w", encoding="utf-8", newline="\n")

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file."""
        target = self._prepared(path)
        target.write_bytes(content)
        self._listed(path, hashlib.sha256(content).hexdigest())

    @contextmanager
    def open(self, path: str, buffering: int = BUFFER) -> Iterator[BinaryIO]:
        """A new file to write to, at any place in it; listed when it is closed without an error."""
        target = self._prepared(path)
        with target.open("wb", buffering=buffering) as file:
            yield file
        with target.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        self.large_files[path] = LargeFile(target.stat().st_size, digest)
        self._listed(path, digest)

    def close(self) -> str:
        """Finish SHA256SUMS and return its own SHA-256."""
        self._sums.close()
        with (self._folder / SUMS_NAME).open("rb") as written:
            return hashlib.file_digest(written, "sha256").hexdigest()

    def abandon(self) -> None:
        """Close what is open; what was written stays."""
        self._sums.close()

    def write_unlisted(self, path: str, content: bytes) -> None:
        """Write a file that SHA256SUMS does not list, because it vouches for SHA256SUMS."""
        self._prepared(path).write_bytes(content)

    def set_times(self) -> None:
        """Give every file and folder the same time of writing; the last thing that is done."""
        for folder, _, files in os.walk(self._folder, topdown=False):
            for name in files:
                os.utime(Path(folder, name), ns=(WRITTEN_AT_NS, WRITTEN_AT_NS))
            os.utime(folder, ns=(WRITTEN_AT_NS, WRITTEN_AT_NS))

    def _prepared(self, path: str) -> Path:
        parent, _, _ = path.rpartition("/")
        target = self._folder / path
        if parent not in self._made:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(parent)
        return target

    def _listed(self, path: str, digest: str) -> None:
        self._sums.write(f"{digest}  {path}\n")
