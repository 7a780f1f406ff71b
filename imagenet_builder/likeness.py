"""Which of many pictures may be alike, by their hashes and those of windows in them; and which of these are.

An asker is a picture or its mirror image, an answer a picture or a window in it. Their codes are place × SIDES (+ 1 for
the mirror image) and place × len(WINDOWS) + the window's number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from .hamming import BITS, NearIndex, pairs_between, spread

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
# So many hashes or fewer are made an index of, through which the others pass; of more, both sides are sorted.
INDEXED_AT_MOST = 150_000
# Pictures that pass in one go, and pairs of hashes that are compared in one go at most.
PASSING_AT_ONCE = 4_096
COMPARED_AT_ONCE = 1 << 24
# Pictures whose windows are sorted in one go: some hundred bytes for each of their hashes.
SORTED_AT_ONCE = 200_000


class Recalled(Protocol):
    """What an earlier search knew: see duplicates.Clustering."""

    @property
    def names(self) -> npt.NDArray[np.str_]: ...
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
        now = np.fromiter(
            (place_of.get(name, -1) for name in before.names.tolist()), np.int64, len(before.names)
        )
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
        plain, shown = places[self._matchable[places]], places[self.shows[places]]
        hashes = np.concatenate([self.hashes[plain], mirrored_hashes(self.hashes[shown])])
        return hashes, np.concatenate([plain * SIDES, shown * SIDES + 1])

    def answering(self, places: Places) -> Coded:
        """The hashes of these pictures, and of the windows in those that show something."""
        plain, shown = places[self._matchable[places]], places[self.shows[places]]
        hashes = np.concatenate([self.hashes[plain], self.windows[shown].reshape(-1)])
        inside = shown[:, None] * len(WINDOWS) + np.arange(1, len(WINDOWS))
        return hashes, np.concatenate([plain * len(WINDOWS), inside.reshape(-1)])


def near_codes(
    pictures: Pictures, asking: Places, answering: Places, distance: int
) -> Iterator[tuple[Places, Places]]:
    """The codes of all askers and answers whose hashes are near, about CONFIRMED_AT_ONCE at a time."""
    if len(asking) * SIDES <= min(INDEXED_AT_MOST, len(answering) * len(WINDOWS)):
        for one, other in _passing(pictures.asking(asking), pictures.answering, answering, distance):
            yield one, other
    elif len(answering) * len(WINDOWS) <= INDEXED_AT_MOST:
        for other, one in _passing(pictures.answering(answering), pictures.asking, asking, distance):
            yield one, other
    else:
        askers = _Hashed.of(*pictures.asking(asking))
        for start in range(0, len(answering), SORTED_AT_ONCE):
            answers = _Hashed.of(*pictures.answering(answering[start : start + SORTED_AT_ONCE]))
            yield from _sorted(askers, answers, distance)


def _passing(
    few: Coded, coded: Callable[[Places], Coded], places: Places, distance: int
) -> Iterator[tuple[Places, Places]]:
    """The codes of the `few` and, of `places`, what is near to them, as pairs."""
    hashes, codes = few
    if not len(hashes):
        return
    index = NearIndex(hashes, distance, many_ask=True)
    at_once = max(1, COMPARED_AT_ONCE // len(hashes))
    for start in range(0, len(places), PASSING_AT_ONCE):
        passing, passing_codes = coded(places[start : start + PASSING_AT_ONCE])
        for begin in range(0, len(passing), at_once):
            asker, place = index.near(passing[begin : begin + at_once])
            asker += begin
            left, right = hashes[place], passing[asker]
            fit = np.flatnonzero((left == right) | (textured(left) & textured(right)))
            for part in range(0, len(fit), CONFIRMED_AT_ONCE):
                some = fit[part : part + CONFIRMED_AT_ONCE]
                yield codes[place[some]], passing_codes[asker[some]]


@dataclass(frozen=True)
class _Hashed:
    """Distinct hashes, `spread` and sorted; `codes[starts[i] : starts[i + 1]]` are of what has the hash number i."""

    distinct: Hashes
    starts: Places
    codes: Places

    @classmethod
    def of(cls, hashes: Hashes, codes: Places) -> _Hashed:
        hashes = spread(hashes)
        order = np.argsort(hashes)
        hashes, codes = hashes[order], codes[order]
        first = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
        return cls(hashes[first], np.append(first, len(hashes)), codes)


def _sorted(askers: _Hashed, answers: _Hashed, distance: int) -> Iterator[tuple[Places, Places]]:
    for left, right in pairs_between(askers.distinct, answers.distinct, distance):
        fit = (left == right) | (textured(left) & textured(right))
        one_at = np.searchsorted(askers.distinct, left[fit])
        other_at = np.searchsorted(answers.distinct, right[fit])
        yield from _meetings(askers, one_at, answers, other_at)


def _meetings(
    asking: _Hashed, one_at: Places, answering: _Hashed, other_at: Places
) -> Iterator[tuple[Places, Places]]:
    """The codes of all that have the hashes `one_at[i]` and `other_at[i]`, about CONFIRMED_AT_ONCE at a time."""
    wide = answering.starts[other_at + 1] - answering.starts[other_at]
    # One line for each asker of a hash: it meets all those that have the other.
    lines = np.repeat(np.arange(len(one_at)), asking.starts[one_at + 1] - asking.starts[one_at])
    first = np.arange(len(lines)) - np.searchsorted(lines, lines) + asking.starts[one_at][lines]
    done, sizes = 0, wide[lines].cumsum()
    while done < len(lines):
        before = sizes[done - 1] if done else 0
        end = max(done + 1, int(np.searchsorted(sizes, before + CONFIRMED_AT_ONCE, "right")))
        width = wide[lines[done:end]]
        one = np.repeat(first[done:end], width)
        other = np.arange(len(one)) - np.repeat(width.cumsum() - width, width)
        other = other + np.repeat(answering.starts[other_at][lines[done:end]], width)
        done = end
        yield asking.codes[one], answering.codes[other]


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
