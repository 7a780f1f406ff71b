"""Pictures that were taken down, as a crawl meets them again: the same bytes, or the same picture in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .records import Inspected, Reason, Rejected
from .store import tombstones as store
from .store.tombstones import KnownImage

if TYPE_CHECKING:
    import sqlalchemy as sa

    from .exclusion import Exclusion


@dataclass(frozen=True)
class TakenDown:
    """Images with a tombstone, as a crawl meets them again; `pictures` is None where there are none."""

    sha256s: frozenset[str] = frozenset()
    pictures: Exclusion | None = None

    def refuse(self, images: Sequence[Inspected]) -> list[Rejected | None]:
        """For each of `images` why it is not stored again; None if it may be."""
        like = self.pictures.matches(images) if self.pictures is not None else [None] * len(images)
        return [self._refusal(image, alike) for image, alike in zip(images, like, strict=True)]

    def _refusal(self, image: Inspected, like: str | None) -> Rejected | None:
        if image.sha256 in self.sha256s:
            return Rejected(Reason.TAKEN_DOWN)
        return None if like is None else Rejected(Reason.TAKEN_DOWN, "like a picture that was taken down")


def pictures_of(images: Sequence[KnownImage]) -> Exclusion:
    """What is like one of `images`, by their SHA-256."""
    # Most crawls meet nothing that was taken down, and need none of what it is compared with.
    from .descriptors import stack
    from .exclusion import Exclusion

    return Exclusion([one.sha256 for one in images], stack([one.descriptor for one in images]))


def read_taken_down(connection: sa.Connection) -> TakenDown:
    """All images with a tombstone."""
    sha256s = frozenset(store.taken_down_images(connection))
    images = store.known_images(connection, sha256s)
    return TakenDown(sha256s, pictures_of(images) if images else None)
