"""SQL of the crawl: which candidates are to be fetched, how they ended, and the images that came of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, overload

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from imagenet_builder.records import Failed, Fetched, Inspected, Reason, Rejected

from .chunks import chunks
from .tables import candidates, images, tombstones

# What stands for a licence that nothing tells, in settings and on the command line.
UNKNOWN = "unknown"
# PostgreSQL stores no NUL, and nothing stores half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class PendingCandidate:
    """A candidate whose picture is to be fetched; `also` are others with the same address, which end as it does."""

    candidate_id: int
    wnid: str
    url: str
    source: str
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """Candidates to fetch, and the id after which the next page begins (None: there is none)."""

    candidates: tuple[PendingCandidate, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run works on: categories, the sources whose candidates it takes, and the licences it allows."""

    wnids: tuple[str, ...]
    sources: tuple[str, ...]
    licences: tuple[str, ...]

    def condition(self) -> sa.ColumnElement[bool]:
        """Candidates within the categories and sources."""
        return sa.and_(candidates.c.wnid.in_(self.wnids), candidates.c.source.in_(self.sources))

    def allowed(self) -> sa.ColumnElement[bool]:
        """Candidates whose licence is allowed."""
        return sa.func.coalesce(candidates.c.licence, UNKNOWN).in_(self.licences)

    def allows(self, licence: str | None) -> bool:
        """Whether pictures under `licence` (None: unknown) are taken."""
        return (licence or UNKNOWN) in self.licences


def apply_licences(connection: Connection, scope: Scope, now: datetime) -> None:
    """Bring candidates that were not fetched in line with the licences that this run allows.

    Those refused for a licence that is allowed now become pending, and pending ones may be refused.
    """
    refused = sa.and_(candidates.c.state == "rejected", candidates.c.reason == Reason.LICENCE)
    connection.execute(
        candidates.update()
        .where(scope.condition(), refused, scope.allowed())
        .values(state="pending", reason=None, detail=None, ended_at=None)
    )
    connection.execute(
        candidates.update()
        .where(scope.condition(), candidates.c.state == "pending", sa.not_(scope.allowed()))
        .values(state="rejected", reason=Reason.LICENCE, ended_at=now, retryable=False)
    )


def waiting_count(connection: Connection, scope: Scope, *, retry: bool) -> int:
    """How many candidates `waiting` would give from the start."""
    return connection.scalars(
        sa.select(sa.func.count())
        .select_from(candidates)
        .where(scope.condition(), _waiting(retry), scope.allowed())
    ).one()


def waiting(connection: Connection, scope: Scope, *, retry: bool, after: int, limit: int) -> WaitingPage:
    """Up to `limit` candidates with an id over `after`: the pending ones, or for `retry` the failed that may succeed.

    Ordered by id, so that one run takes each at most once. Of those with the same address only the first is given,
    with the others: what is fetched for one category is not fetched again for another.
    """
    table = candidates.c
    rows = connection.execute(
        sa.select(table.id, table.wnid, table.url, table.source)
        .where(scope.condition(), _waiting(retry), scope.allowed(), table.id > after)
        .order_by(table.id)
        .limit(limit)
    ).all()
    same = _same_address(
        connection, scope, [row.url for row in rows if row.url.startswith("http")], retry=retry
    )
    page = tuple(
        PendingCandidate(row.id, row.wnid, row.url, row.source, also)
        for row in rows
        # A smaller id among them: that one was given on an earlier page, and this one ends with it.
        if (also := tuple(other for other in same.get(row.url, ()) if other != row.id)) == ()
        or row.id < min(also)
    )
    return WaitingPage(page, rows[-1].id if len(rows) == limit else None)


