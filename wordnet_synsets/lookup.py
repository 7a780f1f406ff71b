"""Words to synsets: exact look-up in the sorted word column, and suggestions for words that are not there."""

from __future__ import annotations

import string
from bisect import bisect_left
from collections.abc import Iterator

from .columns import Columns

_LONGEST = 71  # letters in WordNet's longest noun
_LETTERS = string.ascii_lowercase + string.digits + "_-'./"


def normalise(word: str) -> str:
    """WordNet's spelling of a word: lower case, one underscore for each run of spaces and underscores."""
    return "_".join(word.lower().replace("_", " ").split())


class WordIndex:
    """The nouns of WordNet (W words, sorted), each with its synsets, first sense first."""

    __slots__ = ("_senses", "_words")

    def __init__(self, columns: Columns) -> None:
        self._words = columns.words
        self._senses = columns.senses

    def senses(self, word: str) -> tuple[int, ...]:
        """Numbers of the synsets of a normalised word; empty when WordNet has no such noun."""
        place = self._place(word)
        if place < len(self._words) and self._words.text(place) == word:
            return tuple(self._senses[place])
        return ()

    def _place(self, word: str) -> int:
        # A command line that is no UTF-8 arrives with surrogates, which no word has.
        spelled = word.encode(errors="replace")
        return bisect_left(range(len(self._words)), spelled, key=lambda at: bytes(self._words[at]))

    def suggestions(self, word: str, limit: int = 3) -> tuple[str, ...]:
        """Up to `limit` known words near an unknown one.

        Words one edit away; else, of several words, the ends that are known ("big red umbrella" → umbrella); else
        words that begin as it does.
        """
        if not 0 < len(word) <= _LONGEST:
            return ()
        ranks = {other: len(self.senses(other)) for other in _one_edit_away(word)}
        # The more senses, the commoner the word: dog before dos.
        near = sorted(
            (other for other, rank in ranks.items() if rank), key=lambda other: (-ranks[other], other)
        )
        if not near:
            parts = word.split("_")
            near = [end for at in range(1, len(parts)) if self.senses(end := "_".join(parts[at:]))]
        if not near and len(word) >= 4:
            place = self._place(word)
            following = (self._words.text(at) for at in range(place, min(place + limit, len(self._words))))
            near = [other for other in following if other.startswith(word)]
        return tuple(near[:limit])


def _one_edit_away(word: str) -> Iterator[str]:
    """Words with one letter dropped, swapped with the next, replaced or added (Damerau's four slips)."""
    for at in range(len(word) + 1):
        left, right = word[:at], word[at:]
        if right:
            yield left + right[1:]
        if len(right) > 1:
            yield left + right[1] + right[0] + right[2:]
        for letter in _LETTERS:
            yield left + letter + right
            if right:
                yield left + letter + right[1:]
