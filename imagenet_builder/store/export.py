"""What export reads of the store, and what it records there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from hits.model import Decision
from imagenet_builder.descriptor_file import NO_ROW, DescriptorColumn, DescriptorRows
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
SHA256_LETTERS = "S64"
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Supply:
    """Everything that a release may choose from, in columns: an image is a place in `images`.

    `images`: SHA-256 of the finally accepted images as hexadecimal bytes, sorted; `hashes`: 64-bit perceptual hashes,
    signed; `descriptors`: what confirms them, by SHA-256, of images that have one; `accepted`: category → places of its
    images, both ascending; `questions`: the rows of all these questions, in the same order; `provisional`: category →
    accepted verdicts that more votes may still change.
    """

    images: npt.NDArray[np.bytes_]
    hashes: npt.NDArray[np.int64]
    descriptors: Mapping[str, bytes]
    accepted: Mapping[str, Places]
    questions: Places
    provisional: Mapping[str, int]

    def places(self, shas: npt.NDArray[np.bytes_]) -> Places:
        """The place of each of these images, -1 for those that are not here."""
        found = np.searchsorted(self.images, shas)
        found[found == len(self.images)] = 0
        known = self.images[found] == shas if len(self.images) else np.zeros(len(shas), np.bool_)
        return np.where(known, found, -1)


class Candidates(NamedTuple):
    """Some stored candidates: their rows, categories and images, who made these and where they were shown."""

    rows: Places
    wnids: Sequence[str]
    images: npt.NDArray[np.bytes_]
    authors: Sequence[str | None]
    pages: Sequence[str | None]


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


def read_supply(connection: sa.Connection) -> Supply:
    """Read the accepted images of all categories that were not dropped, without those taken down."""
    live = (
        sa.select(questions.c.id, questions.c.wnid, questions.c.sha256)
        .join_from(questions, verdicts, verdicts.c.question_id == questions.c.id)
        .join(images, images.c.sha256 == questions.c.sha256)
        .join(categories, categories.c.wnid == questions.c.wnid)
        .where(
            verdicts.c.decision == Decision.ACCEPTED,
            categories.c.dropped_at.is_(None),
            ~is_taken_down(images.c.sha256),
        )
    )
    looks = (images.c.perceptual_hash, images.c.descriptor)
    columns = _Columns()
    for batch in _streamed(connection, live.add_columns(*looks).where(verdicts.c.final)):
        columns.take(batch)
    waiting = live.where(~verdicts.c.final).subquery()
    provisional = connection.execute(sa.select(waiting.c.wnid, sa.func.count()).group_by(waiting.c.wnid))
    return columns.supply(dict(sorted((row[0], row[1]) for row in provisional)))


class _Columns:
    """Gathers accepted images as they are read, one of several categories several times."""

    def __init__(self) -> None:
        self._number_of: dict[str, int] = {}
        self._categories: list[npt.NDArray[np.int32]] = [np.zeros(0, np.int32)]
        self._questions: list[Places] = [np.zeros(0, np.int64)]
        self._images: list[npt.NDArray[np.bytes_]] = [np.zeros(0, SHA256_LETTERS)]
        self._hashes: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
        self._descriptors = DescriptorRows()
        self._rows: list[Places] = [np.zeros(0, np.int64)]

    def take(self, batch: Sequence[sa.Row[Any]]) -> None:
        """Add rows of question, category, image, hash and descriptor."""
        ids, wnids, shas, hashes, looks = zip(*batch, strict=True)
        numbers = [self._number_of.setdefault(wnid, len(self._number_of)) for wnid in wnids]
        self._categories.append(np.array(numbers, np.int32))
        self._questions.append(np.array(ids, np.int64))
        self._images.append(np.array(shas, SHA256_LETTERS))
        self._hashes.append(np.array(hashes, np.int64))
        add = self._descriptors.add
        self._rows.append(
            np.array([NO_ROW if look is None else add(bytes(look)) for look in looks], np.int64)
        )

    def supply(self, provisional: Mapping[str, int]) -> Supply:
        """Everything, image by image."""
        shas = np.concatenate(self._images)
        self._images.clear()
        kept, first, place_of = np.unique(shas, return_index=True, return_inverse=True)
        wnids = sorted(self._number_of)
        rank = np.empty(len(wnids), np.int32)
        rank[[self._number_of[wnid] for wnid in wnids]] = np.arange(len(wnids))
        category = rank[np.concatenate(self._categories)]
        order = np.lexsort((place_of, category))
        ends = np.searchsorted(category[order], np.arange(1, len(wnids)))
        return Supply(
            kept,
            np.concatenate(self._hashes)[first],
            DescriptorColumn(kept, np.concatenate(self._rows)[first], self._descriptors),
            dict(zip(wnids, np.split(place_of[order], ends), strict=False)),
            np.concatenate(self._questions)[order],
            provisional,
        )


def _streamed(connection: sa.Connection, statement: sa.Select[Any]) -> Iterator[Sequence[sa.Row[Any]]]:
    yield from connection.execution_options(yield_per=ROWS_AT_ONCE).execute(statement).partitions()


def read_candidates(connection: sa.Connection, licences: Sequence[str]) -> Iterator[Candidates]:
    """All candidates with an image, if they have one of `licences`; empty, it admits every licence."""
    table = candidates.c
    stored = sa.select(table.id, table.wnid, table.sha256, table.author, table.page_url)
    stored = stored.where(table.sha256.is_not(None))
    for batch in _streamed(connection, stored.where(table.licence.in_(licences)) if licences else stored):
        rows, wnids, shas, authors, pages = zip(*batch, strict=True)
        yield Candidates(np.array(rows), wnids, np.array(shas, SHA256_LETTERS), authors, pages)


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
