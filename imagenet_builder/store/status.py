"""Counts over the whole store: where a project stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from hits.model import Answer, AssignmentStatus, Decision

from . import tables as t
from .categories import selected
from .controls import BORROWED
from .tombstones import is_taken_down


@dataclass(frozen=True, slots=True)
class CategoryStatus:
    """One category: its candidates by state, its questions by current decision (`open`: none yet), and its own
    controls, which are questions that the crowd does not decide.

    Pictures that were taken down are in none of these, but for the rejected candidates.
    `alpha` is Krippendorff's of the yes and no votes on its questions; None where none could disagree.
    """

    wnid: str
    name: str
    pending: int
    stored: int
    rejected: int
    failed: int
    accepted: int
    refused: int
    undecided: int
    open: int
    controls: int
    alpha: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """Where a project stands. Money is US cents; `outcomes` counts ended candidates by state and reason."""

    categories: tuple[CategoryStatus, ...]
    outcomes: dict[tuple[str, str], int]
    images: int
    image_bytes: int
    hits: dict[str, int]
    votes: dict[str, int]
    workers: int
    assignments: int
    approved: int
    promised_cents: int
    spent_cents: int
    controls_right: int
    controls_shown: int
    agreement: float | None
    alpha: float | None
    excluded: int
    releases: tuple[str, ...] = field(default=())


def read_status(connection: sa.Connection) -> Status:
    """Count everything that `imagenet-builder status` shows, in one read transaction."""
    count = sa.func.count
    images, image_bytes = connection.execute(
        sa.select(count(), sa.func.coalesce(sa.func.sum(t.images.c.byte_count), 0))
        .select_from(t.images)
        .where(~is_taken_down(t.images.c.sha256))
    ).one()
    a, h = t.assignments, t.hits
    right, shown, assignments = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(a.c.controls_right), 0),
            sa.func.coalesce(sa.func.sum(a.c.controls_shown), 0),
            count(a.c.id),
        )
    ).one()
    price = h.c.reward_cents + h.c.fee_cents
    approved, spent = connection.execute(
        sa.select(count(a.c.id), sa.func.coalesce(sa.func.sum(price), 0))
        .select_from(a.join(h))
        .where(a.c.status == AssignmentStatus.APPROVED)
    ).one()
    promised = connection.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(price * h.c.votes_wanted), 0)).where(h.c.state != "abandoned")
    )
    votes = _vote_patterns(connection)
    return Status(
        categories=_categories(connection, votes),
        outcomes=_outcomes(connection),
        images=images,
        image_bytes=int(image_bytes),
        hits=_counts(connection, t.hits.c.state),
        votes=_in_order(Answer, _counts(connection, t.votes.c.answer)),
        workers=connection.scalar(sa.select(count()).select_from(t.workers)) or 0,
        assignments=assignments,
        approved=approved,
        promised_cents=int(promised or 0),
        spent_cents=int(spent),
        controls_right=int(right),
        controls_shown=int(shown),
        agreement=_agreement(connection),
        alpha=_alpha([row for rows in votes.values() for row in rows]),
        excluded=connection.scalar(
            sa.select(count()).select_from(t.exclusions).where(t.exclusions.c.lifted_at.is_(None))
        )
        or 0,
        releases=tuple(
            dict.fromkeys(connection.scalars(sa.select(t.releases.c.name).order_by(t.releases.c.id)))
        ),
    )


def has_images(connection: sa.Connection) -> bool:
    """Whether any picture was ever stored."""
    return connection.scalar(sa.select(t.images.c.sha256).limit(1)) is not None


def _counts(connection: sa.Connection, column: sa.Column[str]) -> dict[str, int]:
    rows = connection.execute(sa.select(column, sa.func.count()).group_by(column).order_by(column))
    return dict(rows.all())


def _in_order(words: Iterable[str], counts: dict[str, int]) -> dict[str, int]:
    return {str(word): counts[word] for word in words if word in counts}


def _outcomes(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """What was taken first, then what was refused, then what was not seen; within each the most frequent first."""
    c = t.candidates.c
    rows = connection.execute(sa.select(c.state, c.reason, sa.func.count()).group_by(c.state, c.reason))
    order = ("stored", "rejected", "failed", "pending")
    ranked = sorted(rows, key=lambda row: (order.index(row[0]), -row[2], row[1] or ""))
    return {(state, reason or ""): number for state, reason, number in ranked}


# How many yes and no votes, and how many questions got just these.
Pattern = tuple[int, int, int]


def _vote_patterns(connection: sa.Connection) -> dict[str, list[Pattern]]:
    """Each category's patterns of yes and no votes that count."""
    v = t.votes.c
    each = (
        sa.select(
            v.question_id,
            sa.func.sum(sa.case((v.answer == Answer.YES, 1), else_=0)).label("yes"),
            sa.func.sum(sa.case((v.answer == Answer.NO, 1), else_=0)).label("no"),
        )
        .where(v.counts)
        .group_by(v.question_id)
        .subquery()
    )
    rows = connection.execute(
        sa.select(t.questions.c.wnid, each.c.yes, each.c.no, sa.func.count())
        .select_from(each.join(t.questions, t.questions.c.id == each.c.question_id))
        .group_by(t.questions.c.wnid, each.c.yes, each.c.no)
    )
    patterns: dict[str, list[Pattern]] = defaultdict(list)
    for wnid, yes, no, number in rows:
        patterns[wnid].append((int(yes), int(no), number))
    return patterns


