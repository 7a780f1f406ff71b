"""Which picture goes to which split. Pure, and decided by keyed hashes of the pictures alone.

Every class lays its clusters of near-duplicates out in the order of their hashes. Val is taken from the front, test
from the back, a replicate of test before it, train from between: when a picture is added later, at most one picture
moves out of each of val, test and replicate and one out of a full train split, whatever the size of the class.

One maker's pictures stay on one side, in all classes: val, test and replicate are filled with whole makers, at first
with those who have few pictures, and everybody else's are train's. Classes take their turn by wnid, and what an earlier
one decided of a maker holds. Where a class cannot be filled like that, makers are divided, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

from imagenet_builder.records import Split

from .choose import Sizes, shared_clusters

# A maker with more than this part of what a class needs is held out only when others do not suffice.
FEW = 10


@dataclass(frozen=True, slots=True)
class Placement:
    """One picture of a release: its class and its split."""

    split: Split
    wnid: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Division:
    """All placements, in no particular order, and what stayed out of every split, in pictures.

    `multi_label`: accepted, themselves or through a near-duplicate, for several of the classes. `near_duplicates`: of
    a picture that is held out of train. `surplus`: beyond the size of train. `held_back`: of makers whose other
    pictures are held out. `divided` counts makers with pictures on several sides.
    """

    placements: tuple[Placement, ...]
    multi_label: int
    near_duplicates: int
    surplus: int
    held_back: int
    divided: int


def ranking_key(secret: bytes, seed: int) -> bytes:
    """The key of a release's ranks, from the project's secret and the seed.

    The seed alone would not do, because everybody knows it: test is the end of its class, so that a picture's rank and
    the ranks of what train shows of each class would tell which classes it cannot be of.
    """
    return blake2b(str(seed).encode(), digest_size=32, key=secret).digest()


@cache
def _key_for(key: bytes, purpose: str) -> bytes:
    return blake2b(purpose.encode(), digest_size=32, key=key).digest()


def keyed_rank(key: bytes, purpose: str, name: str) -> bytes:
    """A rank for `name` that looks random, differs from purpose to purpose, and is the same on every machine."""
    return blake2b(name.encode(), digest_size=16, key=_key_for(key, purpose)).digest()


def divide(
    pictures: Mapping[str, Collection[str]],
    cluster_of: Mapping[str, str],
    labels: Mapping[str, Collection[str]],
    sizes: Sizes,
    key: bytes,
    maker_of: Mapping[str, str] | None = None,
) -> Division:
    """Divide the pictures of every class (wnid → SHA-256) into val, test, replicate and train.

    `key` is that of `ranking_key`. `cluster_of` maps a picture to its cluster of near-duplicates, `labels` a cluster to
    all categories that it was accepted for, `maker_of` a picture to its maker; pictures without one stand alone. A
    cluster gives a held-out split one picture; in train all its pictures may stand. Raises ValueError for a class with
    too few clusters of its own, which `choose` does not let through.
    """
    shared = shared_clusters(labels, pictures)
    maker_of = maker_of or {}
    placements: list[Placement] = []
    multi_label: set[str] = set()
    near_duplicates = surplus = held_back = 0
    side_of: dict[str, Split] = {}
    for wnid in sorted(pictures):
        own = [sha256 for sha256 in pictures[wnid] if cluster_of[sha256] not in shared]
        multi_label.update(sha256 for sha256 in pictures[wnid] if cluster_of[sha256] in shared)
        groups = _in_order(own, cluster_of, key)
        if len(groups) < sizes.needed:
            raise ValueError(f"{wnid} has {len(groups)} distinct pictures and needs {sizes.needed}")
        makers = [maker_of.get(group[0], group[0]) for group in groups]
        _take_sides(makers, sizes, side_of)
        parts = _Parts([side_of[maker] for maker in makers], sizes)
        train = list(_most_distinct_first([groups[place] for place in parts.train]))
        near_duplicates += sum(len(groups[place]) - 1 for part in parts.held_out.values() for place in part)
        held_back += sum(len(groups[place]) for place in parts.held_back)
        surplus += len(train[sizes.max_train :])
        for split, places in parts.held_out.items():
            placements += (Placement(split, wnid, groups[place][0]) for place in places)
        placements += (Placement(Split.TRAIN, wnid, sha256) for sha256 in train[: sizes.max_train])
    divided = _divided(placements, maker_of)
    return Division(tuple(placements), len(multi_label), near_duplicates, surplus, held_back, divided)


def _take_sides(makers: Sequence[str], sizes: Sizes, side_of: dict[str, Split]) -> None:
    """Give every maker of a class a side, unless an earlier class did.

    `makers` has the maker of every cluster, in order. A maker is held out only if that leaves enough for the rest of
    the class, and at first only if it has few clusters and all of them find room.
    """
    clusters = Counter(makers)
    have = Counter[Split]()
    for maker, number in clusters.items():
        if maker in side_of:
            have[side_of[maker]] += number
    free = [maker for maker in clusters if maker not in side_of]
    left = sum(clusters[maker] for maker in free)
    few = max(1, sizes.needed // FEW)
    for_train = max(0, sizes.min_train - have[Split.TRAIN])
    for_replicate = for_train + max(0, sizes.replicate - have[Split.REPLICATE])
    for_test = for_replicate + max(0, sizes.test - have[Split.TEST])
    held_out = (
        (Split.VAL, sizes.val, for_test, 1),
        (Split.TEST, sizes.test, for_replicate, -1),
        (Split.REPLICATE, sizes.replicate, for_train, -1),
    )
    for split, wanted, spare, step in held_out:
        for any_size in (False, True):
            for maker in free[::step]:
                number, missing = clusters[maker], wanted - have[split]
                if missing <= 0:
                    break
                fits = any_size or number <= min(few, missing)
                if maker not in side_of and fits and left - number >= spare:
                    side_of[maker] = split
                    have[split] += number
                    left -= number
    for maker in free:
        side_of.setdefault(maker, Split.TRAIN)


class _Parts:
    """The places of a class's clusters in every split, exactly of their sizes, and of those held back."""

    def __init__(self, sides: Sequence[Split], sizes: Sizes) -> None:
        places = {split: [place for place, side in enumerate(sides) if side is split] for split in Split}
        self.train = places[Split.TRAIN]
        self.held_out = {
            Split.VAL: places[Split.VAL][: sizes.val],
            Split.TEST: _last(places[Split.TEST], sizes.test),
            Split.REPLICATE: _last(places[Split.REPLICATE], sizes.replicate),
        }
        taken = {*self.train, *(place for part in self.held_out.values() for place in part)}
        self.held_back = [place for place in range(len(sides)) if place not in taken]
        # Makers are divided from here on.
        self._fill(self.held_out[Split.VAL], sizes.val, 0)
        self._fill(self.held_out[Split.TEST], sizes.test, -1)
        self._fill(self.held_out[Split.REPLICATE], sizes.replicate, -1)
        while len(self.train) < sizes.min_train:
            self.train.append(self.held_back.pop(0))
        self.train.sort()

    def _fill(self, part: list[int], wanted: int, end: int) -> None:
        while len(part) < wanted:
            part.append((self.held_back or self.train).pop(end))
        part.sort()


def _last(places: list[int], count: int) -> list[int]:
    return places[max(0, len(places) - count) :]


def _divided(placements: Sequence[Placement], maker_of: Mapping[str, str]) -> int:
    sides: dict[str, set[Split]] = {}
    for one in placements:
        sides.setdefault(maker_of.get(one.sha256, one.sha256), set()).add(one.split)
    return sum(len(found) > 1 for found in sides.values())


def _in_order(own: Sequence[str], cluster_of: Mapping[str, str], key: bytes) -> list[list[str]]:
    """The clusters by the smallest rank in each, every one with its pictures by rank."""
    groups: dict[str, list[str]] = {}
    # Dictionaries keep their order: a cluster comes where its first picture does.
    for sha256 in sorted(own, key=lambda sha256: keyed_rank(key, "split", sha256)):
        groups.setdefault(cluster_of[sha256], []).append(sha256)
    return list(groups.values())


def _most_distinct_first(groups: Sequence[Sequence[str]]) -> Iterator[str]:
    """One picture of every cluster first, near-duplicates after: a limit cuts off what adds least."""
    yield from (group[0] for group in groups)
    for group in groups:
        yield from group[1:]
