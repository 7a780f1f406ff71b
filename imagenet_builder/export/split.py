"""Which picture goes to which split. Pure, and decided by keyed hashes of the pictures alone.

Every class lays its clusters of near-duplicates out in the order of their hashes. Val is taken from the front, test
from the back, a replicate of test before it, train from between: when a picture is added later, at most one picture
moves out of each of val, test and replicate and one out of a full train split, whatever the size of the class.

One maker's pictures stay on one side, in all classes: val, test and replicate are filled with whole makers, at first
with those who have few pictures, and everybody else's are train's. Classes take their turn by wnid, and what an earlier
one decided of a maker holds. A cluster of several makers goes where they all are, and is held back where they are on
several sides. Where a class cannot be filled like that, makers are divided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from imagenet_builder.records import Split

from .choose import Sizes, shared_clusters
from .description import SPLITS
from .together import Makers

Rows = npt.NDArray[np.int64]
TRAIN, VAL, TEST, REPLICATE = map(SPLITS.index, (Split.TRAIN, Split.VAL, Split.TEST, Split.REPLICATE))
# Where a maker stands that no class has placed yet, and a cluster whose makers are on several sides.
UNDECIDED, NOWHERE = 255, 254

# A maker with more than this part of what a class needs is held out only when others do not suffice.
FEW = 10


@dataclass(frozen=True, slots=True)
class Division:
    """All placements, class by class, and what stayed out of every split, in pictures.

    A placement is a row of three columns: the place of an image among all of them, of its class among the sorted wnids,
    and of its split in SPLITS. `multi_label`: accepted, themselves or through a near-duplicate, for several of the
    classes. `near_duplicates`: of a picture that is held out of train. `surplus`: beyond the size of train.
    `held_back`: of makers whose other pictures are held out.
    """

    images: Rows
    labels: npt.NDArray[np.int32]
    splits: npt.NDArray[np.uint8]
    multi_label: int
    near_duplicates: int
    surplus: int
    held_back: int


def ranking_key(secret: bytes, seed: int) -> bytes:
    """The key of a release's ranks, from the project's secret and the seed.

    The seed alone would not do, because everybody knows it: test is the end of its class, so that a picture's rank and
    the ranks of what train shows of each class would tell which classes it cannot be of.
    """
    return blake2b(str(seed).encode(), digest_size=32, key=secret).digest()


def keyed_ranks(key: bytes, purpose: str, names: Iterable[bytes]) -> list[bytes]:
    """For each name a rank that looks random, differs from purpose to purpose, and is the same on every machine."""
    own = blake2b(purpose.encode(), digest_size=32, key=key).digest()
    return [blake2b(name, digest_size=16, key=own).digest() for name in names]


def divide(
    pictures: Mapping[str, Rows],
    images: npt.NDArray[np.bytes_],
    cluster_of: Rows,
    labels: Mapping[int, Collection[str]],
    sizes: Sizes,
    key: bytes,
    makers: Makers | None = None,
) -> Division:
    """Divide the pictures of every class into val, test, replicate and train.

    `pictures` maps a wnid to places in `images` (SHA-256, as hexadecimal bytes), `cluster_of` a place to its cluster of
    near-duplicates; without `makers` every cluster is a maker's of its own. `labels` maps a cluster to
    all categories that it was accepted for, if it is several. `key` is that of `ranking_key`. A cluster gives a
    held-out split one picture; in train all its pictures may stand. Raises ValueError for a class with too few clusters
    of its own, which `choose` does not let through.
    """
    if makers is None:
        makers = Makers(cluster_of, {})
    shared = np.fromiter(shared_clusters(labels, pictures), np.int64)
    most = max([int(makers.first.max(initial=-1)), *map(max, makers.others.values())])
    side_of = bytearray([UNDECIDED]) * (1 + most)
    placed: list[_Placed] = []
    multi_label = [np.zeros(0, np.int64)]
    near_duplicates = surplus = held_back = 0
    for label, wnid in enumerate(sorted(pictures)):
        is_shared = np.isin(cluster_of[pictures[wnid]], shared)
        multi_label.append(pictures[wnid][is_shared])
        groups = _in_order(pictures[wnid][~is_shared], images, cluster_of, key)
        if len(groups) < sizes.needed:
            raise ValueError(f"{wnid} has {len(groups)} distinct pictures and needs {sizes.needed}")
        made_by = _made_by(pictures[wnid], makers)
        own = [frozenset().union(*map(made_by.__getitem__, group)) for group in groups]
        _take_sides([maker for some in own if len(some) == 1 for maker in some], sizes, side_of)
        parts = _Parts([_side(some, side_of) for some in own], sizes)
        train = list(_most_distinct_first([groups[place] for place in parts.train]))
        near_duplicates += sum(len(groups[place]) - 1 for part in parts.held_out.values() for place in part)
        held_back += sum(len(groups[place]) for place in parts.held_back)
        surplus += len(train[sizes.max_train :])
        for split, places in parts.held_out.items():
            placed.append(_placed([groups[place][0] for place in places], label, split))
        placed.append(_placed(train[: sizes.max_train], label, TRAIN))
    rows, classes, splits = map(np.concatenate, zip(*placed, strict=True))
    shared_pictures = len(np.unique(np.concatenate(multi_label)))
    return Division(rows, classes, splits, shared_pictures, near_duplicates, surplus, held_back)


def _made_by(images: Rows, makers: Makers) -> dict[int, tuple[int, ...]]:
    firsts = zip(images.tolist(), makers.first[images].tolist(), strict=True)
    return {image: (first, *makers.others.get(image, ())) for image, first in firsts}


_Placed = tuple[Rows, npt.NDArray[np.int32], npt.NDArray[np.uint8]]


def _placed(rows: Sequence[int], label: int, split: int) -> _Placed:
    count = len(rows)
    return np.array(rows, np.int64), np.full(count, label, np.int32), np.full(count, split, np.uint8)


def _take_sides(makers: Sequence[int], sizes: Sizes, side_of: bytearray) -> None:
    """Give every maker of a class a side, unless an earlier class did.

    `makers` has the maker of every cluster of a single one, in order. A maker is held out only if that leaves enough
    for the rest of the class, and at first only if it has few clusters and all of them find room.
    """
    clusters = Counter(makers)
    have = Counter[int]()
    for maker, number in clusters.items():
        if side_of[maker] != UNDECIDED:
            have[side_of[maker]] += number
    free = [maker for maker in clusters if side_of[maker] == UNDECIDED]
    left = sum(clusters[maker] for maker in free)
    few = max(1, sizes.needed // FEW)
    for_train = max(0, sizes.min_train - have[TRAIN])
    for_replicate = for_train + max(0, sizes.replicate - have[REPLICATE])
    for_test = for_replicate + max(0, sizes.test - have[TEST])
    held_out = (
        (VAL, sizes.val, for_test, 1),
        (TEST, sizes.test, for_replicate, -1),
        (REPLICATE, sizes.replicate, for_train, -1),
    )
    for split, wanted, spare, step in held_out:
        for any_size in (False, True):
            for maker in free[::step]:
                number, missing = clusters[maker], wanted - have[split]
                if missing <= 0:
                    break
                fits = any_size or number <= min(few, missing)
                if side_of[maker] == UNDECIDED and fits and left - number >= spare:
                    side_of[maker] = split
                    have[split] += number
                    left -= number
    for maker in free:
        if side_of[maker] == UNDECIDED:
            side_of[maker] = TRAIN


def _side(makers: Collection[int], side_of: bytearray) -> int:
    """Where a cluster of these makers goes; who has no side yet, because this is all there is of theirs, follows."""
    sides = {side_of[maker] for maker in makers} - {UNDECIDED}
    if len(sides) > 1:
        return NOWHERE
    side = sides.pop() if sides else TRAIN
    for maker in makers:
        side_of[maker] = side
    return side


class _Parts:
    """The places of a class's clusters in every split, exactly of their sizes, and of those held back."""

    def __init__(self, sides: Sequence[int], sizes: Sizes) -> None:
        places: dict[int, list[int]] = {split: [] for split in range(len(SPLITS))}
        for place, side in enumerate(sides):
            if side != NOWHERE:
                places[side].append(place)
        self.train = places[TRAIN]
        self.held_out = {
            VAL: places[VAL][: sizes.val],
            TEST: _last(places[TEST], sizes.test),
            REPLICATE: _last(places[REPLICATE], sizes.replicate),
        }
        taken = {*self.train, *(place for part in self.held_out.values() for place in part)}
        self.held_back = [place for place in range(len(sides)) if place not in taken]
        # Makers are divided from here on.
        self._fill(self.held_out[VAL], sizes.val, 0)
        self._fill(self.held_out[TEST], sizes.test, -1)
        self._fill(self.held_out[REPLICATE], sizes.replicate, -1)
        while len(self.train) < sizes.min_train:
            self.train.append(self.held_back.pop(0))
        self.train.sort()

    def _fill(self, part: list[int], wanted: int, end: int) -> None:
        while len(part) < wanted:
            part.append((self.held_back or self.train).pop(end))
        part.sort()


def _last(places: list[int], count: int) -> list[int]:
    return places[max(0, len(places) - count) :]


def _in_order(own: Rows, images: npt.NDArray[np.bytes_], cluster_of: Rows, key: bytes) -> list[list[int]]:
    """The clusters by the smallest rank in each, every one with its pictures by rank."""
    ranks = keyed_ranks(key, "split", images[own].tolist())
    ranked = sorted(zip(ranks, own.tolist(), cluster_of[own].tolist(), strict=True))
    groups: dict[int, list[int]] = {}
    # Dictionaries keep their order: a cluster comes where its first picture does.
    for _, picture, cluster in ranked:
        groups.setdefault(cluster, []).append(picture)
    return list(groups.values())


def _most_distinct_first(groups: Sequence[Sequence[int]]) -> Iterator[int]:
    """One picture of every cluster first, near-duplicates after: a limit cuts off what adds least."""
    yield from (group[0] for group in groups)
    for group in groups:
        yield from group[1:]
