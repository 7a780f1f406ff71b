"""Workers: what they answered, and who gets no more work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from hits.consensus import ABSTAINED, UNKNOWN, Votes
from hits.model import Exclusion
from hits.quality import Pages
from imagenet_builder.verdicts import LABEL_OF_ANSWER, UNSAID

from .columns import integer, read_columns, read_numbers
from .stretches import among
from .tables import assignments, controls, exclusions, votes, workers
from .verdicts import coded

Integers = NDArray[np.int64]

# What is packed into a vote's one number: two marks, the answer above them, and above that its page.
COUNTS, NEW, ANSWER, PAGE = 1, 2, 4, 64


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of an endpoint."""

    id: int
    endpoint: str
    platform_worker_id: str


@dataclass(frozen=True, slots=True)
class StandingExclusion:
    """Who gets no more work, why, and what the platform still has to be told: `lifted` ones are taken back."""

    id: int
    worker: Worker
    reason: Exclusion
    detail: str
    decided_at: datetime
    lifted: bool


@dataclass(frozen=True, slots=True, eq=False)
class WorkerVotes:
    """What `hits.quality.measure` takes; worker `i` of its arrays is the row `ids[i]`.

    `unreadable` counts each worker's pages without votes because they cannot be read. `new` are the workers, by their
    place in `ids`, of the pages that were asked about as new.
    """

    ids: Integers
    votes: Votes
    pages: Pages
    repeats: Integers
    unreadable: Integers
    new: Integers


