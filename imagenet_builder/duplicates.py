"""Near-duplicates: pictures of which one looks like the other, like a window in it, or like its mirror image.

Every picture has a 64-bit hash (`descriptors.hashes_of`). All pairs within the distance are found, not a sample of
them (`hamming`). Where descriptors are given, each pair is confirmed on them, and windows and mirror images are
compared as well: crops, added caption bars, flips. Pictures with little in them may still chain, one like the next, to
any length: a chain of many is cut into clusters around representatives that each of their pictures is like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .descriptors import (
    SAME,
    WINDOWS,
    Descriptors,
    correlation,
    hashes_of,
    looks_of,
    mirrored_hashes,
    mirrored_looks,
    stack,
)
from .hamming import BITS, pairs_between, pairs_within, spread

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

HASH_MASK = (1 << BITS) - 1
NEAR = 6
# A hash with fewer set (or unset) bits than this has no texture to compare.
LEAST_TEXTURE = 8
# Pairs that wait to be joined: bounds the memory, whatever the pictures are.
PAIRS_AT_ONCE = 1_000_000
# Pairs that are confirmed in one go, and pictures whose windows are hashed in one go: each takes some kilobytes.
CONFIRMED_AT_ONCE = 20_000
HASHED_AT_ONCE = 4_096
# More pictures than so many are one cluster only if one of them is like all the others.
CROWD = 32
# A chain of so many hashes is compared with the rest only, not within itself.
LONG_CHAIN = 500
MOST_CHAINS = 32
# One in so many of a long chain at least stands beside another of it when hashes are sorted.
CROWDED = 20


@dataclass(frozen=True)
class Clustering:
    """Pictures and their clusters, row by row, so that a later call need only look at what is new.

    `names` are sorted; `hashes` are of the whole pictures, `windows` (rows × windows) of the others in `WINDOWS`;
    `described` pictures have a descriptor, and where it is not flat they `show` something; `labels` holds, for each
    row, the row of the first picture that a chain of pairs leads to, and `groups` of the first of its cluster.
    """

    names: npt.NDArray[np.str_]
    hashes: Hashes
    described: Mask
    shows: Mask
    windows: Hashes
    labels: Places
    groups: Places

    def clusters(self) -> dict[str, str]:
        """Every name and the smallest name in its cluster."""
        names: list[str] = self.names.tolist()
        return {name: names[label] for name, label in zip(names, self.groups.tolist(), strict=True)}


def clusters(
    hashes: Mapping[str, int],
    distance: int = NEAR,
    descriptors: Mapping[str, bytes] | None = None,
    *,
    same: float = SAME,
) -> dict[str, str]:
    """Map every image to the key of its cluster, the smallest SHA-256 in it.

    `hashes` maps SHA-256 to the 64-bit perceptual hash, signed or unsigned. Images are in one cluster when a chain
    of pairs within `distance` bits (0 to 62) leads from one to the other. Hashes with hardly any texture match only
    when they are equal. Two pictures with `descriptors` (those of other images may be missing) are a pair if the hash
    of one, or of its mirror image, is near that of the other or of a window in it, and if what is there correlates by
    `same` or more. A chain of more than CROWD of these is cut: each picture is then in the cluster of a representative
    with which it is a pair.
    """
    if not 0 <= distance <= BITS - 2:
        raise ValueError(f"distance must be from 0 to {BITS - 2} bits, not {distance}")
    if not hashes:
        return {}
    if descriptors:
        return clustering(hashes, descriptors, distance=distance, same=same).clusters()
    names = sorted(hashes)
    distinct, place = np.unique(spread(_values(hashes, names)), return_inverse=True)
    labels = _first_of_each(_joined_labels(distinct, distance)[place])
    return {name: names[label] for name, label in zip(names, labels.tolist(), strict=True)}


def clustering(
    hashes: Mapping[str, int],
    descriptors: Mapping[str, bytes],
    before: Clustering | None = None,
    *,
    distance: int = NEAR,
    same: float = SAME,
) -> Clustering:
    """The clusters of these pictures; those that are in `before` and whose cluster lost no picture are not compared.

    The result does not depend on `before`, which must be of the same distance and `same`.
    """
    names = sorted(hashes)
    pictures = _Pictures(names, _values(hashes, names), descriptors)
    labels = np.arange(len(names), dtype=np.int64)
    fresh = np.ones(len(names), np.bool_)
    if before is not None:
        labels, fresh = pictures.recall(before)
    pictures.hash_windows()
    asking, answering = pictures.asking(fresh), pictures.answering(np.ones(len(names), np.bool_))
    labels = _joined_near(pictures, labels, asking, answering, distance, same)
    if not fresh.all():
        asking, answering = pictures.asking(~fresh), pictures.answering(fresh)
        labels = _joined_near(pictures, labels, asking, answering, distance, same)
    labels = _first_of_each(labels)
    return Clustering(
        np.array(names, np.str_),
        pictures.hashes,
        pictures.described,
        pictures.shows,
        pictures.windows,
        labels,
        _first_of_each(_cut_crowds(pictures, labels, distance, same)),
    )


@dataclass(frozen=True)
class _Hashed:
    """Distinct hashes, `spread` and sorted, and for each (`starts[i]` to `starts[i + 1]`) the `codes` of what has it.

    A code is place × variants + variant: of askers 1 is the mirror image, of answers the variant is the window.
    """

    distinct: Hashes
    starts: Places
    codes: Places
    variants: int

    @classmethod
    def of(cls, hashes: Hashes, codes: Places, variants: int) -> _Hashed:
        hashes = spread(hashes)
        order = np.argsort(hashes)
        hashes, codes = hashes[order], codes[order]
        distinct, starts = np.unique(hashes, return_index=True)
        return cls(distinct, np.append(starts, len(hashes)).astype(np.int64), codes, variants)


class _Pictures:
    """Sorted names with their hashes; descriptors are looked up where a pair wants them."""

    def __init__(self, names: Sequence[str], hashes: Hashes, descriptors: Mapping[str, bytes]) -> None:
        self._names, self._descriptors = names, descriptors
        self.hashes = hashes
        told = [descriptors.get(name, b"") for name in names]
        self.described = np.fromiter(map(bool, told), np.bool_, len(names))
        self.shows = np.fromiter((any(one) for one in told), np.bool_, len(names))
        self.windows = np.zeros((len(names), len(WINDOWS) - 1), np.uint64)
        self._hashed = ~self.shows

    def recall(self, before: Clustering) -> tuple[Places, Mask]:
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
            rows = self.rows(places)
            for window in range(1, len(WINDOWS)):
                self.windows[places, window - 1] = hashes_of(rows, window)

    def rows(self, places: Places) -> Descriptors:
        return stack([self._descriptors[self._names[place]] for place in places.tolist()])

    def asking(self, chosen: Mask) -> _Hashed:
        """The chosen pictures, and the mirror images of those that show something."""
        plain, shown = np.flatnonzero(chosen & self._matchable), np.flatnonzero(chosen & self.shows)
        hashes = np.concatenate([self.hashes[plain], mirrored_hashes(self.hashes[shown])])
        return _Hashed.of(hashes, np.concatenate([plain * 2, shown * 2 + 1]), 2)

    def answering(self, chosen: Mask) -> _Hashed:
        """The chosen pictures, and the windows in those that show something."""
        plain, shown = np.flatnonzero(chosen & self._matchable), np.flatnonzero(chosen & self.shows)
        hashes = np.concatenate([self.hashes[plain], self.windows[shown].reshape(-1)])
        inside = shown[:, None] * len(WINDOWS) + np.arange(1, len(WINDOWS))
        codes = np.concatenate([plain * len(WINDOWS), inside.reshape(-1)])
        return _Hashed.of(hashes, codes, len(WINDOWS))

    @property
    def _matchable(self) -> Mask:
        """A flat picture is never confirmed: it can only match one that has no descriptor."""
        return self.shows | ~self.described | ~self.described.all()


def _values(hashes: Mapping[str, int], names: Sequence[str]) -> Hashes:
    unsigned = map(HASH_MASK.__and__, map(hashes.__getitem__, names))
    return np.fromiter(unsigned, np.uint64, len(names))


def _joined_near(
    pictures: _Pictures, labels: Places, asking: _Hashed, answering: _Hashed, distance: int, same: float
) -> Places:
    waiting: list[tuple[Places, Places]] = []
    count = 0
    for left, right in pairs_between(asking.distinct, answering.distinct, distance):
        matching = (left == right) | (_textured(left) & _textured(right))
        one_at = np.searchsorted(asking.distinct, left[matching])
        other_at = np.searchsorted(answering.distinct, right[matching])
        for one, other in _meetings(asking, one_at, answering, other_at):
            apart = labels[one // asking.variants] != labels[other // answering.variants]
            one, other = one[apart], other[apart]
            sure = _confirmed(pictures, one, other, same)
            if sure.any():
                waiting.append((one[sure] // asking.variants, other[sure] // answering.variants))
                count += int(sure.sum())
            if count >= PAIRS_AT_ONCE:
                labels, waiting, count = _join(labels, waiting), [], 0
    return _join(labels, waiting) if waiting else labels


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


def _confirmed(pictures: _Pictures, one: Places, other: Places, same: float) -> Mask:
    """Which pairs of codes are of one picture; without two descriptors, what the whole hashes say stands."""
    asker, mirror = one // 2, (one % 2).astype(np.bool_)
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


def _cut_crowds(pictures: _Pictures, labels: Places, distance: int, same: float) -> Places:
    """`labels`, but those of more than CROWD pictures cut into clusters around representatives."""
    groups = labels.copy()
    for label in np.flatnonzero(np.bincount(labels, minlength=1) > CROWD).tolist():
        crowd = np.flatnonzero(labels == label)
        groups[crowd] = _around_representatives(pictures, crowd, distance, same)
    return groups


def _around_representatives(pictures: _Pictures, crowd: Places, distance: int, same: float) -> Places:
    """For each picture of `crowd` a representative that it is like, that with the most such pictures.

    A picture that is like no representative before it becomes one itself.
    """
    like: list[tuple[int, Places]] = []
    left = np.ones(len(crowd), np.bool_)
    while left.any():
        first = int(left.argmax())
        matches = np.flatnonzero(_like(pictures, crowd, first, distance, same))
        left[matches] = False
        like.append((first, matches))
    chosen = np.empty(len(crowd), np.int64)
    for first, matches in sorted(like, key=lambda one: len(one[1])):
        chosen[matches] = crowd[first]
    for first, _ in like:
        chosen[first] = crowd[first]
    return chosen


def _like(pictures: _Pictures, crowd: Places, first: int, distance: int, same: float) -> Mask:
    """Which of `crowd` are a pair with its picture number `first`, whichever of the two is like a part of the other."""
    place = crowd[first : first + 1]
    sure = np.zeros(len(crowd), np.bool_)
    sure[first] = True
    for asking, answering in ((place, crowd), (crowd, place)):
        asked = np.stack([pictures.hashes[asking], mirrored_hashes(pictures.hashes[asking])], axis=1)
        answers = np.concatenate([pictures.hashes[answering, None], pictures.windows[answering]], axis=1)
        near = np.bitwise_count(asked[:, :, None, None] ^ answers) <= distance
        near &= (asked[:, :, None, None] == answers) | (
            _textured(asked)[:, :, None, None] & _textured(answers)
        )
        near[~pictures.shows[asking], 1] = False
        near[:, :, ~pictures.shows[answering], 1:] = False
        asker, mirror, answer, window = np.nonzero(near)
        one, other = asking[asker] * 2 + mirror, answering[answer] * len(WINDOWS) + window
        sure[(asker + answer)[_confirmed(pictures, one, other, same)]] = True
    return sure


def _textured(hashes: Hashes) -> Mask:
    set_bits = np.bitwise_count(hashes)
    found: Mask = (set_bits >= LEAST_TEXTURE) & (set_bits <= BITS - LEAST_TEXTURE)
    return found


def _joined_labels(distinct: Hashes, distance: int) -> Places:
    """Labels of chains of near hashes. Neighbours are joined first: of long chains little is left to compare then."""
    labels = np.arange(len(distinct), dtype=np.int64)
    rest = np.flatnonzero(_textured(distinct))
    if _is_crowded(distinct[rest], distance):
        for pieces in (1, 2):
            labels = _joined_pairs(
                distinct, labels, pairs_within(distinct[rest], distance, neighbours=pieces)
            )
        sizes = np.bincount(labels[rest], minlength=1)
        longest = sizes.argsort()[::-1][:MOST_CHAINS]
        longest = longest[sizes[longest] >= LONG_CHAIN]
        chains = [rest[labels[rest] == label] for label in longest]
        chained, rest = rest[np.isin(labels[rest], longest)], rest[~np.isin(labels[rest], longest)]
        labels = _joined_pairs(distinct, labels, pairs_between(distinct[chained], distinct[rest], distance))
        for place, chain in enumerate(chains):
            others = np.concatenate([rest[:0], *chains[place + 1 :]])
            labels = _joined_pairs(
                distinct, labels, pairs_between(distinct[chain], distinct[others], distance)
            )
    return _joined_pairs(distinct, labels, pairs_within(distinct[rest], distance))


def _is_crowded(ascending: Hashes, distance: int) -> bool:
    """Whether there may be long chains: of LONG_CHAIN hashes in one, some stand side by side."""
    side_by_side = np.bitwise_count(ascending[1:] ^ ascending[:-1]) <= distance
    return int(side_by_side.sum()) >= LONG_CHAIN // CROWDED


def _joined_pairs(distinct: Hashes, labels: Places, pairs: Iterator[tuple[Hashes, Hashes]]) -> Places:
    waiting: list[tuple[Places, Places]] = []
    count = 0
    for left, right in pairs:
        waiting.append((np.searchsorted(distinct, left), np.searchsorted(distinct, right)))
        count += len(left)
        if count >= PAIRS_AT_ONCE:
            labels, waiting, count = _join(labels, waiting), [], 0
    return _join(labels, waiting) if waiting else labels


def _join(labels: Places, pairs: list[tuple[Places, Places]]) -> Places:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left = labels[np.concatenate([pair[0] for pair in pairs])]
    right = labels[np.concatenate([pair[1] for pair in pairs])]
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(labels), len(labels)))
    _, components = connected_components(graph, directed=False)
    joined: Places = components.astype(np.int64)[labels]
    return joined


def _first_of_each(labels: Places) -> Places:
    """For each place the first place with its label: names are sorted, so that of the cluster's smallest name."""
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return first[group].astype(np.int64)
