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

from .coarse import FirstTest
from .descriptors import SAME, WINDOWS, mirrored_hashes
from .halves import MOST_DISTANCE
from .hamming import BITS, pairs_between, pairs_within, spread
from .likeness import (
    CONFIRMED_AT_ONCE,
    SIDES,
    Hashes,
    Mask,
    Names,
    Pictures,
    Places,
    confirmed,
    encoded,
    textured,
)
from .nearby import gathered, near_codes

HASH_MASK = (1 << BITS) - 1
NEAR = 6
# Pairs that wait to be joined: bounds the memory, whatever the pictures are.
PAIRS_AT_ONCE = 1_000_000
# Pairs that are tested coarsely in one go: a picture is in several of so many.
TESTED_AT_ONCE = 1 << 20
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

    `names`, in UTF-8, are sorted; `hashes` are of the whole pictures, `windows` (rows × windows) of the others in
    `WINDOWS`; `described` pictures have a descriptor, and where it is not flat they `show` something; `labels` holds,
    for each row, the row of the first picture that a chain of pairs leads to, and `groups` of the first of its cluster.
    """

    names: Names
    hashes: Hashes
    described: Mask
    shows: Mask
    windows: Hashes
    labels: Places
    groups: Places

    def clusters(self) -> dict[str, str]:
        """Every name and the smallest name in its cluster."""
        names = list(map(bytes.decode, self.names.tolist()))
        return {name: names[label] for name, label in zip(names, self.groups.tolist(), strict=True)}

    def chained(self, more_than: int) -> set[str]:
        """The names in chains of more than so many pictures, before they are cut."""
        long = np.flatnonzero(np.bincount(self.labels, minlength=1)[self.labels] > more_than)
        return {name.decode() for name in self.names[long].tolist()}


def clusters(
    hashes: Mapping[str, int],
    distance: int = NEAR,
    descriptors: Mapping[str, bytes] | None = None,
    *,
    same: float = SAME,
) -> dict[str, str]:
    """Map every image to the key of its cluster, the smallest SHA-256 in it.

    `hashes` maps SHA-256 to the 64-bit perceptual hash, signed or unsigned. Images are in one cluster when a chain
    of pairs within `distance` bits (0 to 62; with descriptors 0 to 6) leads from one to the other. Hashes with hardly
    any texture match only when they are equal. Two pictures with `descriptors` (those of other images may be missing)
    are a pair if the hash of one, or of its mirror image, is near that of the other or of a window in it, and if what
    is there correlates by `same` or more. A chain of more than CROWD of these is cut: each picture is then in the
    cluster of a representative with which it is a pair.
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

    The result does not depend on `before`, which must be of the same distance (0 to 6) and `same`.
    """
    if not 0 <= distance <= MOST_DISTANCE:
        raise ValueError(f"distance must be from 0 to {MOST_DISTANCE} bits, not {distance}")
    names = sorted(hashes)
    pictures = Pictures(names, _values(hashes, names), descriptors, before)
    labels, fresh = pictures.recalled()
    labels = _joined_near(pictures, labels, fresh, np.ones(len(names), np.bool_), distance, same)
    labels = _joined_near(pictures, labels, ~fresh, fresh, distance, same)
    labels = _first_of_each(labels)
    return Clustering(
        encoded(names),
        pictures.hashes,
        pictures.described,
        pictures.shows,
        pictures.windows,
        labels,
        _first_of_each(_cut_crowds(pictures, labels, distance, same)),
    )


def _values(hashes: Mapping[str, int], names: Sequence[str]) -> Hashes:
    unsigned = map(HASH_MASK.__and__, map(hashes.__getitem__, names))
    return np.fromiter(unsigned, np.uint64, len(names))


def _joined_near(
    pictures: Pictures, labels: Places, asking: Mask, answering: Mask, distance: int, same: float
) -> Places:
    def apart() -> Iterator[tuple[Places, Places]]:
        for one, other in near_codes(pictures, np.flatnonzero(asking), np.flatnonzero(answering), distance):
            new = labels[one // SIDES] != labels[other // len(WINDOWS)]
            yield one[new], other[new]

    waiting: list[tuple[Places, Places]] = []
    count = 0
    for one, other in _confirmed_pairs(pictures, apart(), same):
        waiting.append((one // SIDES, other // len(WINDOWS)))
        count += len(one)
        if count >= PAIRS_AT_ONCE:
            labels, waiting, count = _join(labels, waiting), [], 0
    return _join(labels, waiting) if waiting else labels


def _confirmed_pairs(
    pictures: Pictures, pairs: Iterator[tuple[Places, Places]], same: float
) -> Iterator[tuple[Places, Places]]:
    """Those of these pairs of codes that are of one picture; tested in two steps, the first for very many at once."""
    first_test = FirstTest(pictures)
    for one, other in gathered(pairs, TESTED_AT_ONCE):
        maybe = np.flatnonzero(first_test.likely(one, other, same))
        for start in range(0, len(maybe), CONFIRMED_AT_ONCE):
            some = maybe[start : start + CONFIRMED_AT_ONCE]
            some = some[confirmed(pictures, one[some], other[some], same)]
            if len(some):
                yield one[some], other[some]


def _cut_crowds(pictures: Pictures, labels: Places, distance: int, same: float) -> Places:
    """`labels`, but those of more than CROWD pictures cut into clusters around representatives."""
    groups = labels.copy()
    for label in np.flatnonzero(np.bincount(labels, minlength=1) > CROWD).tolist():
        crowd = np.flatnonzero(labels == label)
        groups[crowd] = _around_representatives(pictures, crowd, distance, same)
    return groups


def _around_representatives(pictures: Pictures, crowd: Places, distance: int, same: float) -> Places:
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


def _like(pictures: Pictures, crowd: Places, first: int, distance: int, same: float) -> Mask:
    """Which of `crowd` are a pair with its picture number `first`, whichever of the two is like a part of the other."""
    place = crowd[first : first + 1]
    sure = np.zeros(len(crowd), np.bool_)
    sure[first] = True
    for asking, answering in ((place, crowd), (crowd, place)):
        asked = np.stack([pictures.hashes[asking], mirrored_hashes(pictures.hashes[asking])], axis=1)
        answers = np.concatenate([pictures.hashes[answering, None], pictures.windows[answering]], axis=1)
        near = np.bitwise_count(asked[:, :, None, None] ^ answers) <= distance
        near &= (asked[:, :, None, None] == answers) | (textured(asked)[:, :, None, None] & textured(answers))
        near[~pictures.shows[asking], 1] = False
        near[:, :, ~pictures.shows[answering], 1:] = False
        asker, mirror, answer, window = np.nonzero(near)
        one, other = asking[asker] * SIDES + mirror, answering[answer] * len(WINDOWS) + window
        # One of the two places is the only one on its side, 0.
        sure[(asker + answer)[confirmed(pictures, one, other, same)]] = True
    return sure


def _joined_labels(distinct: Hashes, distance: int) -> Places:
    """Labels of chains of near hashes. Neighbours are joined first: of long chains little is left to compare then."""
    labels = np.arange(len(distinct), dtype=np.int64)
    rest = np.flatnonzero(textured(distinct))
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
