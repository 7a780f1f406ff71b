"""Review policies applied: to a submission as it comes, to a HIT as it becomes reviewable; and their reports.

Both run in the transaction that makes it so. An action that cannot be done is recorded as failed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import surveying
from ..errors import RequestRefused
from ..model import HitStatus
from .deciding import pay, refuse
from .form_answers import read_answers
from .identifiers import new_entity_id
from .lifecycle import AssignmentState, hit_status
from .notices import announce
from .policies import Agreement, Level, Policy, known_answers, parse_policy, plurality
from .publishing import extend_locked
from .records import AssignmentRecord, Hit, assignment_from, select_assignments
from .store import find_hit, lock_assignment, save_state
from .tables import assignments, hits, reviews

_NO_REASON = "The answers did not agree with those that were expected."


@dataclass(frozen=True, slots=True)
class ReviewEntry:
    """A result (`key`, `value`) or an action (`action`) of a review."""

    number: int
    level: str
    action_id: str
    subject_id: str
    subject_type: str
    question_id: str | None
    key: str | None
    value: str | None
    action: str | None
    succeeded: bool | None
    result: str | None
    error_code: str | None
    at: datetime


class _Report:
    """Writes what one run of a policy finds and does."""

    def __init__(self, connection: Connection, hit: Hit, level: Level, now: datetime) -> None:
        self.connection, self.hit, self.level, self.now = connection, hit, level, now

    def _write(self, subject_id: str, subject_type: str, **columns: Any) -> None:
        self.connection.execute(
            reviews.insert().values(
                hit_number=self.hit.number,
                level=self.level,
                action_id=new_entity_id(),
                subject_id=subject_id,
                subject_type=subject_type,
                at=self.now,
                **columns,
            )
        )

    def result(
        self, subject_id: str, kind: str, key: str, value: object, question: str | None = None
    ) -> None:
        self._write(subject_id, kind, key=key, value=str(value), question_id=question)

    def decide(self, action: Literal["Approve", "Reject"], assignment_id: str, reason: str | None) -> None:
        """Approve or reject a submission; one that was decided so before counts as done, otherwise as failed."""
        target = AssignmentState.APPROVED if action == "Approve" else AssignmentState.REJECTED
        hit, assignment = lock_assignment(self.connection, assignment_id)
        outcome: dict[str, Any] = {"succeeded": True, "result": target.value}
        if assignment.state is AssignmentState.SUBMITTED and action == "Approve":
            pay(self.connection, hit, assignment, self.now, reason)
        elif assignment.state is AssignmentState.SUBMITTED:
            refuse(self.connection, hit, assignment, reason or _NO_REASON, self.now)
        elif assignment.state is target:
            outcome["result"] = f"Already {target.value.lower()}"
        else:
            outcome = _failed(f"the assignment is {assignment.state}", "InvalidAssignmentState")
        self._write(assignment_id, "Assignment", action=action, **outcome)

    def extend(self, policy: Policy) -> None:
        """One more assignment, up to the policy's most, with at least its time."""
        hit = find_hit(self.connection, self.hit.hit_id, lock=True)
        outcome: dict[str, Any] = {"succeeded": True, "result": "1 assignment more"}
        if hit.state.max_assignments >= policy.numbers["ExtendMaximumAssignments"]:
            outcome["result"] = f"It has {hit.state.max_assignments} assignments already"
            self._write(hit.hit_id, "HIT", action="Extend", **outcome)
            return
        try:
            with self.connection.begin_nested():
                state = extend_locked(self.connection, hit, 1, self.now)
                least = self.now + timedelta(seconds=policy.numbers["ExtendMinimumTimeInSeconds"])
                extended = replace(state, expires_at=max(state.expires_at, least))
                save_state(self.connection, hit, extended)
        except RequestRefused as error:
            outcome = _failed(str(error), error.code)
        self._write(hit.hit_id, "HIT", action="Extend", **outcome)


def _failed(result: str, code: str) -> dict[str, Any]:
    return {"succeeded": False, "result": result, "error_code": f"AWS.MechanicalTurk.{code}"}


