"""Image bytes under their SHA-256, in a folder or a bucket (obstore)."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from .durable import MARK, DurableFolder
from .errors import ImageStoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

BUCKET_SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "azure")
_KEY = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})")
# Where a machine of Amazon, Google or Azure asks for its own keys, as obstore does where the environment has none.
INSTANCE_KEYS = ("/latest/api/token", "/computeMetadata/", "/metadata/identity/")
# Requests to a bucket at once.
_UPLOADS = 16
# Seconds before an upload is tried again: of several who write one key in the same moment, Swift answers all but one
# without an ETag, which counts as failed.
_UPLOADED_AGAIN = (0.1, 0.3, 1.0)
_HASH = re.compile(r"[0-9a-f]{64}")
_LEFTOVER = re.compile(rf"[0-9a-f]{{64}}{MARK}\d+")


class StoredBytes(NamedTuple):
    """Something stored: its SHA-256 (by its name), its length and when it was written last (aware UTC)."""

    sha256: str
    byte_count: int
    modified: datetime


class Leftover(NamedTuple):
    """A file that a killed write left behind: its length so far and when it was written last (aware UTC)."""

    path: Path
    byte_count: int
    modified: datetime


class ImageStore:
    """Bytes that are found again by their SHA-256; safe to use from several threads and processes.

    Every method raises ImageStoreError, with the remedy, when the store itself fails.
    """

    def __init__(self, store: ObjectStore, *, name: str, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder
        self._files = None if folder is None else DurableFolder(folder)
        self.name = name

    @property
    def is_folder(self) -> bool:
        """True for a folder on this machine, False for a bucket that other machines reach too."""
        return self._folder is not None

    def put(self, content: bytes) -> str:
        """Store `content` and return its SHA-256; it is whole and durable when this returns.

        Storing the same bytes again changes nothing, and mends a copy that was damaged.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        self.put_all({sha256: content})
        return sha256

    def put_all(self, contents: Mapping[str, bytes | memoryview]) -> None:
        """Store several contents by their SHA-256, for which the caller vouches; all are durable when this returns."""
        with self._translated("write"):
            if self._files is not None:
                self._files.write({_key(sha256): content for sha256, content in contents.items()})
            else:
                self._upload(contents)

    def _upload(self, contents: Mapping[str, bytes | memoryview]) -> None:
        import obstore
        from obstore.exceptions import GenericError

        def upload(sha256: str) -> None:
            for wait in (*_UPLOADED_AGAIN, None):
                try:
                    obstore.put(self._store, _key(sha256), contents[sha256], use_multipart=False)
                    return
                except GenericError:
                    if wait is None:
                        raise
                time.sleep(wait * random.uniform(0.5, 1))

        with ThreadPoolExecutor(_UPLOADS) as threads:
            list(threads.map(upload, contents))

    def get(self, sha256: str) -> bytes:
        """The bytes of `sha256`; ImageStoreError if they are missing or do not hash to their name."""
        import obstore

        with self._translated("read"):
            try:
                content = bytes(obstore.get(self._store, _key(sha256)).bytes())
            except FileNotFoundError as error:
                raise ImageStoreError(
                    f"image {sha256} is missing from {self.name}: restore it from a backup"
                ) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ImageStoreError(f"image {sha256} in {self.name} is damaged: restore it from a backup")
        return content

    def exists(self, sha256: str) -> bool:
        """Whether bytes are stored under `sha256` (their content is not looked at)."""
        import obstore

        with self._translated("read"):
            try:
                obstore.head(self._store, _key(sha256))
            except FileNotFoundError:
                return False
        return True

    def delete(self, sha256: str) -> None:
        """Remove the bytes of `sha256`; nothing happens if there are none."""
        import obstore

        with self._translated("write"):
            try:
                obstore.delete(self._store, _key(sha256))
            except FileNotFoundError:
                return

    def __iter__(self) -> Iterator[str]:
        """Every SHA-256 that is stored, in no order; files that are not this store's are passed over."""
        return (stored.sha256 for stored in self.listing())

    def listing(self, prefix: str = "") -> Iterator[StoredBytes]:
        """What is stored, in no order; with `prefix` ("00" to "ff") only what begins so. Nothing is read."""
        import obstore

        with self._translated("read"):
            for batch in obstore.list(self._store, prefix=prefix or None):
                for found in batch:
                    match = _KEY.fullmatch(found["path"])
                    if match:
                        yield StoredBytes(match[2], int(found["size"]), found["last_modified"])

    def last_modified(self, sha256: str) -> datetime | None:
        """When the bytes of `sha256` were written last; None if there are none."""
        import obstore

        with self._translated("read"):
            try:
                return obstore.head(self._store, _key(sha256))["last_modified"]
            except FileNotFoundError:
                return None

    def leftovers(self) -> Iterator[Leftover]:
        """What writes that were killed left in a folder; a bucket keeps nothing of them."""
        if self._folder is None:
            return
        with self._translated("read"):
            for path in self._folder.glob(f"[0-9a-f][0-9a-f]/*{MARK}*"):
                if _LEFTOVER.fullmatch(path.name):
                    with suppress(FileNotFoundError):
                        status = path.stat()
                        written = datetime.fromtimestamp(status.st_mtime, UTC)
                        yield Leftover(path, status.st_size, written)

    def delete_leftover(self, leftover: Leftover) -> None:
        """Remove a leftover; nothing happens if it is gone."""
        with self._translated("write"):
            leftover.path.unlink(missing_ok=True)

    @contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            # obstore puts its diagnosis on the first line and a dump of its own types below.
            cause = str(error).strip().splitlines()[0]
            raise ImageStoreError(
                f"cannot {verb} images in {self.name}: {cause}; {_remedy(verb, str(error), self.is_folder)}"
            ) from error


