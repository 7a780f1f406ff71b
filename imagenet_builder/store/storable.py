"""Text as every engine can store it."""

from __future__ import annotations

import re
from typing import overload

# PostgreSQL stores no NUL, and nothing stores half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# PostgreSQL's B-trees take 2,704 bytes, of which a few are not the address's.
MOST_URL_BYTES = 2600
TOO_LONG = "too-long:"


@overload
def storable(value: str, length: int | None = None) -> str: ...
@overload
def storable(value: None, length: int | None = None) -> None: ...
def storable(value: str | None, length: int | None = None) -> str | None:
    """`value` without what an engine cannot store, cut to `length` characters."""
    return None if value is None else _UNSTORABLE.sub("", value)[:length]


def storable_url(url: str) -> str:
    """A candidate's address; one of more than MOST_URL_BYTES is cut, and marked so that it is none any more."""
    text = storable(url)
    if len(text.encode()) <= MOST_URL_BYTES:
        return text
    return (TOO_LONG + text).encode()[:MOST_URL_BYTES].decode("utf-8", "ignore")
