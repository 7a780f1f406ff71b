"""Votes that count, and the verdicts that follow from them, with their history; read and written as arrays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from hits.model import Answer, Decision, ReportReason
from imagenet_builder.policy import Policy
from imagenet_builder.verdicts import ANSWERS, Asked, Ballots, Controls, latest_asked

from .chunks import chunks
from .columns import ROWS_AT_ONCE, integer, read_columns, read_numbers, read_whole
from .stretches import along, read_chosen
from .tables import controls, hit_questions, hits, questions, verdicts, votes, watermarks

Integers = NDArray[np.int64]

# The last vote that is in the verdicts, and that of the last look at all workers by all votes.
DECIDED, JUDGED = "aggregate", "workers"
OPEN = ("intended", "published")
# More than there are answers.
ANSWER_PLACES = 8
# Pages whose questions are read at once.
PAGES_AT_ONCE = ROWS_AT_ONCE // 100


@dataclass(frozen=True, slots=True)
class ReportedPicture:
    """A question that workers reported, and why."""

    sha256: str
    wnid: str
    reasons: tuple[ReportReason, ...]


def latest_vote(connection: sa.Connection) -> int:
    """The row of the vote that was stored last; 0 without one."""
    return connection.scalar(sa.select(sa.func.max(votes.c.id))) or 0


def latest_question(connection: sa.Connection) -> int:
    """The row of the question that was asked last; 0 without one."""
    return connection.scalar(sa.select(sa.func.max(questions.c.id))) or 0


def watermark(connection: sa.Connection, name: str = DECIDED) -> int:
    """The row of the last vote that is in the verdicts, or in what else has a `name` here."""
    position = sa.select(watermarks.c.position).where(watermarks.c.name == name)
    return connection.scalar(position) or 0


def move_watermark(connection: sa.Connection, position: int, now: datetime, name: str = DECIDED) -> None:
    """Write down that votes up to this row are in the verdicts; nothing is written where that stands already."""
    if watermark(connection, name) == position:
        return
    here = watermarks.update().where(watermarks.c.name == name)
    if not connection.execute(here.values(position=position, moved_at=now)).rowcount:
        connection.execute(watermarks.insert().values(name=name, position=position, moved_at=now))


def voted_questions(connection: sa.Connection, after: int) -> Integers:
    """The questions with counting votes after the row `after`, ascending."""
    return _ids(connection, sa.select(votes.c.question_id).where(votes.c.id > after, votes.c.counts))


def ended_questions(connection: sa.Connection, closing: Sequence[int]) -> Integers:
    """The questions that may be decided anew without a vote, ascending: on HITs that are `closing`; on HITs that were
    given up while a verdict was provisional."""
    on_page = sa.select(hit_questions.c.question_id).where(~hit_questions.c.as_control)
    abandoned = (
        on_page.join(hits, hits.c.id == hit_questions.c.hit_id)
        .join(verdicts, verdicts.c.question_id == hit_questions.c.question_id)
        .where(hits.c.state == "abandoned", ~verdicts.c.final)
    )
    queries = [abandoned, *(on_page.where(hit_questions.c.hit_id.in_(some)) for some in chunks(closing))]
    return np.unique(np.concatenate([_ids(connection, query) for query in queries]))


def rules_asked(connection: sa.Connection) -> set[str]:
    """The rules by which questions were ever published."""
    return set(connection.scalars(sa.select(hits.c.rule).distinct()))


def any_rounds(connection: sa.Connection) -> bool:
    """Whether any question is asked in rounds."""
    return bool(connection.scalar(sa.select(sa.exists().where(hits.c.rounds.is_not(None)))))


def unsettled_questions(connection: sa.Connection) -> Integers:
    """Questions on published HITs, and those whose verdict is not final; ascending."""
    asked = (
        sa.select(hit_questions.c.question_id)
        .select_from(hit_questions.join(hits))
        .where(hits.c.state == "published", ~hit_questions.c.as_control)
    )
    provisional = sa.select(verdicts.c.question_id).where(~verdicts.c.final)
    return np.unique(np.concatenate([_ids(connection, asked), _ids(connection, provisional)]))


def _ids(connection: sa.Connection, query: sa.Select[Any]) -> Integers:
    inner = query.subquery()
    (found,) = read_whole(connection, sa.select(integer(inner.c.question_id)))
    return np.unique(found)


def _read(
    connection: sa.Connection,
    query: Callable[[sa.FromClause], sa.Select[*tuple[Any, ...]]],
    question: sa.Column[int],
    chosen: Integers | None,
    over: sa.Column[int],
    step: int,
) -> list[Integers]:
    """Rows over a number of theirs; or, by their `question`, those of the chosen questions."""
    if chosen is None:
        return read_numbers(connection, query(question.table), over, step)
    return read_chosen(connection, query, question, chosen)


def asked(
    connection: sa.Connection,
    *,
    chosen: Integers | None = None,
    closing: Sequence[int] = (),
    categories: bool = True,
) -> Asked:
    """The questions that HITs asked, not as controls: all or those `chosen` (ascending).

    The `closing` HITs bring no more votes. Without `categories` all are said to be of one.
    """
    q = hit_questions.c

    def on_pages(source: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
        rows: sa.Select[*tuple[Any, ...]] = sa.select(integer(q.question_id), integer(q.hit_id))
        rows = rows.select_from(source).where(~q.as_control)
        if categories:
            rows = rows.join(questions, questions.c.id == q.question_id).add_columns(_category())
        return rows

    question, hit, *category = _read(connection, on_pages, q.question_id, chosen, q.hit_id, PAGES_AT_ONCE)
    policies, still_open = _policies(connection, np.unique(hit))
    waiting = np.isin(hit, np.setdiff1d(still_open, closing))
    return latest_asked(question, hit, waiting, category[0] if category else np.zeros_like(hit), policies)


def _policies(connection: sa.Connection, hit_ids: Integers) -> tuple[dict[int, Policy], list[int]]:
    """The policy of each of these HITs (ascending), and those that are open."""
    h = hits.c
    kind = (h.rule, h.votes_wanted, sa.cast(h.rounds, sa.Text), h.state.in_(OPEN))
    every = sa.func.aggregate_strings(sa.cast(h.id, sa.Text), ",")
    pages = sa.select(*kind, every).select_from(along(connection, h.id, hit_ids)).group_by(*kind)
    policies: dict[int, Policy] = {}
    still_open: list[int] = []
    for rule, votes_wanted, rounds, is_open, listed in connection.execute(pages):
        ids = list(map(int, listed.split(",")))
        policies |= dict.fromkeys(
            ids, Policy.stored(rule, votes_wanted, json.loads(rounds) if rounds else None)
        )
        still_open += ids if is_open else []
    return policies, still_open


def ballots(connection: sa.Connection, *, chosen: Integers | None = None, by_worker: bool = True) -> Ballots:
    """The votes that count, on all questions or on those `chosen` (ascending).

    Without `by_worker` all are said to be of worker 0: a column costs the engines as much as finding the row.
    """
    v = votes.c
    answered = coded(v.answer)
    if by_worker:
        columns = [integer(v.question_id), integer(v.worker_id) * ANSWER_PLACES + answered]
    else:
        columns = [integer(v.question_id) * ANSWER_PLACES + answered]

    def counting(source: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
        return sa.select(*columns).select_from(source).where(v.counts)

    *question, packed = _read(connection, counting, v.question_id, chosen, v.id, ROWS_AT_ONCE)
    answer = (packed % ANSWER_PLACES).astype(np.int8)
    # In its place: for all votes of a large store another column is hundreds of megabytes.
    packed //= ANSWER_PLACES
    if by_worker:
        return Ballots(question[0], packed, answer)
    return Ballots(packed, np.zeros(packed.size, dtype=np.int8), answer)


def control_ballots(connection: sa.Connection, *, chosen: Integers | None = None) -> Controls:
    """The votes on questions whose answer is known, in the order in which they were stored.

    Of chosen questions (ascending): those on the pages that asked them.
    """
    rows = (
        sa.select(
            integer(votes.c.question_id),
            integer(votes.c.worker_id),
            coded(votes.c.answer),
            coded(controls.c.answer),
            _category(),
        )
        .select_from(votes.join(questions).join(controls, controls.c.question_id == questions.c.id))
        .order_by(votes.c.id)
    )
    if chosen is not None:
        source = along(connection, votes.c.question_id, chosen)
        pages = sa.select(votes.c.assignment_id).select_from(source).where(votes.c.counts)
        rows = rows.where(votes.c.assignment_id.in_(pages))
        return Controls(*map(_whole, read_columns(connection, rows, "iiiii")))
    return Controls(*read_numbers(connection, rows, votes.c.id))


def _category() -> sa.ColumnElement[int]:
    """A category's number: the offset in its wnid."""
    return integer(sa.func.substr(questions.c.wnid, 2))


