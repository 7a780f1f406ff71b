"""What export reads of the store, and what it records there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa

from hits.model import Decision
from imagenet_builder.descriptor_file import DescriptorFile
from imagenet_builder.records import Split

from .tables import (
    assignments,
    candidates,
    categories,
    hits,
    images,
    questions,
    release_images,
    releases,
    verdicts,
)
from .tombstones import is_taken_down

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Supply:
    """Everything that a release may choose from.

    `accepted`: category → SHA-256 of its finally accepted images; `hashes`: SHA-256 → 64-bit perceptual hash, signed;
    `descriptors`: what confirms it, of images that have one;
    `permitted`: images with an admitted licence, or None when every licence is; `provisional`: category → accepted
    verdicts that more votes may still change.
    """

    accepted: Mapping[str, tuple[str, ...]]
    hashes: Mapping[str, int]
    descriptors: Mapping[str, bytes]
    permitted: frozenset[str] | None
    provisional: Mapping[str, int]


class Maker(NamedTuple):
    """Who made an image and where it was shown, as one of its candidates says."""

    sha256: str
    author: str | None
    page_url: str | None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who verified, in the whole project: workers, pages answered, and what a page paid, in US cents.

    `rewards` is the lowest and highest reward of a page that was answered, None without any; `live` is true when a
    page was published for real money.
    """

    workers: int
    assignments: int
    rewards: tuple[int, int] | None
    live: bool


def read_crowd(connection: sa.Connection) -> Crowd:
    """Count workers and answered pages."""
    row = connection.execute(
        sa.select(
            sa.func.count(sa.distinct(assignments.c.worker_id)),
            sa.func.count(),
            sa.func.min(hits.c.reward_cents),
            sa.func.max(hits.c.reward_cents),
            sa.func.count().filter(hits.c.live),
        ).join_from(assignments, hits, assignments.c.hit_id == hits.c.id)
    ).one()
    workers, pages, lowest, highest, live = row
    return Crowd(workers, pages, None if lowest is None else (lowest, highest), live > 0)


def read_supply(connection: sa.Connection, licences: Sequence[str]) -> Supply:
    """Read the accepted images of all categories that were not dropped, without those taken
    down; `licences` empty admits every licence."""
    live = (
        sa.select(questions.c.wnid, questions.c.sha256, images.c.perceptual_hash, images.c.descriptor)
        .join_from(questions, verdicts, verdicts.c.question_id == questions.c.id)
        .join(images, images.c.sha256 == questions.c.sha256)
        .join(categories, categories.c.wnid == questions.c.wnid)
        .where(
            verdicts.c.superseded_at.is_(None),
            verdicts.c.decision == Decision.ACCEPTED,
            categories.c.dropped_at.is_(None),
            ~is_taken_down(images.c.sha256),
        )
    )
    accepted: dict[str, list[str]] = defaultdict(list)
    hashes: dict[str, int] = {}
    descriptors = DescriptorFile()
    known: dict[str, str] = {}
    for wnid, sha256, perceptual_hash, descriptor in connection.execution_options(
        yield_per=ROWS_AT_ONCE
    ).execute(live.where(verdicts.c.final)):
        # One string an image, however many categories accepted it.
        sha256 = known.setdefault(sha256, sha256)
        accepted[wnid].append(sha256)
        hashes[sha256] = perceptual_hash
        if descriptor is not None:
            descriptors.add(sha256, bytes(descriptor))
    waiting = live.where(~verdicts.c.final).subquery()
    provisional = connection.execute(sa.select(waiting.c.wnid, sa.func.count()).group_by(waiting.c.wnid))
    return Supply(
        {wnid: tuple(sorted(accepted[wnid])) for wnid in sorted(accepted)},
        hashes,
        descriptors,
        _permitted(connection, licences) if licences else None,
        dict(sorted((row[0], row[1]) for row in provisional)),
    )


def read_makers(connection: sa.Connection) -> Iterator[Maker]:
    """Authors and pages of all stored images; an image with several candidates comes several times."""
    columns = (candidates.c.sha256, candidates.c.author, candidates.c.page_url)
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        sa.select(*columns).distinct().where(candidates.c.sha256.is_not(None))
    )
    for row in rows:
        yield Maker(*row)


def _permitted(connection: sa.Connection, licences: Sequence[str]) -> frozenset[str]:
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        sa.select(candidates.c.sha256)
        .distinct()
        .where(candidates.c.sha256.is_not(None), candidates.c.licence.in_(licences))
    )
    return frozenset(sha256 for (sha256,) in rows)


class ReleaseRow(NamedTuple):
    """One picture of a release, as the store remembers it."""

    file_name: str
    sha256: str
    wnid: str
    split: Split


def record_release(
    connection: sa.Connection,
    *,
    name: str,
    digest: str,
    classes: int,
    seed: int,
    settings: Mapping[str, Any],
    written_at: datetime,
    pictures: Iterable[ReleaseRow],
) -> int:
    """Record a release and its pictures; returns its row id."""
    release_id = connection.execute(
        releases.insert()
        .values(
            name=name,
            digest=digest,
            classes=classes,
            seed=seed,
            settings=dict(settings),
            written_at=written_at,
        )
        .returning(releases.c.id)
    ).scalar_one()
    for rows in _batches(pictures, ROWS_AT_ONCE):
        connection.execute(
            release_images.insert(), [{"release_id": release_id, **row._asdict()} for row in rows]
        )
    return int(release_id)


def _batches(rows: Iterable[ReleaseRow], size: int) -> Iterator[list[ReleaseRow]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch
