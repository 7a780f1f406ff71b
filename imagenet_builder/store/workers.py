"""Workers, and who of them gets no more work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from hits.model import Exclusion

from .stretches import among
from .tables import exclusions, votes, workers

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of an endpoint."""

    id: int
    endpoint: str
    platform_worker_id: str


@dataclass(frozen=True, slots=True)
class StandingExclusion:
    """Who gets no more work, why, and what the platform still has to be told: `lifted` ones are taken back.

    Of `unfounded` ones all votes together give no reason any more: verdicts leave out nobody's votes for them.
    """

    id: int
    worker: Worker
    reason: Exclusion
    detail: str
    decided_at: datetime
    lifted: bool
    unfounded: bool


def workers_by_id(connection: sa.Connection) -> dict[int, Worker]:
    """All workers, by their rows."""
    rows = connection.execute(sa.select(workers.c.id, workers.c.endpoint, workers.c.platform_worker_id))
    return {row.id: Worker(*row) for row in rows}


def ever_excluded(connection: sa.Connection) -> set[int]:
    """The workers with an exclusion, standing or lifted: a program says nothing more of them."""
    return set(connection.scalars(sa.select(exclusions.c.worker_id)))


def excluded(connection: sa.Connection) -> Integers:
    """The workers who get no more work, by their rows, ascending."""
    standing = sa.select(exclusions.c.worker_id).where(exclusions.c.lifted_at.is_(None))
    return np.array(sorted(connection.scalars(standing)), dtype=np.int64)


def left_out(connection: sa.Connection, *, ignoring: bool) -> Integers:
    """The workers whose votes a rule that counts heads leaves out: nobody's, unless verdicts are `ignoring` some."""
    rows = sa.select(exclusions.c.worker_id).where(_in_force(ignoring))
    return np.array(sorted(connection.scalars(rows)), dtype=np.int64)


def _in_force(ignoring: bool) -> sa.ColumnElement[bool]:
    """Which exclusions keep votes out of verdicts that are `ignoring` excluded workers."""
    return sa.and_(exclusions.c.lifted_at.is_(None), ~exclusions.c.unfounded) if ignoring else sa.false()


def exclude(
    connection: sa.Connection, found: Iterable[tuple[int, Exclusion, str]], now: datetime
) -> list[int]:
    """Let workers (row, reason, detail) get no more work; returns those for whom that is new."""
    already = set(excluded(connection).tolist())
    new = [one for one in found if one[0] not in already]
    if new:
        connection.execute(
            exclusions.insert(),
            [
                {
                    "worker_id": worker,
                    "reason": reason,
                    "detail": detail,
                    "decided_at": now,
                    "unfounded": False,
                    "votes_left_out": False,
                }
                for worker, reason, detail in new
            ],
        )
    return [worker for worker, *_ in new]


def lift(connection: sa.Connection, worker_id: int, now: datetime) -> bool:
    """Take an exclusion back; False if none stands."""
    standing = exclusions.update().where(
        exclusions.c.worker_id == worker_id, exclusions.c.lifted_at.is_(None)
    )
    return bool(connection.execute(standing.values(lifted_at=now)).rowcount)


def record_unfounded(connection: sa.Connection, row: int, *, unfounded: bool) -> None:
    """Write down of an exclusion, by its row, whether all votes together give no reason for it any more."""
    connection.execute(exclusions.update().where(exclusions.c.id == row).values(unfounded=unfounded))


def standing_exclusions(connection: sa.Connection) -> list[StandingExclusion]:
    """The exclusions that stand, the oldest first."""
    return _exclusions(connection, exclusions.c.lifted_at.is_(None))


def to_tell(connection: sa.Connection, endpoint: str) -> list[StandingExclusion]:
    """The exclusions, and liftings of exclusions, that a platform has not been told yet."""
    e = exclusions.c
    untold = sa.or_(
        sa.and_(e.lifted_at.is_(None), e.told_at.is_(None)),
        sa.and_(e.lifted_at.is_not(None), e.told_at.is_not(None), e.lift_told_at.is_(None)),
    )
    return _exclusions(connection, sa.and_(untold, workers.c.endpoint == endpoint))


def _exclusions(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> list[StandingExclusion]:
    e, w = exclusions.c, workers.c
    rows = connection.execute(
        sa.select(
            *(e.id, e.reason, e.detail, e.decided_at, e.lifted_at, e.unfounded),
            *(w.id, w.endpoint, w.platform_worker_id),
        )
        .select_from(exclusions.join(workers))
        .where(chosen)
        .order_by(e.id)
    )
    return [
        StandingExclusion(
            id=row[0],
            worker=Worker(*row[6:]),
            reason=Exclusion(row[1]),
            detail=row[2],
            decided_at=row[3],
            lifted=row[4] is not None,
            unfounded=row[5],
        )
        for row in rows
    ]


def record_told(connection: sa.Connection, one: StandingExclusion, now: datetime) -> None:
    """Write down that the platform knows of an exclusion, or of its end."""
    told = {"lift_told_at": now} if one.lifted else {"told_at": now}
    connection.execute(exclusions.update().where(exclusions.c.id == one.id).values(**told))


def exclusions_to_follow(connection: sa.Connection, *, ignoring: bool) -> Integers:
    """The exclusions, by their rows, that verdicts do not follow yet: in force and counted, or ended and left out.

    None is in force unless verdicts are `ignoring` excluded workers.
    """
    e = exclusions.c
    in_force = _in_force(ignoring)
    unlike = sa.or_(sa.and_(in_force, ~e.votes_left_out), sa.and_(~in_force, e.votes_left_out))
    return np.array(connection.scalars(sa.select(e.id).where(unlike)).all(), dtype=np.int64)


def questions_of_excluded(connection: sa.Connection, rows: Integers) -> Integers:
    """The questions, ascending, on which the workers of these exclusions voted."""
    of = sa.select(exclusions.c.worker_id).where(among(connection, exclusions.c.id, rows))
    asked = sa.select(votes.c.question_id).where(votes.c.counts, votes.c.worker_id.in_(of)).distinct()
    return np.array(sorted(connection.scalars(asked)), dtype=np.int64)


def record_followed(connection: sa.Connection, rows: Integers) -> None:
    """Write down that verdicts follow these exclusions, which they did not: by row, whatever became of them since."""
    if rows.size:
        followed = exclusions.update().where(among(connection, exclusions.c.id, rows))
        connection.execute(followed.values(votes_left_out=~exclusions.c.votes_left_out))


def endpoints_to_tell(connection: sa.Connection) -> set[str]:
    """The endpoints of workers whose exclusion, or its end, has not been told."""
    every = connection.scalars(sa.select(workers.c.endpoint).distinct()).all()
    return {endpoint for endpoint in every if to_tell(connection, endpoint)}