def coded(answer: sa.Column[str]) -> sa.ColumnElement[int]:
    """An answer by its place in ANSWERS."""
    return integer(sa.case({one.value: place for place, one in enumerate(ANSWERS)}, value=answer, else_=-1))


def _whole(column: NDArray[Any]) -> Integers:
    return column.astype(np.int64, copy=False)


def decisions(connection: sa.Connection) -> tuple[dict[Decision, int], int]:
    """How many questions stand accepted, rejected and undecided; and how many of all that provisionally."""
    # One pass over what may be millions of rows: grouping them would sort them.
    counts = [sa.func.count().filter(verdicts.c.decision == decision) for decision in Decision]
    provisional = sa.func.count().filter(~verdicts.c.final)
    row = connection.execute(sa.select(*counts, provisional)).one()
    *numbers, waiting = row
    return dict(zip(Decision, numbers, strict=True)), waiting


def reported_pictures(connection: sa.Connection) -> list[ReportedPicture]:
    """The questions that any worker reported, controls among them."""
    # Written out, so that the index of reports serves.
    is_report = votes.c.answer == sa.literal_column(f"'{Answer.REPORT}'")
    rows = connection.execute(
        sa.select(questions.c.sha256, questions.c.wnid, votes.c.report_reason)
        .select_from(votes.join(questions))
        .where(is_report)
    )
    ordered = sorted(rows, key=lambda row: (row.wnid, row.sha256))
    return _grouped((sha256, wnid, ReportReason(reason)) for sha256, wnid, reason in ordered)


def _grouped(rows: Iterable[tuple[str, str, ReportReason]]) -> list[ReportedPicture]:
    reasons: dict[tuple[str, str], dict[ReportReason, None]] = {}
    for sha256, wnid, reason in rows:
        reasons.setdefault((sha256, wnid), {})[reason] = None
    return [ReportedPicture(sha256, wnid, tuple(why)) for (sha256, wnid), why in reasons.items()]
