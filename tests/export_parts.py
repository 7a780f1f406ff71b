"""Stores with verified pictures, for tests of export: real JPEG bytes and hashes, verdicts as aggregate leaves them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from PIL import Image

from hits import database
from imagenet_builder.crawl.inspect import inspect
from imagenet_builder.crawl.limits import Limits
from imagenet_builder.export.description import Release
from imagenet_builder.export.formats import find_format
from imagenet_builder.export.parts import dealt_parts, whole_splits
from imagenet_builder.export.places import FolderPlace
from imagenet_builder.export.tree import Journal, Tree, write_sums
from imagenet_builder.project import SECRET_NAME, Project
from imagenet_builder.records import Inspected, Rights
from imagenet_builder.selection import category_of
from imagenet_builder.store import categories, tables

from .builder_store import NOW, empty_project

ANY_PICTURE = Limits(min_side=1, max_aspect=1000.0, blank=0.0)
BY = Rights("by", "4.0", "https://creativecommons.org/licenses/by/4.0/", "Ada Example")

TENCH, GOLDFISH, UMBRELLA, FISH = "n01440764", "n01443537", "n04507155", "n02512053"


@dataclass(frozen=True)
class Verified:
    """One question with its current verdict, and the candidate that its picture came with."""

    wnid: str
    content: bytes
    decision: str = "accepted"
    final: bool = True
    rights: Rights = BY
    title: str = "A picture"


def picture(number: int, *, blocks: int = 1, quality: int = 85, flipped: tuple[int, ...] = ()) -> bytes:
    """A JPEG of 9 × 8 fields as random as its number, 8 `blocks` pixels wide each: no two have near hashes.

    `flipped` fields get the opposite brightness, for a picture that is nearly the same.
    """
    fields = np.random.default_rng(number).integers(0, 256, (8, 9), dtype=np.uint8)
    fields.flat[list(flipped)] = 255 - fields.flat[list(flipped)]
    grey = fields.repeat(8 * blocks, axis=0).repeat(8 * blocks, axis=1)
    written = io.BytesIO()
    tint = np.asarray([1.0, 0.9, 0.8])
    Image.fromarray((grey[:, :, None] * tint).astype(np.uint8)).save(written, "JPEG", quality=quality)
    return written.getvalue()


def some_pictures(counts: Mapping[str, int], *, start: int = 0) -> list[Verified]:
    """So many accepted pictures of each category, all different."""
    wnids = [wnid for wnid, count in counts.items() for _ in range(count)]
    return [Verified(wnid, picture(start + number)) for number, wnid in enumerate(wnids)]


def project_with(
    folder: Path, wordnet_folder: Path, verified: Iterable[Verified], **sections: dict[str, object]
) -> Project:
    """A project in `folder` that holds `verified`, and a category for every wnid in it."""
    project = empty_project(folder, wordnet={"folder": str(wordnet_folder)}, **sections)
    # Splits are ranked with the project's secret: the same store is divided alike in every run of a test.
    (project.folder / SECRET_NAME).write_text("5e" * 32)
    add_verified(project, list(verified))
    return project


def add_verified(project: Project, verified: list[Verified]) -> None:
    """Put pictures with their candidates, questions and verdicts into the store, as crawl and aggregate would."""
    wnids = list(dict.fromkeys(one.wnid for one in verified))
    with database.writing(project.engine) as connection:
        categories.select(connection, [category_of(project.graph[wnid]) for wnid in wnids], NOW)
        first = 1 + (connection.scalar(sa.select(sa.func.max(tables.questions.c.id))) or 0)
        known = set(connection.scalars(sa.select(tables.images.c.sha256)))
        queries = [_query(first + number, wnid) for number, wnid in enumerate(wnids)]
        query_of = {query["wnid"]: query["id"] for query in queries}
        images, candidates, questions, verdicts = [], [], [], []
        ruling = {"id": first, "rule": "majority", "parameters": {"votes": 3}, "decided_at": NOW}
        for row_id, one in enumerate(verified, start=first):
            inspected = inspect(one.content, ANY_PICTURE)
            assert isinstance(inspected, Inspected), inspected
            if inspected.sha256 not in known:
                known.add(inspected.sha256)
                _put(project, inspected.sha256, one.content)
                images.append(_image(inspected))
            candidates.append(_candidate(row_id, one, query_of[one.wnid], inspected.sha256))
            questions.append({"id": row_id, "sha256": inspected.sha256, "wnid": one.wnid, "asked_at": NOW})
            verdicts.append(_verdict(row_id, one, first))
        rows = zip(
            (
                *(tables.queries, tables.images, tables.candidates, tables.questions, tables.rulings),
                tables.verdicts,
            ),
            (queries, images, candidates, questions, [ruling], verdicts),
            strict=True,
        )
        for table, values in rows:
            if values:
                connection.execute(table.insert(), values)
            if connection.dialect.name == "postgresql" and "id" in table.c:
                # Rows came with their ids: the sequence has not heard of them.
                sequence = sa.func.pg_get_serial_sequence(table.name, "id")
                connection.execute(sa.select(sa.func.setval(sequence, sa.func.max(table.c.id))))


def _put(project: Project, sha256: str, content: bytes) -> None:
    # As ImageStore.put, without waiting for the disk: thousands of pictures are put in one test.
    path = project.folder / "images" / sha256[:2] / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _query(row_id: int, wnid: str) -> dict[str, Any]:
    words = f"words {row_id}"
    counts = {"exhausted": True, "found": 0, "known": 0, "asked_at": NOW}
    return {"id": row_id, "wnid": wnid, "source": "folder", "words": words, "language": "en", **counts}


def _image(inspected: Inspected) -> dict[str, Any]:
    fields = (
        "sha256",
        "format",
        "mode",
        "width",
        "height",
        "byte_count",
        "orientation",
        "perceptual_hash",
        "descriptor",
    )
    return {name: getattr(inspected, name) for name in fields} | {"stored_at": NOW}


def _candidate(row_id: int, one: Verified, query_id: int, sha256: str) -> dict[str, Any]:
    return {
        "id": row_id,
        "wnid": one.wnid,
        "url": f"https://pictures.example/{row_id}.jpg",
        "query_id": query_id,
        "source": "folder",
        "rank": 0,
        "title": one.title,
        "page_url": f"https://pictures.example/page/{row_id}",
        "licence": one.rights.licence,
        "licence_version": one.rights.licence_version,
        "licence_url": one.rights.licence_url,
        "author": one.rights.author,
        "credit": one.rights.credit,
        "found_at": NOW,
        "state": "stored",
        "retryable": False,
        "attempts": 1,
        "ended_at": NOW + timedelta(seconds=row_id),
        "sha256": sha256,
    }


def _verdict(row_id: int, one: Verified, ruling_id: int) -> dict[str, Any]:
    yes = 3 if one.decision == "accepted" else 0
    votes = {"yes": yes, "no": 3 - yes, "unsure": 0, "broken": 0, "report": 0}
    return {
        "question_id": row_id,
        "decision": one.decision,
        "ruling_id": ruling_id,
        "probability": 0.97,
        "final": one.final,
        **votes,
    }


def write_format(
    name: str, release: Release, contents: Mapping[str, bytes], folder: Path
) -> dict[str, tuple[str, int]]:
    """Write a release in one format into `folder`, with its SHA256SUMS, from contents by file name.

    Returns, for a format of shards, each picture's shard and where it begins there.
    """
    chosen, place = find_format(name), FolderPlace(folder)
    journal = Journal(folder.with_name(f"{folder.name}.journal"))
    journal.begin(name)
    tree = Tree(place, journal, "release")
    places: dict[str, tuple[str, int]] = {}
    chosen.begin(release, tree)
    for part in whole_splits(release) if chosen.in_order else dealt_parts(release):
        with chosen.part(release, part, tree) as writer:
            for one in part.pictures:
                writer.add(one, contents[one.file_name])
        shard = chosen.shard(part)
        if shard is not None:
            for one, offset in zip(part.pictures, writer.offsets, strict=True):
                places[one.file_name] = (shard, offset)
    chosen.finish(release, tree, tree.large_files)
    tree.close()
    write_sums(place, journal)
    place.freeze()
    return places


def thawed(release: Path) -> Path:
    """The release, whose files can be written to again: for tests that harm it."""
    for path in release.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    return release


def tree_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Everything that is below `folder`: path → content and time of writing."""
    return {
        path.relative_to(folder).as_posix(): (
            path.read_bytes() if path.is_file() else b"(folder)",
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }
