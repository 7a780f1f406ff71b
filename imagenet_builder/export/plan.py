"""From the store to a release that is decided to the last picture, before anything is written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from hits import database
from imagenet_builder.errors import ReleaseError
from imagenet_builder.garbage import rare_collections
from imagenet_builder.project import Project
from imagenet_builder.records import Category, Split
from imagenet_builder.store.categories import selected
from imagenet_builder.store.export import Places, Supply, read_candidates, read_supply
from wordnet_synsets.graph import Graph
from wordnet_synsets.select import list_names, list_wnids, names_in_file

from .choose import Choice, Why, choose_best, choose_named
from .clustered import cluster_places
from .description import SPLITS, Release, ReleaseClass, ReleasePictures
from .hierarchy import class_ids, trimmed_hierarchy
from .naming import named_pictures
from .origins import Origins
from .request import Counts, ExportRequest, Shortfall, TooFewClasses
from .split import Division, divide, ranking_key
from .together import MakersFound

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A decided release, how it was chosen, and what stays out of it.

    `candidates` and `questions` are the rows of the store that say where the pictures came from, in their order.
    """

    release: Release
    choice: Choice
    counts: Counts
    wanted: int
    shortfalls: tuple[Shortfall, ...]
    candidates: Places
    questions: Places


@rare_collections()
def plan_release(project: Project, request: ExportRequest) -> Plan:
    """Choose classes and divide their pictures, from what the store holds now.

    Raises TooFewClasses when fewer qualify than asked for and `allow_fewer` is not set, or when none does.
    """
    named = _named_classes(project.graph, request)
    with database.reading(project.engine) as connection:
        supply = read_supply(connection)
        origins, made = _told(connection, supply, request)
        categories = {category.wnid: category for category in selected(connection)}
    cluster_of = cluster_places(project.folder, supply)
    usable = supply.accepted
    if request.licences:
        permitted = origins.known()
        usable = {wnid: accepted[permitted[accepted]] for wnid, accepted in usable.items()}
    labels = _labels(supply, cluster_of)
    nothing = np.zeros(0, np.int64)
    distinct = {wnid: np.unique(cluster_of[usable.get(wnid, nothing)]).tolist() for wnid in categories}
    graph, sizes = project.graph, request.sizes
    wanted = len(named) if named is not None else request.classes or 0
    if named is None:
        choice = choose_best(distinct, labels, graph.ancestors, sizes, wanted)
    else:
        choice = choose_named(distinct, labels, graph.ancestors, sizes, named)
    shortfalls = _shortfalls(graph, categories, choice, sizes.needed, supply.provisional)
    if not choice.wnids or (len(choice.wnids) < wanted and not request.allow_fewer):
        unselected = (
            len(set(named) - set(categories)) if named is not None else max(0, wanted - len(categories))
        )
        raise TooFewClasses(_too_few(choice, wanted, unselected, supply, request), shortfalls)
    makers = None if request.divide_authors else made.makers(cluster_of)
    released = {wnid: usable[wnid] for wnid in choice.wnids}
    key = ranking_key(project.secret, request.seed)
    division = divide(released, supply.images, cluster_of, labels, sizes, key, makers)
    pictures, places = named_pictures(choice.wnids, supply.images, division, key)
    release = _release(project.settings.project.name, graph, choice, pictures)
    divided = 0 if request.divide_authors else made.divided(division.images, division.splits)
    counts = _counts(release, division, divided, supply)
    return Plan(release, choice, counts, wanted, shortfalls, *origins.of(pictures, places))


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


def _told(connection: Connection, supply: Supply, request: ExportRequest) -> tuple[Origins, MakersFound]:
    """What the candidates of the supply's images say."""
    origins, made = Origins(supply), MakersFound()
    for some in read_candidates(connection, request.licences):
        places = supply.places(some.images)
        origins.take(some.rows, some.wnids, places)
        if not request.divide_authors:
            made.take(places, some.authors, some.pages)
    return origins, made


def _labels(supply: Supply, cluster_of: Places) -> dict[int, frozenset[str]]:
    """Cluster → all categories that any of its pictures was accepted for, of clusters with several."""
    wnids = list(supply.accepted)
    clusters = [np.unique(cluster_of[accepted]) for accepted in supply.accepted.values()]
    number = np.bincount(np.concatenate(clusters) if clusters else [], minlength=len(cluster_of))
    several: dict[int, set[str]] = {}
    for wnid, own in zip(wnids, clusters, strict=True):
        for cluster in own[number[own] > 1].tolist():
            several.setdefault(cluster, set()).add(wnid)
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


def _too_few(choice: Choice, wanted: int, unselected: int, supply: Supply, request: ExportRequest) -> str:
    """`unselected`: so many of the classes that are wanted are no categories of the project."""
    remedies = []
    if unselected:
        remedies.append(f"select {unselected} more categories with `imagenet-builder synsets select`")
    remedies.append("crawl and verify more pictures")
    if any(supply.provisional.values()):
        waiting = sum(supply.provisional.values())
        remedies.append(
            f"run `imagenet-builder aggregate` for the {waiting} provisional verdicts (with `--finalise` they wait for "
            "no more votes)"
        )
    if request.licences:
        remedies.append(f"name more licences than {', '.join(request.licences)}")
    remedies.append("lower --val, --test, --min-train or --replicate-test")
    if choice.wnids and not request.allow_fewer:
        remedies.append("or take fewer with --allow-fewer")
    return (
        f"{len(choice.wnids)} of {wanted} classes qualify with {request.sizes.needed} distinct accepted pictures each; "
        f"nothing was written: {', '.join(remedies)}"
    )


def _release(title: str, graph: Graph, choice: Choice, pictures: ReleasePictures) -> Release:
    ids = class_ids(choice.wnids)
    places = pictures.labels.astype(np.int64) * len(SPLITS) + pictures.splits
    count = np.bincount(places, minlength=len(choice.wnids) * len(SPLITS)).reshape(-1, len(SPLITS)).tolist()
    classes = tuple(
        ReleaseClass(
            wnid,
            index,
            ids[wnid],
            graph[wnid].name,
            graph[wnid].words,
            graph[wnid].gloss,
            **{str(split): number for split, number in zip(SPLITS, count[index], strict=True)},
        )
        for index, wnid in enumerate(choice.wnids)
    )
    nodes = trimmed_hierarchy(graph, ids, {one.wnid: one.train for one in classes})
    return Release(title, classes, nodes, pictures)


def _counts(release: Release, division: Division, divided: int, supply: Supply) -> Counts:
    count = {split: len(release.of_split(split)) for split in SPLITS}
    return Counts(
        train=count[Split.TRAIN],
        val=count[Split.VAL],
        test=count[Split.TEST],
        multi_label=division.multi_label,
        near_duplicates=division.near_duplicates,
        surplus=division.surplus,
        held_back=division.held_back,
        divided_authors=divided,
        provisional=sum(supply.provisional.values()),
        replicate=count[Split.REPLICATE],
    )
