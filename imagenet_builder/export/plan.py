"""From the store to a release that is decided to the last picture, before anything is written."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hits import database
from imagenet_builder.errors import ReleaseError
from imagenet_builder.project import Project
from imagenet_builder.records import Category, Split
from imagenet_builder.remembered import remembered_clusters
from imagenet_builder.store.categories import selected
from imagenet_builder.store.export import Supply, read_makers, read_supply
from wordnet_synsets.graph import Graph
from wordnet_synsets.select import (
    list_names,
    list_wnids,
    names_in_file,
    official_ids,
    official_val_sequence,
)

from .choose import Choice, Why, choose_best, choose_named
from .description import Release, ReleaseClass, ReleasePicture
from .hierarchy import class_ids, trimmed_hierarchy
from .request import Counts, ExportRequest, Shortfall, TooFewClasses
from .split import Division, Placement, divide, keyed_rank, ranking_key
from .together import makers

logger = logging.getLogger(__name__)

# Twelve hexadecimal digits: two pictures of a class practically never share them, and any reader's integer holds them.
NUMBER_DIGITS = 12
HELD_OUT = (Split.VAL, Split.TEST, Split.REPLICATE)


@dataclass(frozen=True)
class Plan:
    """A decided release, how it was chosen, and what stays out of it."""

    release: Release
    choice: Choice
    counts: Counts
    wanted: int
    shortfalls: tuple[Shortfall, ...]


def plan_release(project: Project, request: ExportRequest) -> Plan:
    """Choose classes and divide their pictures, from what the store holds now.

    Raises TooFewClasses when fewer qualify than asked for and `allow_fewer` is not set, or when none does.
    """
    named = _named_classes(project.graph, request)
    with database.reading(project.engine) as connection:
        supply = read_supply(connection, request.licences)
        categories = {category.wnid: category for category in selected(connection)}
    cluster_of = remembered_clusters(project.folder, supply.hashes, supply.descriptors)
    usable = {
        wnid: [sha256 for sha256 in accepted if supply.permitted is None or sha256 in supply.permitted]
        for wnid, accepted in supply.accepted.items()
    }
    labels = _labels(supply, cluster_of)
    distinct = {wnid: {cluster_of[sha256] for sha256 in usable.get(wnid, ())} for wnid in categories}
    graph, sizes = project.graph, request.sizes
    wanted = len(named) if named is not None else request.classes or 0
    if named is None:
        choice = choose_best(distinct, labels, graph.ancestors, sizes, wanted)
    else:
        choice = choose_named(distinct, labels, graph.ancestors, sizes, named)
    shortfalls = _shortfalls(graph, categories, choice, sizes.needed, supply.provisional)
    if not choice.wnids or (len(choice.wnids) < wanted and not request.allow_fewer):
        raise TooFewClasses(_too_few(choice, wanted, sizes.needed, supply, request), shortfalls)
    maker_of = None if request.divide_authors else _makers(project, cluster_of)
    released = {wnid: usable[wnid] for wnid in choice.wnids}
    key = ranking_key(project.secret, request.seed)
    division = divide(released, cluster_of, labels, sizes, key, maker_of)
    release = _release(project.settings.project.name, graph, choice, division, key)
    return Plan(release, choice, _counts(release, division, supply), wanted, shortfalls)


def _named_classes(graph: Graph, request: ExportRequest) -> tuple[str, ...] | None:
    if request.class_list is None:
        return None
    named = class_list_wnids(graph, request.class_list)
    if request.classes not in {None, len(named)}:
        raise ReleaseError(
            f"{request.class_list} lists {len(named)} classes, not {request.classes}: leave --classes out"
        )
    return named


def class_list_wnids(graph: Graph, class_list: str) -> tuple[str, ...]:
    """The wnids of a packaged list or of a file with one synset a line, each once.

    Raises ReleaseError when there is neither, UnknownSynset for a wrong line.
    """
    if class_list in list_names():
        return list_wnids(class_list)
    path = Path(class_list)
    if not path.is_file():
        raise ReleaseError(
            f"{class_list} is no file, and no list that comes with the program ({', '.join(list_names())})"
        )
    wnids = tuple(dict.fromkeys(graph.resolve(query).wnid for query in names_in_file(graph, path)))
    if not wnids:
        raise ReleaseError(f"the list {class_list} names no synset")
    return wnids


def _makers(project: Project, cluster_of: Mapping[str, str]) -> dict[str, str]:
    """Accepted image → its maker."""
    with database.reading(project.engine) as connection:
        known = (maker for maker in read_makers(connection) if maker.sha256 in cluster_of)
        return makers(known, cluster_of)


def _labels(supply: Supply, cluster_of: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Cluster → all categories that any of its pictures was accepted for."""
    only: dict[str, str] = {}
    several: dict[str, set[str]] = {}
    for wnid, accepted in supply.accepted.items():
        for sha256 in accepted:
            cluster = cluster_of[sha256]
            first = only.setdefault(cluster, wnid)
            if first != wnid:
                several.setdefault(cluster, {first}).add(wnid)
    # Clusters with one label never matter to anyone who asks.
    return {cluster: frozenset(wnids) for cluster, wnids in several.items()}


