"""What aggregation reads and writes: assignments and votes. Verdicts are in `store.verdicts`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from hits.model import Answer, Assignment, AssignmentStatus, ReportReason

from . import ledger, payments
from .chunks import chunks
from .tables import assignments, controls, hit_questions, hits, votes, workers


@dataclass(frozen=True, slots=True)
class AskedSlot:
    """One place on a published page; `known` is the answer if it stands there as a control."""

    question_id: int
    is_control: bool
    known: Answer | None


@dataclass(frozen=True, slots=True)
class CastVote:
    """One answer of an assignment."""

    question_id: int
    answer: Answer
    reason: ReportReason | None
    is_control: bool


@dataclass(frozen=True, slots=True)
class CollectedAssignment:
    """An assignment as it is stored; `unreadable` says why it has no votes."""

    hit_id: int
    assignment: Assignment
    votes: tuple[CastVote, ...]
    page_seconds: float | None
    controls_right: int
    controls_shown: int
    unreadable: str | None = None


def asked_slots(connection: sa.Connection, hit_ids: Collection[int]) -> dict[int, dict[str, AskedSlot]]:
    """What stands on each HIT: picture name → slot."""
    slots: dict[int, dict[str, AskedSlot]] = defaultdict(dict)
    rows = connection.execute(
        sa.select(
            hit_questions.c.hit_id,
            hit_questions.c.picture_name,
            hit_questions.c.question_id,
            hit_questions.c.as_control,
            controls.c.answer,
        )
        .select_from(hit_questions.outerjoin(controls, controls.c.question_id == hit_questions.c.question_id))
        .where(hit_questions.c.hit_id.in_(hit_ids))
        .order_by(hit_questions.c.hit_id, hit_questions.c.position)
    )
    for hit_id, name, question_id, as_control, answer in rows:
        known = Answer(answer) if as_control and answer is not None else None
        slots[hit_id][name] = AskedSlot(question_id, as_control, known)
    return slots


def known_assignments(connection: sa.Connection, hit_ids: Collection[int]) -> dict[int, set[str]]:
    """The platform's ids of the assignments that are stored already, by HIT."""
    known: dict[int, set[str]] = {hit_id: set() for hit_id in hit_ids}
    rows = sa.select(assignments.c.hit_id, assignments.c.platform_assignment_id)
    for hit_id, assignment_id in connection.execute(rows.where(assignments.c.hit_id.in_(hit_ids))):
        known[hit_id].add(assignment_id)
    return known


def store_assignments(
    connection: sa.Connection, endpoint: str, collected: Sequence[CollectedAssignment], now: datetime
) -> int:
    """Store assignments with their workers and votes, and owe the payment of those that are not paid.

    Returns how many answers are repeats: a worker's first vote on a question counts, later ones do not,
    whatever the order in which they were collected. Votes on controls never count.
    """
    if not collected:
        return 0
    # In the order of submission: the first of two votes in this batch counts.
    collected = sorted(collected, key=lambda one: (one.assignment.submitted_at, one.assignment.assignment_id))
    worker_ids = _worker_ids(connection, endpoint, [one.assignment.worker_id for one in collected], now)
    row_ids = _insert_assignments(connection, collected, worker_ids, now)
    unpaid = [
        row_id
        for one, row_id in zip(collected, row_ids, strict=True)
        if one.assignment.status is AssignmentStatus.SUBMITTED
    ]
    payments.owe(connection, unpaid, now)
    return _insert_votes(connection, collected, row_ids, worker_ids)


def _worker_ids(
    connection: sa.Connection, endpoint: str, platform_ids: Iterable[str], now: datetime
) -> dict[str, int]:
    wanted = list(dict.fromkeys(platform_ids))
    query = sa.select(workers.c.platform_worker_id, workers.c.id).where(
        workers.c.endpoint == endpoint, workers.c.platform_worker_id.in_(wanted)
    )
    known = dict(connection.execute(query).all())
    new = [platform_id for platform_id in wanted if platform_id not in known]
    if new:
        connection.execute(
            workers.insert(),
            [
                {"endpoint": endpoint, "platform_worker_id": platform_id, "first_seen_at": now}
                for platform_id in new
            ],
        )
        known = dict(connection.execute(query).all())
    return known


