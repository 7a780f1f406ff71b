"""One noun synset of WordNet, as a value."""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTED = re.compile(r'"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Synset:
    """A noun sense: its names, words, gloss and direct relations, all relations as wnids.

    `name` is NLTK's (`dog.n.01`), `sense_key` that of the first lemma (`dog%1:05:00::`), `lemmas` keep WordNet's
    underscores and case, `gloss` is the whole text after the bar in `data.noun`, examples included. Hypernyms
    stand in WordNet's order, hyponyms by wnid.
    """

    wnid: str
    name: str
    sense_key: str
    lemmas: tuple[str, ...]
    gloss: str
    hypernyms: tuple[str, ...]
    instance_hypernyms: tuple[str, ...]
    hyponyms: tuple[str, ...]
    instance_hyponyms: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The lemmas as people write them, with spaces."""
        return tuple(lemma.replace("_", " ") for lemma in self.lemmas)

    @property
    def definition(self) -> str:
        """The gloss without its quoted examples."""
        return _QUOTED.sub("", self.gloss).strip().strip("; ")

    @property
    def examples(self) -> tuple[str, ...]:
        """The quoted examples of the gloss, without their quotation marks."""
        return tuple(_QUOTED.findall(self.gloss))

    @property
    def parents(self) -> tuple[str, ...]:
        """Hypernyms, then instance hypernyms."""
        return self.hypernyms + self.instance_hypernyms

    @property
    def children(self) -> tuple[str, ...]:
        """Hyponyms, then instance hyponyms."""
        return self.hyponyms + self.instance_hyponyms
