"""Files in a bucket, read a range at a time as files of this machine are."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from imagenet_builder.images import BUCKET_SCHEMES

if TYPE_CHECKING:
    from obstore.store import ObjectStore


def is_bucket(place: str) -> bool:
    """Whether `place` is an address in a bucket, and not a file of this machine."""
    return place.partition("://")[0] in BUCKET_SCHEMES and "://" in place


def open_object(address: str) -> ObjectFile:
    """The object at `address` (s3://bucket/name …); raises obstore's errors."""
    import obstore
    from obstore.store import from_url

    folder, _, name = address.rpartition("/")
    store = from_url(folder)
    return ObjectFile(store, name, int(obstore.head(store, name)["size"]))


class ObjectFile(io.RawIOBase):
    """An object in a bucket as a file that is read and sought in, a range at a time."""

    def __init__(self, store: ObjectStore, name: str, size: int) -> None:
        self._store = store
        self._name = name
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        import obstore

        end = min(self._size, self._place + len(buffer))
        if end <= self._place:
            return 0
        found = bytes(obstore.get_range(self._store, self._name, start=self._place, end=end))
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)
