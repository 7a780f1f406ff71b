"""SQL that shows what was found: candidates by category and outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from imagenet_builder.records import Reason

from .crawl import UNKNOWN
from .outcomes import DOUBTS
from .tables import candidates, categories

STATES = ("pending", "stored", "rejected", "failed")
# Not a state: stored, but a refresh found the address gone, withheld or changed.
DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class CategoryCounts:
    """One category's candidates by state."""

    wnid: str
    name: str
    pending: int
    stored: int
    rejected: int
    failed: int


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many candidates of a category ended for one reason; of them `retryable` may succeed another time."""

    wnid: str
    name: str
    reason: str
    count: int
    retryable: int


@dataclass(frozen=True, slots=True)
class EndedCandidate:
    """One candidate that was rejected or failed, and why."""

    wnid: str
    url: str
    source: str
    reason: str
    detail: str | None
    retryable: bool
    http_status: int | None
    ended_at: datetime


def counts_by_category(connection: Connection, wnids: tuple[str, ...] = ()) -> list[CategoryCounts]:
    """Every category that is selected or has candidates (of `wnids` only, if given), in order of selection."""
    numbers = [
        sa.func.count(candidates.c.id).filter(candidates.c.state == state).label(state) for state in STATES
    ]
    rows = connection.execute(
        sa.select(categories.c.wnid, categories.c.name, *numbers)
        .select_from(categories.outerjoin(candidates))
        .where(sa.or_(categories.c.dropped_at.is_(None), candidates.c.id.is_not(None)), _among(wnids))
        .group_by(categories.c.wnid, categories.c.name, categories.c.position)
        .order_by(categories.c.position, categories.c.wnid)
    )
    return [CategoryCounts(*row) for row in rows]


def counts_by_reason(connection: Connection, state: str, wnids: tuple[str, ...] = ()) -> list[ReasonCount]:
    """How often each reason ended candidates in `state` (or makes them DOUBTFUL), by category; the commonest first."""
    count = sa.func.count().label("count")
    rows = connection.execute(
        sa.select(
            categories.c.wnid,
            categories.c.name,
            _reason().label("why"),
            count,
            sa.func.count().filter(candidates.c.retryable).label("retryable"),
        )
        .select_from(candidates.join(categories))
        .where(_ended_in(state), _among(wnids))
        .group_by(categories.c.wnid, categories.c.name, categories.c.position, sa.text("why"))
        .order_by(categories.c.position, categories.c.wnid, count.desc(), sa.text("why"))
    )
    return [ReasonCount(*row) for row in rows]


def ended(
    connection: Connection, state: str, wnids: tuple[str, ...] = (), limit: int | None = None
) -> list[EndedCandidate]:
    """Candidates that ended in `state`, or that are DOUBTFUL, the latest first, at most `limit`."""
    c = candidates.c
    rows = connection.execute(
        sa.select(c.wnid, c.url, c.source, _reason(), _detail(), c.retryable, c.http_status, c.ended_at)
        .select_from(candidates.join(categories))
        .where(_ended_in(state), _among(wnids))
        .order_by(c.ended_at.desc(), c.id.desc())
        .limit(limit)
    )
    return [EndedCandidate(*row) for row in rows]


def _ended_in(state: str) -> sa.ColumnElement[bool]:
    if state == DOUBTFUL:
        return sa.and_(candidates.c.state == "stored", candidates.c.detail.is_not(None))
    return candidates.c.state == state


def _reason() -> sa.ColumnElement[str]:
    """Why a candidate ended as it did; for a stored one, what is doubtful about its address now."""
    doubts = (
        (sa.and_(candidates.c.state == "stored", candidates.c.detail.startswith(doubt)), doubt)
        for doubt in DOUBTS
    )
    return sa.case(*doubts, else_=sa.cast(candidates.c.reason, sa.Text))


def _detail() -> sa.ColumnElement[str]:
    """More on the reason: of candidates refused for their licence, which that is."""
    refused = candidates.c.reason == Reason.LICENCE
    return sa.case((refused, sa.func.coalesce(candidates.c.licence, UNKNOWN)), else_=candidates.c.detail)


def _among(wnids: tuple[str, ...]) -> sa.ColumnElement[bool]:
    return categories.c.wnid.in_(wnids) if wnids else sa.true()
