"""The folder that a release is written into: every file has its checksum, nothing depends on the clock.

SHA256SUMS is also the journal of a run: a file is listed when it is whole. After a kill, a run that makes the very
same release (`plan`) finds there what it need not write again.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

SUMS_NAME = "SHA256SUMS"
# Only in a release that is being written: what it is to be, and what earlier runs of that finished.
PLAN_NAME, EARLIER_NAME = ".plan", ".finished-earlier"
# All files and folders of all releases say that they were written then: equal releases are equal to the byte.
WRITTEN_AT_NS = 1_577_836_800 * 10**9  # 2020-01-01T00:00:00Z
# Measured: the system takes four times as long for as many bytes in writes of a mebibyte.
BUFFER = 1 << 17
READ_ONLY = 0o444


class LargeFile(NamedTuple):
    """A file that was written piece by piece: its bytes and their SHA-256."""

    size: int
    sha256: str


class _Counter(io.RawIOBase):
    """Takes what is written, at any place, and keeps only where it stands."""

    def __init__(self) -> None:
        self._place = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, content: Buffer, /) -> int:
        size = memoryview(content).nbytes
        self._place += size
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence != os.SEEK_SET:
            raise io.UnsupportedOperation("only places from the start are kept")
        self._place = offset
        return offset

    def tell(self) -> int:
        return self._place


class Tree:
    """Files below one folder, listed with their SHA-256 in SHA256SUMS in the order in which they were finished.

    Paths are relative, with slashes. `large_files` has those that were written through `open`, by path. A folder that
    a killed run of the same `plan` left is gone on with: `reused` counts its files that were not written again.
    Another one's is emptied first. Not for several threads, but for `kept`. Raises OSError as the disk does.
    """

    def __init__(self, folder: Path, plan: str = "") -> None:
        self._folder = folder
        self._made = {""}
        self.large_files: dict[str, LargeFile] = {}
        self.reused = 0
        self._kept = _left_by(folder, plan) if plan else {}
        self._read: set[str] = set()
        if plan and folder.exists() and not self._kept:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=bool(self._kept))
        if plan:
            (folder / PLAN_NAME).write_text(plan, "ascii")
        self._sums: IO[str] = (folder / SUMS_NAME).open("w", encoding="utf-8", newline="\n")

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file."""
        digest = hashlib.sha256(content).hexdigest()
        if self._kept.get(path) == digest and (path in self._read or self._is_whole(path, digest)):
            self.reused += 1
        else:
            self._prepared(path).write_bytes(content)
        self._listed(path, digest)

    @property
    def kept_files(self) -> int:
        """How many files a killed run of the same plan finished."""
        return len(self._kept)

    def kept(self, path: str) -> bytes | None:
        """What a killed run wrote to `path`; None if it is not there, or not whole. May be called on any thread."""
        digest = self._kept.get(path)
        if digest is None:
            return None
        try:
            content = (self._folder / path).read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest() != digest:
            return None
        self._read.add(path)
        return content

    @contextmanager
    def open(self, path: str, buffering: int = BUFFER, *, anew: bool = False) -> Iterator[BinaryIO]:
        """A new file to write to, at any place in it; listed when it is closed without an error.

        The same plan writes the same bytes: a file that is there already stays as it is, unless it is to be written
        `anew` because it tells of more than the plan.
        """
        digest = self._kept.get(path)
        target = self._prepared(path)
        if digest is not None and not anew and self._is_whole(path, digest):
            yield cast(BinaryIO, _Counter())
            self.reused += 1
        else:
            with target.open("wb", buffering=buffering) as file:
                yield file
            digest = _digest(target)
        self.large_files[path] = LargeFile(target.stat().st_size, digest)
        self._listed(path, digest)

    def close(self) -> str:
        """Finish SHA256SUMS and return its own SHA-256; what was kept for going on is removed."""
        self._sums.close()
        for name in (PLAN_NAME, EARLIER_NAME):
            (self._folder / name).unlink(missing_ok=True)
        return _digest(self._folder / SUMS_NAME)

    def abandon(self) -> None:
        """Close what is open; what was written stays."""
        self._sums.close()

    def write_unlisted(self, path: str, content: bytes) -> None:
        """Write a file that SHA256SUMS does not list, because it vouches for SHA256SUMS."""
        self._prepared(path).write_bytes(content)

    def freeze(self) -> None:
        """Give every file and folder the same time of writing, and let nobody write to a file; done last.

        Folders stay writable: a release can be moved and removed like any other.
        """
        for folder, _, files in os.walk(self._folder, topdown=False):
            for name in files:
                Path(folder, name).chmod(READ_ONLY)
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

    def _is_whole(self, path: str, digest: str) -> bool:
        # The list outlives a power failure that the file did not: it is read before it is believed.
        target = self._folder / path
        return target.is_file() and _digest(target) == digest


def _left_by(folder: Path, plan: str) -> dict[str, str]:
    """Path → SHA-256 of what a killed run of this plan finished in `folder`; everything else in it is removed."""
    try:
        if (folder / PLAN_NAME).read_text("ascii") != plan:
            return {}
    except (OSError, UnicodeDecodeError):
        return {}
    kept: dict[str, str] = {}
    for name in (EARLIER_NAME, SUMS_NAME):
        if (folder / name).exists():
            # The last line may be torn.
            lines = (folder / name).read_bytes().decode("utf-8", "replace").split("\n")[:-1]
            listed = (line.partition("  ") for line in lines)
            kept.update((path, digest) for digest, _, path in listed)
    # This run lists again from the start: what it has not come to yet must survive its own end.
    beside = folder / f"{EARLIER_NAME}.new"
    beside.write_text("".join(f"{digest}  {path}\n" for path, digest in kept.items()), "utf-8")
    beside.replace(folder / EARLIER_NAME)
    for parent, _, names in os.walk(folder):
        for name in names:
            found = Path(parent, name)
            path = found.relative_to(folder).as_posix()
            if path != EARLIER_NAME and path not in kept:
                found.unlink()
    return kept


def _digest(path: Path) -> str:
    with path.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()
