"""Queries in words: what sources with a full-text search are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from imagenet_builder.config import Settings
from imagenet_builder.errors import ProjectError
from imagenet_builder.records import Category, Query

from .filtered import write_filtered

if TYPE_CHECKING:
    from wordnet_synsets.graph import Graph
    from wordnet_synsets.translations import Translations


def phrase_queries(
    source: str,
    category: Category,
    graph: Callable[[], Graph],
    translations: Translations | None = None,
    filters: Sequence[str] = (),
) -> tuple[Query, ...]:
    """The phrases of the category's synset as queries to `source` for `filters`, those in other languages last.

    Raises UnknownSynset, WordNetNotFound, WrongWordNet.
    """
    from wordnet_synsets.queries import phrases

    others = translations.of(category.wnid) if translations else {}
    return tuple(
        Query(category.wnid, source, write_filtered(phrase.words, filters), phrase.language)
        for phrase in phrases(graph(), category.wnid, others)
    )


def translations_of(settings: Settings) -> Translations:
    """The translations that the settings ask for; raises ProjectError for a language that there is not."""
    from wordnet_synsets.errors import WordNetError
    from wordnet_synsets.translations import Translations

    try:
        return Translations(settings.wordnet.languages)
    except WordNetError as error:
        raise ProjectError(f"[wordnet] languages: {error}") from error
