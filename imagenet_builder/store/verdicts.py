"""Votes that count, and the verdicts that follow from them, with their history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from hits.model import Answer, Decision, ReportReason, Tally, Verdict

from .chunks import chunks
from .tables import controls, hit_questions, hits, questions, verdicts, votes


@dataclass(frozen=True, slots=True)
class QuestionVerdict:
    """What the votes say of one question; `final` when no more votes are awaited."""

    question_id: int
    verdict: Verdict
    tally: Tally
    final: bool


@dataclass(frozen=True, slots=True)
class Asking:
    """A question on one HIT, not as a control."""

    question_id: int
    hit_id: int
    is_open: bool
    votes: int
    rule: str


@dataclass(frozen=True, slots=True)
class CountedVote:
    """A vote that counts."""

    question_id: int
    worker_id: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class ControlVote:
    """A vote on a control, and the answer that is known."""

    question_id: int
    wnid: str
    worker_id: int
    answer: Answer
    known: Answer


@dataclass(frozen=True, slots=True)
class ReportedPicture:
    """A question that workers reported, and why."""

    sha256: str
    wnid: str
    reasons: tuple[ReportReason, ...]


def unsettled_questions(connection: sa.Connection) -> list[int]:
    """Questions on published HITs, and those whose verdict is not final."""
    asked = (
        sa.select(hit_questions.c.question_id)
        .select_from(hit_questions.join(hits))
        .where(hits.c.state == "published", ~hit_questions.c.as_control)
    )
    provisional = sa.select(verdicts.c.question_id).where(
        verdicts.c.superseded_at.is_(None), ~verdicts.c.final
    )
    return sorted(connection.scalars(sa.union(asked, provisional)))


def all_questions(connection: sa.Connection) -> list[int]:
    """Every question that a HIT ever asked, not as a control."""
    asked = sa.select(hit_questions.c.question_id).distinct().where(~hit_questions.c.as_control)
    return sorted(connection.scalars(asked))


def askings(connection: sa.Connection, question_ids: Collection[int]) -> list[Asking]:
    """Every HIT that each question is on, the latest last."""
    query = (
        sa.select(
            hit_questions.c.question_id,
            hits.c.id,
            hits.c.state.in_(("intended", "published")),
            hits.c.votes_wanted,
            hits.c.rule,
        )
        .select_from(hit_questions.join(hits))
        .where(~hit_questions.c.as_control)
        .order_by(hits.c.id)
    )
    found = [
        Asking(question_id, hit_id, bool(is_open), wanted, rule)
        for some in chunks(question_ids)
        for question_id, hit_id, is_open, wanted, rule in connection.execute(
            query.where(hit_questions.c.question_id.in_(some))
        )
    ]
    return sorted(found, key=lambda asking: asking.hit_id)


def counted_votes(connection: sa.Connection, question_ids: Collection[int]) -> list[CountedVote]:
    """The votes on questions that count."""
    query = sa.select(votes.c.question_id, votes.c.worker_id, votes.c.answer).where(votes.c.counts)
    return [
        CountedVote(question_id, worker_id, Answer(answer))
        for some in chunks(question_ids)
        for question_id, worker_id, answer in connection.execute(query.where(votes.c.question_id.in_(some)))
    ]


def control_votes(connection: sa.Connection) -> list[ControlVote]:
    """All votes on questions whose answer is known, in the order in which they were stored."""
    query = (
        sa.select(votes.c.question_id, questions.c.wnid, votes.c.worker_id, votes.c.answer, controls.c.answer)
        .select_from(votes.join(questions).join(controls, controls.c.question_id == questions.c.id))
        .order_by(votes.c.id)
    )
    return [
        ControlVote(question_id, wnid, worker_id, Answer(answer), Answer(known))
        for question_id, wnid, worker_id, answer, known in connection.execute(query)
    ]


def categories_of(connection: sa.Connection, question_ids: Collection[int]) -> dict[int, str]:
    """The category of each question."""
    query = sa.select(questions.c.id, questions.c.wnid)
    return {
        question_id: wnid
        for some in chunks(question_ids)
        for question_id, wnid in connection.execute(query.where(questions.c.id.in_(some)))
    }


def rules_asked(connection: sa.Connection) -> set[str]:
    """The rules by which questions were ever published."""
    return set(connection.scalars(sa.select(hits.c.rule).distinct()))


def current_verdicts(connection: sa.Connection, question_ids: Collection[int]) -> dict[int, QuestionVerdict]:
    """The verdict that stands on each question that has one."""
    query = sa.select(verdicts).where(verdicts.c.superseded_at.is_(None))
    return {
        row.question_id: QuestionVerdict(
            row.question_id,
            Verdict(
                Decision(row.decision), row.rule, row.probability, row.yes + row.no, dict(row.parameters)
            ),
            Tally(row.yes, row.no, row.unsure, row.broken, row.report),
            row.final,
        )
        for some in chunks(question_ids)
        for row in connection.execute(query.where(verdicts.c.question_id.in_(some)))
    }


def supersede(connection: sa.Connection, decided: Sequence[QuestionVerdict], now: datetime) -> None:
    """Write verdicts in place of those that stand; the old ones become history."""
    _close(connection, [one.question_id for one in decided], now)
    rows = [
        {
            "question_id": one.question_id,
            "decision": one.verdict.decision,
            "rule": one.verdict.rule,
            "parameters": one.verdict.parameters,
            "probability": one.verdict.probability,
            **asdict(one.tally),
            "final": one.final,
            "decided_at": now,
        }
        for one in decided
    ]
    if rows:
        connection.execute(verdicts.insert(), rows)


def _close(connection: sa.Connection, question_ids: Collection[int], now: datetime) -> None:
    standing = verdicts.c.superseded_at.is_(None)
    for some in chunks(question_ids):
        connection.execute(
            verdicts.update().where(standing, verdicts.c.question_id.in_(some)).values(superseded_at=now)
        )


def finalise(connection: sa.Connection, question_ids: Collection[int]) -> None:
    """Let the verdicts that stand on questions be final; nothing else of them changes."""
    standing = verdicts.c.superseded_at.is_(None)
    for some in chunks(question_ids):
        connection.execute(
            verdicts.update().where(standing, verdicts.c.question_id.in_(some)).values(final=True)
        )


def decisions(connection: sa.Connection) -> tuple[dict[Decision, int], int]:
    """How many questions stand accepted, rejected and undecided; and how many of all that provisionally."""
    standing = verdicts.c.superseded_at.is_(None)
    rows = connection.execute(
        sa.select(verdicts.c.decision, verdicts.c.final, sa.func.count())
        .where(standing)
        .group_by(verdicts.c.decision, verdicts.c.final)
    )
    counts = dict.fromkeys(Decision, 0)
    provisional = 0
    for decision, final, number in rows:
        counts[Decision(decision)] += number
        provisional += 0 if final else number
    return counts, provisional


def reported_pictures(connection: sa.Connection) -> list[ReportedPicture]:
    """The questions that any worker reported, controls among them."""
    rows = connection.execute(
        sa.select(questions.c.sha256, questions.c.wnid, votes.c.report_reason)
        .select_from(votes.join(questions))
        .where(votes.c.answer == Answer.REPORT)
        .order_by(questions.c.wnid, questions.c.sha256)
    )
    return _grouped((sha256, wnid, ReportReason(reason)) for sha256, wnid, reason in rows)


def _grouped(rows: Iterable[tuple[str, str, ReportReason]]) -> list[ReportedPicture]:
    reasons: dict[tuple[str, str], dict[ReportReason, None]] = {}
    for sha256, wnid, reason in rows:
        reasons.setdefault((sha256, wnid), {})[reason] = None
    return [ReportedPicture(sha256, wnid, tuple(why)) for (sha256, wnid), why in reasons.items()]
