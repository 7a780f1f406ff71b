"""Where the files of a release go: a folder, or a bucket (s3://, gs://, az://) through obstore."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar, cast

from imagenet_builder.errors import ReleaseError
from imagenet_builder.images import BUCKET_SCHEMES

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer
    from obstore.store import ObjectStore

# All files and folders of all releases say that they were written then: equal releases are equal to the byte.
WRITTEN_AT_NS = 1_577_836_800 * 10**9  # 2020-01-01T00:00:00Z
READ_ONLY = 0o444
# What one system call takes.
MOST_PIECES = os.sysconf("SC_IOV_MAX")
# A file from here on goes to a bucket in parts of this size, several at once.
UPLOAD_PART = 16 << 20
# Seconds before a request to a bucket is made again, beside what obstore tries by itself: of several who write in the
# same moment, Swift answers some without an ETag, which counts as failed.
TRIED_AGAIN = (0.1, 0.3, 1.0)
Answer = TypeVar("Answer")
_SCHEME, _BUCKET = re.compile("[A-Za-z][A-Za-z0-9+.-]*"), re.compile("[a-z0-9]+://[^/]")


class Place(Protocol):
    """Files below one folder or address; paths are relative, with slashes.

    A folder raises OSError as the disk does, a bucket ReleaseError.
    """

    address: str

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file."""

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A new file to write to and read again, at any place in it; whole when the context ends without an error."""

    def link(self, path: str, other: str) -> None:
        """Let `path` be the same file as `other`, which is whole."""

    def holds(self, path: str, digest: str, size: int) -> bool:
        """Whether what was written to `path` is whole."""

    def read(self, path: str) -> bytes:
        """The content of a file; raises FileNotFoundError."""

    def keep_only(self, paths: Iterable[str]) -> None:
        """Remove every file but these."""

    def freeze(self) -> None:
        """Let nobody change a file, and make equal releases equal in what is told of files; done last."""


class _PiecesFile(io.FileIO):
    """A file to which pieces are written together, without a copy of them and without a system call for each."""

    def writelines(self, pieces: Iterable[Buffer], /) -> None:
        remaining = iter(pieces)
        while waiting := list(islice(remaining, MOST_PIECES)):
            written = os.writev(self.fileno(), waiting)
            for piece in waiting:
                left = memoryview(piece)[written:]
                written = max(0, written - memoryview(piece).nbytes)
                # The system takes less than everything of what is very long, and where the disk is about to be full.
                while left:
                    left = left[self.write(left) :]


class FolderPlace:
    """A folder on this machine, made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: set[str] = set()
        self.address = str(folder)

    def write(self, path: str, content: bytes) -> None:
        """See `Place`."""
        self._prepared(path).write_bytes(content)

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """See `Place`."""
        with _PiecesFile(self._prepared(path), "w+b") as file:
            yield cast(BinaryIO, file)

    def link(self, path: str, other: str) -> None:
        """See `Place`."""
        target = self._prepared(path)
        target.unlink(missing_ok=True)
        target.hardlink_to(self._folder / other)

    def holds(self, path: str, digest: str, size: int) -> bool:
        """See `Place`: lists outlive a power failure that files did not, so the file is read."""
        target = self._folder / path
        if not target.is_file() or target.stat().st_size != size:
            return False
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest

    def read(self, path: str) -> bytes:
        """See `Place`."""
        return (self._folder / path).read_bytes()

    def keep_only(self, paths: Iterable[str]) -> None:
        """See `Place`."""
        kept = frozenset(paths)
        for parent, _, names in os.walk(self._folder):
            for name in names:
                found = Path(parent, name)
                if found.relative_to(self._folder).as_posix() not in kept:
                    found.unlink()

    def freeze(self) -> None:
        """See `Place`. Folders stay writable: a release can be moved and removed like any other."""
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


