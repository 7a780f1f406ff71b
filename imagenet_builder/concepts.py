"""What a verification page tells its workers about a category, out of WordNet."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from hits.model import Concept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordnet_synsets.graph import Graph

NOT_COUNTING = 4
COUNTING = 4


def concept_of(graph: Graph, wnid: str) -> Concept:
    """Return a category's words, definition, parents, Wikipedia page, up to four kinds of it and four siblings.

    The same synset always gives the same concept: a page that is published again after a crash must not
    change. Raises UnknownSynset.
    """
    synset = graph[wnid]
    name, *synonyms = synset.words
    return Concept(
        name=name,
        synonyms=tuple(synonyms),
        definition=synset.definition,
        parents=tuple(graph[parent].words[0] for parent in graph.parents(wnid)),
        wikipedia_url=wikipedia_url(synset.lemmas[0]),
        not_counting=_siblings(graph, wnid),
        counting=_kinds(graph, wnid),
    )


def wikipedia_url(lemma: str) -> str:
    """The English Wikipedia's page of a lemma, which is an article or a list of its meanings."""
    title = lemma[0].upper() + lemma[1:]
    return f"https://en.wikipedia.org/wiki/{quote(title.replace(' ', '_'), safe='')}"


def confusable(graph: Graph, wnid: str, among: Sequence[str]) -> list[str]:
    """Those of `among` that are taken for a category: with the same parent, then with the same grandparent.

    None is above or below it. In the order of `among`, so that it is the same every time.
    """
    parents = set(graph.parents(wnid))
    grandparents = {above for parent in parents for above in graph.parents(parent)}
    related = graph.ancestors(wnid) | graph.descendants(wnid) | {wnid}
    near: list[str] = []
    far: list[str] = []
    for other in among:
        if other in related:
            continue
        theirs = set(graph.parents(other))
        if not parents.isdisjoint(theirs):
            near.append(other)
        elif not (parents | grandparents).isdisjoint(
            theirs | {a for one in theirs for a in graph.parents(one)}
        ):
            far.append(other)
    return near + far


def _kinds(graph: Graph, wnid: str) -> tuple[str, ...]:
    own = {word.casefold() for word in graph[wnid].words}
    known_first = sorted(graph.children(wnid), key=lambda kind: (-len(graph.children(kind)), kind))
    words = dict.fromkeys(graph[kind].words[0] for kind in known_first)
    return tuple(word for word in words if word.casefold() not in own)[:COUNTING]


def _siblings(graph: Graph, wnid: str) -> tuple[str, ...]:
    words = dict.fromkeys(graph[sibling].words[0] for sibling in siblings_of(graph, wnid))
    return tuple(words)[:NOT_COUNTING]


def siblings_of(graph: Graph, wnid: str) -> list[str]:
    """The synsets beside a synset that do not count as it, those with the most kinds first."""
    own = {word.casefold() for word in graph[wnid].words}
    siblings = {
        sibling
        for parent in graph.parents(wnid)
        for sibling in graph.children(parent)
        # A synset with the same word would read "a crane, not a crane"; one below is the concept itself.
        if own.isdisjoint(word.casefold() for word in graph[sibling].words)
        and wnid not in graph.ancestors(sibling)
    }
    # Synsets with many kinds are those that people know by name.
    return sorted(siblings, key=lambda sibling: (-len(graph.children(sibling)), sibling))
