"""Pictures that were taken down, as a crawl meets them again: the same bytes, or the same picture in others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .descriptors import stack
from .exclusion import Exclusion
from .records import Inspected, Reason, Rejected
from .store import tombstones as store
from .store.tombstones import KnownImage

if TYPE_CHECKING:
    import sqlalchemy as sa


@dataclass(frozen=True)
class TakenDown:
    """Images with a tombstone, as a crawl meets them again."""

    sha256s: frozenset[str] = frozenset()
    pictures: Exclusion = field(default_factory=Exclusion)

    @classmethod
    def of(cls, images: Sequence[KnownImage], others: Collection[str] = ()) -> TakenDown:
        """From images, and the SHA-256 of some of which nothing else is known."""
        pictures = Exclusion([one.sha256 for one in images], stack([one.descriptor for one in images]))
        return cls(frozenset([*pictures.names, *others]), pictures)

    def refuse(self, image: Inspected) -> Rejected | None:
        """Why `image` is not stored again; None if it may be."""
        if image.sha256 in self.sha256s:
            return Rejected(Reason.TAKEN_DOWN)
        if self.pictures.match(image):
            return Rejected(Reason.TAKEN_DOWN, "like a picture that was taken down")
        return None


def read_taken_down(connection: sa.Connection) -> TakenDown:
    """All images with a tombstone."""
    sha256s = store.taken_down_images(connection)
    return TakenDown.of(store.known_images(connection, sha256s), sha256s)
