"""HITs, their types and assignments as records, and the statements and rows that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from ..pricing import fee_cents
from .lifecycle import AssignmentState, HitState
from .qualifying import Requirement, asks_for_masters, read_requirements
from .tables import assignments, hit_types, hits, questions

PUBLIC_STATES = (AssignmentState.SUBMITTED, AssignmentState.APPROVED, AssignmentState.REJECTED)


@dataclass(frozen=True, slots=True)
class HitType:
    """What all HITs of a type share. Money is in cents, durations in seconds."""

    number: int
    hit_type_id: str
    hit_group_id: str
    title: str
    description: str
    keywords: str
    reward_cents: int
    assignment_seconds: int
    auto_approval_seconds: int
    requirements: tuple[Requirement, ...] = ()
    notified: bool = False

    def fee_cents(self, max_assignments: int) -> int:
        """The marketplace's fee for one assignment of a HIT with so many."""
        return fee_cents(self.reward_cents, max_assignments, masters=asks_for_masters(self.requirements))


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored HIT; `question` is its XML where it was asked for, else None."""

    number: int
    hit_id: str
    requester_id: str
    hit_type: HitType
    annotation: str | None
    fee_cents: int
    created_at: datetime
    state: HitState
    question_digest: str
    is_form: bool = False
    layout_id: str | None = None
    assignment_policy: str | None = None
    hit_policy: str | None = None
    unseen: bool = False
    question: str | None = None

    @property
    def price_cents(self) -> int:
        """What one assignment costs its requester: reward and fee."""
        return self.hit_type.reward_cents + self.fee_cents


@dataclass(frozen=True, slots=True)
class AssignmentRecord:
    """A stored assignment, in whatever state."""

    number: int
    assignment_id: str
    hit_id: str
    worker_id: str
    state: AssignmentState
    reward_cents: int
    fee_cents: int
    accepted_at: datetime
    deadline: datetime
    submitted_at: datetime | None
    auto_approval_at: datetime | None
    approved_at: datetime | None
    rejected_at: datetime | None
    answer: str | None
    feedback: str | None
    session_number: int | None = None

    @property
    def price_cents(self) -> int:
        """What it costs its requester: the reward that was promised, and the fee."""
        return self.reward_cents + self.fee_cents


TYPE_COLUMNS = (
    hit_types.c.hit_type_id,
    hit_types.c.hit_group_id,
    hit_types.c.title,
    hit_types.c.description,
    hit_types.c.keywords,
    hit_types.c.reward_cents,
    hit_types.c.assignment_seconds,
    hit_types.c.auto_approval_seconds,
    hit_types.c.requirements,
    hit_types.c.notified,
)
HIT_COLUMNS = (hits, *TYPE_COLUMNS)
# Under names of their own, so that one row can hold an assignment and its HIT.
ASSIGNMENT_COLUMNS = tuple(column.label(f"work_{column.name}") for column in assignments.c)


# Statements that every request runs are built once: building one costs more than running it on SQLite.
@cache
def select_hits(*, with_question: bool = False) -> sa.Select[Any]:
    """A SELECT whose rows `hit_from` reads; add conditions and order."""
    if not with_question:
        return sa.select(*HIT_COLUMNS).select_from(hits.join(hit_types))
    return sa.select(*HIT_COLUMNS, questions.c.xml).select_from(hits.join(hit_types).join(questions))


def hit_from(row: Row[Any]) -> Hit:
    """The HIT in a row with HIT_COLUMNS."""
    return Hit(
        number=row.number,
        hit_id=row.hit_id,
        requester_id=row.requester_id,
        hit_type=hit_type_from(row, row.type_number),
        annotation=row.annotation,
        fee_cents=row.fee_cents,
        created_at=row.created_at,
        state=HitState(
            row.max_assignments,
            row.pending,
            row.submitted,
            row.approved,
            row.rejected,
            row.reviewing,
            row.expires_at,
            row.changed_at,
            row.disposed_at,
        ),
        question_digest=row.question_digest,
        is_form=row.is_form,
        layout_id=row.layout_id,
        assignment_policy=row.assignment_policy,
        hit_policy=row.hit_policy,
        unseen=row.unseen,
        question=getattr(row, "xml", None),
    )


def hit_type_from(row: Row[Any], number: int) -> HitType:
    """The HIT type in a row with TYPE_COLUMNS, by its row number."""
    return HitType(
        number,
        row.hit_type_id,
        row.hit_group_id,
        row.title,
        row.description,
        row.keywords,
        row.reward_cents,
        row.assignment_seconds,
        row.auto_approval_seconds,
        read_requirements(row.requirements),
        row.notified,
    )


@cache
def select_assignments() -> sa.Select[Any]:
    """A SELECT whose rows `assignment_from` reads; add conditions and order."""
    return sa.select(*ASSIGNMENT_COLUMNS, hits.c.hit_id).select_from(assignments.join(hits))


def assignment_from(row: Row[Any]) -> AssignmentRecord:
    """The assignment in a row with ASSIGNMENT_COLUMNS and its HIT's id."""
    return AssignmentRecord(
        row.work_number,
        row.work_assignment_id,
        row.hit_id,
        row.work_worker_id,
        AssignmentState(row.work_state),
        row.work_reward_cents,
        row.work_fee_cents,
        row.work_accepted_at,
        row.work_deadline,
        row.work_submitted_at,
        row.work_auto_approval_at,
        row.work_approved_at,
        row.work_rejected_at,
        row.work_answer,
        row.work_feedback,
        row.work_session_number,
    )
