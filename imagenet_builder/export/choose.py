"""Which categories become the classes of a release. Pure: values in, values out.

A class has enough *distinct* pictures: clusters of near-duplicates, without those that two released classes share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from imagenet_builder.errors import ReleaseError

Clusters = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Pictures a class: `val` and `test` exactly, train from `min_train` to `max_train`."""

    val: int
    test: int
    min_train: int
    max_train: int

    @property
    def needed(self) -> int:
        """Distinct pictures without which a category cannot be a class."""
        return self.val + self.test + self.min_train

    @property
    def most(self) -> int:
        """Pictures beyond which a category has no use for more."""
        return self.val + self.test + self.max_train


class Why(StrEnum):
    """Why a category is not in a release."""

    TOO_FEW = "too few pictures"
    SHARED = "too few pictures that are not another class's too"
    ANCESTOR = "ancestor of a class"
    SURPLUS = "more classes than asked for"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A category that was left out, its distinct pictures, and for an ancestor one of the classes below it."""

    wnid: str
    why: Why
    pictures: int
    below: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen classes by wnid, and every other category that was considered, by wnid."""

    wnids: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def choose_best(
    clusters: Clusters,
    labels: Clusters,
    ancestors: Callable[[str], Collection[str]],
    sizes: Sizes,
    count: int,
) -> Choice:
    """Choose up to `count` categories, none an ancestor of another, preferring those with most pictures.

    `clusters` maps a category to the clusters that it may use, `labels` a cluster to all categories that it was
    accepted for. Of categories above one another the lowest that qualify are taken: they are the more specific, and
    as a rule the more numerous. Where classes share so many pictures that one falls short, the poorest yields, and
    what it shared is free again.
    """

    def candidates(qualified: Collection[str]) -> list[str]:
        above: set[str] = set()
        for wnid in qualified:
            above.update(ancestors(wnid))
        lowest = (wnid for wnid in qualified if wnid not in above)
        return sorted(lowest, key=lambda wnid: (-min(len(clusters[wnid]), sizes.most), wnid))[:count]

    chosen, yielded = _settle(clusters, labels, sizes, candidates)
    return Choice(
        tuple(sorted(chosen)), tuple(_left_out(clusters, ancestors, sizes, frozenset(chosen), yielded))
    )


def choose_named(
    clusters: Clusters,
    labels: Clusters,
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
    return Choice(
        tuple(sorted(chosen)), tuple(_left_out(clusters, ancestors, sizes, frozenset(chosen), yielded))
    )


def shared_clusters(labels: Clusters, chosen: Collection[str]) -> frozenset[str]:
    """Clusters that were accepted for more than one of the chosen classes: no label is right for them."""
    chosen = frozenset(chosen)
    return frozenset(
        cluster
        for cluster, wnids in labels.items()
        if len(wnids) > 1 and sum(wnid in chosen for wnid in wnids) > 1
    )


def _settle(
    clusters: Clusters,
    labels: Clusters,
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
    chosen: frozenset[str],
    yielded: Mapping[str, int],
) -> Iterable[LeftOut]:
    # Every category that lies above another one that qualifies → the first such one.
    below: dict[str, str] = {}
    for wnid in sorted(clusters, key=lambda wnid: (wnid not in chosen, wnid)):
        if len(clusters[wnid]) >= sizes.needed and wnid not in yielded:
            for above in ancestors(wnid):
                below.setdefault(above, wnid)
    for wnid in sorted(clusters):
        pictures = len(clusters[wnid])
        if wnid in chosen:
            continue
        if pictures < sizes.needed:
            yield LeftOut(wnid, Why.TOO_FEW, pictures)
        elif wnid in yielded:
            yield LeftOut(wnid, Why.SHARED, yielded[wnid])
        elif wnid in below:
            yield LeftOut(wnid, Why.ANCESTOR, pictures, below[wnid])
        else:
            yield LeftOut(wnid, Why.SURPLUS, pictures)