def open_image_store(url: str, *, relative_to: Path) -> ImageStore:
    """Open the image store at `url`: a folder (taken from `relative_to`, made if absent), s3://, gs:// or az://.

    Buckets take keys and endpoints from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`).
    Raises ImageStoreError for an address that cannot be used.
    """
    from obstore.exceptions import BaseError
    from obstore.store import LocalStore, from_url

    scheme = urlsplit(url).scheme
    if scheme in BUCKET_SCHEMES:
        try:
            return ImageStore(from_url(url), name=url)
        except (BaseError, ValueError) as error:
            cause = str(error).strip().splitlines()[0]
            raise ImageStoreError(f"cannot use the image store {url}: {cause}") from error
    if "://" in url and scheme != "file":
        raise ImageStoreError(
            f"cannot use the image store {url}: give a folder, or an address with s3://, gs:// or az://"
        )
    folder = relative_to / (unquote(urlsplit(url).path) if scheme == "file" else url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return ImageStore(LocalStore(folder), name=str(folder), folder=folder)
    except (OSError, BaseError) as error:
        cause = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        raise ImageStoreError(
            f"cannot make the image folder {folder}: {cause}; correct `url` in [images]"
        ) from error


def _key(sha256: str) -> str:
    if not _HASH.fullmatch(sha256):
        raise ImageStoreError(f"{sha256!r} is not a SHA-256: 64 small hexadecimal digits")
    return f"{sha256[:2]}/{sha256}"


def _remedy(verb: str, cause: str, is_folder: bool) -> str:
    if os.strerror(errno.ENOSPC) in cause or os.strerror(errno.EDQUOT) in cause:
        return "free some disk space and run the command again: nothing committed is lost"
    if is_folder:
        may = "write to it" if verb == "write" else "read it and every file in it"
        return f"check that the folder exists and that you may {may}, and run the command again"
    if any(place in cause for place in INSTANCE_KEYS):
        return (
            "no keys are in the environment (AWS_…, GOOGLE_…, AZURE_…): set them, and run the command again"
        )
    return "check the address, the keys and the network, and run the command again"