def worker_votes(connection: sa.Connection, *, after: int = 0, new_after: int = 0) -> WorkerVotes:
    """All answers stored after the vote `after`: counting votes, controls, repeats, and the time of their pages.

    Unreadable pages are counted after the page of that vote. What was stored after the vote `new_after` is new.
    """
    v = votes.c
    # Whose a vote is stands on its page, too; the rest is packed into one number: each column costs the engines as much
    # as finding the row.
    marks = sa.case((v.counts, COUNTS), else_=0) + sa.case((v.id > new_after, NEW), else_=0)
    said = integer(v.assignment_id) * PAGE + coded(v.answer) * ANSWER + marks
    rows = sa.select(integer(v.question_id), integer(said)).select_from(votes)
    question, packed = read_numbers(connection, rows, v.id, after=after)
    pages, page, pictures = _numbered_pages(packed // PAGE)
    packed %= PAGE
    page_worker, seconds = _pages(connection, pages)
    unreadable, unreadable_worker = _unreadable(connection, after)
    ids, place = np.unique(np.concatenate([page_worker, unreadable_worker]), return_inverse=True)
    page_number, unreadable_number = np.split(place, [page_worker.size])
    newly_unreadable = unreadable_number[unreadable > _page_of(connection, new_after)]
    number = page_number[page]
    known = _known(connection, question)
    repeated = (packed & COUNTS == 0) & (known == UNKNOWN)
    label = LABEL_OF_ANSWER[packed // ANSWER]
    kept = ~repeated & (label != UNSAID)
    tasks, task = np.unique(question[kept], return_inverse=True)
    truth = np.full(tasks.size, UNKNOWN, dtype=np.int64)
    truth[task] = known[kept]
    return WorkerVotes(
        ids,
        Votes(task, number[kept], np.maximum(label[kept], ABSTAINED), n_tasks=tasks.size, known=truth),
        Pages(page_number, seconds / pictures),
        np.bincount(number[repeated], minlength=ids.size),
        np.bincount(unreadable_number, minlength=ids.size),
        np.union1d(number[packed & NEW != 0], newly_unreadable),
    )


def _unreadable(connection: sa.Connection, after: int) -> tuple[Integers, Integers]:
    """The pages after that of the vote `after` that cannot be read, and whose they are."""
    a = assignments.c
    late = sa.select(integer(a.id), integer(a.worker_id)).where(a.id > _page_of(connection, after))
    page, worker = read_columns(connection, late.where(a.unreadable.is_not(None)), "ii")
    return page.astype(np.int64), worker.astype(np.int64)


def unreadable_since(connection: sa.Connection, vote: int) -> bool:
    """Whether pages that cannot be read were stored after the page of this vote."""
    a = assignments.c
    stored = sa.select(a.id).where(a.unreadable.is_not(None), a.id > _page_of(connection, vote))
    return connection.scalar(stored.limit(1)) is not None


def _page_of(connection: sa.Connection, vote: int) -> int:
    """The page of the last vote up to this row, 0 without one: pages and their votes are stored in one order."""
    latest = sa.select(votes.c.assignment_id).where(votes.c.id <= vote).order_by(votes.c.id.desc()).limit(1)
    return connection.scalar(latest) or 0


def _numbered_pages(assignment: Integers) -> tuple[Integers, Integers, Integers]:
    """The pages of votes, ascending; each vote's place among them; how many votes each has.

    As `numpy.unique`, which would sort votes that mostly lie page by page.
    """
    starts = np.flatnonzero(np.diff(assignment, prepend=-1))
    length = np.diff(starts, append=assignment.size)
    pages, page = np.unique(assignment[starts], return_inverse=True)
    pictures = np.bincount(page, length, pages.size).astype(np.int64)
    return pages, np.repeat(page, length), pictures


def _known(connection: sa.Connection, question: Integers) -> Integers:
    """The label of each question that is a control, UNKNOWN elsewhere."""
    rows = sa.select(integer(controls.c.question_id), integer(coded(controls.c.answer)))
    control, answer = read_columns(connection, rows.order_by(controls.c.question_id), "ii")
    known = np.full(question.size, UNKNOWN, dtype=np.int64)
    if control.size:
        place = np.minimum(np.searchsorted(control, question), control.size - 1)
        is_control = control[place] == question
        known[is_control] = LABEL_OF_ANSWER[answer[place[is_control]].astype(np.int64)]
    return known


def _pages(connection: sa.Connection, pages: Integers) -> tuple[Integers, NDArray[np.float64]]:
    """Of pages, ascending: whose, and their seconds: by their own clock, or else from accepting to submitting."""
    a = assignments.c
    own_clock = sa.cast(sa.func.coalesce(a.page_seconds, -1.0), sa.Double)
    rows = sa.select(integer(a.id), integer(a.worker_id), own_clock).order_by(a.id)
    first = int(pages[0]) if pages.size else 0
    row, worker, seconds = read_columns(connection, rows.where(a.id >= first), "iif")
    shown = np.isin(row, pages)
    row, worker, seconds = row[shown], worker[shown], seconds[shown]
    untimed = seconds < 0
    if untimed.any():
        held = _held(connection, first)
        seconds[untimed] = [held[one] for one in row[untimed].tolist()]
    # No time at all says that nobody measured it, and less than none that a clock was set back.
    seconds[untimed & (seconds <= 0)] = np.nan
    return worker.astype(np.int64), seconds.astype(np.float64)


def _held(connection: sa.Connection, first: int) -> dict[int, float]:
    """For how many seconds their workers had the pages that have no clock of their own, from the row `first` on."""
    a = assignments.c
    rows = connection.execute(
        sa.select(a.id, a.accepted_at, a.submitted_at).where(a.id >= first, a.page_seconds.is_(None))
    )
    return {row.id: (row.submitted_at - row.accepted_at).total_seconds() for row in rows}


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
        sa.select(e.id, e.reason, e.detail, e.decided_at, e.lifted_at, w.id, w.endpoint, w.platform_worker_id)
        .select_from(exclusions.join(workers))
        .where(chosen)
        .order_by(e.id)
    )
    return [
        StandingExclusion(
            id=row[0],
            worker=Worker(*row[5:]),
            reason=Exclusion(row[1]),
            detail=row[2],
            decided_at=row[3],
            lifted=row[4] is not None,
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
    in_force = e.lifted_at.is_(None) if ignoring else sa.false()
    unlike = sa.or_(sa.and_(in_force, ~e.votes_left_out), sa.and_(~in_force, e.votes_left_out))
    return np.array(connection.scalars(sa.select(e.id).where(unlike)).all(), dtype=np.int64)


def questions_of_excluded(connection: sa.Connection, rows: Integers) -> Integers:
    """The questions, ascending, on which the workers of these exclusions voted."""
    of = sa.select(exclusions.c.worker_id).where(among(connection, exclusions.c.id, rows))
    asked = sa.select(votes.c.question_id).where(votes.c.counts, votes.c.worker_id.in_(of)).distinct()
    return np.array(sorted(connection.scalars(asked)), dtype=np.int64)


def record_followed(connection: sa.Connection, rows: Integers) -> None:
    """Write down that verdicts follow these exclusions, which they did not: by row, whatever became of them since."""
    followed = exclusions.update().where(among(connection, exclusions.c.id, rows))
    connection.execute(followed.values(votes_left_out=~exclusions.c.votes_left_out))


def endpoints_to_tell(connection: sa.Connection) -> set[str]:
    """The endpoints of workers whose exclusion, or its end, has not been told."""
    every = connection.scalars(sa.select(workers.c.endpoint).distinct()).all()
    return {endpoint for endpoint in every if to_tell(connection, endpoint)}
