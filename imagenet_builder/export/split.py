"""Which picture goes to which split. Pure, and decided by a keyed hash of the picture alone.

Every class lays its clusters of near-duplicates out in the order of their hashes. Val is taken from the front, test
from the back, train from between: when a picture is added later, at most one picture moves out of val or test and one
out of a full train split, whatever the size of the class.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from imagenet_builder.records import Split

from .choose import Sizes, shared_clusters


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
    a picture in val or test. `surplus`: beyond the size of train.
    """

    placements: tuple[Placement, ...]
    multi_label: int
    near_duplicates: int
    surplus: int


def keyed_rank(seed: int, purpose: str, name: str) -> bytes:
    """A rank for `name` that looks random, differs from purpose to purpose, and is the same on every machine."""
    return blake2b(name.encode(), digest_size=16, key=f"{seed}:{purpose}".encode()).digest()


def divide(
    pictures: Mapping[str, Collection[str]],
    cluster_of: Mapping[str, str],
    labels: Mapping[str, Collection[str]],
    sizes: Sizes,
    seed: int,
) -> Division:
    """Divide the pictures of every class (wnid → SHA-256) into val, test and train.

    `cluster_of` maps a picture to its cluster of near-duplicates, `labels` a cluster to all categories that it was
    accepted for. A cluster gives val or test one picture; in train all its pictures may stand. Raises ValueError for
    a class with too few clusters of its own, which `choose` does not let through.
    """
    shared = shared_clusters(labels, pictures)
    placements: list[Placement] = []
    multi_label: set[str] = set()
    near_duplicates = surplus = 0
    for wnid in sorted(pictures):
        own = [sha256 for sha256 in pictures[wnid] if cluster_of[sha256] not in shared]
        multi_label.update(sha256 for sha256 in pictures[wnid] if cluster_of[sha256] in shared)
        groups = _in_order(own, cluster_of, seed)
        if len(groups) < sizes.needed:
            raise ValueError(f"{wnid} has {len(groups)} distinct pictures and needs {sizes.needed}")
        middle = groups[sizes.val : len(groups) - sizes.test]
        train = list(_most_distinct_first(middle))
        held_out = [*groups[: sizes.val], *groups[len(groups) - sizes.test :]]
        near_duplicates += sum(len(group) - 1 for group in held_out)
        surplus += len(train[sizes.max_train :])
        placements += (Placement(Split.VAL, wnid, group[0]) for group in held_out[: sizes.val])
        placements += (Placement(Split.TEST, wnid, group[0]) for group in held_out[sizes.val :])
        placements += (Placement(Split.TRAIN, wnid, sha256) for sha256 in train[: sizes.max_train])
    return Division(tuple(placements), len(multi_label), near_duplicates, surplus)


def _in_order(own: Sequence[str], cluster_of: Mapping[str, str], seed: int) -> list[list[str]]:
    """The clusters by the smallest rank in each, every one with its pictures by rank."""
    groups: dict[str, list[str]] = {}
    # Dictionaries keep their order: a cluster comes where its first picture does.
    for sha256 in sorted(own, key=lambda sha256: keyed_rank(seed, "split", sha256)):
        groups.setdefault(cluster_of[sha256], []).append(sha256)
    return list(groups.values())


def _most_distinct_first(groups: Sequence[Sequence[str]]) -> Iterator[str]:
    """One picture of every cluster first, near-duplicates after: a limit cuts off what adds least."""
    yield from (group[0] for group in groups)
    for group in groups:
        yield from group[1:]
