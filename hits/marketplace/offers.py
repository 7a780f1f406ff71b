"""What is open to a worker: HIT types with HITs to do, their pay and pace, and the next HIT of a type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import UtcDateTime, glancing, surveying
from .pace import hourly, seconds_between
from .qualifying import Guard, read_requirements
from .standing import (
    Shortfall,
    keeps_from,
    qualification_values,
    shortfalls,
    type_names,
    unmet,
)
from .tables import DONE, HELD_OR_DONE, UNTAKEN, assignments, hit_types, hits, requesters, worker_blocks

MOST_GROUPS = 200
MOST_COUNTED = 20
_PACE_SAMPLE = 20
_LEAST_SAMPLE = 3


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """The HITs of one type that a worker can do: how many, and the one that ends first.

    `available` counts no further than `MOST_COUNTED`: then there are that many or more.
    `hourly_cents` is the reward over the median time of the last submissions; None while they are few.
    `missing` are the requirements that she does not meet: then she cannot accept them.
    """

    hit_type_id: str
    hit_id: str
    title: str
    description: str
    keywords: str
    requester: str
    reward_cents: int
    assignment_seconds: int
    available: int
    hourly_cents: int | None
    missing: tuple[Shortfall, ...] = ()

    @property
    def previewable(self) -> bool:
        """Whether she may look at them, if not accept them."""
        return not keeps_from(self.missing, Guard.PREVIEW, Guard.DISCOVER)


def _doable(type_number: sa.ColumnElement[int]) -> sa.Select[Any]:
    """The HITs of a type that the worker can accept, those that end first before the others.

    In the order of `ix_hits_untaken`, so that the first few cost the same however many there are.
    """
    own = sa.exists().where(
        assignments.c.hit_number == hits.c.number,
        assignments.c.worker_id == sa.bindparam("worker"),
        HELD_OR_DONE,
    )
    unexpired = hits.c.expires_at > sa.bindparam("now", type_=UtcDateTime)
    return (
        sa.select(hits.c.number)
        .where(hits.c.type_number == type_number, UNTAKEN, unexpired, ~own)
        .order_by(hits.c.expires_at, hits.c.number)
    )


def _types_with_places() -> sa.CTE:
    """The numbers of the HIT types that have untaken HITs, by one step in the index for each type."""
    least = sa.select(sa.func.min(hits.c.type_number)).where(UNTAKEN)
    found = least.with_only_columns(sa.func.min(hits.c.type_number).label("number")).cte(
        "types_with_places", recursive=True
    )
    following = least.where(hits.c.type_number > found.c.number).correlate(found).scalar_subquery()
    return found.union_all(sa.select(following).where(found.c.number.is_not(None)))


def _last_seconds(dialect: str) -> sa.Select[Any]:
    """How long the last submissions of the row's HIT type took, as one text with commas."""
    worked = seconds_between(dialect, assignments.c.accepted_at, assignments.c.submitted_at)
    last = (
        sa.select(sa.cast(worked, sa.Text).label("seconds"))
        .where(assignments.c.type_number == hit_types.c.number, DONE)
        .order_by(assignments.c.submitted_at.desc())
        .limit(_PACE_SAMPLE)
        .correlate(hit_types)
        .subquery()
    )
    return sa.select(sa.func.aggregate_strings(last.c.seconds, ","))


@cache
def _groups(dialect: str, of_requester: bool) -> sa.Select[Any]:
    """Built once: building it costs more than running it."""
    types = _types_with_places()
    doable = _doable(types.c.number).correlate(types)
    counted = sa.select(sa.func.count()).select_from(doable.limit(MOST_COUNTED).subquery())
    open_types = (
        sa.select(
            types.c.number,
            doable.limit(1).scalar_subquery().label("first"),
            counted.scalar_subquery().label("available"),
        )
        .where(types.c.number.is_not(None))
        .subquery("open_types")
    )
    barred = sa.select(worker_blocks.c.requester_id).where(
        worker_blocks.c.worker_id == sa.bindparam("worker")
    )
    pace = _last_seconds(dialect).scalar_subquery()
    query = (
        sa.select(
            hit_types, hits.c.hit_id, requesters.c.name, open_types.c.available, pace.label("last_seconds")
        )
        .select_from(
            open_types.join(hits, hits.c.number == open_types.c.first)
            .join(hit_types, hit_types.c.number == open_types.c.number)
            .join(requesters, requesters.c.requester_id == hit_types.c.requester_id)
        )
        .where(hit_types.c.requester_id.not_in(barred))
        .order_by(hit_types.c.reward_cents.desc(), hit_types.c.number)
        .limit(MOST_GROUPS)
    )
    if of_requester:
        return query.where(hit_types.c.requester_id == sa.bindparam("requester"))
    return query


def open_groups(
    engine: Engine, worker_id: str, now: datetime, *, requester_id: str | None = None
) -> tuple[OpenGroup, ...]:
    """What is open to a worker now, one entry per HIT type, best paid first; at most `MOST_GROUPS`.

    Types that only the qualified may discover are left out for others. With `requester_id` hers alone are shown.
    """
    query = _groups(engine.dialect.name, requester_id is not None)
    with glancing(engine) as connection:
        rows = connection.execute(query, {"worker": worker_id, "now": now, "requester": requester_id}).all()
        missing = _missing(connection, worker_id, {row.number: row.requirements for row in rows})
    return tuple(
        OpenGroup(
            row.hit_type_id,
            row.hit_id,
            row.title,
            row.description,
            row.keywords,
            row.name,
            row.reward_cents,
            row.assignment_seconds,
            row.available,
            hourly(row.reward_cents, _pace(row.last_seconds)),
            missing[row.number],
        )
        for row in rows
        if not keeps_from(missing[row.number], Guard.DISCOVER)
    )


def _pace(last_seconds: str | None) -> float | None:
    """The median of a type's last submissions, if there are a few, in seconds."""
    sample = [float(seconds) for seconds in (last_seconds or "").split(",") if seconds]
    return max(1.0, median(sample)) if len(sample) >= _LEAST_SAMPLE else None


def _missing(
    connection: Connection, worker_id: str, stored: Mapping[int, str]
) -> dict[int, tuple[Shortfall, ...]]:
    """The unmet requirements of several HIT types, from as few looks at the worker as one type takes."""
    read = {number: read_requirements(text) for number, text in stored.items()}
    wanted = {entry.qualification_type_id for requirements in read.values() for entry in requirements}
    if not wanted:
        return dict.fromkeys(stored, ())
    values, names = qualification_values(connection, worker_id, wanted), type_names(connection, wanted)
    return {number: unmet(requirements, values, names) for number, requirements in read.items()}


@cache
def _next() -> sa.Select[Any]:
    barred = sa.select(worker_blocks.c.requester_id).where(
        worker_blocks.c.worker_id == sa.bindparam("worker")
    )
    query = _doable(sa.bindparam("type", type_=sa.Integer)).with_only_columns(hits.c.hit_id)
    return query.where(hits.c.requester_id.not_in(barred)).limit(1)


def next_hit(engine: Engine, worker_id: str, type_number: int, now: datetime) -> str | None:
    """The HIT of a type that the worker can do and that ends first, or None."""
    with surveying(engine) as connection:
        stored = connection.scalar(
            sa.select(hit_types.c.requirements).where(hit_types.c.number == type_number)
        )
        if shortfalls(connection, worker_id, read_requirements(stored or "[]")):
            return None
        hit_id: str | None = connection.scalar(
            _next(), {"worker": worker_id, "type": type_number, "now": now}
        )
    return hit_id
