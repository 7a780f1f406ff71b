"""Pictures with their hashes and those of windows in them, and which pairs of these are of one picture.

An asker is a picture or its mirror image, an answer a picture or a window in it. Their codes are place × SIDES (+ 1 for
the mirror image) and place × len(WINDOWS) + the window's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

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
# Hashes and, for each, the code of what has it.
Coded = tuple[Hashes, Places]

SIDES = 2
# A hash with fewer set (or unset) bits than this has no texture to compare.
LEAST_TEXTURE = 8
# Pairs that are confirmed in one go, and pictures whose windows are hashed in one go: each takes some kilobytes.
CONFIRMED_AT_ONCE = 20_000
HASHED_AT_ONCE = 1_024


class Recalled(Protocol):
    """What an earlier search knew: see duplicates.Clustering."""

    @property
    def names(self) -> Sequence[str]: ...
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
    """Sorted names with their hashes; descriptors are looked up where a pair wants them."""

    def __init__(self, names: Sequence[str], hashes: Hashes, descriptors: Mapping[str, bytes]) -> None:
        self._names, self._descriptors = names, descriptors
        self.hashes = hashes
        told = (descriptors.get(name, b"") for name in names)
        states = np.fromiter((2 if any(one) else bool(one) for one in told), np.uint8, len(names))
        self.described, self.shows = states > 0, states == 2
        self.windows = np.zeros((len(names), len(WINDOWS) - 1), np.uint64)
        # A flat picture is never confirmed: it can only match one that has no descriptor.
        self._matchable = self.shows | ~self.described | ~self.described.all()
        self._hashed = ~self.shows

    def recall(self, before: Recalled) -> tuple[Places, Mask]:
        """Take over what `before` knows; returns the labels to go on from and which pictures are to be compared."""
        count = len(self._names)
        place_of = {name: place for place, name in enumerate(self._names)}
        now = np.fromiter((place_of.get(name, -1) for name in before.names), np.int64, len(before.names))
        kept = now >= 0
        there = now[kept]
        same = (
            (self.hashes[there] == before.hashes[kept])
            & (self.described[there] == before.described[kept])
            & (self.shows[there] == before.shows[kept])
        )
        kept[kept] = same
        there = now[kept]
        self.windows[there] = before.windows[kept]
        self._hashed[there] = True
        # A cluster that lost a picture may fall apart.
        whole = ~np.isin(before.labels, before.labels[~kept])
        known = kept & whole
        fresh = np.ones(count, np.bool_)
        fresh[now[known]] = False
        labels = np.arange(count, dtype=np.int64)
        labels[now[known]] = now[before.labels[known]]
        return labels, fresh

    def hash_windows(self) -> None:
        """Hash the windows of the pictures that were not recalled."""
        missing = np.flatnonzero(~self._hashed)
        for start in range(0, len(missing), HASHED_AT_ONCE):
            places = missing[start : start + HASHED_AT_ONCE]
            self.windows[places] = all_hashes_of(self.rows(places))[:, 1:]

    def rows(self, places: Places) -> Descriptors:
        return stack([self._descriptors[self._names[place]] for place in places.tolist()])

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
