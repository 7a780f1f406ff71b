"""SQL of the crawl: what a run works on, and which candidates are to be fetched."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from imagenet_builder.records import Failed, Fetched, FileRights, Known, Reason, Rejected

from .chunks import chunks
from .tables import candidates, images, queries, tombstones

# What stands for a licence that nothing tells, in settings and on the command line.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PendingCandidate:
    """A candidate whose picture is to be fetched; `also` are others with the same address, which end as it does.

    `known` is what was stored from the address before, if anything; with `refresh` it is this candidate's own picture,
    which is only looked after. `ended` is what its address came to in this run, if that was no picture. `redirects`
    and `attempts` are those that another owner of hosts made before it gave the candidate away.
    """

    candidate_id: int
    wnid: str
    url: str
    source: str
    also: tuple[int, ...] = ()
    known: Known | None = None
    ended: Fetched | None = None
    refresh: bool = False
    redirects: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """Candidates to fetch, the id after which the next page begins, and whether more wait there at this moment."""

    candidates: tuple[PendingCandidate, ...]
    after: int
    has_more: bool


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


@dataclass(frozen=True, slots=True)
class Which:
    """Which candidates a run fetches: the pending ones; with `retry` those that failed and may succeed; else, with
    `stored_before`, the stored ones that were looked at last before that time.

    `began` is when the run began: what an address has come to since then is not asked for again.
    """

    retry: bool = False
    stored_before: datetime | None = None
    began: datetime | None = None

    def condition(self) -> sa.ColumnElement[bool]:
        """Candidates of this kind."""
        c = candidates.c
        if self.stored_before is not None:
            # A file of the user's own has no server to ask.
            return sa.and_(c.state == "stored", c.ended_at < self.stored_before, c.url.startswith("http"))
        if self.retry:
            return sa.and_(c.state == "failed", c.retryable)
        return c.state == "pending"


def apply_licences(connection: Connection, scope: Scope, now: datetime) -> None:
    """Bring candidates that were not fetched in line with the licences that this run allows.

    Those refused for a licence that is allowed now become pending, and pending ones may be refused. The crawl that was
    under way with their queries allowed others: it is no longer.
    """
    c = candidates.c
    taken = sa.and_(scope.condition(), c.state == "rejected", c.reason == Reason.LICENCE, scope.allowed())
    refused = sa.and_(scope.condition(), c.state == "pending", sa.not_(scope.allowed()))
    found_them = sa.select(c.query_id).where(sa.or_(taken, refused))
    connection.execute(queries.update().where(queries.c.id.in_(found_them)).values(refused=None))
    connection.execute(
        candidates.update().where(taken).values(state="pending", reason=None, detail=None, ended_at=None)
    )
    connection.execute(
        candidates.update()
        .where(refused)
        .values(state="rejected", reason=Reason.LICENCE, ended_at=now, retryable=False)
    )


def waiting_count(connection: Connection, scope: Scope, which: Which) -> int:
    """How many candidates `waiting` would give from the start."""
    return connection.scalars(
        sa.select(sa.func.count())
        .select_from(candidates)
        .where(scope.condition(), which.condition(), scope.allowed())
    ).one()


def waiting(connection: Connection, scope: Scope, which: Which, *, after: int, limit: int) -> WaitingPage:
    """Up to `limit` candidates with an id over `after`.

    Ordered by id, so that one run takes each at most once. Of those over `after` with the same address only the first
    is given, with the others: what is fetched for one category is not fetched again for another.
    """
    table = candidates.c
    wanted = sa.and_(scope.condition(), which.condition(), scope.allowed())
    rows = connection.execute(
        sa.select(table.id, table.wnid, table.url, table.source)
        .where(wanted, table.id > after)
        .order_by(table.id)
        .limit(limit)
    ).all()
    urls = {row.url for row in rows if row.url.startswith("http")}
    same, known = _at_addresses(connection, sa.and_(wanted, table.id > after), urls)
    ended = _ended_since(connection, which.began, urls) if which.began is not None else {}
    page = tuple(
        PendingCandidate(
            row.id,
            row.wnid,
            row.url,
            row.source,
            also,
            known.get(row.url),
            ended.get(row.url),
            refresh=which.stored_before is not None,
        )
        for row in rows
        # A smaller id among them: that one is given here, and this one ends with it.
        if (also := tuple(other for other in same.get(row.url, ()) if other != row.id)) == ()
        or row.id < min(also)
    )
    return WaitingPage(page, rows[-1].id if rows else after, has_more=len(rows) == limit)


def _at_addresses(
    connection: Connection, wanted: sa.ColumnElement[bool], urls: Collection[str]
) -> tuple[dict[str, list[int]], dict[str, Known]]:
    """By URL: the ids of all candidates that wait there, on whichever page they are; and what was stored last from
    there, for whatever category.
    """
    c = candidates.c
    waiting_ids: dict[str, list[int]] = {}
    known: dict[str, Known] = {}
    for chunk in chunks(urls):
        rows = connection.execute(
            sa.select(
                c.url, c.id, wanted.label("waits"), c.sha256, c.ended_at, c.etag, c.last_modified, c.robots,
                c.file_artist, c.file_copyright, c.file_credit, c.file_usage_terms,
            )
            .where(c.url.in_(chunk), sa.or_(wanted, c.state == "stored"))
            .order_by(c.ended_at, c.id)
        )  # fmt: skip
        for url, candidate_id, waits, sha256, at, etag, last_modified, robots, *rights in rows:
            if waits:
                waiting_ids.setdefault(url, []).append(candidate_id)
            if sha256 is not None:
                known[url] = Known(sha256, at, etag, last_modified, robots, FileRights(*rights))
    return waiting_ids, known


def _ended_since(connection: Connection, began: datetime, urls: Collection[str]) -> dict[str, Fetched]:
    """By URL: how what was fetched from there since `began` was rejected or failed."""
    c = candidates.c
    ended: dict[str, Fetched] = {}
    for chunk in chunks(urls):
        rows = connection.execute(
            sa.select(c.url, c.state, c.reason, c.detail, c.retryable, c.ended_at, c.http_status, c.robots, c.opt_out)
            .where(c.url.in_(chunk), c.ended_at >= began, c.state.in_(("rejected", "failed")))
            .where(c.reason != Reason.LICENCE)
        )  # fmt: skip
        for url, state, reason, detail, retryable, at, http_status, robots, opt_out in rows:
            why, told = Reason(reason), detail or ""
            outcome = Rejected(why, told) if state == "rejected" else Failed(why, retryable, told)
            ended[url] = Fetched(outcome, at, 0, http_status, robots, opt_out)
    return ended


def kept_bytes(connection: Connection) -> int:
    """How many bytes the originals of all images have, those left out that were taken down."""
    taken_down = sa.exists().where(tombstones.c.kind == "image", tombstones.c.target == images.c.sha256)
    total = sa.select(sa.func.coalesce(sa.func.sum(images.c.byte_count), 0)).where(~taken_down)
    return int(connection.scalars(total).one())
