"""The files of a release that is being written: every one has its checksum, and nothing depends on the clock.

What is finished is listed in a journal at once. After a kill, a run that makes the very same release (`plan`) finds
there what it need not write again. Several processes write one release, each with a list of its own.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple, cast

from .places import Place, remove_folder

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

SUMS_NAME = "SHA256SUMS"
# A journal beside the files that it lists; it is gone when they are a release.
JOURNAL_NAME = ".unfinished"
READ_AT_ONCE = 1 << 20
_PLAN_NAME, _LIST_ENDING = "plan", ".list"


class Listed(NamedTuple):
    """A file of a release: its bytes and their SHA-256."""

    size: int
    sha256: str


class Journal:
    """The lists of one release in `folder`, which outlive the processes that write them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_of(self, plan: str) -> bool:
        """Whether a run of this plan began it."""
        try:
            return (self.folder / _PLAN_NAME).read_text("ascii") == plan
        except (OSError, UnicodeDecodeError):
            return False

    def begin(self, plan: str) -> None:
        """Begin a journal of this plan, with nothing in it."""
        remove_folder(self.folder)
        self.folder.mkdir(parents=True)
        (self.folder / _PLAN_NAME).write_text(plan, "ascii")

    def listed(self, name: str) -> dict[str, Listed]:
        """Path → what the list `name` says of it, the last word of several."""
        try:
            content = (self.folder / f"{name}{_LIST_ENDING}").read_bytes()
        except FileNotFoundError:
            return {}
        found: dict[str, Listed] = {}
        # The last line may be torn.
        for line in content.decode("utf-8", "replace").split("\n")[:-1]:
            digest, size, path = line.split(" ", 2)
            found[path] = Listed(int(size), digest)
        return found

    def everything(self) -> dict[str, Listed]:
        """What all lists say, path by path."""
        found: dict[str, Listed] = {}
        for path in sorted(self.folder.glob(f"*{_LIST_ENDING}")):
            found |= self.listed(path.name.removesuffix(_LIST_ENDING))
        return found

    @contextmanager
    def replacing(self, name: str) -> Iterator[BinaryIO]:
        """A file that has its name when it is whole."""
        beside = self.folder / f"{name}.new"
        with beside.open("wb") as file:
            yield file
        beside.replace(self.folder / name)

    def list_to(self, name: str) -> IO[str]:
        """The list `name`, to add to."""
        target = self.folder / f"{name}{_LIST_ENDING}"
        if target.exists() and (content := target.read_bytes()) and not content.endswith(b"\n"):
            os.truncate(target, content.rfind(b"\n") + 1)
        return target.open("a", encoding="utf-8", newline="\n", buffering=1)


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


class _Hashed(io.RawIOBase):
    """Writes to a file; unless somebody goes back in it, its bytes are hashed on the way and never read again."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._straight = True
        self._place = 0
        self.size = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, content: Buffer, /) -> int:
        self.writelines([content])
        return memoryview(content).nbytes

    def writelines(self, pieces: Iterable[Buffer], /) -> None:
        waiting = list(pieces)
        self._file.writelines(waiting)
        for piece in waiting:
            if self._straight:
                self._hash.update(piece)
            self._place += memoryview(piece).nbytes
        self.size = max(self.size, self._place)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._straight = False
        self._place = self._file.seek(offset, whence)
        return self._place

    def tell(self) -> int:
        return self._place

    def digest(self) -> str:
        """The SHA-256 of all that was written."""
        if self._straight:
            return self._hash.hexdigest()
        self._file.seek(0)
        written = hashlib.sha256()
        while piece := self._file.read(READ_AT_ONCE):
            written.update(piece)
        return written.hexdigest()


class Tree:
    """Files at one place, each listed in one list of the journal as soon as it is whole.

    Paths are relative, with slashes. With `hard_links`, what is written twice is one file under two names.
    `large_files` has those that were written through `open`, by path; `reused` counts files that a killed run finished
    and that were not written again. Not for several threads, but for `kept`. Raises what the place raises.
    """

    def __init__(self, place: Place, journal: Journal, name: str, *, hard_links: bool = False) -> None:
        self.place = place
        self._first_of: dict[str, str] | None = {} if hard_links else None
        self.large_files: dict[str, Listed] = {}
        self.reused = 0
        self._kept = journal.listed(name)
        self._read: set[str] = set()
        self._list = journal.list_to(name)

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file."""
        digest = hashlib.sha256(content).hexdigest()
        kept = self._kept.get(path)
        if kept is not None and kept.sha256 == digest and (path in self._read or self._is_whole(path)):
            self.reused += 1
            return
        first = path if self._first_of is None else self._first_of.setdefault(digest, path)
        if first == path:
            self.place.write(path, content)
        else:
            self.place.link(path, first)
        self._listed(path, Listed(len(content), digest))

    def kept(self, path: str) -> bytes | None:
        """What a killed run wrote to `path`; None if it is not there, or not whole. May be called on any thread."""
        listed = self._kept.get(path)
        if listed is None:
            return None
        try:
            content = self.place.read(path)
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest() != listed.sha256:
            return None
        self._read.add(path)
        return content

    @contextmanager
    def open(self, path: str, *, anew: bool = False) -> Iterator[BinaryIO]:
        """A new file to write to, at any place in it; listed when it is closed without an error.

        The same plan writes the same bytes: a file that is there already stays as it is, unless it is to be written
        `anew` because it tells of more than the plan.
        """
        if not anew and self._is_whole(path):
            yield cast(BinaryIO, _Counter())
            self.reused += 1
            self.large_files[path] = self._kept[path]
            return
        with self.place.open(path) as file:
            hashed = _Hashed(file)
            yield cast(BinaryIO, hashed)
            listed = Listed(hashed.size, hashed.digest())
        self.large_files[path] = listed
        self._listed(path, listed)

    def whole(self) -> dict[str, Listed] | None:
        """Everything that a killed run listed here, if it is still there; else None."""
        return self._kept if all(self._is_whole(path) for path in self._kept) else None

    def close(self) -> None:
        """Close the list; what was written stays."""
        self._list.close()

    def _listed(self, path: str, listed: Listed) -> None:
        self._list.write(f"{listed.sha256} {listed.size} {path}\n")

    def _is_whole(self, path: str) -> bool:
        listed = self._kept.get(path)
        return listed is not None and self.place.holds(path, listed.sha256, listed.size)


def write_sums(place: Place, journal: Journal) -> str:
    """Write SHA256SUMS, which lists everything by path, and return its own SHA-256."""
    listed = journal.everything()
    content = "".join(f"{listed[path].sha256}  {path}\n" for path in sorted(listed)).encode()
    place.write(SUMS_NAME, content)
    return hashlib.sha256(content).hexdigest()
