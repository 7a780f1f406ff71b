"""The largest set of categories of which none is an ancestor of another. Pure, exact, the same on every machine."""

from __future__ import annotations

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


def most_weight(weights: Mapping[str, int], ancestors: Callable[[str], Collection[str]], count: int) -> int:
    """What no `count` keys, none an ancestor of another, weigh more than; weights as in `largest_antichain`.

    To find the heaviest of exactly so many is hard; this is Lagrange's bound: when every member costs a fee, the
    heaviest antichain of any size is a minimum cut, and no `count` members can have more than its value and their
    fees. The fee with the least bound is searched for.
    """
    count = min(count, len(weights))

    def bound(fee: int) -> tuple[int, int]:
        """The bound that a fee gives, and the members of the antichain that it is reached with."""
        worth = {name: weight - fee for name, weight in weights.items() if weight > fee}
        members = _heaviest(worth, ancestors)
        return sum(worth[name] for name in members) + fee * count, len(members)

    # The higher the fee, the fewer members pay; the bound is least where as many do as are asked for.
    low, high = -sum(weights.values()) - 1, max(weights.values(), default=0)
    least = min(bound(low)[0], bound(high)[0])
    while high - low > 1:
        fee = (low + high) // 2
        value, members = bound(fee)
        least = min(least, value)
        low, high = (fee, high) if members >= count else (low, fee)
    return least


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
