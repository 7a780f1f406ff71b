"""What a worker has before her: a HIT's preview, her assignment of it, the question in its frame."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import glancing, surveying
from .dues import ANYTHING_DUE, at, settle_due
from .lifecycle import AssignmentState
from .questions import Question, parse_question
from .records import (
    ASSIGNMENT_COLUMNS,
    HIT_COLUMNS,
    AssignmentRecord,
    Hit,
    assignment_from,
    hit_from,
    select_assignments,
)
from .standing import Shortfall, blocked, shortfalls
from .store import find_assignment, find_hit, no_such_hit
from .tables import HELD_OR_DONE, assignments, hit_types, hits, questions, requesters


@dataclass(frozen=True, slots=True)
class Offer:
    """A HIT as the preview shows it, or as the work page shows an assignment of it."""

    hit: Hit
    requester: str
    own: AssignmentRecord | None
    missing: tuple[Shortfall, ...] = ()
    blocked: bool = False


class _KnownQuestions:
    """The questions that were shown last, by digest: a page is shown again for its frame, and to two more workers."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.lock = Lock()
        self.found: OrderedDict[str, Question] = OrderedDict()

    def get(self, connection: Connection, digest: str) -> Question:
        with self.lock:
            if digest in self.found:
                self.found.move_to_end(digest)
                return self.found[digest]
        question = parse_question(connection.execute(_XML, {"wanted": digest}).scalar_one())
        with self.lock:
            self.found[digest] = question
            if len(self.found) > self.most:
                self.found.popitem(last=False)
        return question


_XML = sa.select(questions.c.xml).where(questions.c.digest == sa.bindparam("wanted"))
_KNOWN = _KnownQuestions(256)


def question_of(connection: Connection, hit: Hit) -> Question:
    """A HIT's question."""
    return _KNOWN.get(connection, hit.question_digest)


@cache
def _own_of_hit() -> sa.Select[Any]:
    return select_assignments().where(
        assignments.c.hit_number == sa.bindparam("hit"),
        assignments.c.worker_id == sa.bindparam("worker"),
        HELD_OR_DONE,
    )


def offer(engine: Engine, hit_id: str, worker_id: str) -> Offer:
    """A HIT, and the worker's own assignment of it, if any; raises RequestRefused."""
    with surveying(engine) as connection:
        hit = find_hit(connection, hit_id)
        row = connection.execute(_own_of_hit(), {"hit": hit.number, "worker": worker_id}).one_or_none()
        own = None if row is None else assignment_from(row)
        missing = shortfalls(connection, worker_id, hit.hit_type.requirements)
        barred = blocked(connection, hit.requester_id, worker_id)
        return Offer(hit, _requester_name(connection, hit), own, missing, barred)


def _requester_name(connection: Connection, hit: Hit) -> str:
    name = connection.scalar(
        sa.select(requesters.c.name).where(requesters.c.requester_id == hit.requester_id)
    )
    return str(name)


@cache
def _work() -> sa.Select[Any]:
    whole = (
        assignments.join(hits)
        .join(hit_types, hit_types.c.number == hits.c.type_number)
        .join(requesters, requesters.c.requester_id == hits.c.requester_id)
    )
    return (
        sa.select(*HIT_COLUMNS, *ASSIGNMENT_COLUMNS, requesters.c.name)
        .select_from(whole)
        .where(assignments.c.assignment_id == sa.bindparam("wanted"))
    )


def own_assignment(
    engine: Engine, assignment_id: str, worker_id: str
) -> tuple[Offer, AssignmentRecord, Question] | None:
    """A worker's assignment with its HIT and its question; None if it is not hers."""
    with glancing(engine) as connection:
        row = connection.execute(_work(), {"wanted": assignment_id}).one_or_none()
        if row is None or row.work_worker_id != worker_id:
            return None
        hit, own = hit_from(row), assignment_from(row)
        return Offer(hit, row.name, own), own, question_of(connection, hit)


@cache
def _framed() -> sa.Select[Any]:
    mine = sa.and_(
        assignments.c.hit_number == hits.c.number,
        assignments.c.worker_id == sa.bindparam("worker"),
        HELD_OR_DONE,
    )
    whole = hits.join(hit_types).outerjoin(assignments, mine)
    return (
        sa.select(ANYTHING_DUE.label("due"), *HIT_COLUMNS, *ASSIGNMENT_COLUMNS)
        .select_from(whole)
        .where(hits.c.hit_id == sa.bindparam("wanted"))
    )


def framed_question(
    engine: Engine, hit_id: str, worker_id: str, now: datetime
) -> tuple[Hit, AssignmentRecord | None, Question]:
    """What a frame needs: a HIT, the worker's assignment of it, and the question; raises RequestRefused.

    What is due is done before.
    """
    asked = {"wanted": hit_id, "worker": worker_id, **at(now)}
    with glancing(engine) as connection:
        row = connection.execute(_framed(), asked).one_or_none()
        if row is not None and row.due:
            settle_due(engine, now)
            row = connection.execute(_framed(), asked).one_or_none()
        if row is None:
            raise no_such_hit(hit_id)
        hit = hit_from(row)
        own = None if row.work_number is None else assignment_from(row)
        return hit, own, question_of(connection, hit)


def held_question(engine: Engine, assignment_id: str) -> tuple[Hit, Question] | None:
    """The HIT and the question of an assignment that somebody holds; None if nobody does."""
    with surveying(engine) as connection:
        assignment = find_assignment(connection, assignment_id)
        if assignment is None or assignment.state is not AssignmentState.ACCEPTED:
            return None
        hit = find_hit(connection, assignment.hit_id)
        return hit, question_of(connection, hit)


def preview_question(engine: Engine, hit: Hit) -> Question:
    """The question of a HIT that was offered."""
    with glancing(engine) as connection:
        return question_of(connection, hit)
