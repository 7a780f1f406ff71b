"""Which pictures belong together, because one person made them or one page showed them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

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


class Makers(NamedTuple):
    """Who made images, as numbers from 0 up: `first` has one maker of each; `others` those of images by several."""

    first: Places
    others: Mapping[int, Sequence[int]]


class MakersFound:
    """Gathers who made images and where they were shown, then says which belong together."""

    def __init__(self) -> None:
        self._images: list[Places] = [np.zeros(0, np.int64)]
        self._authors: list[Marks] = [np.zeros(0, np.uint64)]
        self._pages: list[Marks] = [np.zeros(0, np.uint64)]

    def take(self, places: Places, authors: Iterable[str | None], pages: Iterable[str | None]) -> None:
        """Images by their places, -1 for those that do not matter; an image may come several times.

        Authors are compared without regard to case and spaces.
        """
        by = np.fromiter(map(_author_mark, authors), np.uint64, len(places))
        shown = np.fromiter(map(_page_mark, pages), np.uint64, len(places))
        said = (places >= 0) & ((by != NO_MARK) | (shown != NO_MARK))
        self._images.append(places[said])
        self._authors.append(by[said])
        self._pages.append(shown[said])

    def makers(self, cluster_of: Places) -> Makers:
        """A maker is all authors that share a page and all pages that share an author, directly or through others.

        `cluster_of` has a number for each image, equal in a cluster of near-duplicates. A cluster is one maker's if at
        most one of those in it made anything else. Where several did (a copy under another name), its images keep
        theirs: if such clusters joined makers, in a large collection nearly everybody would be one.
        """
        images, makers = self._made(len(cluster_of))
        _, cluster = np.unique(cluster_of, return_inverse=True)
        several, only = _of_clusters(cluster[images], makers)
        first = only[cluster]
        among = several[cluster[images]]
        others: dict[int, list[int]] = {}
        for image, maker in zip(images[among].tolist(), makers[among].tolist(), strict=True):
            others.setdefault(image, []).append(maker)
        for image, own in others.items():
            first[image] = own[0]
        return Makers(first, {image: own[1:] for image, own in others.items() if len(own) > 1})

    def divided(self, images: Places, splits: npt.NDArray[np.uint8]) -> int:
        """How many authors and pages have pictures in several splits, of these images in these splits."""
        told, marks = np.concatenate(self._images * 2), np.concatenate([*self._authors, *self._pages])
        split_of = np.full(1 + max(told.max(initial=-1), images.max(initial=-1)), len(SPLITS))
        split_of[images] = splits
        placed = (split_of[told] < len(SPLITS)) & (marks != NO_MARK)
        _, name = np.unique(marks[placed], return_inverse=True)
        sides = np.unique(name * len(SPLITS) + split_of[told[placed]])
        return int((np.bincount(sides // len(SPLITS)) > 1).sum())

    def _made(self, count: int) -> tuple[Places, Places]:
        """Each of so many images beside each of its makers, by image; an image of nobody's is a maker's of its own."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        told = np.concatenate(self._images)
        authors, pages = np.concatenate(self._authors), np.concatenate(self._pages)
        names, name = np.unique(np.concatenate([authors, pages]), return_inverse=True)
        by, shown = name[: len(told)], name[len(told) :]
        both = (authors != NO_MARK) & (pages != NO_MARK)
        edges = (by[both], shown[both])
        graph = coo_array((np.ones(both.sum(), np.int8), edges), shape=(len(names), len(names)))
        _, together = connected_components(graph, directed=False)
        makers = together[np.where(authors != NO_MARK, by, shown)].astype(np.int64)
        nobody = np.setdiff1d(np.arange(count), told)
        most = int(makers.max(initial=-1)) + 1
        pairs = np.concatenate([told * (most + count) + makers, nobody * (most + count) + most + nobody])
        images, found = np.divmod(np.unique(pairs), most + count)
        _, numbers = np.unique(found, return_inverse=True)
        return images, numbers.astype(np.int64)


def _of_clusters(cluster: Places, maker: Places) -> tuple[npt.NDArray[np.bool_], Places]:
    """Of each cluster, whether several of its makers made anything outside it, and the one who did, if there is one,
    else any; `cluster` and `maker` are who made what is where."""
    count = int(maker.max(initial=-1)) + 1
    where, who = np.divmod(np.unique(cluster * count + maker), max(1, count))
    elsewhere = np.bincount(who, minlength=count)[who] > 1
    order = np.lexsort((who, ~elsewhere, where))
    _, first = np.unique(where[order], return_index=True)
    return np.bincount(where, elsewhere) > 1, who[order][first]


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
