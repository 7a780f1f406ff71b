"""Files in a bucket, read a range at a time as files of this machine are."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from imagenet_builder.images import BUCKET_SCHEMES

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# Where Amazon keeps the open data that it hosts.
PUBLIC_REGION = "us-east-1"


def is_bucket(place: str) -> bool:
    """Whether `place` is an address in a bucket, and not a file of this machine."""
    return place.partition("://")[0] in BUCKET_SCHEMES and "://" in place


def open_object(address: str, *, public: bool = False) -> ObjectFile:
    """The object at `address` (s3://bucket/name …); raises obstore's errors.

    Amazon's open data are `public`: no keys are needed, and none are used.
    """
    import obstore
    from obstore.store import from_url

    folder, _, name = address.rpartition("/")
    store = from_url(folder, skip_signature=True, region=PUBLIC_REGION) if public else from_url(folder)
    found = obstore.head(store, name)
    return ObjectFile(store, name, int(found["size"]), found["e_tag"] or str(found["last_modified"]))


class ObjectFile(io.RawIOBase):
    """An object in a bucket as a file that is read and sought in, a range at a time; `version` changes as it does."""

    def __init__(self, store: ObjectStore, name: str, size: int, version: str) -> None:
        self.size = size
        self.version = version
        self._store = store
        self._name = name
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        import obstore

        end = min(self.size, self._place + len(buffer))
        if end <= self._place:
            return 0
        found = bytes(obstore.get_range(self._store, self._name, start=self._place, end=end))
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)
