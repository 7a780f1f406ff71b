"""Search phrases of a synset, as Deng et al. 2009 (ImageNet, section 3.1) made them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .graph import Graph
from .synset import Synset


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words to send to a source; `language` is a BCP 47 tag."""

    words: str
    language: str = "en"


def phrases(
    graph: Graph, wnid: str, translations: Mapping[str, Sequence[str]] | None = None
) -> tuple[Phrase, ...]:
    """The phrases of a synset, best first, none twice (compared without case within a language).

    Its lemmas; each lemma again with every word of a synset above it, nearest first, that occurs in the gloss
    ("whippet greyhound", "whippet dog"); its translations, a mapping of language tag → lemmas, in that order.
    Raises UnknownSynset.
    """
    synset = graph[wnid]
    above = [word for word in _words_above(graph, synset) if _occurs(word, synset.gloss)]
    made = [Phrase(word) for word in synset.words]
    made += [Phrase(f"{own} {word}") for own in synset.words for word in above if not _occurs(word, own)]
    for language, lemmas in (translations or {}).items():
        made += [Phrase(lemma.replace("_", " "), language) for lemma in lemmas]
    unique: dict[tuple[str, str], Phrase] = {}
    for phrase in made:
        unique.setdefault((phrase.language, phrase.words.casefold()), phrase)
    return tuple(unique.values())


def _words_above(graph: Graph, synset: Synset) -> Iterator[str]:
    """Words of all synsets above, level by level."""
    seen: set[str] = set()
    level = synset.parents
    while level:
        parents = [graph[wnid] for wnid in dict.fromkeys(level) if wnid not in seen]
        seen.update(parent.wnid for parent in parents)
        for parent in parents:
            yield from parent.words
        level = tuple(wnid for parent in parents for wnid in parent.parents)


def _occurs(word: str, text: str) -> bool:
    """Whether `word` stands in `text` as whole words, in any case."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text, re.IGNORECASE) is not None
