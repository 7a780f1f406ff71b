"""Which pictures belong together, because one person made them or one page showed them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from .description import SPLITS

Places = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint64]

# What sources write where they know nobody: such pictures are not one author's.
NOBODY = frozenset(
    ["", "anonymous", "author unknown", "n/a", "none", "not known", "own work", "unknown", "unknown author"]
)
# Of a name that says nothing.
NO_MARK = 0


class MakersFound:
    """Gathers who made images and where they were shown, then says which belong together."""

    def __init__(self) -> None:
        self._images: list[Places] = [np.zeros(0, np.int64)]
        self._marks: list[Marks] = [np.zeros(0, np.uint64)]

    def take(self, places: Places, authors: Iterable[str | None], pages: Iterable[str | None]) -> None:
        """Images by their places, -1 for those that do not matter; an image may come several times.

        Authors are compared without regard to case and spaces.
        """
        for told in (map(_author_mark, authors), map(_page_mark, pages)):
            marks = np.fromiter(told, np.uint64, len(places))
            said = (places >= 0) & (marks != NO_MARK)
            self._images.append(places[said])
            self._marks.append(marks[said])

    def makers(self, cluster_of: Places) -> Places:
        """For each image a number, from 0 up, for all that share an author or a page with it, directly or through
        others; `cluster_of` has a number for each image, equal in a cluster: near-duplicates belong together as well.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        _, cluster = np.unique(cluster_of, return_inverse=True)
        _, name = np.unique(np.concatenate(self._marks), return_inverse=True)
        edges = (cluster[np.concatenate(self._images)], len(cluster) + name)
        size = len(cluster) + len(name)
        graph = coo_array((np.ones(len(name), np.int8), edges), shape=(size, size))
        _, together = connected_components(graph, directed=False)
        _, maker = np.unique(together[cluster], return_inverse=True)
        return maker.astype(np.int64)

    def divided(self, images: Places, splits: npt.NDArray[np.uint8]) -> int:
        """How many authors and pages have pictures in several splits, of these images in these splits.

        Not how many makers: a maker is many authors where near-duplicates join them.
        """
        told = np.concatenate(self._images)
        split_of = np.full(1 + max(told.max(initial=-1), images.max(initial=-1)), len(SPLITS))
        split_of[images] = splits
        placed = split_of[told] < len(SPLITS)
        _, name = np.unique(np.concatenate(self._marks)[placed], return_inverse=True)
        sides = np.unique(name * len(SPLITS) + split_of[told[placed]])
        return int((np.bincount(sides // len(SPLITS)) > 1).sum())


@lru_cache(maxsize=1 << 14)
def _author_mark(author: str | None) -> int:
    name = " ".join((author or "").casefold().split())
    return NO_MARK if name in NOBODY else _mark(b"author", name)


def _page_mark(page: str | None) -> int:
    return _mark(b"page", page) if page else NO_MARK


def _mark(kind: bytes, name: str) -> int:
    """A number for a name. Of ten million names two share theirs once in 400,000 releases, which then only stay on one
    side together; the names themselves would take gigabytes."""
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, person=kind).digest()
    return int.from_bytes(digest, "little") or 1