def _shortfalls(
    graph: Graph,
    categories: Mapping[str, Category],
    choice: Choice,
    needed: int,
    provisional: Mapping[str, int],
) -> tuple[Shortfall, ...]:
    """Those nearest to being classes first."""
    lacking = [one for one in choice.left_out if one.why in {Why.TOO_FEW, Why.SHARED}]
    lacking.sort(key=lambda one: (-one.pictures, one.wnid))
    return tuple(
        Shortfall(
            one.wnid,
            categories[one.wnid].name if one.wnid in categories else graph[one.wnid].name,
            one.pictures,
            needed,
            provisional.get(one.wnid, 0),
        )
        for one in lacking
    )


def _too_few(choice: Choice, wanted: int, needed: int, supply: Supply, request: ExportRequest) -> str:
    remedies = ["crawl and verify more pictures"]
    if any(supply.provisional.values()):
        waiting = sum(supply.provisional.values())
        remedies.append(f"run `imagenet-builder aggregate` for the {waiting} provisional verdicts")
    remedies.append("lower --val, --test, --min-train or --replicate-test")
    if choice.wnids and not request.allow_fewer:
        remedies.append("or take fewer with --allow-fewer")
    return (
        f"{len(choice.wnids)} of {wanted} classes qualify with {needed} distinct accepted pictures each; "
        f"nothing was written: {', '.join(remedies)}"
    )


def _release(title: str, graph: Graph, choice: Choice, division: Division, key: bytes) -> Release:
    ids = class_ids(choice.wnids)
    count = Counter((placement.wnid, placement.split) for placement in division.placements)
    classes = tuple(
        ReleaseClass(
            wnid=wnid,
            index=index,
            ilsvrc_id=ids[wnid],
            name=graph[wnid].name,
            words=graph[wnid].words,
            gloss=graph[wnid].gloss,
            train=count[wnid, Split.TRAIN],
            val=count[wnid, Split.VAL],
            test=count[wnid, Split.TEST],
            replicate=count[wnid, Split.REPLICATE],
        )
        for index, wnid in enumerate(choice.wnids)
    )
    nodes = trimmed_hierarchy(graph, ids, {one.wnid: one.train for one in classes})
    return Release(title, classes, nodes, tuple(_named(division.placements, key)))


def _named(placements: Sequence[Placement], key: bytes) -> Iterator[ReleasePicture]:
    """Pictures in release order. A train picture keeps its name in every release; the others are shuffled."""
    taken: set[str] = set()
    train = (placement for placement in placements if placement.split is Split.TRAIN)
    for placement in sorted(train, key=lambda placement: (placement.wnid, placement.sha256)):
        number = int(placement.sha256[:NUMBER_DIGITS], 16)
        while f"{placement.wnid}_{number}" in taken:
            number += 1
        name = f"{placement.wnid}_{number}"
        taken.add(name)
        yield ReleasePicture(Split.TRAIN, placement.wnid, placement.sha256, name)
    for split in HELD_OUT:
        chosen = [placement for placement in placements if placement.split is split]
        chosen.sort(key=lambda placement: keyed_rank(key, f"order of {split}", placement.sha256))
        if split is Split.VAL:
            chosen = _officially_ordered(chosen)
        for number, placement in enumerate(chosen, start=1):
            yield ReleasePicture(split, placement.wnid, placement.sha256, f"ILSVRC2012_{split}_{number:08d}")


def _officially_ordered(val: list[Placement]) -> list[Placement]:
    """In the challenge's own sequence of classes, where val has its 50 pictures of each of its thousand classes.

    TensorFlow Datasets labels val by a list of its own, by file-name rank: only so does it read every label right.
    """
    sequence = official_val_sequence()
    ids = official_ids()
    of_class: dict[int, list[Placement]] = {}
    for placement in val:
        of_class.setdefault(ids.get(placement.wnid, 0), []).append(placement)
    if {class_id: len(of_one) for class_id, of_one in of_class.items()} != Counter(sequence):
        return val
    waiting = {class_id: iter(of_one) for class_id, of_one in of_class.items()}
    return [next(waiting[class_id]) for class_id in sequence]


def _counts(release: Release, division: Division, supply: Supply) -> Counts:
    count = Counter(picture.split for picture in release.pictures)
    return Counts(
        train=count[Split.TRAIN],
        val=count[Split.VAL],
        test=count[Split.TEST],
        multi_label=division.multi_label,
        near_duplicates=division.near_duplicates,
        surplus=division.surplus,
        held_back=division.held_back,
        divided_authors=division.divided,
        provisional=sum(supply.provisional.values()),
        replicate=count[Split.REPLICATE],
    )
