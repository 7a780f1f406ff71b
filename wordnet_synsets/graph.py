"""The graph of WordNet 3.0's 82,115 noun synsets, keyed by wnid."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from .cache import cache_folder, load_columns
from .columns import Columns, Rows
from .errors import UnknownSynset
from .locate import WordNetFiles, find_wordnet
from .lookup import WordIndex, normalise
from .synset import Synset
from .wnid import is_wnid, offset_of, wnid_of

_NAME = re.compile(r"(?P<word>.+)\.(?P<part>[a-z])\.(?P<sense>[0-9]{1,3})")
_PARTS = {"v": "a verb", "a": "an adjective", "s": "an adjective", "r": "an adverb"}


def open_graph(chosen: Path | None = None, *, download: bool = False) -> Graph:
    """Find WordNet (see `find_wordnet`) and load its nouns through the user's cache folder.

    Raises WordNetNotFound and WrongWordNet.
    """
    return Graph.load(find_wordnet(chosen, download=download), cache_folder())


class Graph:
    """All noun synsets and their hypernyms; iterating gives wnids in ascending order.

    Parents are hypernyms and instance hypernyms, children hyponyms and instance hyponyms; ancestors and
    descendants go through both kinds. `height`, `is_leaf`, `subclasses` and `leaves` go through hyponyms alone, as
    ImageNet's own hierarchy does: a volcano is a leaf, although Etna is an instance of it.
    Every method that takes a wnid raises UnknownSynset when there is no such synset.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._words = WordIndex(columns)

    @classmethod
    def load(cls, files: WordNetFiles, cache: Path | None) -> Graph:
        """The graph of `files`, kept in the folder `cache` (None: parsed anew); raises WrongWordNet."""
        return cls(load_columns(files, cache))

    def __len__(self) -> int:
        return len(self._columns.offsets)

    def __iter__(self) -> Iterator[str]:
        return map(wnid_of, self._columns.offsets)

    def __contains__(self, wnid: object) -> bool:
        return isinstance(wnid, str) and is_wnid(wnid) and self._place(offset_of(wnid)) is not None

    def __getitem__(self, wnid: str) -> Synset:
        return self._synset(self._number(wnid))

    def synsets(self) -> Iterator[Synset]:
        """All synsets by ascending wnid."""
        return map(self._synset, range(len(self)))

    def find(self, query: str) -> list[Synset]:
        """The synsets that a wnid, a name (`dog.n.01`) or a word means; empty when there is none.

        A word, in any case and with spaces or underscores, gives all its senses, the most frequent first.
        """
        query = query.strip()
        if is_wnid(query):
            return [self[query]] if query in self else []
        named = _NAME.fullmatch(normalise(query))
        if named and named["part"] == "n":
            senses, sense = self._words.senses(named["word"]), int(named["sense"])
            if 1 <= sense <= len(senses):
                return [self._synset(senses[sense - 1])]
        return [self._synset(number) for number in self._words.senses(normalise(query))]

    def resolve(self, query: str) -> Synset:
        """The one synset that a wnid, a name or a word means; of a word's senses the first (`find` gives them all).

        WordNet orders senses by how often they were counted in text. Raises UnknownSynset, with near words where
        there are any.
        """
        found = self.find(query)
        if not found:
            raise UnknownSynset(self._why_unknown(query.strip()))
        return found[0]

    def parents(self, wnid: str) -> tuple[str, ...]:
        """Direct hypernyms and instance hypernyms, in WordNet's order."""
        return self._direct(wnid, self._columns.hypernyms, self._columns.instance_hypernyms)

    def children(self, wnid: str) -> tuple[str, ...]:
        """Direct hyponyms, then direct instances."""
        return self._direct(wnid, self._columns.hyponyms, self._columns.instance_hyponyms)

    def ancestors(self, wnid: str) -> frozenset[str]:
        """All synsets above, without this one."""
        return self._closure(wnid, self._columns.hypernyms, self._columns.instance_hypernyms)

    def descendants(self, wnid: str) -> frozenset[str]:
        """All synsets below, instances included, without this one."""
        return self._closure(wnid, self._columns.hyponyms, self._columns.instance_hyponyms)

    def subclasses(self, wnid: str) -> frozenset[str]:
        """All synsets below through hyponyms alone, without this one."""
        return self._closure(wnid, self._columns.hyponyms)

    def leaves(self, wnid: str) -> frozenset[str]:
        """The leaves among this synset and its subclasses."""
        return frozenset(below for below in (wnid, *self.subclasses(wnid)) if self.is_leaf(below))

    def is_leaf(self, wnid: str) -> bool:
        """Whether a synset has no hyponyms."""
        return self.height(wnid) == 0

    def depth(self, wnid: str, *, longest: bool = False) -> int:
        """Steps up to `entity` by the shortest way, or by the longest: NLTK's `min_depth` and `max_depth`."""
        depths = self._columns.max_depths if longest else self._columns.min_depths
        return depths[self._number(wnid)]

    def height(self, wnid: str) -> int:
        """Steps down to the farthest leaf: ILSVRC's `wordnet_height`, 0 for leaves and 19 for `entity`."""
        return self._columns.heights[self._number(wnid)]

    def _place(self, offset: int) -> int | None:
        offsets = self._columns.offsets
        place = bisect_left(offsets, offset)
        return place if place < len(offsets) and offsets[place] == offset else None

    def _number(self, wnid: str) -> int:
        number = self._place(offset_of(wnid))
        if number is None:
            raise UnknownSynset(f"WordNet 3.0 has no noun synset {wnid}; look it up by a word")
        return number

    def _wnids(self, numbers: Iterable[int]) -> tuple[str, ...]:
        offsets = self._columns.offsets
        return tuple(wnid_of(offsets[number]) for number in numbers)

    def _direct(self, wnid: str, *relations: Rows) -> tuple[str, ...]:
        number = self._number(wnid)
        return tuple(related for relation in relations for related in self._wnids(relation[number]))

    def _closure(self, wnid: str, *relations: Rows) -> frozenset[str]:
        waiting = [self._number(wnid)]
        reached: set[int] = set()
        while waiting:
            number = waiting.pop()
            for relation in relations:
                new = [other for other in relation[number] if other not in reached]
                reached.update(new)
                waiting += new
        return frozenset(self._wnids(reached))

    def _synset(self, number: int) -> Synset:
        columns = self._columns
        words, _, gloss = columns.records.text(number).partition("\n")
        lexicographer_file, *pairs = words.split(" ")
        lemmas = tuple(pairs[0::2])
        first = lemmas[0].lower()
        related = partial(self._related, number)
        return Synset(
            wnid=wnid_of(columns.offsets[number]),
            name=f"{first}.n.{columns.sense_numbers[number]:02d}",
            # SENSEIDX(5WN): lemma%ss_type:lex_filenum:lex_id::, 1 for nouns; data.noun has lex_id in hexadecimal.
            sense_key=f"{first}%1:{lexicographer_file}:{int(pairs[1], 16):02d}::",
            lemmas=lemmas,
            gloss=gloss,
            hypernyms=related(columns.hypernyms),
            instance_hypernyms=related(columns.instance_hypernyms),
            hyponyms=related(columns.hyponyms),
            instance_hyponyms=related(columns.instance_hyponyms),
        )

    def _related(self, number: int, relation: Rows) -> tuple[str, ...]:
        return self._wnids(relation[number])

    def _why_unknown(self, query: str) -> str:
        if not query:
            return "no synset is named: give a word, a name such as dog.n.01, or a wnid"
        if is_wnid(query):
            return f"WordNet 3.0 has no noun synset {query}; look it up by a word"
        if re.fullmatch(r"[nN]?[0-9]{6,10}", query):
            return f"{query!r} is not a wnid: that is n and eight digits, as in n02084071"
        word = normalise(query)
        named = _NAME.fullmatch(word)
        if named and (senses := self._words.senses(named["word"])):
            if named["part"] == "n":
                names = " to ".join(f"{named['word']}.n.{number:02d}" for number in sorted({1, len(senses)}))
                return f"WordNet 3.0 has no {query!r}: the senses of this noun are {names}"
            part = _PARTS.get(named["part"], "no part of speech")
            return f"{query!r} names {part}, but only nouns can be categories; try {named['word']}.n.01"
        near = self._words.suggestions(named["word"] if named else word)
        hint = f"; did you mean {', '.join(near)}?" if near else "; try another word for it"
        return f"WordNet 3.0 has no noun {query[:60]!r}{hint}"
