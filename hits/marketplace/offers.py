"""What is open to a worker: HIT types with HITs to do, their pay and pace, and the next HIT of a type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import reading
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
MOST_COUNTED = 50
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


def _doable(type_number: sa.ColumnElement[int], worker_id: str, now: datetime) -> sa.Select[Any]:
    """The HITs of a type that this worker can accept, those that end first before the others.

    In the order of `ix_hits_untaken`, so that the first few cost the same however many there are.
    """
    own = sa.exists().where(
        assignments.c.hit_number == hits.c.number, assignments.c.worker_id == worker_id, HELD_OR_DONE
    )
    return (
        sa.select(hits.c.number)
        .where(hits.c.type_number == type_number, UNTAKEN, hits.c.expires_at > now, ~own)
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


def open_groups(
    engine: Engine, worker_id: str, now: datetime, *, requester_id: str | None = None
) -> tuple[OpenGroup, ...]:
    """What is open to a worker now, one entry per HIT type, best paid first; at most `MOST_GROUPS`.

    Types that only the qualified may discover are left out for others. With `requester_id` hers alone are shown.
    """
    types = _types_with_places()
    doable = _doable(types.c.number, worker_id, now).correlate(types)
    first = doable.limit(1).scalar_subquery()
    counted = sa.select(sa.func.count()).select_from(doable.limit(MOST_COUNTED).subquery()).scalar_subquery()
    barred = sa.select(worker_blocks.c.requester_id).where(worker_blocks.c.worker_id == worker_id)
    open_types = (
        sa.select(types.c.number, first.label("first"), counted.label("available"))
        .where(types.c.number.is_not(None))
        .subquery()
    )
    query = (
        sa.select(hit_types, hits.c.hit_id, requesters.c.name, open_types.c.available)
        .select_from(
            open_types.join(hits, hits.c.number == open_types.c.first)
            .join(hit_types, hit_types.c.number == open_types.c.number)
            .join(requesters, requesters.c.requester_id == hit_types.c.requester_id)
        )
        .where(hit_types.c.requester_id.not_in(barred))
        .order_by(hit_types.c.reward_cents.desc(), hit_types.c.number)
        .limit(MOST_GROUPS)
    )
    if requester_id is not None:
        query = query.where(hit_types.c.requester_id == requester_id)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
        missing = _missing(connection, worker_id, {row.number: row.requirements for row in rows})
        paces = _paces(connection, [row.number for row in rows])
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
                hourly(row.reward_cents, paces.get(row.number)),
                missing[row.number],
            )
            for row in rows
            if not keeps_from(missing[row.number], Guard.DISCOVER)
        )


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


def _paces(connection: Connection, type_numbers: Sequence[int]) -> dict[int, float]:
    """The median seconds of the last submissions of each HIT type that has a few."""
    worked = seconds_between(connection, assignments.c.accepted_at, assignments.c.submitted_at)
    last = [
        sa.select(assignments.c.type_number, worked.label("seconds"))
        .where(assignments.c.type_number == number, DONE)
        .order_by(assignments.c.number.desc())
        .limit(_PACE_SAMPLE)
        .subquery()
        for number in type_numbers
    ]
    if not last:
        return {}
    seconds: dict[int, list[float]] = {}
    for row in connection.execute(sa.union_all(*(sa.select(part) for part in last))):
        seconds.setdefault(row.type_number, []).append(float(row.seconds))
    return {
        number: max(1.0, median(sample)) for number, sample in seconds.items() if len(sample) >= _LEAST_SAMPLE
    }


def next_hit(engine: Engine, worker_id: str, type_number: int, now: datetime) -> str | None:
    """The HIT of a type that the worker can do and that ends first, or None."""
    with reading(engine) as connection:
        stored = connection.scalar(
            sa.select(hit_types.c.requirements).where(hit_types.c.number == type_number)
        )
        if shortfalls(connection, worker_id, read_requirements(stored or "[]")):
            return None
        query = _doable(sa.literal(type_number), worker_id, now).with_only_columns(hits.c.hit_id)
        barred = sa.select(worker_blocks.c.requester_id).where(worker_blocks.c.worker_id == worker_id)
        hit_id: str | None = connection.scalar(query.where(hits.c.requester_id.not_in(barred)).limit(1))
    return hit_id
