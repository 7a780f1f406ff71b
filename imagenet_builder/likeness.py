"""Pictures with their hashes and those of windows in them, and which pairs of these are of one picture.

An asker is a picture or its mirror image, an answer a picture or a window in it. Their codes are place × SIDES (+ 1 for
the mirror image) and place × len(WINDOWS) + the window's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .descriptor_file import DescriptorFile
from .descriptors import (
    WINDOWS,
    Descriptors,
    all_hashes_of,
    correlation,
    looks_of,
    mirrored_hashes,
    mirrored_looks,
    stack,
)
from .hamming import BITS

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
# In UTF-8: a byte a letter, in the order of the text.
Names = npt.NDArray[np.bytes_]
# Hashes and, for each, the code of what has it.
Coded = tuple[Hashes, Places]

SIDES = 2
# A hash with fewer set (or unset) bits than this has no texture to compare.
LEAST_TEXTURE = 8
# Pairs that are confirmed in one go, and pictures whose windows are hashed in one go: each takes some kilobytes.
CONFIRMED_AT_ONCE = 20_000
HASHED_AT_ONCE = 1_024
NOWHERE = np.zeros(0, np.int64)


class Recalled(Protocol):
    """What an earlier search knew: see duplicates.Clustering."""

    @property
    def names(self) -> Names: ...
    @property
    def hashes(self) -> Hashes: ...
    @property
    def described(self) -> Mask: ...
    @property
    def shows(self) -> Mask: ...
    @property
    def windows(self) -> Hashes: ...
    @property
    def labels(self) -> Places: ...


class Pictures:
    """Sorted names with their hashes; descriptors are looked up where a pair wants them.

    What was looked at `before` is not looked at again, while its hash is the same.
    """

    def __init__(
        self,
        names: Sequence[str],
        hashes: Hashes,
        descriptors: Mapping[str, bytes],
        before: Recalled | None = None,
    ) -> None:
        self._names, self._descriptors, self._before = names, descriptors, before
        self.hashes = hashes
        self.described = np.fromiter(map(descriptors.__contains__, names), np.bool_, len(names))
        self.shows = np.zeros(len(names), np.bool_)
        self.windows = np.zeros((len(names), len(WINDOWS) - 1), np.uint64)
        self._now, self._then = self._kept(before) if before is not None else (NOWHERE, NOWHERE)
        if before is not None:
            self.shows[self._now] = before.shows[self._then]
            self.windows[self._now] = before.windows[self._then]
        fresh = np.ones(len(names), np.bool_)
        fresh[self._now] = False
        self._look(np.flatnonzero(fresh & self.described))
        # A flat picture is never confirmed: it can only match one that has no descriptor.
        self._matchable = self.shows | ~self.described | ~self.described.all()

    def recalled(self) -> tuple[Places, Mask]:
        """The labels to go on from, and which pictures are to be compared."""
        labels = np.arange(len(self._names), dtype=np.int64)
        fresh = np.ones(len(labels), np.bool_)
        if self._before is not None:
            now = np.full(len(self._before.names), -1, np.int64)
            now[self._then] = self._now
            # A cluster that lost a picture may fall apart.
            broken = np.zeros(len(now), np.bool_)
            broken[self._before.labels[now < 0]] = True
            whole = ~broken[self._before.labels[self._then]]
            labels[self._now[whole]] = now[self._before.labels[self._then[whole]]]
            fresh[self._now[whole]] = False
        return labels, fresh

    def _kept(self, before: Recalled) -> tuple[Places, Places]:
        """The places, now and then, of pictures that are what they were."""
        names = encoded(self._names)
        if not len(names):
            return NOWHERE, NOWHERE
        now = np.minimum(names.searchsorted(before.names), len(names) - 1)
        there = names[now] == before.names
        there &= self.hashes[now] == before.hashes
        there &= self.described[now] == before.described
        return now[there], np.flatnonzero(there)

    def _look(self, places: Places) -> None:
        """Hash the windows of these pictures, if they are not flat."""
        for start in range(0, len(places), HASHED_AT_ONCE):
            some = places[start : start + HASHED_AT_ONCE]
            rows = self.rows(some)
            shows = rows.any(axis=1)
            self.shows[some] = shows
            self.windows[some[shows]] = all_hashes_of(rows[shows])[:, 1:]

    def rows(self, places: Places) -> Descriptors:
        """The descriptors of these pictures."""
        names = map(self._names.__getitem__, places.tolist())
        if isinstance(self._descriptors, DescriptorFile):
            return stack([self._descriptors.stacked(names)])
        return stack(list(map(self._descriptors.__getitem__, names)))

    def asking(self, places: Places) -> Coded:
        """The hashes of these pictures, and of the mirror images of those that show something."""
        plain, shown = self.matchable(places), places[self.shows[places]]
        hashes = np.concatenate([self.hashes[plain], mirrored_hashes(self.hashes[shown])])
        return hashes, np.concatenate([plain * SIDES, shown * SIDES + 1])

    def answering(self, places: Places) -> Coded:
        """The hashes of these pictures, and of the windows in those that show something."""
        plain, shown = self.matchable(places), places[self.shows[places]]
        hashes = np.concatenate([self.hashes[plain], self.windows[shown].reshape(-1)])
        inside = shown[:, None] * len(WINDOWS) + np.arange(1, len(WINDOWS))
        return hashes, np.concatenate([plain * len(WINDOWS), inside.reshape(-1)])

    def matchable(self, places: Places) -> Places:
        """Those of these pictures whose own hash may be like another's."""
        matchable: Places = places[self._matchable[places]]
        return matchable


def encoded(names: Sequence[str]) -> Names:
    """Names as `Clustering` has them."""
    return np.array([name.encode() for name in names], np.bytes_)


def confirmed(pictures: Pictures, one: Places, other: Places, same: float) -> Mask:
    """Which pairs of codes are of one picture; without two descriptors, what the whole hashes say stands."""
    asker, mirror = one // SIDES, (one % SIDES).astype(np.bool_)
    answer, window = np.divmod(other, len(WINDOWS))
    sure: Mask = ~(pictures.described[asker] & pictures.described[answer]) & ~mirror & (window == 0)
    shown = np.flatnonzero(pictures.shows[asker] & pictures.shows[answer])
    if len(shown):
        seen, row = np.unique(asker[shown], return_inverse=True)
        left = looks_of(pictures.rows(seen))[row]
        flipped = mirror[shown]
        left[flipped] = mirrored_looks(left[flipped])
        for number in np.unique(window[shown]).tolist():
            there = window[shown] == number
            seen, row = np.unique(answer[shown][there], return_inverse=True)
            right = looks_of(pictures.rows(seen), number)[row]
            sure[shown[there]] = correlation(left[there], right, number) >= same
    return sure


def textured(hashes: Hashes) -> Mask:
    """Which hashes have enough of set and of unset bits to be compared with others than their equals."""
    set_bits = np.bitwise_count(hashes)
    found: Mask = (set_bits >= LEAST_TEXTURE) & (set_bits <= BITS - LEAST_TEXTURE)
    return found
