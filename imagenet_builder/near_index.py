"""A few of many 64-bit values: those that differ in a few bits from one that is asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .hamming import BITS, Values, spread

# Bits of an index's key: more would make its table long, fewer its lists.
MOST_INDEX_BITS = 16
# So many values or fewer are looked up by all pieces of an index at once.
LOOKED_UP_TOGETHER = 2_048


class NearIndex:
    """Values (any, in any order) prepared for finding the few that are near one that is asked for.

    Of two values within `distance` bits at least one piece differs in `distance // pieces` bits or fewer (Norouzi,
    Punjani and Fleet 2012): for each piece the values and their places are kept in its order, twelve bytes each, and
    looked up under every key that differs so little from the asker's. Where `many_ask` they are kept under all these
    keys instead, seventeen times as much, and looked up under the asker's own.
    """

    def __init__(self, values: Values, distance: int, *, many_ask: bool = False) -> None:
        self._distance, self._count = distance, len(values)
        values = spread(values)
        count = max(distance // 2 + 1, BITS // MOST_INDEX_BITS)
        edges = np.linspace(0, BITS, count + 1).round().astype(int).tolist()
        bits = np.arange(MOST_INDEX_BITS if distance >= count else 0, dtype=np.uint64)
        flips = np.append(np.uint64(0), np.uint64(1) << bits)
        lookups: list[tuple[int, int, int, int]] = []
        parts: list[tuple[Values, npt.NDArray[np.int32], npt.NDArray[np.int64]]] = []
        for low, high in pairwise(edges):
            mask = (1 << (high - low)) - 1
            possible = flips[flips <= mask]
            kept, asked = (possible, possible[:1]) if many_ask else (possible[:1], possible)
            base = sum(len(sizes) for _, _, sizes in parts)
            lookups += [(low, mask, flip, base) for flip in asked.tolist()]
            keys = (
                ((values >> np.uint64(low) & np.uint64(mask))[:, None] ^ kept).reshape(-1).astype(np.uint16)
            )
            place = np.argsort(keys, kind="stable") // len(kept)
            parts.append((values[place], place.astype(np.int32), np.bincount(keys, minlength=mask + 1)))
        # A row for each piece and, unless many ask, each flip: the table of all pieces begins a piece's at its base.
        self._low, self._keep, self._flip, self._base = np.array(lookups, np.uint64).T[:, :, None].copy()
        self._values, self._order, sizes = (np.concatenate(column) for column in zip(*parts, strict=True))
        self._sizes = sizes.astype(np.int32)
        self._starts = (sizes.cumsum() - sizes).astype(np.min_scalar_type(len(self._values)))

    def near(self, asked: Values) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(asker, value) by their places, for all pairs within the distance, each once, in order."""
        asked = spread(asked)
        # Few by all pieces at once: numpy's calls take most of the time. Many one by one, for the cache's sake.
        together = len(self._low) if len(asked) <= LOOKED_UP_TOGETHER else 1
        found = [self._near(asked, slice(row, row + together)) for row in range(0, len(self._low), together)]
        pairs = np.unique(np.concatenate(found))
        return pairs // max(1, self._count), pairs % max(1, self._count)

    def _near(self, asked: Values, rows: slice) -> npt.NDArray[np.int64]:
        """The pairs that some rows of look-ups find, as asker × count + value."""
        keys = (((asked >> self._low[rows]) & self._keep[rows]) ^ self._flip[rows]) + self._base[rows]
        lookups = keys.reshape(-1).view(np.int64)
        width = self._sizes.take(lookups)
        some = np.flatnonzero(width)
        width = width[some]
        asker = np.repeat(some % max(1, len(asked)) if len(keys) > 1 else some, width)
        there = np.arange(len(asker))
        there += np.repeat(self._starts.take(lookups[some]) - width.cumsum() + width, width)
        near = np.flatnonzero(
            np.bitwise_count(self._values.take(there) ^ asked.take(asker)) <= self._distance
        )
        pairs: npt.NDArray[np.int64] = asker[near] * self._count + self._order[there[near]]
        return pairs
