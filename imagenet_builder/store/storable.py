"""Text as every engine can store it."""

from __future__ import annotations

import re
from typing import overload

# PostgreSQL stores no NUL, and nothing stores half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@overload
def storable(value: str, length: int | None = None) -> str: ...
@overload
def storable(value: None, length: int | None = None) -> None: ...
def storable(value: str | None, length: int | None = None) -> str | None:
    """`value` without what an engine cannot store, cut to `length` characters."""
    return None if value is None else _UNSTORABLE.sub("", value)[:length]
