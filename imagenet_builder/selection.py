"""Putting categories into a project's store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hits import database
from wordnet_synsets.graph import Graph
from wordnet_synsets.select import DEFAULT_EXCLUDED, Selection, choose, list_wnids, names_in_file
from wordnet_synsets.synset import Synset

from .errors import ProjectError
from .project import Project
from .records import Category
from .store import categories
from .store.categories import SelectionChange


@dataclass(frozen=True, slots=True)
class SelectionRequest:
    """What to select: synsets named one by one, subtrees, a packaged list, a file; all of them together."""

    named: Sequence[str] = ()
    under: Sequence[str] = ()
    leaves: bool = False
    list_name: str | None = None
    file: Path | None = None
    limit: int | None = None


def category_of(synset: Synset) -> Category:
    """The category that collects `synset`."""
    return Category(synset.wnid, synset.name, synset.sense_key, synset.lemmas, synset.gloss)


def meant_here(graph: Graph, query: str, wnids: Collection[str]) -> str:
    """The wnid that `query` means in a project with the categories `wnids`: theirs goes before a word's first sense.

    Raises UnknownSynset for what is no synset at all.
    """
    senses = (synset.wnid for synset in graph.find(query))
    return next((wnid for wnid in senses if wnid in wnids), None) or graph.resolve(query).wnid


def select_categories(
    project: Project, request: SelectionRequest, now: datetime
) -> tuple[Selection, SelectionChange]:
    """Choose synsets and make them categories of `project`; returns what was chosen and what that changed.

    The person subtree and the settings' `[wordnet] exclude` are left out unless a synset is named; a list
    and a file count as naming. Raises ProjectError for an empty request, UnknownSynset for a wrong name.
    """
    graph = project.graph
    named = list(request.named)
    if request.list_name:
        named.extend(list_wnids(request.list_name))
    if request.file:
        named.extend(names_in_file(graph, request.file))
    if not named and not request.under:
        raise ProjectError(
            "nothing to select: give wnids or words, --under SYNSET, --list NAME or --file FILE"
        )
    selection = choose(
        graph,
        named=named,
        under=request.under,
        leaves=request.leaves,
        excluded=(*DEFAULT_EXCLUDED, *project.settings.wordnet.exclude),
        limit=request.limit,
    )
    with database.writing(project.engine) as connection:
        change = categories.select(connection, [category_of(graph[wnid]) for wnid in selection.wnids], now)
    return selection, change
