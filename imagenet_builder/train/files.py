"""The files of a release: in a folder, or in a bucket (s3://, gs://, az://), read straight from there with obstore."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from imagenet_builder.errors import ReleaseError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

BUCKET_SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "azure")
_ADDRESS = re.compile("[A-Za-z][A-Za-z0-9+.-]*://")


class ReleaseFiles(Protocol):
    """Files by their paths in the release, with slashes; usable on several threads, and in processes it is sent to."""

    @property
    def name(self) -> str:
        """The release's folder or address, for people."""

    @property
    def folder(self) -> Path | None:
        """The folder, where it is one."""

    def read(self, path: str) -> bytes:
        """A whole file; raises FileNotFoundError, or ReleaseError for whatever else stands in the way."""

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """So many bytes of a file; raises as `read` does."""


@dataclass(frozen=True)
class FolderFiles:
    """A folder on this machine."""

    folder: Path

    @property
    def name(self) -> str:
        """See `ReleaseFiles`."""
        return str(self.folder)

    def read(self, path: str) -> bytes:
        """See `ReleaseFiles`."""
        return self.read_range(path, 0, -1)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """See `ReleaseFiles`."""
        try:
            with (self.folder / path).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ReleaseError(f"cannot read {self.folder / path}: {error.strerror}") from error


@dataclass(frozen=True)
class BucketFiles:
    """An address in a bucket; keys and endpoints come from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`)."""

    name: str
    folder: None = None
    # A client by process: those of a process that was forked do not work in its children.
    _clients: dict[int, ObjectStore] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return BucketFiles, (self.name,)

    def read(self, path: str) -> bytes:
        """See `ReleaseFiles`."""
        return self._read(path, None)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """See `ReleaseFiles`."""
        return self._read(path, (start, length))

    def _read(self, path: str, part: tuple[int, int] | None) -> bytes:
        try:
            import obstore
            from obstore.exceptions import BaseError
        except ImportError as error:
            raise ReleaseError(
                f"reading {self.name} needs the library obstore: pip install obstore"
            ) from error
        try:
            if part is None:
                return bytes(obstore.get(self._client(), path).bytes())
            return bytes(obstore.get_range(self._client(), path, start=part[0], length=part[1]))
        except FileNotFoundError as error:
            raise FileNotFoundError(2, os.strerror(2), f"{self.name}/{path}") from error
        except (BaseError, OSError, ValueError) as error:
            # The first line is the diagnosis; a dump of types follows.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ReleaseError(
                f"cannot read {path} from {self.name}: {reason}; check the address, the keys and the network"
            ) from error

    def _client(self) -> ObjectStore:
        from obstore.store import from_url

        client = self._clients.get(os.getpid())
        if client is None:
            client = self._clients[os.getpid()] = from_url(self.name)
        return client


def open_files(release: str | Path | ReleaseFiles) -> ReleaseFiles:
    """The files of the release at a folder or an address; nothing is read yet.

    Raises ReleaseError for an address of anything but a bucket.
    """
    if not isinstance(release, str | Path):
        return release
    if isinstance(release, str) and _ADDRESS.match(release):
        if release.partition(":")[0] not in BUCKET_SCHEMES:
            raise ReleaseError(f"{release} cannot be read: give a folder, or s3://, gs:// or az://")
        return BucketFiles(release.rstrip("/"))
    return FolderFiles(Path(release))
