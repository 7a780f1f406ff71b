"""What was taken down: which rows it concerns, and what keeps it from coming back."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from imagenet_builder.records import Candidate, Reason

from .bulk import insert_rows
from .chunks import chunks
from .storable import MOST_URL_BYTES, storable, storable_url
from .tables import (
    TOMBSTONE_KINDS,
    candidates,
    hit_questions,
    hits,
    images,
    questions,
    release_images,
    releases,
    renditions,
    tombstones,
)

ROWS_AT_ONCE = 10_000


class Kind(StrEnum):
    """What a tombstone stands for."""

    IMAGE, URL, AUTHOR = TOMBSTONE_KINDS


class KnownImage(NamedTuple):
    """An image as near-duplicates are found: signed 64-bit hash, and descriptor (empty for none)."""

    sha256: str
    perceptual_hash: int
    descriptor: bytes


class OpenPage(NamedTuple):
    """A published HIT: where, and under which id."""

    endpoint: str
    platform_hit_id: str


@dataclass(frozen=True, slots=True)
class Concerned:
    """What a takedown concerns: images by SHA-256, and candidates (row ids), with or without an image."""

    images: tuple[str, ...]
    candidates: tuple[int, ...]


def is_taken_down(sha256: sa.ColumnElement[str]) -> sa.Exists:
    """Whether an image has a tombstone."""
    return sa.exists().where(tombstones.c.kind == Kind.IMAGE, tombstones.c.target == sha256)


def taken_down(connection: Connection, sha256: str) -> bool:
    """Whether this image has a tombstone."""
    return bool(connection.scalar(sa.select(is_taken_down(sa.literal(sha256)))))


def author_key(name: str | None) -> str:
    """An author's name without regard to case and spaces."""
    return " ".join((name or "").casefold().split())


def target_key(target: str) -> str:
    """What a tombstone keeps of an image, an address or an author; in place of what no index takes, its SHA-256."""
    text = storable(target)
    content = text.encode()
    return text if len(content) <= MOST_URL_BYTES else f"sha256:{hashlib.sha256(content).hexdigest()}"


def concerned_by(connection: Connection, kind: Kind, target: str) -> Concerned:
    """The images and candidates of an image, an address (the picture's, its original's or its page's) or an author."""
    table, target = candidates.c, storable(target)
    if kind is Kind.IMAGE:
        condition: sa.ColumnElement[bool] = table.sha256 == target
    elif kind is Kind.URL:
        condition = sa.or_(
            table.url == storable_url(target), table.original_url == target, table.page_url == target
        )
    else:
        credited = sa.select(sa.func.coalesce(table.author, table.credit)).distinct()
        names = [name for name in connection.scalars(credited) if author_key(name) == target]
        condition = sa.func.coalesce(table.author, table.credit).in_(names)
    rows = connection.execute(sa.select(table.id, table.sha256).where(condition).order_by(table.id)).all()
    found = {row.sha256 for row in rows if row.sha256 is not None}
    if kind is Kind.IMAGE:
        found.update(connection.scalars(sa.select(images.c.sha256).where(images.c.sha256 == target)))
    return Concerned(tuple(sorted(found)), tuple(row.id for row in rows))


def candidates_of(connection: Connection, sha256s: Collection[str]) -> list[int]:
    """The candidates that ended as one of the images."""
    return [
        candidate_id
        for chunk in chunks(sha256s)
        for candidate_id in connection.scalars(
            sa.select(candidates.c.id).where(candidates.c.sha256.in_(chunk))
        )
    ]


def standing_images(connection: Connection) -> Iterator[list[KnownImage]]:
    """Every image that is not taken down, in batches."""
    columns = (images.c.sha256, images.c.perceptual_hash, images.c.descriptor)
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        sa.select(*columns).where(~is_taken_down(images.c.sha256))
    )
    for batch in rows.partitions():
        yield [KnownImage(sha256, value, bytes(descriptor or b"")) for sha256, value, descriptor in batch]


def open_pages_with_taken_down(connection: Connection) -> list[OpenPage]:
    """Published HITs, not collected yet, that show an image with a tombstone."""
    rows = connection.execute(
        sa.select(hits.c.endpoint, hits.c.platform_hit_id)
        .distinct()
        .join_from(hits, hit_questions, hit_questions.c.hit_id == hits.c.id)
        .join(questions, questions.c.id == hit_questions.c.question_id)
        .where(hits.c.state == "published", is_taken_down(questions.c.sha256))
        .order_by(hits.c.endpoint, hits.c.platform_hit_id)
    )
    return [OpenPage(*row) for row in rows]


