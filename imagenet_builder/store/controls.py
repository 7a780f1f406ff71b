"""Questions whose answer is known."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from hits.model import Answer

from .tables import candidates, controls, hit_questions, hits, images, questions, verdicts, votes


def pictures_to_label(connection: sa.Connection, wnid: str, limit: int, after: str = "") -> list[str]:
    """Stored pictures found for a category that are neither controls nor asked about yet.

    By SHA-256, at most `limit` from `after` on: a picture that was passed over does not come again at once.
    """
    taken = sa.exists().where(
        questions.c.sha256 == candidates.c.sha256,
        questions.c.wnid == candidates.c.wnid,
        sa.or_(_is_crowds(), sa.exists().where(controls.c.question_id == questions.c.id)),
    )
    stored = sa.select(candidates.c.sha256).where(
        candidates.c.wnid == wnid, candidates.c.state == "stored", candidates.c.sha256 > after, ~taken
    )
    return list(connection.scalars(stored.distinct().order_by(candidates.c.sha256).limit(limit)))


def _is_crowds() -> sa.ColumnElement[bool]:
    """Whether the crowd has been asked a question: then its answer must not become a control."""
    asked = sa.exists().where(
        hit_questions.c.question_id == questions.c.id,
        ~hit_questions.c.as_control,
        hits.c.id == hit_questions.c.hit_id,
        hits.c.state != "abandoned",
    )
    voted = sa.exists().where(votes.c.question_id == questions.c.id, votes.c.counts)
    return sa.or_(asked, voted, sa.exists().where(verdicts.c.question_id == questions.c.id))


def crowds_questions(connection: sa.Connection, question_ids: Collection[int]) -> set[int]:
    """Those of the questions that the crowd has been asked."""
    asked = sa.select(questions.c.id).where(questions.c.id.in_(question_ids), _is_crowds())
    return set(connection.scalars(asked))


def known_images(connection: sa.Connection, pictures: Collection[str]) -> set[str]:
    """Those of the SHA-256 that are images of the store."""
    return set(connection.scalars(sa.select(images.c.sha256).where(images.c.sha256.in_(pictures))))


def set_control(
    connection: sa.Connection, question_id: int, answer: Answer, provenance: str, now: datetime
) -> None:
    """Let a question's answer be known; a later answer replaces an earlier one."""
    said = {"answer": answer, "provenance": provenance, "labelled_at": now}
    changed = connection.execute(
        controls.update().where(controls.c.question_id == question_id).values(**said)
    )
    if changed.rowcount == 0:
        connection.execute(controls.insert().values(question_id=question_id, **said))


def count_controls(connection: sa.Connection) -> dict[str, dict[Answer, int]]:
    """How many controls each category has, by answer."""
    counts: dict[str, dict[Answer, int]] = {}
    rows = (
        sa.select(questions.c.wnid, controls.c.answer, sa.func.count())
        .select_from(controls.join(questions))
        .group_by(questions.c.wnid, controls.c.answer)
    )
    for wnid, answer, number in connection.execute(rows):
        counts.setdefault(wnid, {Answer.YES: 0, Answer.NO: 0})[Answer(answer)] = number
    return counts
