"""SQL of the search: the candidates that pages of results propose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from imagenet_builder.records import Candidate, Reason, SearchPage

from .bulk import insert_rows
from .chunks import chunks
from .crawl import UNKNOWN, Scope, storable
from .queries import AskedQuery
from .tables import candidates, queries

_BATCH = 500
_LARGEST_INTEGER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a page brought: new candidates, how many of them were refused for their licence, and the query then.

    `whole` is False where the page was not needed to its end: the query stayed where it was.
    """

    new: int
    refused: int
    asked: AskedQuery
    whole: bool


def usable_counts(connection: Connection, wnids: Sequence[str], licences: Sequence[str]) -> dict[str, int]:
    """How many candidates each category has, those refused for their licence left out; 0 for one without any."""
    licence = sa.func.coalesce(candidates.c.licence, UNKNOWN)
    counts = dict.fromkeys(wnids, 0)
    for chunk in chunks(wnids):
        rows = connection.execute(
            sa.select(candidates.c.wnid, sa.func.count())
            .where(candidates.c.wnid.in_(chunk), licence.in_(licences))
            .group_by(candidates.c.wnid)
        )
        counts.update((wnid, count) for wnid, count in rows)
    return counts


def record_page(
    connection: Connection, asked: AskedQuery, page: SearchPage, scope: Scope, room: int, now: datetime
) -> Recorded:
    """Record a page's candidates and where its query goes on.

    Known (wnid, url) are ignored. When `room` usable candidates are recorded before the page ends, the query
    stays where it was, so that the rest is found again when more are wanted: what it found before itself does not
    count as known.
    """
    finders = _finders(connection, asked.query.wnid, page.candidates)
    fresh: dict[str, Candidate] = {}
    known, usable, whole = 0, 0, True
    for candidate in page.candidates:
        if usable >= room:
            whole = False
            break
        url = storable(candidate.url)
        if url in finders:
            known += finders[url] != asked.query_id
        elif url not in fresh:
            fresh[url] = candidate
            usable += scope.allows(candidate.rights.licence)
    insert_rows(
        connection,
        candidates,
        [_candidate_row(candidate, asked.query_id, scope, now) for candidate in fresh.values()],
    )
    refused = len(fresh) - usable
    moved = asked.after(
        page.continuation if whole else asked.query.continuation,
        exhausted=whole and page.continuation is None,
        new=len(fresh),
        known=known,
        refused=refused,
    )
    connection.execute(
        queries.update()
        .where(queries.c.id == asked.query_id)
        .values(
            found=queries.c.found + len(fresh),
            known=queries.c.known + known,
            asked_at=now,
            continuation=moved.query.continuation,
            exhausted=moved.exhausted,
        )
    )
    return Recorded(len(fresh), refused, moved, whole)


def _finders(connection: Connection, wnid: str, page: Sequence[Candidate]) -> dict[str, int]:
    """The addresses of a page that the category has already, each with the query that found it."""
    found: dict[str, int] = {}
    urls = [storable(candidate.url) for candidate in page]
    for start in range(0, len(urls), _BATCH):
        rows = connection.execute(
            sa.select(candidates.c.url, candidates.c.query_id).where(
                candidates.c.wnid == wnid, candidates.c.url.in_(urls[start : start + _BATCH])
            )
        )
        found.update((url, query_id) for url, query_id in rows)
    return found


def _candidate_row(candidate: Candidate, query_id: int, scope: Scope, now: datetime) -> dict[str, Any]:
    rights = candidate.rights
    refused = not scope.allows(rights.licence)
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
        "state": "rejected" if refused else "pending",
        "reason": Reason.LICENCE if refused else None,
        "ended_at": now if refused else None,
        "retryable": False,
        "attempts": 0,
    }


def _integer(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _LARGEST_INTEGER else None
