"""What earlier work teaches about the next: how long a picture takes, how many are accepted."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import sqlalchemy as sa

from hits.model import Decision

from .tables import assignments, hit_questions, questions, verdicts

# The latest pages tell how long a picture takes now.
PAGES_TIMED = 200


@dataclass(frozen=True, slots=True)
class Pace:
    """The median time that a picture took, in seconds, over so many pages."""

    seconds: float
    pages: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """Of so many accepted and rejected questions, how many were accepted."""

    accepted: int
    decided: int


def pace(connection: sa.Connection) -> Pace | None:
    """How long a picture took on the latest pages that were timed; None if there are none.

    By the page's own clock, but no longer than the worker had the page: a page can say anything. The platform's clock
    says nothing where it was set back meanwhile.
    """
    a = assignments.c
    latest = (
        sa.select(a.hit_id, a.page_seconds, a.accepted_at, a.submitted_at)
        .where(a.page_seconds > 0, a.unreadable.is_(None))
        .order_by(a.id.desc())
        .limit(PAGES_TIMED)
        .subquery()
    )
    shown = sa.select(sa.func.count()).where(hit_questions.c.hit_id == latest.c.hit_id).scalar_subquery()
    taken = [
        _taken(seconds, (submitted - accepted).total_seconds()) / pictures
        for seconds, accepted, submitted, pictures in connection.execute(
            sa.select(latest.c.page_seconds, latest.c.accepted_at, latest.c.submitted_at, shown)
        )
        if pictures
    ]
    return Pace(median(taken), len(taken)) if taken else None


def _taken(seconds: float, held: float) -> float:
    return min(seconds, held) if held > 0 else seconds


def accepted_by_category(connection: sa.Connection) -> dict[str, Accepted]:
    """How the standing verdicts of each category went; undecided ones are left out."""
    accepted = sa.func.sum(sa.case((verdicts.c.decision == Decision.ACCEPTED, 1), else_=0))
    rows = connection.execute(
        sa.select(questions.c.wnid, accepted, sa.func.count())
        .select_from(verdicts.join(questions, verdicts.c.question_id == questions.c.id))
        .where(verdicts.c.decision != Decision.UNDECIDED)
        .group_by(questions.c.wnid)
    )
    return {wnid: Accepted(int(yes), decided) for wnid, yes, decided in rows}