def known_images(connection: Connection, sha256s: Collection[str]) -> list[KnownImage]:
    """Hash and descriptor of the images that there are."""
    columns = (images.c.sha256, images.c.perceptual_hash, images.c.descriptor)
    return [
        KnownImage(sha256, value, bytes(descriptor or b""))
        for chunk in chunks(sha256s)
        for sha256, value, descriptor in connection.execute(
            sa.select(*columns).where(images.c.sha256.in_(chunk))
        )
    ]


def taken_down_images(connection: Connection) -> list[str]:
    """The SHA-256 of every image with a tombstone, whether or not it ever was in the store."""
    return list(
        connection.scalars(
            sa.select(tombstones.c.target)
            .where(tombstones.c.kind == Kind.IMAGE)
            .order_by(tombstones.c.target)
        )
    )


def releases_with(connection: Connection, sha256s: Collection[str]) -> list[str]:
    """The names of the releases that hold one of the images, the oldest first."""
    found: dict[int, str] = {}
    for chunk in chunks(sha256s):
        rows = connection.execute(
            sa.select(releases.c.id, releases.c.name)
            .join_from(releases, release_images, release_images.c.release_id == releases.c.id)
            .where(release_images.c.sha256.in_(chunk))
            .distinct()
        )
        found.update((row.id, row.name) for row in rows)
    # Of one that was written again to another place, once is enough.
    return list(dict.fromkeys(found[release_id] for release_id in sorted(found)))


def lay(connection: Connection, stones: Iterable[tuple[Kind, str]], reason: str, now: datetime) -> None:
    """Lay tombstones; one that is there already keeps its reason and time."""
    rows = [
        {"kind": str(kind), "target": target_key(target), "reason": storable(reason), "laid_at": now}
        for kind, target in stones
    ]
    insert_rows(connection, tombstones, rows)


def reject(connection: Connection, candidate_ids: Collection[int], reason: str, now: datetime) -> None:
    """Let candidates end as rejected, without an image."""
    for chunk in chunks(candidate_ids):
        connection.execute(
            candidates.update()
            .where(candidates.c.id.in_(chunk))
            .values(
                state="rejected",
                reason=Reason.TAKEN_DOWN,
                detail=storable(reason, 500),
                retryable=False,
                ended_at=now,
                sha256=None,
            )
        )


def drop_renditions(connection: Connection, sha256s: Collection[str]) -> list[str]:
    """Delete the rows of the images' renditions; returns the SHA-256 of those bytes that no row names any more."""
    dropped: set[str] = set()
    for chunk in chunks(sha256s):
        dropped.update(
            connection.scalars(
                renditions.delete()
                .where(renditions.c.sha256.in_(chunk))
                .returning(renditions.c.rendition_sha256)
            )
        )
    for chunk in chunks(dropped):
        dropped -= set(
            connection.scalars(
                sa.select(renditions.c.rendition_sha256).where(renditions.c.rendition_sha256.in_(chunk))
            )
        )
        dropped -= set(
            connection.scalars(
                sa.select(images.c.sha256).where(images.c.sha256.in_(chunk), ~is_taken_down(images.c.sha256))
            )
        )
    return sorted(dropped)


def taken_down_urls(connection: Connection, page: Sequence[Candidate]) -> set[str]:
    """The URLs of those candidates whose address, original, page or author was taken down."""
    targets: dict[tuple[str, str], list[str]] = {}
    for candidate in page:
        addresses = {candidate.url, candidate.original_url, candidate.page_url} - {None}
        author = author_key(candidate.rights.author or candidate.rights.credit)
        for kind, target in [*((Kind.URL, address) for address in addresses), (Kind.AUTHOR, author)]:
            if target:
                targets.setdefault((str(kind), target_key(target)), []).append(candidate.url)
    found: set[str] = set()
    for chunk in chunks({target for _, target in targets}):
        rows = connection.execute(
            sa.select(tombstones.c.kind, tombstones.c.target).where(tombstones.c.target.in_(chunk))
        )
        for row in rows:
            found.update(targets.get((row.kind, row.target), ()))
    return found
