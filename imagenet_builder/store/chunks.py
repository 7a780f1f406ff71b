"""Lists of ids in statements, cut to what every engine takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeVar

# SQLite before 3.32 allows 999 variables in a statement.
CHUNK = 900

Key = TypeVar("Key", int, str)


def chunks(ids: Collection[Key], size: int = CHUNK) -> Iterator[list[Key]]:
    """Yield `ids` in sorted lists of at most `size`."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