def review_submission(connection: Connection, hit: Hit, assignment: AssignmentRecord, now: datetime) -> None:
    """Score a new submission by the known answers, if its HIT asks for it, and do what the policy wishes."""
    if hit.assignment_policy is None:
        return
    policy = parse_policy("Assignment", json.loads(hit.assignment_policy))
    report = _Report(connection, hit, "Assignment", now)
    right, score = known_answers(policy, read_answers(assignment.answer or ""))
    where = (assignment.assignment_id, "Assignment")
    for question, correct in right.items():
        report.result(*where, "KnownAnswerCorrect", int(correct), question)
    report.result(*where, "KnownAnswerScore", score)
    if policy.reaches("ApproveIfKnownAnswerScoreIsAtLeast", score):
        report.decide("Approve", assignment.assignment_id, policy.texts.get("ApproveReason"))
    elif policy.below("RejectIfKnownAnswerScoreIsLessThan", score):
        report.decide("Reject", assignment.assignment_id, policy.texts.get("RejectReason"))
    if policy.below("ExtendIfKnownAnswerScoreIsLessThan", score):
        report.extend(policy)


def notice_reviewable(connection: Connection, hit_id: str, now: datetime) -> None:
    """If the HIT has just become Reviewable: announce it and apply its policy. Once, unless it opens again."""
    hit = find_hit(connection, hit_id, lock=True)
    if not hit.unseen or hit_status(hit.state, now) is not HitStatus.REVIEWABLE:
        return
    connection.execute(hits.update().where(hits.c.number == hit.number).values(unseen=False))
    if hit.state.expires_at <= now:
        announce(connection, hit, "HITExpired", now)
    announce(connection, hit, "HITReviewable", now)
    if hit.hit_policy is None:
        return
    policy = parse_policy("HIT", json.loads(hit.hit_policy))
    considered = _considered(connection, hit, policy)
    agreement = plurality(policy, {one.assignment_id: read_answers(one.answer or "") for one in considered})
    _apply(_Report(connection, hit, "HIT", now), policy, agreement)


def _considered(connection: Connection, hit: Hit, policy: Policy) -> list[AssignmentRecord]:
    states = [AssignmentState.SUBMITTED, AssignmentState.APPROVED]
    if not policy.disregard_rejected:
        states.append(AssignmentState.REJECTED)
    rows = connection.execute(
        select_assignments()
        .where(
            assignments.c.hit_number == hit.number, assignments.c.state.in_([state.value for state in states])
        )
        .order_by(assignments.c.number)
    )
    found = [assignment_from(row) for row in rows]
    if hit.assignment_policy is None:
        return found
    known = parse_policy("Assignment", json.loads(hit.assignment_policy))
    parameter = "DisregardAssignmentIfKnownAnswerScoreIsLessThan"
    return [
        one for one in found
        if not policy.below(parameter, known_answers(known, read_answers(one.answer or ""))[1])
    ]  # fmt: skip


def _apply(report: _Report, policy: Policy, agreement: Agreement) -> None:
    hit_id = report.hit.hit_id
    for question in policy.question_ids:
        found = agreement.agreed.get(question)
        report.result(hit_id, "HIT", "AgreedAnswerFound", "false" if found is None else "true", question)
        if found is not None:
            report.result(hit_id, "HIT", "AgreedAnswer", found.answer, question)
            report.result(hit_id, "HIT", "AnswerAgreementScore", found.score, question)
    report.result(hit_id, "HIT", "HitAgreementScore", agreement.hit_score)
    for assignment_id, conformity in agreement.workers.items():
        where = (assignment_id, "Assignment")
        report.result(*where, "WorkerAgreementScore", conformity.score)
        report.result(*where, "PluralityAnswersCorrect", conformity.correct)
        report.result(*where, "PluralityAnswersIncorrect", conformity.incorrect)
    for assignment_id, conformity in agreement.workers.items():
        if policy.reaches("ApproveIfWorkerAgreementScoreIsAtLeast", conformity.score):
            report.decide("Approve", assignment_id, policy.texts.get("ApproveReason"))
        elif policy.below("RejectIfWorkerAgreementScoreIsLessThan", conformity.score):
            report.decide("Reject", assignment_id, policy.texts.get("RejectReason"))
    if policy.below("ExtendIfHITAgreementScoreIsLessThan", agreement.hit_score):
        report.extend(policy)


def list_reviews(
    engine: Engine,
    hit_number: int,
    limit: int,
    after: int | None,
    *,
    levels: tuple[str, ...],
    results: bool,
    actions: bool,
) -> list[ReviewEntry]:
    """What the policies of a HIT found and did, oldest first."""
    with surveying(engine) as connection:
        query = sa.select(reviews).where(
            reviews.c.hit_number == hit_number, reviews.c.number > (after or 0), reviews.c.level.in_(levels)
        )
        if not results:
            query = query.where(reviews.c.action.is_not(None))
        if not actions:
            query = query.where(reviews.c.action.is_(None))
        rows = connection.execute(query.order_by(reviews.c.number).limit(limit))
        return [
            ReviewEntry(**{name: value for name, value in row._asdict().items() if name != "hit_number"})
            for row in rows
        ]
