"""Near-duplicates: pictures whose 64-bit perceptual hashes differ in a few bits, gathered into clusters.

All pairs within the distance are found, not a sample of them: the hash is cut into `distance + 2` pieces, and two
hashes that differ in at most `distance` bits agree in at least two pieces (the multi-index idea of Norouzi, Punjani
and Fleet 2012, with pairs of pieces as keys). Only pictures that share a key are compared. Where descriptors are given,
each pair is confirmed on them, so that pictures with little in them do not chain into giant clusters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, combinations, pairwise

import numpy as np
import numpy.typing as npt

from .descriptors import SAME, Descriptors, correlation, stack

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

HASH_BITS = 64
HASH_MASK = (1 << HASH_BITS) - 1
NEAR = 6
# A difference hash with fewer set (or unset) bits than this has no texture to compare: a plain sky, a page, a gradient.
LEAST_TEXTURE = 8
# Pairs that wait to be joined: bounds the memory, whatever the pictures are.
PAIRS_AT_ONCE = 1_000_000
# Pairs that are confirmed in one go: each takes two kilobytes meanwhile.
CONFIRMED_AT_ONCE = 50_000


def clusters(
    hashes: Mapping[str, int], distance: int = NEAR, descriptors: Mapping[str, bytes] | None = None
) -> dict[str, str]:
    """Map every image to the key of its cluster, the smallest SHA-256 in it.

    `hashes` maps SHA-256 to the 64-bit perceptual hash, signed or unsigned. Images are in one cluster when a chain
    of pairs within `distance` bits (0 to 62) leads from one to the other. Hashes with hardly any texture match only
    when they are equal, because flat pictures of different things lie close together. Two pictures with `descriptors`
    (those of other images may be missing) are a pair only if these correlate too, be their hashes equal or near.
    """
    if not 0 <= distance <= HASH_BITS - 2:
        raise ValueError(f"distance must be from 0 to {HASH_BITS - 2} bits, not {distance}")
    if not hashes:
        return {}
    names = sorted(hashes)
    values = np.fromiter((hashes[name] & HASH_MASK for name in names), np.uint64, len(names))
    distinct, place = np.unique(values, return_inverse=True)
    if descriptors:
        known = np.fromiter((bool(descriptors.get(name)) for name in names), np.bool_, len(names))
        rows = stack([descriptors.get(name, b"") for name in names])
        labels = _confirmed_labels(distinct, place.astype(np.int64), rows, known, distance)
    else:
        labels = _joined_labels(distinct, distance)[place]
    # Names are sorted: the first place where a label stands is that of the cluster's smallest name.
    _, first = np.unique(labels, return_index=True)
    key_of = dict(zip(labels[first].tolist(), first.tolist(), strict=True))
    return {name: names[key_of[label]] for name, label in zip(names, labels.tolist(), strict=True)}


def _confirmed_labels(
    distinct: Hashes, place: Places, rows: Descriptors, known: npt.NDArray[np.bool_], distance: int
) -> Places:
    """A label a picture; `place` is that of its hash in `distinct`, `known` tells whose row means something."""
    members = np.argsort(place, kind="stable").astype(np.int64)
    starts = np.searchsorted(place[members], np.arange(len(distinct) + 1)).astype(np.int64)
    labels = np.arange(len(place), dtype=np.int64)
    shared = np.flatnonzero(np.diff(starts) > 1)
    textured = _textured(distinct)
    waiting: list[tuple[Places, Places]] = []
    count = 0
    near = ((textured[left], textured[right]) for left, right in _near_pairs(distinct[textured], distance))
    for left, right in chain([(shared, shared)], near):
        for one, other in _picture_pairs(left, right, starts):
            one, other = members[one], members[other]
            apart = labels[one] != labels[other]
            one, other = one[apart], other[apart]
            sure = ~(known[one] & known[other])
            if not sure.all():
                sure |= correlation(rows[one], rows[other]) >= SAME
            if sure.any():
                waiting.append((one[sure], other[sure]))
                count += int(sure.sum())
            if count >= PAIRS_AT_ONCE:
                labels, waiting, count = _join(labels, waiting), [], 0
    return _join(labels, waiting) if waiting else labels


def _picture_pairs(left: Places, right: Places, starts: Places) -> Iterator[tuple[Places, Places]]:
    """Every pair of pictures that have the hashes `left[i]` and `right[i]`, CONFIRMED_AT_ONCE or fewer at a time."""
    wide = np.diff(starts)[right]
    # One line for each picture of the left hash: it meets all those of the right one.
    lines = np.repeat(np.arange(len(left)), np.diff(starts)[left])
    first = np.arange(len(lines)) - np.searchsorted(lines, lines) + starts[left][lines]
    done, sizes = 0, wide[lines].cumsum()
    while done < len(lines):
        before = sizes[done - 1] if done else 0
        end = max(done + 1, int(np.searchsorted(sizes, before + CONFIRMED_AT_ONCE, "right")))
        width = wide[lines[done:end]]
        one = np.repeat(first[done:end], width)
        other = np.arange(len(one)) - np.repeat(width.cumsum() - width, width)
        other = other + np.repeat(starts[right][lines[done:end]], width)
        done = end
        yield one[one != other], other[one != other]


def _textured(distinct: Hashes) -> Places:
    set_bits = np.bitwise_count(distinct)
    found = np.flatnonzero((set_bits >= LEAST_TEXTURE) & (set_bits <= HASH_BITS - LEAST_TEXTURE))
    return found.astype(np.int64)


def _joined_labels(distinct: Hashes, distance: int) -> Places:
    labels = np.arange(len(distinct), dtype=np.int64)
    textured = _textured(distinct)
    waiting: list[tuple[Places, Places]] = []
    count = 0
    for left, right in _near_pairs(distinct[textured], distance):
        left, right = textured[left], textured[right]
        apart = labels[left] != labels[right]
        if apart.any():
            waiting.append((left[apart], right[apart]))
            count += int(apart.sum())
        if count >= PAIRS_AT_ONCE:
            labels, waiting, count = _join(labels, waiting), [], 0
    return _join(labels, waiting) if waiting else labels


def _near_pairs(values: Hashes, distance: int) -> Iterator[tuple[Places, Places]]:
    """Batches of pairs of places within `distance`, each batch no longer than `values`; a pair may come twice."""
    edges = np.linspace(0, HASH_BITS, distance + 3).round().astype(int).tolist()
    pieces = [
        (values >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1) for low, high in pairwise(edges)
    ]
    widths = [high - low for low, high in pairwise(edges)]
    for first, second in combinations(range(len(pieces)), 2):
        keys = (pieces[first] << np.uint64(widths[second])) | pieces[second]
        yield from _near_pairs_of_table(values, keys, distance)


def _near_pairs_of_table(values: Hashes, keys: Hashes, distance: int) -> Iterator[tuple[Places, Places]]:
    order = np.argsort(keys, kind="stable").astype(np.int64)
    keys, values = keys[order], values[order]
    active = np.arange(len(values), dtype=np.int64)
    step = 0
    while len(active):
        # Each picture against the one `step` places on, as long as both have the same key.
        step += 1
        active = active[: np.searchsorted(active, len(values) - step)]
        active = active[keys[active] == keys[active + step]]
        near = active[np.bitwise_count(values[active] ^ values[active + step]) <= distance]
        if len(near):
            yield order[near], order[near + step]


def _join(labels: Places, pairs: list[tuple[Places, Places]]) -> Places:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left = labels[np.concatenate([pair[0] for pair in pairs])]
    right = labels[np.concatenate([pair[1] for pair in pairs])]
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(labels), len(labels)))
    _, components = connected_components(graph, directed=False)
    joined: Places = components.astype(np.int64)[labels]
    return joined
