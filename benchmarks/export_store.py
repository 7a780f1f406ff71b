"""A SQLite store full of accepted pictures without bytes: what benchmarks/export.py plans releases of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from hits import database
from imagenet_builder.config import SETTINGS_NAME, load_settings
from imagenet_builder.descriptors import BYTES
from imagenet_builder.project import Project
from imagenet_builder.selection import category_of
from imagenet_builder.store import categories, tables
from imagenet_builder.store.engine import MIGRATIONS
from wordnet_synsets.select import list_wnids

FILE_BYTES = 100_000
A_CLASS = 1_280
ROWS_AT_ONCE = 20_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = NOW.strftime("%Y-%m-%d %H:%M:%S.%f")


def make_store(folder: Path, pictures: int) -> None:
    """Make a project in `folder` with so many accepted pictures, every hundredth a near-duplicate of another."""
    folder.mkdir()
    (folder / SETTINGS_NAME).write_text("[project]\ncontact = 'benchmark@example.org'\n")
    project = Project(folder, load_settings(folder / SETTINGS_NAME, {}))
    engine = database.open_engine(project.store_url(project.settings.store.url))
    database.upgrade(engine, MIGRATIONS)
    engine.dispose()
    classes = list_wnids("ilsvrc2012")[: max(1, pictures // A_CLASS)]
    with database.writing(project.engine) as connection:
        categories.select(connection, [category_of(project.graph[wnid]) for wnid in classes], NOW)
        for number, wnid in enumerate(classes, start=1):
            asked = {"exhausted": True, "found": 0, "known": 0, "asked_at": NOW}
            query = {"id": number, "wnid": wnid, "source": "folder", "words": wnid, "language": "en"}
            connection.execute(tables.queries.insert(), {**query, **asked})
    random = np.random.default_rng(1)
    # Which picture has the so-many-th smallest SHA-256: pictures are written in this order, so that the tables' own
    # trees grow at their ends, and those over them in a cache that holds them.
    order = random.permutation(pictures)
    place = np.empty_like(order)
    place[order] = np.arange(pictures)
    # Without its connections the file can be written without a log beside it.
    project.engine.dispose()
    with closing(sqlite3.connect(project.engine.url.database or "")) as connection:
        # By the driver alone, without foreign keys: a question may be written before its picture.
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-6000000")
        ruling = {"id": 1, "rule": "majority", "parameters": "{}", "decided_at": MOMENT}
        _insert(connection, tables.rulings, [ruling])
        for start in range(0, pictures, ROWS_AT_ONCE):
            numbers = range(start, min(pictures, start + ROWS_AT_ONCE))
            _insert(connection, tables.images, _images(numbers, pictures, random))
            sha256s = [_sha256(at, pictures) for at in place[numbers.start : numbers.stop].tolist()]
            for table, rows in _answers(numbers, sha256s, classes):
                _insert(connection, table, rows)
        # All at once: trees over hashes are changed everywhere by every part, and so would be written anew for each.
        connection.commit()
        connection.execute("ANALYZE")
        connection.execute("PRAGMA journal_mode=WAL")


def _insert(connection: sqlite3.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    listed = list(rows)
    names = list(listed[0])
    values = ", ".join(f":{name}" for name in names)
    connection.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})", listed)


def _sha256(place: int, pictures: int) -> str:
    return f"{place * (2**256 // pictures):064x}"


def _images(numbers: range, pictures: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    """The images at these places of all in the order of their SHA-256."""
    hashes = random.integers(-(2**63), 2**63 - 1, len(numbers))
    # Every hundredth is like the one before it, but for a bit.
    hashes[1::100] = hashes[0::100][: len(hashes[1::100])] ^ 1
    descriptors: NDArray[np.int8] = random.integers(-127, 128, (len(numbers), BYTES), dtype=np.int8)
    descriptors[1::100] = descriptors[0::100][: len(descriptors[1::100])]
    shape = {"format": "jpeg", "mode": "RGB", "width": 640, "height": 480, "orientation": 1}
    for place, value, descriptor in zip(numbers, hashes.tolist(), descriptors, strict=True):
        yield {
            **shape, "sha256": _sha256(place, pictures), "byte_count": FILE_BYTES, "perceptual_hash": value,
            "descriptor": descriptor.tobytes(), "stored_at": MOMENT,
        }  # fmt: skip


def _answers(
    numbers: range, sha256s: list[str], classes: Sequence[str]
) -> Iterator[tuple[sa.Table, Iterator[dict[str, Any]]]]:
    """The candidate, question and verdict of each of these pictures."""
    pairs = list(zip(numbers, sha256s, strict=True))

    def category(number: int) -> int:
        return min(number // A_CLASS, len(classes) - 1)

    yield (
        tables.candidates,
        (
            {
                "id": number + 1, "wnid": classes[category(number)], "url": f"https://pictures.example/{number:09}.jpg",
                "query_id": category(number) + 1, "source": "folder", "rank": 0, "title": f"Picture {number}",
                "page_url": f"https://pictures.example/{number:09}", "licence": "by", "licence_version": "4.0",
                "author": f"Author {number // 3}", "found_at": MOMENT, "state": "stored", "retryable": False,
                "attempts": 1, "ended_at": MOMENT, "sha256": sha256,
            }
            for number, sha256 in pairs
        ),
    )  # fmt: skip
    yield (
        tables.questions,
        (
            {"id": number + 1, "sha256": sha256, "wnid": classes[category(number)], "asked_at": MOMENT}
            for number, sha256 in pairs
        ),
    )
    yield (
        tables.verdicts,
        (
            {
                "question_id": number + 1, "decision": "accepted", "final": True, "ruling_id": 1, "probability": 0.97,
                "yes": 3, "no": 0, "unsure": 0, "broken": 0, "report": 0,
            }
            for number, _ in pairs
        ),
    )  # fmt: skip
