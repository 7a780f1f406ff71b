"""Lists of ids in statements, cut to what every engine takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator

# SQLite before 3.32 allows 999 variables in a statement.
CHUNK = 900


def chunks(ids: Collection[int], size: int = CHUNK) -> Iterator[list[int]]:
    """Yield `ids` in sorted lists of at most `size`."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
