"""Which categories become the classes of a release. Pure: values in, values out.

A class has enough *distinct* pictures: clusters of near-duplicates, without those that two released classes share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from imagenet_builder.errors import ReleaseError

from .antichain import best_of_size, largest_antichain

# Category → its clusters, and cluster → its categories; a cluster has any name or number.
Clusters = Mapping[str, Collection[Hashable]]
Labels = Mapping[Any, Collection[str]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Pictures a class: `val`, `test` and `replicate` exactly, train from `min_train` to `max_train`."""

    val: int
    test: int
    min_train: int
    max_train: int
    replicate: int = 0

    @property
    def needed(self) -> int:
        """Distinct pictures without which a category cannot be a class."""
        return self.val + self.test + self.replicate + self.min_train

    @property
    def most(self) -> int:
        """Pictures beyond which a category has no use for more."""
        return self.val + self.test + self.replicate + self.max_train


class Why(StrEnum):
    """Why a category is not in a release."""

    TOO_FEW = "too few pictures"
    SHARED = "too few pictures that are not another class's too"
    ANCESTOR = "ancestor of a class"
    DESCENDANT = "kind of a class"
    SURPLUS = "more classes than asked for"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A category that was left out and its distinct pictures; `below` names a class below an ancestor, `above` one
    above a kind of it."""

    wnid: str
    why: Why
    pictures: int
    below: str | None = None
    above: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen classes by wnid, and every other category that was considered, by wnid.

    `usable` counts the distinct pictures that a release can use of them; no choice of so many classes could use more
    than `most`. None for named classes, which were not chosen.
    """

    wnids: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    usable: int | None = None
    most: int | None = None


def choose_best(
    clusters: Clusters,
    labels: Labels,
    ancestors: Callable[[str], Collection[str]],
    sizes: Sizes,
    count: int,
) -> Choice:
    """Choose up to `count` categories, none an ancestor of another, preferring those with most pictures.

    `clusters` maps a category to the clusters that it may use, `labels` a cluster to all categories that it was
    accepted for. Of those that qualify the largest set is found in which none is above another, and of such sets the
    one with most pictures that a release can use (`largest_antichain`). If it is larger than `count`, so many are taken
    with as many pictures as can be found (`best_of_size`), which may be other categories than those of the largest set;
    `most` says what no choice exceeds, without regard to what classes share. Where classes share so many pictures that
    one falls short, the poorest yields, and what it shared is free again.
    """
    usable = {wnid: min(len(own), sizes.most) for wnid, own in clusters.items()}
    most = 0

    def candidates(qualified: Collection[str]) -> Sequence[str]:
        nonlocal most
        weights = {wnid: usable[wnid] for wnid in qualified}
        largest = largest_antichain(weights, ancestors)
        if len(largest) <= count:
            most = sum(usable[wnid] for wnid in largest)
            return sorted(largest)
        chosen, most = best_of_size(weights, ancestors, count)
        return sorted(chosen)

    chosen, yielded = _settle(clusters, labels, sizes, candidates)
    left_out = _left_out(clusters, ancestors, sizes, chosen, yielded)
    used = sum(usable[wnid] for wnid in chosen)
    return Choice(tuple(sorted(chosen)), tuple(left_out), used, most)


def choose_named(
    clusters: Clusters,
    labels: Labels,
    ancestors: Callable[[str], Collection[str]],
    sizes: Sizes,
    named: Sequence[str],
) -> Choice:
    """Choose exactly the categories `named`, or as many of them as have enough pictures; others are not considered.

    Raises ReleaseError when one is an ancestor of another, because then a picture of the one shows the other.
    """
    wanted = frozenset(named)
    for wnid in sorted(wanted):
        above = sorted(wanted.intersection(ancestors(wnid)))
        if above:
            raise ReleaseError(
                f"the list names {wnid} and also {above[0]}, which is an ancestor of it: take one of them out"
            )
    clusters = {wnid: clusters.get(wnid, ()) for wnid in sorted(wanted)}
    chosen, yielded = _settle(clusters, labels, sizes, sorted)
    left_out = _left_out(clusters, ancestors, sizes, chosen, yielded)
    return Choice(tuple(sorted(chosen)), tuple(left_out))


def shared_clusters(labels: Labels, chosen: Collection[str]) -> frozenset[Any]:
    """Clusters that were accepted for more than one of the chosen classes: no label is right for them."""
    chosen = frozenset(chosen)
    return frozenset(
        cluster
        for cluster, wnids in labels.items()
        if len(wnids) > 1 and sum(wnid in chosen for wnid in wnids) > 1
    )


def _settle(
    clusters: Clusters,
    labels: Labels,
    sizes: Sizes,
    candidates: Callable[[Collection[str]], Sequence[str]],
) -> tuple[Sequence[str], dict[str, int]]:
    """The candidates that have enough pictures of their own, and those that yielded, with what they had left."""
    # Few clusters have several labels; the others never need to be looked at again.
    contested = {cluster: wnids for cluster, wnids in labels.items() if len(wnids) > 1}
    usable = {wnid: frozenset(usable).intersection(contested) for wnid, usable in clusters.items()}
    qualified = {wnid for wnid, usable in clusters.items() if len(usable) >= sizes.needed}
    yielded: dict[str, int] = {}
    while True:
        chosen = candidates(qualified)
        shared = shared_clusters(contested, chosen)
        own = {wnid: len(clusters[wnid]) - len(usable[wnid] & shared) for wnid in chosen}
        poorest = min(chosen, key=lambda wnid: (own[wnid], wnid), default=None)
        if poorest is None or own[poorest] >= sizes.needed:
            return chosen, yielded
        yielded[poorest] = own[poorest]
        qualified.discard(poorest)


def _left_out(
    clusters: Clusters,
    ancestors: Callable[[str], Collection[str]],
    sizes: Sizes,
    chosen: Collection[str],
    yielded: Mapping[str, int],
) -> Iterable[LeftOut]:
    """Why each category was left out."""
    classes = frozenset(chosen)
    below: dict[str, str] = {}
    for wnid in sorted(classes):
        for above in ancestors(wnid):
            below.setdefault(above, wnid)
    for wnid in sorted(clusters.keys() - classes):
        pictures = len(clusters[wnid])
        if pictures < sizes.needed:
            yield LeftOut(wnid, Why.TOO_FEW, pictures)
        elif wnid in yielded:
            yield LeftOut(wnid, Why.SHARED, yielded[wnid])
        elif wnid in below:
            yield LeftOut(wnid, Why.ANCESTOR, pictures, below=below[wnid])
        elif over := classes.intersection(ancestors(wnid)):
            yield LeftOut(wnid, Why.DESCENDANT, pictures, above=min(over))
        else:
            yield LeftOut(wnid, Why.SURPLUS, pictures)
