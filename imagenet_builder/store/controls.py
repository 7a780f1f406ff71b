"""Questions whose answer is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from hits.model import Answer

from .tables import candidates, controls, hit_questions, hits, images, questions, verdicts, votes
from .tombstones import is_taken_down

# Known to be no picture of a category, because the requester says that it shows one that is taken for it.
BORROWED = "sibling"
_same = questions.alias("same")


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


def control_pictures(connection: sa.Connection, wnid: str) -> dict[str, Answer]:
    """The pictures of a category whose answer is known, by SHA-256, and the answer."""
    known = (
        sa.select(questions.c.sha256, controls.c.answer)
        .select_from(questions.join(controls))
        .where(questions.c.wnid == wnid, ~is_taken_down(questions.c.sha256))
    )
    rows = connection.execute(known.order_by(questions.c.sha256))
    return {sha256: Answer(answer) for sha256, answer in rows}


def pictures_of_others(connection: sa.Connection, wnid: str, others: Sequence[str], number: int) -> list[str]:
    """Pictures (SHA-256) that are known to show one of `others`, the first of these first, and were never found for
    the category itself nor asked about in it."""
    here = sa.or_(
        sa.exists().where(candidates.c.sha256 == questions.c.sha256, candidates.c.wnid == wnid),
        sa.exists().where(_same.c.sha256 == questions.c.sha256, _same.c.wnid == wnid),
    )
    shown: list[str] = []
    for other in others:
        known = (
            sa.select(questions.c.sha256)
            .select_from(questions.join(controls))
            .where(
                questions.c.wnid == other, controls.c.answer == Answer.YES, controls.c.provenance != BORROWED
            )
            .where(~here, ~is_taken_down(questions.c.sha256))
            .order_by(questions.c.sha256)
            .limit(number - len(shown))
        )
        shown += [sha256 for sha256 in connection.scalars(known) if sha256 not in shown]
        if len(shown) >= number:
            break
    return shown


def know_borrowed(connection: sa.Connection, answers: Mapping[int, Answer], now: datetime) -> None:
    """Write down the answers (question → answer) of controls that other categories lent; those that are known stay."""
    known = sa.select(controls.c.question_id).where(controls.c.question_id.in_(answers))
    there = set(connection.scalars(known))
    new = [
        {"question_id": question_id, "answer": answer, "provenance": BORROWED, "labelled_at": now}
        for question_id, answer in answers.items()
        if question_id not in there
    ]
    if new:
        connection.execute(controls.insert(), new)


def control_names(connection: sa.Connection) -> dict[str, Answer]:
    """The names under which HITs show pictures as controls, and the answers: for simulations that know the truth."""
    shown = (
        sa.select(hit_questions.c.picture_name, controls.c.answer)
        .select_from(hit_questions.join(controls, controls.c.question_id == hit_questions.c.question_id))
        .where(hit_questions.c.as_control)
    )
    return {name: Answer(answer) for name, answer in connection.execute(shown)}
