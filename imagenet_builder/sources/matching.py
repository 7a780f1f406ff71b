"""Which of the pictures of a list or page belong to a category: by the words that stand beside them.

A query to such a source is written `umbrella|brolly @ PLACE`: the words sought (`*` for every picture), and the list or
page to look in.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Category

EVERYTHING = "*"
# The store keeps this many characters of a query.
MOST_CHARACTERS = 255
_BETWEEN = " @ "
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


def expression(sought: str) -> str:
    """A regular expression (Python's and RE2's) for any of the `|`-separated words as whole words, also with an s."""
    if sought == EVERYTHING:
        return ""
    choices = (r"[\s_-]+".join(map(re.escape, words.split())) for words in sought.split("|"))
    return rf"\b(?:{'|'.join(choices)})s?\b"


def compiled(sought: str) -> re.Pattern[str]:
    """`expression(sought)` as Python runs it: without regard to case, words as ASCII has them (as RE2 does)."""
    return re.compile(expression(sought), re.IGNORECASE | re.ASCII)


def words_of_address(url: str) -> str:
    """The words in an address's path: `…/red_umbrella-12.jpg` → `red umbrella jpg`."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return ""
    return " ".join(re.findall(r"[^\W\d_]+", path))
