"""Where a release appears when it is whole, and what is there until then."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from imagenet_builder.errors import ReleaseError
from imagenet_builder.project import Project

from .documents import MANIFEST_NAME
from .places import BucketPlace, FolderPlace, Place, is_bucket, remove_folder
from .tree import JOURNAL_NAME, SUMS_NAME, Journal

# In the project, because nothing can be added to an object in a bucket.
JOURNALS_FOLDER = ".exports"
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")


class Target(Protocol):
    """A release that is being written to `place`; what has no manifest is none."""

    address: str
    name: str
    place: Place
    journal: Journal

    def check(self) -> None:
        """Raise ReleaseError where something is already that no export left unfinished."""

    def begin(self, plan: str) -> int:
        """Make ready for a release of this plan; returns how many of its files are there from an earlier run.

        What an earlier run of another plan left is removed.
        """

    def errors(self) -> AbstractContextManager[None]:
        """Says in one line what went wrong in the context, and leaves nothing that looks finished."""

    def publish(self, manifest: bytes) -> None:
        """Make it a release."""

    def settle(self) -> None:
        """Say that the store has the release on record: it stays, whatever happens next."""


class FolderTarget:
    """A folder, written beside its place and renamed.

    An interrupted run leaves the folder beside, to go on with; one that failed gives the room back.
    """

    def __init__(self, out: Path) -> None:
        if out.name in {"", ".."}:
            raise ReleaseError(f"{out} is no name for a release: give another --out")
        self._out = out
        self._beside = out.with_name(f".{out.name}.partial")
        self._published = self._settled = False
        self.address, self.name = str(out), out.name
        self.place: Place = FolderPlace(self._beside)
        self.journal = Journal(self._beside / JOURNAL_NAME)

    def check(self) -> None:
        """See `Target`."""
        try:
            self._check_out()
        except OSError as error:
            raise self._cannot_write(error) from error

    def _check_out(self) -> None:
        # Asked for here because of a name that is too long: later all the planning would be lost.
        self._beside.exists()
        if self._out.is_dir() and not any(self._out.iterdir()):
            return
        if self._out.exists() or self._out.is_symlink():
            raise ReleaseError(
                f"{self._out} exists already: a release is never overwritten; give another --out"
            )
        try:
            self.address.encode()
        except UnicodeEncodeError as error:
            readable = os.fsencode(self._out).decode(errors="replace")
            raise ReleaseError(
                f"the name of {readable} is not UTF-8, as a release's must be: give another --out"
            ) from error
        if _CONTROLS.search(self.name):
            raise ReleaseError(f"the name {self.name!r} is not one line of text: give another --out")
        above = next(parent for parent in self._out.parents if parent.exists())
        if not above.is_dir():
            raise ReleaseError(f"{above} is a file, and no folder for {self._out}: give another --out")

    def begin(self, plan: str) -> int:
        """See `Target`."""
        if self.journal.is_of(plan):
            kept = self.journal.everything()
            journal = (f"{JOURNAL_NAME}/{path.name}" for path in self.journal.folder.iterdir())
            self.place.keep_only([*kept, *journal])
            return len(kept)
        remove_folder(self._beside)
        self.journal.begin(plan)
        return 0

    @contextmanager
    def errors(self) -> Iterator[None]:
        """See `Target`."""
        try:
            yield
        except OSError as error:
            self._take_back()
            raise self._cannot_write(error) from error
        except Exception:
            self._take_back()
            raise
        except BaseException:
            if self._published and not self._settled:
                remove_folder(self._out)
            raise

    def publish(self, manifest: bytes) -> None:
        """See `Target`."""
        remove_folder(self.journal.folder)
        self.place.write(MANIFEST_NAME, manifest)
        self.place.freeze()
        self._beside.rename(self._out)
        self._published = True

    def settle(self) -> None:
        """See `Target`."""
        self._settled = True

    def _cannot_write(self, error: OSError) -> ReleaseError:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            remedy = "free some disk space and run the export again"
        elif error.errno == errno.ENAMETOOLONG:
            remedy = "give a shorter --out"
        else:
            remedy = f"check that you may write to {self._out.parent}"
        return ReleaseError(f"cannot write the release {self._out}: {error.strerror or error}; {remedy}")

    def _take_back(self) -> None:
        remove_folder(self._beside)
        if self._published and not self._settled:
            remove_folder(self._out)


class BucketTarget:
    """An address in a bucket. Until all is there, it has a mark that says so, and no manifest.

    A run that failed leaves what it wrote, which the next one goes on with: what is uploaded was dear.
    """

    def __init__(self, address: str, project_folder: Path) -> None:
        place = BucketPlace(address)
        self.place: Place = place
        self.address = place.address
        self.name = self.address.rpartition("/")[2]
        name = sha256(self.address.encode()).hexdigest()[:16]
        self.journal = Journal(project_folder / JOURNALS_FOLDER / name)
        self._paths = place.paths
        self._is_empty = place.is_empty

    def check(self) -> None:
        """See `Target`."""
        if not self._is_empty() and not self._is_ours():
            raise ReleaseError(f"{self.address} holds something already: give an empty address to --out")

    def begin(self, plan: str) -> int:
        """See `Target`."""
        kept = self.journal.everything() if self.journal.is_of(plan) else {}
        self.place.keep_only([*kept, JOURNAL_NAME])
        if not kept:
            self.journal.begin(plan)
        mark = secrets.token_hex(16).encode("ascii")
        (self.journal.folder / JOURNAL_NAME).write_bytes(mark)
        self.place.write(JOURNAL_NAME, mark)
        return len(kept)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """See `Target`."""
        try:
            yield
        except OSError as error:
            raise ReleaseError(
                f"cannot write the release {self.address}: {error.strerror or error}; make room for shards in the "
                "temporary folder (TMPDIR) and for lists in the project, and run the export again: it goes on"
            ) from error

    def publish(self, manifest: bytes) -> None:
        """See `Target`."""
        self.place.keep_only([*self.journal.everything(), SUMS_NAME])
        self.place.write(MANIFEST_NAME, manifest)

    def settle(self) -> None:
        """See `Target`."""
        remove_folder(self.journal.folder)

    def _is_ours(self) -> bool:
        """Whether what is there is of an earlier run from this project, and no release."""
        try:
            mark = (self.journal.folder / JOURNAL_NAME).read_bytes()
        except FileNotFoundError:
            return False
        paths = frozenset(self._paths())
        if JOURNAL_NAME in paths:
            return self.place.read(JOURNAL_NAME) == mark
        return paths <= {*self.journal.everything(), SUMS_NAME}


def target_for(project: Project, out: Path | str) -> Target:
    """The folder or the bucket that `out` names."""
    if isinstance(out, str) and is_bucket(out):
        return BucketTarget(out, project.folder)
    return FolderTarget(Path(out).absolute())