def _alpha(patterns: Sequence[Pattern]) -> float | None:
    if not patterns:
        return None
    import numpy as np

    from hits.agreement import krippendorff_alpha

    counts = np.array([(yes, no) for yes, no, _ in patterns], dtype=np.int64)
    return krippendorff_alpha(counts, [number for *_, number in patterns])


def _categories(
    connection: sa.Connection, votes: Mapping[str, Sequence[Pattern]]
) -> tuple[CategoryStatus, ...]:
    states: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    c = t.candidates.c
    for wnid, state, number in connection.execute(
        sa.select(c.wnid, c.state, sa.func.count()).group_by(c.wnid, c.state)
    ):
        states[wnid][state] = number
    q, v = t.questions, t.verdicts
    for wnid, decision, number in connection.execute(
        sa.select(q.c.wnid, v.c.decision, sa.func.count())
        .select_from(q.outerjoin(v, v.c.question_id == q.c.id).outerjoin(t.controls))
        .where(t.controls.c.question_id.is_(None), ~is_taken_down(q.c.sha256))
        .group_by(q.c.wnid, v.c.decision)
    ):
        states[wnid][f"question {decision or 'open'}"] = number
    for wnid, number in connection.execute(
        sa.select(q.c.wnid, sa.func.count())
        .select_from(q.join(t.controls))
        .where(t.controls.c.provenance != BORROWED, ~is_taken_down(q.c.sha256))
        .group_by(q.c.wnid)
    ):
        states[wnid]["controls"] = number
    return tuple(
        CategoryStatus(
            wnid=category.wnid,
            name=category.name,
            pending=states[category.wnid]["pending"],
            stored=states[category.wnid]["stored"],
            rejected=states[category.wnid]["rejected"],
            failed=states[category.wnid]["failed"],
            accepted=states[category.wnid][f"question {Decision.ACCEPTED}"],
            refused=states[category.wnid][f"question {Decision.REJECTED}"],
            undecided=states[category.wnid][f"question {Decision.UNDECIDED}"],
            open=states[category.wnid]["question open"],
            controls=states[category.wnid]["controls"],
            alpha=_alpha(votes.get(category.wnid, ())),
        )
        for category in selected(connection)
    )


def _agreement(connection: sa.Connection) -> float | None:
    """The share of pairs of counting yes or no votes on one question that agree; None without a pair."""
    v = t.votes.c
    per_question = (
        sa.select(
            sa.func.sum(sa.case((v.answer == "yes", 1), else_=0)).label("yes"),
            sa.func.sum(sa.case((v.answer == "no", 1), else_=0)).label("no"),
        )
        .where(v.counts)
        .group_by(v.question_id)
        .subquery()
    )
    yes, no = per_question.c.yes, per_question.c.no
    agreeing, pairs = connection.execute(
        sa.select(
            sa.func.sum(yes * (yes - 1) + no * (no - 1)),
            sa.func.sum((yes + no) * (yes + no - 1)),
        )
    ).one()
    return float(agreeing) / float(pairs) if pairs else None