def _same_address(
    connection: Connection, scope: Scope, urls: Sequence[str], *, retry: bool
) -> dict[str, list[int]]:
    """The ids of all waiting candidates at each of `urls`, on whichever page they are."""
    table = candidates.c
    found: dict[str, list[int]] = {}
    for chunk in chunks(set(urls)):
        rows = connection.execute(
            sa.select(table.url, table.id).where(
                table.url.in_(chunk), scope.condition(), _waiting(retry), scope.allowed()
            )
        )
        for url, candidate_id in rows:
            found.setdefault(url, []).append(candidate_id)
    return found


def kept_bytes(connection: Connection) -> int:
    """How many bytes the originals of all images have, those left out that were taken down."""
    taken_down = sa.exists().where(tombstones.c.kind == "image", tombstones.c.target == images.c.sha256)
    total = sa.select(sa.func.coalesce(sa.func.sum(images.c.byte_count), 0)).where(~taken_down)
    return int(connection.scalars(total).one())


def _waiting(retry: bool) -> sa.ColumnElement[bool]:
    if retry:
        return sa.and_(candidates.c.state == "failed", candidates.c.retryable)
    return candidates.c.state == "pending"


def commit_outcomes(connection: Connection, outcomes: Sequence[tuple[int, Fetched]]) -> None:
    """Record how candidates (by id) ended, and the images that are new. Their bytes must be stored already."""
    stored = {
        fetched.outcome.sha256: _image_row(fetched.outcome, fetched.at)
        for _, fetched in outcomes
        if isinstance(fetched.outcome, Inspected)
    }
    if stored:
        connection.execute(insert_new(connection, images), list(stored.values()))
    if outcomes:
        connection.execute(
            candidates.update()
            .where(candidates.c.id == sa.bindparam("candidate_id"))
            .values({"attempts": candidates.c.attempts + sa.bindparam("tried")}),
            [_outcome_row(candidate_id, fetched) for candidate_id, fetched in outcomes],
        )


def _image_row(image: Inspected, now: datetime) -> dict[str, Any]:
    return {
        "sha256": image.sha256,
        "format": image.format,
        "mode": image.mode,
        "width": image.width,
        "height": image.height,
        "byte_count": image.byte_count,
        "orientation": image.orientation,
        "perceptual_hash": image.perceptual_hash,
        "descriptor": image.descriptor or None,
        "stored_at": now,
    }


def _outcome_row(candidate_id: int, fetched: Fetched) -> dict[str, Any]:
    outcome = fetched.outcome
    image = outcome if isinstance(outcome, Inspected) else None
    refusal = outcome if isinstance(outcome, Rejected | Failed) else None
    return {
        "candidate_id": candidate_id,
        "tried": fetched.attempts,
        "state": "stored" if image else "failed" if isinstance(outcome, Failed) else "rejected",
        "reason": refusal.reason if refusal else None,
        "detail": storable(refusal.detail, 500) or None if refusal else None,
        "retryable": outcome.retryable if isinstance(outcome, Failed) else False,
        "ended_at": fetched.at,
        "http_status": fetched.http_status,
        "robots": storable(fetched.robots, 32),
        "opt_out": storable(fetched.opt_out, 255),
        "etag": storable(fetched.etag),
        "last_modified": storable(fetched.last_modified, 64),
        "sha256": image.sha256 if image else None,
        "file_artist": storable(image.rights.artist) if image else None,
        "file_copyright": storable(image.rights.copyright) if image else None,
        "file_credit": storable(image.rights.credit) if image else None,
        "file_usage_terms": storable(image.rights.usage_terms) if image else None,
    }


def insert_new(connection: Connection, table: sa.Table) -> sa.Insert:
    """An INSERT that passes over rows whose key is there already."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


@overload
def storable(value: str, length: int | None = None) -> str: ...
@overload
def storable(value: None, length: int | None = None) -> None: ...
def storable(value: str | None, length: int | None = None) -> str | None:
    """`value` without what an engine cannot store, cut to `length` characters."""
    return None if value is None else _UNSTORABLE.sub("", value)[:length]