def _insert_assignments(
    connection: sa.Connection,
    collected: Sequence[CollectedAssignment],
    worker_ids: dict[str, int],
    now: datetime,
) -> list[int]:
    rows = [
        {
            "hit_id": one.hit_id,
            "worker_id": worker_ids[one.assignment.worker_id],
            "platform_assignment_id": one.assignment.assignment_id,
            "status": one.assignment.status,
            "accepted_at": one.assignment.accepted_at,
            "submitted_at": one.assignment.submitted_at,
            "collected_at": now,
            "page_seconds": one.page_seconds,
            "controls_right": one.controls_right,
            "controls_shown": one.controls_shown,
            "unreadable": one.unreadable,
            "answer_xml": one.assignment.answer_xml,
        }
        for one in collected
    ]
    statement = assignments.insert().returning(assignments.c.id, sort_by_parameter_order=True)
    return list(connection.scalars(statement, rows))


def _insert_votes(
    connection: sa.Connection,
    collected: Sequence[CollectedAssignment],
    row_ids: Sequence[int],
    worker_ids: dict[str, int],
) -> int:
    cast = [
        (worker_ids[one.assignment.worker_id], one.assignment.submitted_at, row_id, vote)
        for one, row_id in zip(collected, row_ids, strict=True)
        for vote in one.votes
    ]
    first = _counting(connection, {vote.question_id for *_, vote in cast}, set(worker_ids.values()))
    demoted: list[int] = []
    rows = []
    for worker_id, cast_at, assignment_id, vote in cast:
        counts = not vote.is_control
        if counts:
            earlier = first.get((worker_id, vote.question_id))
            counts = earlier is None or cast_at < earlier[0]
            if counts:
                first[worker_id, vote.question_id] = (cast_at, None)
                if earlier is not None and earlier[1] is not None:
                    demoted.append(earlier[1])
        rows.append(
            {
                "question_id": vote.question_id,
                "assignment_id": assignment_id,
                "worker_id": worker_id,
                "answer": vote.answer,
                "report_reason": vote.reason,
                "counts": counts,
                "cast_at": cast_at,
            }
        )
    # Before the insert: only one vote of a worker on a question may count at any moment.
    for some in chunks(demoted):
        connection.execute(votes.update().where(votes.c.id.in_(some)).values(counts=False))
    if rows:
        connection.execute(votes.insert(), rows)
    asked = sum(not vote.is_control for *_, vote in cast)
    return asked - sum(bool(row["counts"]) for row in rows) + len(demoted)


def _counting(
    connection: sa.Connection, question_ids: Collection[int], worker_ids: Collection[int]
) -> dict[tuple[int, int], tuple[datetime, int | None]]:
    """(worker, question) → when that worker's counting vote was cast, and its row."""
    first: dict[tuple[int, int], tuple[datetime, int | None]] = {}
    query = sa.select(votes.c.worker_id, votes.c.question_id, votes.c.cast_at, votes.c.id)
    for some in chunks(question_ids):
        rows = query.where(votes.c.question_id.in_(some), votes.c.counts, votes.c.worker_id.in_(worker_ids))
        for worker_id, question_id, cast_at, vote_id in connection.execute(rows):
            first[worker_id, question_id] = (cast_at, vote_id)
    return first


def count_assignments(connection: sa.Connection, hit_ids: Sequence[int]) -> dict[int, int]:
    """How many assignments of each HIT are stored."""
    counts: dict[int, int] = {}
    query = sa.select(assignments.c.hit_id, sa.func.count()).group_by(assignments.c.hit_id)
    for some in chunks(hit_ids):
        counts.update(connection.execute(query.where(assignments.c.hit_id.in_(some))).all())
    return counts


def record_collected(connection: sa.Connection, hit_ids: Sequence[int], now: datetime) -> None:
    """Close HITs: nothing more will come of them."""
    for some in chunks(hit_ids):
        connection.execute(
            hits.update().where(hits.c.id.in_(some)).values(state="collected", collected_at=now)
        )
    ledger.settle(connection, hit_ids, now)
