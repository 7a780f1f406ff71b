"""What the HTML report shows beyond the status: sample pictures with their verdicts, and workers."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from hits.model import Answer, Decision

from . import tables as t


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture with the current verdict on it; `title`, `author` and `licence` are as its source says."""

    sha256: str
    decision: Decision
    yes: int
    no: int
    abstained: int
    title: str | None
    author: str | None
    licence: str | None
    page_url: str | None


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One worker: pages, mean seconds a page (by the page's own clock), controls answered rightly, share of yes."""

    number: int
    pages: int
    seconds: float | None
    controls_right: int
    controls_shown: int
    yes_share: float | None


def samples(connection: sa.Connection, wnid: str, decision: Decision, limit: int) -> list[Sample]:
    """Up to `limit` pictures of a category with this current decision: the same ones while the store is the same.

    Ordered by their hash, which has nothing to do with what they show.
    """
    q, v, c = t.questions.c, t.verdicts.c, t.candidates.c
    # One of the places that an image came from speaks for it: the first found.
    first = (
        sa.select(sa.func.min(c.id))
        .where(c.sha256 == q.sha256, c.wnid == q.wnid)
        .correlate(t.questions)
        .scalar_subquery()
    )
    rows = connection.execute(
        sa.select(
            *(q.sha256, v.decision, v.yes, v.no, (v.unsure + v.broken + v.report).label("abstained")),
            *(c.title, c.author, c.licence, c.page_url),
        )
        .join_from(t.questions, t.verdicts, v.question_id == q.id)
        .join(t.candidates, c.id == first)
        .where(q.wnid == wnid, v.decision == decision)
        .order_by(q.sha256)
        .limit(limit)
    )
    return [Sample(row.sha256, Decision(row.decision), *row[2:]) for row in rows]


def worker_lines(connection: sa.Connection) -> list[WorkerLine]:
    """One line a worker, most pages first; workers are numbered, not named."""
    a, v = t.assignments.c, t.votes.c
    pages = connection.execute(
        sa.select(
            a.worker_id,
            sa.func.count(),
            sa.func.avg(a.page_seconds),
            sa.func.sum(a.controls_right),
            sa.func.sum(a.controls_shown),
        )
        .group_by(a.worker_id)
        .order_by(sa.func.count().desc(), a.worker_id)
    )
    yes = sa.func.sum(sa.case((v.answer == Answer.YES, 1), else_=0))
    shares = {
        worker: int(said_yes) / int(votes)
        for worker, said_yes, votes in connection.execute(
            sa.select(v.worker_id, yes, sa.func.count()).group_by(v.worker_id)
        )
    }
    return [
        WorkerLine(number, count, seconds, int(right), int(shown), shares.get(worker))
        for number, (worker, count, seconds, right, shown) in enumerate(pages, start=1)
    ]
