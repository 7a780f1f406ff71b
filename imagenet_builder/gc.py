"""Image bytes that no row names: found, and swept. And the comparison of the two that `doctor --deep` makes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from hits import database

from .errors import ImageStoreError
from .images import ImageStore, Leftover, StoredBytes
from .reconcile import PUBLISH_LOCK
from .store.tables import images as image_rows
from .store.tables import renditions
from .store.tombstones import is_taken_down

PREFIXES = tuple(f"{number:02x}" for number in range(256))
# Bytes are written before their row: younger ones may be about to get theirs.
SAFE_AGE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Bytes without a row, and what killed writes left; `deleted` says whether they are gone now.

    `young` files have no row either, but may be about to get one.
    """

    orphans: int
    orphan_bytes: int
    leftovers: int
    leftover_bytes: int
    young: int
    deleted: bool


def sweep(
    engine: sa.Engine,
    images: ImageStore,
    *,
    delete: bool,
    now: datetime,
    safe_age: timedelta = SAFE_AGE,
    listener: Callable[[str], None] = lambda line: None,
) -> Sweep:
    """Find bytes that no image and no rendition names, written before `now - safe_age`; with `delete` remove them.

    Bytes of rows are never removed. While it deletes, no crawl, publication or export runs. `listener` is told each
    file. Raises LockHeld, DatabaseError, ImageStoreError.
    """
    before = now - safe_age
    with ExitStack() as locks:
        if delete:
            for name in ("crawl", PUBLISH_LOCK, "export"):
                locks.enter_context(database.exclusive_lock(engine, name))
        orphans = orphan_bytes = young = 0
        for orphan in _orphans(engine, images):
            if orphan.modified >= before:
                young += 1
                continue
            listener(f"{orphan.sha256} {orphan.byte_count}")
            orphans, orphan_bytes = orphans + 1, orphan_bytes + orphan.byte_count
            # Whoever stored the same bytes meanwhile wrote them anew, and is about to name them.
            if delete and images.last_modified(orphan.sha256) == orphan.modified:
                images.delete(orphan.sha256)
        leftovers = list(_old(images.leftovers(), before))
        for leftover in leftovers:
            listener(f"{leftover.path.name} {leftover.byte_count}")
            if delete:
                images.delete_leftover(leftover)
        leftover_bytes = sum(leftover.byte_count for leftover in leftovers)
        return Sweep(orphans, orphan_bytes, len(leftovers), leftover_bytes, young, delete)


def _old(leftovers: Iterator[Leftover], before: datetime) -> Iterator[Leftover]:
    return (leftover for leftover in leftovers if leftover.modified < before)


def _orphans(engine: sa.Engine, images: ImageStore) -> Iterator[StoredBytes]:
    for prefix in PREFIXES:
        # Listed first: what is stored meanwhile is not in the list, what is named meanwhile is among the rows.
        stored = list(images.listing(prefix))
        if stored:
            named = _named(engine, prefix)
            yield from (one for one in stored if one.sha256 not in named)


@dataclass(frozen=True, slots=True)
class _Row:
    """What a row says of bytes; `original` for an image's own, which nothing can make again."""

    byte_count: int
    original: bool


def _named(engine: sa.Engine, prefix: str) -> dict[str, _Row]:
    """SHA-256 → what the store says of it, for all that begin with `prefix`."""
    made = renditions.c
    with database.reading(engine) as connection:
        named = {
            sha256: _Row(byte_count, False)
            for sha256, byte_count in connection.execute(
                sa.select(made.rendition_sha256, made.byte_count).where(
                    _begins(made.rendition_sha256, prefix)
                )
            )
        }
        rows = connection.execute(
            sa.select(image_rows.c.sha256, image_rows.c.byte_count).where(
                _begins(image_rows.c.sha256, prefix), ~is_taken_down(image_rows.c.sha256)
            )
        )
        named.update((sha256, _Row(byte_count, True)) for sha256, byte_count in rows)
    return named


def _begins(column: sa.ColumnElement[str], prefix: str) -> sa.ColumnElement[bool]:
    # A range, not LIKE: an index serves it in every collation that keeps hexadecimal digits in their order.
    return sa.and_(column >= prefix, column <= prefix + "g")


@dataclass(slots=True)
class Comparison:
    """What `compare` found. `lost` and `lost_renditions`: SHA-256 and why; the numbers are of what is whole."""

    images: int = 0
    renditions: int = 0
    orphans: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)
    lost_renditions: list[tuple[str, str]] = field(default_factory=list)


def compare(engine: sa.Engine, images: ImageStore) -> Comparison:
    """Read all bytes and compare them with the rows: none missing, of another length or damaged.

    Raises DatabaseError, and ImageStoreError where the store itself fails.
    """
    comparison = Comparison()
    for prefix in PREFIXES:
        named = _named(engine, prefix)
        stored = {one.sha256 for one in images.listing(prefix)}
        # What was stored after the rows were read is in order: only what is still unnamed is an orphan.
        if fresh := stored - named.keys():
            comparison.orphans += len(fresh - _named(engine, prefix).keys())
        for sha256, row in named.items():
            trouble = _trouble(images, sha256, row, sha256 in stored)
            if trouble:
                (comparison.lost if row.original else comparison.lost_renditions).append((sha256, trouble))
            elif row.original:
                comparison.images += 1
            else:
                comparison.renditions += 1
    return comparison


def _trouble(images: ImageStore, sha256: str, row: _Row, is_stored: bool) -> str:
    if not is_stored:
        return "is missing"
    try:
        content = images.get(sha256)
    except ImageStoreError as error:
        if "is damaged" in str(error):
            return "is damaged"
        raise
    if len(content) != row.byte_count or hashlib.sha256(content).hexdigest() != sha256:
        return f"has {len(content)} bytes, not {row.byte_count}"
    return ""
