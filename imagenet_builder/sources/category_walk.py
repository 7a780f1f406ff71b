"""The categories of a MediaWiki that bear a synset's words, and where a walk through one and those below it stands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from imagenet_builder.errors import SourceError
from imagenet_builder.records import Category, Query

CATEGORY = "Category:"
# A walk looks at so many categories, whatever is below the first.
MOST_CATEGORIES = 200
# The store keeps this many characters of a query; a wiki's titles are no longer.
MOST_TITLE = 255


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk that is at `title`, `depth` below its first category; `waiting` come next, `seen` do not come again.

    `going_on` are the wiki's own parameters within the category; `rank` counts the files that came before.
    """

    title: str
    depth: int = 0
    going_on: dict[str, str | int] = field(default_factory=dict)
    waiting: tuple[tuple[str, int], ...] = ()
    seen: tuple[str, ...] = ()
    rank: int = 0

    def following(self, below: Sequence[str]) -> Walk | None:
        """The walk at its next category, when `below` are those of this one; None when it is at its end."""
        seen = (*self.seen, self.title)
        known = {*seen, *(title for title, _ in self.waiting)}
        fresh = [(title, self.depth + 1) for title in dict.fromkeys(below) if title not in known]
        waiting = [*self.waiting, *fresh][: max(0, MOST_CATEGORIES - len(seen))]
        if not waiting:
            return None
        title, depth = waiting[0]
        return Walk(title, depth, {}, tuple(waiting[1:]), seen, self.rank)

    def written(self) -> str:
        """The continuation that `read_walk` reads."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def read_walk(query: Query) -> Walk:
    """Where the walk through the category that `query` names stands; raises SourceError."""
    if query.continuation is None:
        return Walk(query.words)
    try:
        found = json.loads(query.continuation)
        waiting = tuple((str(title), int(depth)) for title, depth in found.pop("waiting"))
        return Walk(**{**found, "waiting": waiting, "seen": tuple(found["seen"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SourceError(f"the store's continuation of {query.words!r} is unreadable") from error


def category_titles(category: Category) -> tuple[str, ...]:
    """What a wiki may call its category of this synset: each lemma as it is, and common nouns in the plural.

    Commons calls its categories by plurals ("Category:Umbrellas"), but for names and scientific names.
    """
    titles: dict[str, None] = {}
    for lemma in category.lemmas:
        words = lemma.replace("_", " ")
        for title in (words,) if words[:1].isupper() else (plural(words), words):
            titles[f"{CATEGORY}{title[:1].upper()}{title[1:]}"] = None
    return tuple(title for title in titles if len(title) <= MOST_TITLE)


def plural(words: str) -> str:
    """The regular English plural of a noun phrase."""
    if words.endswith(("s", "x", "z", "ch", "sh")):
        return f"{words}es"
    if words.endswith("y") and words[-2:-1] not in "aeiou":
        return f"{words[:-1]}ies"
    return f"{words}s"
