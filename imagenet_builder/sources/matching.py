"""Which of the pictures of a list or page belong to a category: by the words that stand beside them.

A query to such a source is written `umbrella|brolly @ PLACE`: the words sought (`*` for every picture), and the list or
page to look in.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Category

EVERYTHING = "*"
# The store keeps this many characters of a query.
MOST_CHARACTERS = 255
_BETWEEN = " @ "
# ASCII letters in lower case, digits, and a blank for every other byte of UTF-8.
_RUNS = bytes(byte if chr(byte).isalnum() else 32 for byte in bytes(range(128)).lower()) + b" " * 128
# Leaves room for the first words of a category.
MOST_PLACE = 190


def words_of(category: Category, room: int) -> str:
    """The category's words, joined by `|`: as many, from the first on, as fit into `room` characters."""
    words = ""
    for lemma in dict.fromkeys(lemma.replace("_", " ") for lemma in category.lemmas):
        longer = f"{words}|{lemma}" if words else lemma
        if len(longer) > room:
            break
        words = longer
    return words


def write_query(category: Category, place: str, *, everything: bool = False) -> str:
    """The words of the query for `category` in `place`."""
    room = MOST_CHARACTERS - len(_BETWEEN) - len(place)
    return f"{EVERYTHING if everything else words_of(category, room)}{_BETWEEN}{place}"


def read_query(words: str) -> tuple[str, str]:
    """The words sought and the place, of a query that `write_query` wrote; raises SourceError."""
    sought, between, place = words.partition(_BETWEEN)
    if not between or not sought:
        raise SourceError(f"the store's query {words!r} names no place to look in")
    return sought, place


def check_place(place: str, setting: str) -> str:
    """Return `place`; raises ProjectError if it is too long to be kept in a query."""
    if len(place) > MOST_PLACE:
        raise ProjectError(f"{setting}: {place[:60]}… is over {MOST_PLACE} characters: give a shorter one")
    return place


@functools.lru_cache(maxsize=65_536)
def compiled(sought: str) -> re.Pattern[str]:
    """An expression for any of the `|`-separated words as whole words, also with an s; for everything it is empty.

    Case does not count, and words are of ASCII letters and digits.
    """
    if sought == EVERYTHING:
        return re.compile("")
    choices = (r"[\s_-]+".join(map(re.escape, words.split())) for words in sought.split("|"))
    return re.compile(rf"\b(?:{'|'.join(choices)})s?\b", re.IGNORECASE | re.ASCII)


class WordIndex:
    """Which of many categories' words occur in a text, found in one look at it however many categories there are.

    The words of category `number` are the `|`-separated `sought[number]`; what `compiled` finds is what counts. The
    text's runs of letters and digits are looked up among the first runs of all phrases; only a phrase whose first run
    is there, and that is more than a single run, is sought with its expression.
    """

    def __init__(self, sought: Sequence[str]) -> None:
        self._phrases: dict[bytes, list[_Phrase]] = {}
        self._everywhere: list[_Phrase] = []
        for number, words in enumerate(sought):
            for phrase in [EVERYTHING] if words == EVERYTHING else words.split("|"):
                self._add(number, phrase)
        self._keys = frozenset(self._phrases)

    def matches(self, text: str) -> Sequence[int]:
        """The numbers of the categories with a word in `text`, in ascending order."""
        runs = text.encode("utf-8", "surrogatepass").translate(_RUNS).split()
        if self._keys.isdisjoint(runs) and not self._everywhere:
            return ()
        # An underscore parts runs, but is no end of a word.
        certain = "_" not in text
        found: set[int] = set()
        for phrase in self._everywhere:
            if phrase.pattern.search(text):
                found.add(phrase.number)
        for run in self._keys.intersection(runs):
            for phrase in self._phrases[run]:
                if phrase.number not in found and (
                    (certain and phrase.single) or phrase.pattern.search(text)
                ):
                    found.add(phrase.number)
        return sorted(found)

    def _add(self, number: int, phrase: str) -> None:
        runs = phrase.encode("utf-8", "surrogatepass").translate(_RUNS).split()
        single = len(runs) == 1 and len(runs[0]) == len(phrase.encode("utf-8", "surrogatepass"))
        made = _Phrase(number, compiled(phrase), single)
        if not runs:
            self._everywhere.append(made)
            return
        # The expression takes an s after its last run, too.
        for key in {runs[0], runs[0] + b"s"} if len(runs) == 1 else {runs[0]}:
            self._phrases.setdefault(key, []).append(made)


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A phrase of a category; `single` says that it is one run of letters and digits."""

    number: int
    pattern: re.Pattern[str]
    single: bool


def words_of_address(url: str) -> str:
    """The words in an address's path: `…/red_umbrella-12.jpg` → `red umbrella jpg`."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return ""
    return " ".join(re.findall(r"[^\W\d_]+", path))
