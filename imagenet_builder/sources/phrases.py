"""Queries in words: what sources with a full-text search are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from imagenet_builder.records import Category, Query

if TYPE_CHECKING:
    from wordnet_synsets.graph import Graph


def phrase_queries(source: str, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
    """The phrases of the category's synset as queries to `source`. Raises UnknownSynset, WordNetNotFound."""
    from wordnet_synsets.queries import phrases

    return tuple(
        Query(wnid=category.wnid, source=source, words=phrase.words, language=phrase.language)
        for phrase in phrases(graph(), category.wnid)
    )
