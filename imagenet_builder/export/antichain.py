"""Sets of categories of which none is an ancestor of another: the largest, exactly, and the richest of a size. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping

import numpy as np


def largest_antichain(
    weights: Mapping[str, int], ancestors: Callable[[str], Collection[str]]
) -> frozenset[str]:
    """The keys of `weights`, none an ancestor of another: as many as can be, and of such sets the heaviest.

    Weights are from 0 up and their sum below 2³⁰. Among equals the more specific are taken. This is the weighted form
    of Dilworth's theorem (1950): every pair of a category and one below it is an edge of a bipartite graph, whose
    lightest vertex cover is a minimum cut (König 1931); what it leaves free is the antichain. Of all minimum cuts the
    one nearest to the source is taken, which does not depend on how the flow was found. Raises ValueError for weights
    that are too large.
    """
    # More than all weights together: one more member outweighs whatever it costs.
    one_more = sum(weights.values()) + 1
    if one_more > 2**30:
        raise ValueError("the weights of an antichain must add up to less than 2³⁰")
    return _heaviest({name: weight + one_more for name, weight in weights.items()}, ancestors)


def best_of_size(
    weights: Mapping[str, int], ancestors: Callable[[str], Collection[str]], count: int
) -> tuple[frozenset[str], int]:
    """`count` keys, none an ancestor of another, that weigh much, and what no such choice weighs more than.

    `count` is at most what `largest_antichain` has; weights as there. To find the heaviest of exactly so many is hard.
    Lagrange's bound helps: when every member costs a fee, the heaviest antichain of any size is a minimum cut, and no
    `count` members can have more than its value and their fees. The fee with the least bound is searched for; each
    antichain on the way that is large enough is a choice, without its lightest members. The best of these is improved
    by exchanging one member for another, and one that is above others for these. Where it reaches the bound, nothing is
    heavier. Among equals members come by name.
    """
    if not 0 < count <= len(weights):
        return frozenset(), 0
    best = _heaviest_of(largest_antichain(weights, ancestors), weights, count)
    # The higher the fee, the fewer members pay; the bound is least where as many do as are asked for.
    low, high = -sum(weights.values()) - 1, max(weights.values())
    bound = sum(weights[name] for name in sorted(weights, key=lambda name: -weights[name])[:count])
    while high - low > 1 and _weight(best, weights) < bound:
        fee = (low + high) // 2
        worth = {name: weight - fee for name, weight in weights.items() if weight > fee}
        members = _heaviest(worth, ancestors)
        bound = min(bound, sum(worth[name] for name in members) + fee * count)
        if len(members) >= count:
            low = fee
            best = _heavier(best, _heaviest_of(members, weights, count), weights)
        else:
            high = fee
            best = _heavier(best, _filled(members, best, weights, ancestors, count), weights)
    if _weight(best, weights) < bound:
        best = _exchanged(best, weights, ancestors)
    return best, bound


def _weight(members: Collection[str], weights: Mapping[str, int]) -> int:
    return sum(weights[name] for name in members)


def _heavier(one: frozenset[str], other: frozenset[str], weights: Mapping[str, int]) -> frozenset[str]:
    return other if _weight(other, weights) > _weight(one, weights) else one


def _heaviest_of(members: Collection[str], weights: Mapping[str, int], count: int) -> frozenset[str]:
    return frozenset(sorted(members, key=lambda name: (-weights[name], name))[:count])


def _filled(
    members: frozenset[str],
    others: frozenset[str],
    weights: Mapping[str, int],
    ancestors: Callable[[str], Collection[str]],
    count: int,
) -> frozenset[str]:
    """`members` with others that fit, up to `count`; `others` as they are where too few fit."""
    chosen = set(members)
    barred = set().union(*(ancestors(name) for name in members))
    for name in sorted(weights, key=lambda name: (-weights[name], name)):
        if len(chosen) == count:
            return frozenset(chosen)
        above = ancestors(name)
        if name not in chosen and name not in barred and chosen.isdisjoint(above):
            chosen.add(name)
            barred.update(above)
    return frozenset(chosen) if len(chosen) == count else others


def _exchanged(
    chosen: frozenset[str], weights: Mapping[str, int], ancestors: Callable[[str], Collection[str]]
) -> frozenset[str]:
    """`chosen` after all exchanges of one member for a heavier key that stands in no other's way."""
    members = set(chosen)
    # How many members are below a key; a member is above a key where it is an ancestor.
    below = Counter(above for name in members for above in ancestors(name))
    while True:
        lightest = min(members, key=lambda name: (weights[name], name))
        for name in sorted(weights, key=lambda name: (-weights[name], name)):
            if weights[name] <= weights[lightest]:
                return frozenset(members)
            if name in members:
                continue
            over = members.intersection(ancestors(name))
            in_the_way = len(over) + below[name]
            if in_the_way > 1:
                continue
            under = {one for one in members if name in ancestors(one)} if below[name] else set()
            goes = next(iter(over | under), lightest)
            if weights[name] > weights[goes]:
                members.remove(goes)
                members.add(name)
                below.subtract(ancestors(goes))
                below.update(ancestors(name))
                break
        else:
            return frozenset(members)


def _heaviest(weights: Mapping[str, int], ancestors: Callable[[str], Collection[str]]) -> frozenset[str]:
    names = sorted(weights)
    number_of = {name: number for number, name in enumerate(names)}
    pairs = [
        (number_of[above], number_of[name])
        for name in names
        for above in ancestors(name)
        if above in number_of
    ]
    if not pairs:
        return frozenset(names)
    capacity = np.array([weights[name] for name in names], np.int64)
    free = _free_of_cut(capacity, np.array(pairs, np.int64))
    return frozenset(name for name, chosen in zip(names, free, strict=True) if chosen)


def _free_of_cut(capacity: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Which of n nodes the cover leaves free; `pairs` (m × 2) are edges from one's left to another's right copy."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    count = len(capacity)
    left, right = np.arange(count), np.arange(count) + count
    source, sink = 2 * count, 2 * count + 1
    tails = np.concatenate([np.full(count, source), right, pairs[:, 0]])
    heads = np.concatenate([left, np.full(count, sink), pairs[:, 1] + count])
    # An edge between copies is never full: more cannot flow into its tail than that one's capacity.
    bounds = np.concatenate([capacity, capacity, capacity[pairs[:, 0]] + 1]).astype(np.int32)
    network = csr_array((bounds, (tails, heads)), shape=(sink + 1, sink + 1))
    left_over = network - maximum_flow(network, source, sink).flow
    left_over.data[left_over.data < 0] = 0
    left_over.eliminate_zeros()
    reached = np.zeros(sink + 1, bool)
    reached[breadth_first_order(left_over, source, return_predecessors=False)] = True
    return reached[left] & ~reached[right]
