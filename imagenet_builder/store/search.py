"""SQL of the search: the candidates that pages of results propose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from imagenet_builder.records import Candidate, Reason, SearchPage

from .bulk import insert_rows
from .chunks import chunks
from .crawl import UNKNOWN, Scope
from .queries import AskedQuery
from .storable import storable, storable_url
from .tables import candidates, queries
from .tombstones import taken_down_urls

_BATCH = 500
_LARGEST_INTEGER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a page brought: new candidates, how many of them were refused at once for what, and the query then.

    `whole` is False where the page was not needed to its end: the query stayed where it was.
    """

    new: int
    refusals: Counter[Reason]
    asked: AskedQuery
    whole: bool


def usable_counts(connection: Connection, wnids: Sequence[str], licences: Sequence[str]) -> dict[str, int]:
    """How many candidates each category has, but for those of other licences or taken down; 0 for one without any."""
    licence = sa.func.coalesce(candidates.c.licence, UNKNOWN)
    reason = sa.func.coalesce(candidates.c.reason, "")
    counts = dict.fromkeys(wnids, 0)
    for chunk in chunks(wnids):
        rows = connection.execute(
            sa.select(candidates.c.wnid, sa.func.count())
            .where(candidates.c.wnid.in_(chunk), licence.in_(licences), reason != Reason.TAKEN_DOWN)
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
    taken_down = taken_down_urls(connection, page.candidates)
    fresh: set[str] = set()
    refusals: Counter[Reason] = Counter()
    rows = []
    known, whole = 0, True
    for candidate in page.candidates:
        if len(fresh) - refusals.total() >= room:
            whole = False
            break
        url = storable_url(candidate.url)
        if url in finders:
            known += finders[url] != asked.query_id
        elif url not in fresh:
            fresh.add(url)
            refusal = _refusal(candidate, scope, taken_down)
            if refusal is not None:
                refusals[refusal] += 1
            rows.append(_candidate_row(candidate, asked.query_id, refusal, now))
    insert_rows(connection, candidates, rows)
    moved = asked.after(
        page.continuation if whole else asked.query.continuation,
        exhausted=whole and page.continuation is None,
        new=len(fresh),
        known=known,
        refused=refusals.total(),
    )
    connection.execute(
        queries.update()
        .where(queries.c.id == asked.query_id)
        .values(
            found=queries.c.found + len(fresh),
            known=queries.c.known + known,
            refused=queries.c.refused + refusals.total(),
            asked_at=now,
            continuation=moved.query.continuation,
            exhausted=moved.exhausted,
        )
    )
    return Recorded(len(fresh), refusals, moved, whole)


def _finders(connection: Connection, wnid: str, page: Sequence[Candidate]) -> dict[str, int]:
    """The addresses of a page that the category has already, each with the query that found it."""
    found: dict[str, int] = {}
    urls = [storable_url(candidate.url) for candidate in page]
    for start in range(0, len(urls), _BATCH):
        rows = connection.execute(
            sa.select(candidates.c.url, candidates.c.query_id).where(
                candidates.c.wnid == wnid, candidates.c.url.in_(urls[start : start + _BATCH])
            )
        )
        found.update((url, query_id) for url, query_id in rows)
    return found


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
        "url": storable_url(candidate.url),
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