class BucketPlace:
    """An address in a bucket; keys and endpoints come from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`).

    An object is there whole or not at all. A file that is written piece by piece waits in the temporary folder until
    it is finished, because only then is the beginning of some known.
    """

    def __init__(self, address: str) -> None:
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        self.address = address.rstrip("/")
        try:
            self._store: ObjectStore = from_url(self.address)
        except (BaseError, ValueError) as error:
            raise ReleaseError(f"cannot use {address}: {_first_line(error)}") from error

    def write(self, path: str, content: bytes) -> None:
        """See `Place`."""
        import obstore

        self._asked(f"write {path} to", lambda: obstore.put(self._store, path, content, use_multipart=False))

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """See `Place`."""
        import obstore

        with tempfile.TemporaryFile() as file:
            yield file
            large = file.seek(0, os.SEEK_END) > UPLOAD_PART

            def upload() -> None:
                file.seek(0)
                obstore.put(self._store, path, file, use_multipart=large, chunk_size=UPLOAD_PART)

            self._asked(f"write {path} to", upload)

    def link(self, path: str, other: str) -> None:
        """See `Place`; a bucket knows no links, and copies by itself."""
        import obstore

        self._asked(f"write {path} to", lambda: obstore.copy(self._store, other, path))

    def holds(self, path: str, digest: str, size: int) -> bool:
        """See `Place`."""
        import obstore

        try:
            return (
                self._asked("look into", lambda: obstore.head(self._store, path), may_lack=True)["size"]
                == size
            )
        except FileNotFoundError:
            return False

    def read(self, path: str) -> bytes:
        """See `Place`."""
        import obstore

        return bytes(
            self._asked(f"read {path} from", lambda: obstore.get(self._store, path).bytes(), may_lack=True)
        )

    def keep_only(self, paths: Iterable[str]) -> None:
        """See `Place`."""
        import obstore

        kept = frozenset(paths)
        for path in [path for path in self.paths() if path not in kept]:
            self._asked(f"remove {path} from", partial(obstore.delete, self._store, path))

    def freeze(self) -> None:
        """See `Place`: who may change an object is the bucket's own policy, and its time of writing is the server's."""

    def paths(self) -> list[str]:
        """Every file that is there."""
        import obstore

        return self._asked(
            "look into", lambda: [one["path"] for batch in obstore.list(self._store) for one in batch]
        )

    def is_empty(self) -> bool:
        """Whether nothing is there."""
        import obstore

        return not self._asked("look into", lambda: next(iter(obstore.list(self._store, chunk_size=1)), ()))

    def _asked(self, what: str, ask: Callable[[], Answer], *, may_lack: bool = False) -> Answer:
        from obstore.exceptions import BaseError, GenericError

        for wait in (*TRIED_AGAIN, None):
            try:
                return ask()
            except (BaseError, OSError) as error:
                if may_lack and isinstance(error, FileNotFoundError):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.address) from error
                if wait is None or not isinstance(error, GenericError):
                    raise ReleaseError(
                        f"cannot {what} {self.address}: {_first_line(error)}; "
                        "check the address, the keys and the network, and run the command again"
                    ) from error
            time.sleep(wait * random.uniform(0.5, 1))
        raise AssertionError("unreachable")


def _first_line(error: Exception) -> str:
    # obstore puts its diagnosis on the first line and a dump of its own types below.
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def is_bucket(out: str) -> bool:
    """Whether `out` is the address of a bucket, and not a folder; raises ReleaseError for any other address."""
    scheme, colon, rest = out.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        return False
    if scheme.lower() not in BUCKET_SCHEMES:
        if rest.startswith("//"):
            raise ReleaseError(f"{out} is no address of a bucket: give a folder, or s3://, gs:// or az://")
        return False
    if not _BUCKET.match(out):
        raise ReleaseError(f"{out} is no address of a bucket; write {scheme.lower()}://BUCKET/FOLDER")
    return True


def open_place(address: str) -> Place:
    """The bucket or the folder at `address`."""
    return BucketPlace(address) if is_bucket(address) else FolderPlace(Path(address))


def remove_folder(folder: Path) -> None:
    """Remove a folder with everything in it; nothing happens if there is none."""
    if folder.exists():
        shutil.rmtree(folder)
