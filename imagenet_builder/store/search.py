"""SQL of the search: queries, and the candidates that their pages propose."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from imagenet_builder.records import Candidate, Query, Reason, SearchPage

from .crawl import UNKNOWN, Scope, insert_new, storable
from .tables import candidates, queries
from .tombstones import taken_down_urls

_BATCH = 500
_LARGEST_INTEGER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class OpenQuery:
    """A query that has more to give."""

    query_id: int
    query: Query


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a page brought: new candidates, and how many of them were refused for their licence or as taken down."""

    new: int
    refused: int
    taken_down: int = 0


def add_queries(connection: Connection, made: Iterable[Query]) -> None:
    """Record queries; those that are known stay as they are."""
    rows = [
        {
            "wnid": query.wnid,
            "source": query.source,
            "words": storable(query.words, 255),
            "language": query.language,
            "exhausted": False,
            "found": 0,
            "known": 0,
        }
        for query in made
    ]
    if rows:
        connection.execute(insert_new(connection, queries), rows)


def next_query(connection: Connection, wnid: str, source: str) -> OpenQuery | None:
    """The open query that gave least so far, the earliest of equals: each phrase has its turn."""
    table = queries.c
    row = connection.execute(
        sa.select(table.id, table.wnid, table.source, table.words, table.language, table.continuation)
        .where(table.wnid == wnid, table.source == source, table.exhausted.is_(False))
        .order_by(table.found + table.known, table.id)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return OpenQuery(row.id, Query(row.wnid, row.source, row.words, row.language, row.continuation))


def usable_count(connection: Connection, wnid: str, licences: Sequence[str]) -> int:
    """How many candidates a category has, those refused for their licence left out."""
    licence = sa.func.coalesce(candidates.c.licence, UNKNOWN)
    return connection.scalars(
        sa.select(sa.func.count()).where(candidates.c.wnid == wnid, licence.in_(licences))
    ).one()


def record_page(
    connection: Connection, asked: OpenQuery, page: SearchPage, scope: Scope, room: int, now: datetime
) -> Recorded:
    """Record a page's candidates and where its query goes on.

    Known (wnid, url) are ignored. When `room` usable candidates are recorded before the page ends, the query
    stays where it was, so that the rest is found again when more are wanted.
    """
    known = _known_urls(connection, asked.query.wnid, page.candidates)
    taken_down = taken_down_urls(connection, page.candidates)
    fresh: list[Candidate] = []
    seen, usable, whole = 0, 0, True
    for candidate in page.candidates:
        if usable >= room:
            whole = False
            break
        seen += 1
        if storable(candidate.url) not in known:
            known.add(storable(candidate.url))
            fresh.append(candidate)
            usable += scope.allows(candidate.rights.licence) and candidate.url not in taken_down
    if fresh:
        connection.execute(
            insert_new(connection, candidates),
            [
                _candidate_row(candidate, asked.query_id, _refusal(candidate, scope, taken_down), now)
                for candidate in fresh
            ],
        )
    moved = {"continuation": page.continuation, "exhausted": page.continuation is None} if whole else {}
    connection.execute(
        queries.update()
        .where(queries.c.id == asked.query_id)
        .values(
            found=queries.c.found + len(fresh),
            known=queries.c.known + seen - len(fresh),
            asked_at=now,
            **moved,
        )
    )
    refusals = [_refusal(candidate, scope, taken_down) for candidate in fresh]
    return Recorded(len(fresh), refusals.count(Reason.LICENCE), refusals.count(Reason.TAKEN_DOWN))


def _known_urls(connection: Connection, wnid: str, page: Sequence[Candidate]) -> set[str]:
    known: set[str] = set()
    urls = [storable(candidate.url) for candidate in page]
    for start in range(0, len(urls), _BATCH):
        known.update(
            connection.scalars(
                sa.select(candidates.c.url).where(
                    candidates.c.wnid == wnid, candidates.c.url.in_(urls[start : start + _BATCH])
                )
            )
        )
    return known


def _refusal(candidate: Candidate, scope: Scope, taken_down: Collection[str]) -> Reason | None:
    if candidate.url in taken_down:
        return Reason.TAKEN_DOWN
    return None if scope.allows(candidate.rights.licence) else Reason.LICENCE


def _candidate_row(
    candidate: Candidate, query_id: int, refusal: Reason | None, now: datetime
) -> dict[str, Any]:
    rights = candidate.rights
    return {
        "wnid": candidate.wnid,
        "url": storable(candidate.url),
        "query_id": query_id,
        "source": candidate.source,
        "rank": candidate.rank,
        "title": storable(candidate.title),
        "page_url": storable(candidate.page_url),
        "licence": storable(rights.licence, 64),
        "licence_version": storable(rights.licence_version, 16),
        "licence_url": storable(rights.licence_url),
        "author": storable(rights.author),
        "credit": storable(rights.credit),
        "original_url": storable(candidate.original_url),
        "original_sha1": storable(candidate.original_sha1, 40),
        "claimed_width": _integer(candidate.width),
        "claimed_height": _integer(candidate.height),
        "found_at": now,
        "state": "pending" if refusal is None else "rejected",
        "reason": refusal,
        "ended_at": None if refusal is None else now,
        "retryable": False,
        "attempts": 0,
    }


def _integer(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _LARGEST_INTEGER else None
