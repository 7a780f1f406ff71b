"""ILSVRC2012_IDs and the trimmed hierarchy of a release: its classes and all that stands above them in WordNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wordnet_synsets.graph import Graph
from wordnet_synsets.select import official_ids

from .description import Node


def class_ids(wnids: Sequence[str]) -> dict[str, int]:
    """Wnid → ILSVRC2012_ID from 1: the official ones when the classes are the 2012 thousand, else by sorted wnid."""
    official = official_ids()
    if official.keys() == set(wnids):
        return dict(official)
    return {wnid: number for number, wnid in enumerate(sorted(wnids), start=1)}


def trimmed_hierarchy(graph: Graph, ids: Mapping[str, int], train: Mapping[str, int]) -> tuple[Node, ...]:
    """The nodes of meta.mat by ILSVRC2012_ID: the classes of `ids`, then their ancestors from `entity` down.

    `train` counts the training pictures of every class; ancestors have none. Ancestors stand by their depth and then
    by wnid, so that parents with a shorter way to `entity` come first, and `entity` before all.
    """
    ancestors = frozenset[str]().union(*(graph.ancestors(wnid) for wnid in ids))
    in_order = sorted(ids, key=ids.__getitem__)
    in_order += sorted(ancestors, key=lambda wnid: (graph.depth(wnid), wnid))
    number_of = {wnid: number for number, wnid in enumerate(in_order, start=1)}
    children: dict[str, list[int]] = {wnid: [] for wnid in in_order}
    for wnid in in_order:
        for parent in set(graph.parents(wnid)):
            children[parent].append(number_of[wnid])
    return tuple(
        Node(
            number_of[wnid],
            wnid,
            ", ".join(graph[wnid].words),
            graph[wnid].gloss,
            tuple(sorted(children[wnid])),
            graph.height(wnid),
            train.get(wnid, 0),
        )
        for wnid in in_order
    )
