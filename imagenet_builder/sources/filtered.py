"""Queries to services that give only what is asked for: pictures under some licences, of some quality.

What a service is asked for is part of the query, written `umbrella [cc0,by]`: whoever wants other licences later has
another query, which begins at its first page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .matching import MOST_CHARACTERS

_FILTERED = re.compile(r"(?P<words>.*) \[[a-z0-9_,-]+\]", re.DOTALL)


def asked_for(codes: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Those of the licences `codes` that a service knows, in the order in which it lists them, none twice."""
    wanted = set(codes)
    return tuple(code for code in known if code in wanted)


def write_filtered(words: str, filters: Sequence[str]) -> str:
    """The words of a query that asks for `filters`; without any it is `words`."""
    if not filters:
        return words
    marks = f" [{','.join(filters)}]"
    return words[: MOST_CHARACTERS - len(marks)] + marks


def plain_words(words: str) -> str:
    """The words of a query without what it asks for."""
    match = _FILTERED.fullmatch(words)
    return match["words"] if match else words
