"""Writing verdicts: those that stand and say something else become history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from imagenet_builder.verdicts import ANSWERS, DECISIONS, Decided, Integers

from .columns import copy_in, integer, moment_field
from .stretches import among, read_chosen
from .tables import verdicts

WORDS = np.array([decision.value.encode() for decision in DECISIONS])
LENGTHS = np.strings.str_len(WORDS)
# Probabilities are compared as whole numbers of this share; SQLite writes decimals: a last digit is no other word.
PROBABILITY_UNIT = 1e-15
ROUNDING = 1000
NO_PROBABILITY = -1.0
# Two counts of votes in one number.
COUNT_BITS = 32


def supersede(connection: sa.Connection, found: Decided, now: datetime) -> int:
    """Write verdicts in place of those that stand and say something else, which become history; returns how many.

    Being final is not something else: a verdict that is said again finally becomes final, and nothing else changes.
    The questions of `found` ascend.
    """
    if _any_stands(connection, found):
        found = found.chosen(_what_is_new(connection, found, now))
    _insert(connection, found, now)
    return int(found.question.size)


def _any_stands(connection: sa.Connection, found: Decided) -> bool:
    """Whether any question between the first and the last has a verdict: new questions come after the old ones."""
    if not found.question.size:
        return False
    first, last = int(found.question[0]), int(found.question[-1])
    standing = sa.exists().where(
        verdicts.c.superseded_at.is_(None), verdicts.c.question_id.between(first, last)
    )
    return bool(connection.scalar(sa.select(standing)))


def _what_is_new(connection: sa.Connection, found: Decided, now: datetime) -> Integers:
    """Make history of the verdicts that stand and say something else; returns the rows of `found` that do."""
    question, final, *standing = _standing(connection, found)
    place = np.searchsorted(found.question, question)
    probability, *words = (new[place] for new in _said(found))
    same = np.abs(probability - standing[0]) <= ROUNDING
    for new, old in zip(words, standing[1:], strict=True):
        same &= new == old
    becomes_final = same & (final == 0) & found.final[place]
    _update(connection, question[becomes_final], final=True)
    _update(connection, question[~same], superseded_at=now)
    is_new = np.ones(found.question.size, dtype=np.bool_)
    is_new[place[same]] = False
    return np.flatnonzero(is_new)


def _standing(connection: sa.Connection, found: Decided) -> list[Integers]:
    """The verdicts that stand on these questions: question, whether final, and what is said as in `_said`."""
    old = verdicts.c
    parameters = json.dumps(dict(found.parameters))
    alike = sa.and_(old.rule == found.rule, sa.cast(old.parameters, sa.Text) == parameters)
    decision = sa.case({word.value: place for place, word in enumerate(DECISIONS)}, value=old.decision)
    counts = [integer(old[answer.value]) for answer in ANSWERS]
    columns = [
        integer(old.question_id),
        integer(sa.case((old.final, 1), else_=0)),
        integer(sa.func.coalesce(old.probability, NO_PROBABILITY) / PROBABILITY_UNIT),
        # A verdict by another rule says something else, whatever it says.
        integer(sa.case((alike, decision), else_=len(DECISIONS))),
        *_packed(counts),
    ]

    def standing(source: sa.FromClause) -> sa.Select[*tuple[Any, ...]]:
        return sa.select(*columns).select_from(source).where(old.superseded_at.is_(None))

    return read_chosen(connection, standing, old.question_id, found.question)


def _said(found: Decided) -> list[Integers]:
    """What verdicts say, in whole numbers: probability, decision, and how many gave each answer."""
    probability = np.where(np.isnan(found.probability), NO_PROBABILITY, found.probability)
    counts = list(found.tally.T)
    return [(probability / PROBABILITY_UNIT).astype(np.int64), found.decision, *_packed(counts)]


def _packed(counts: Sequence[Any]) -> list[Any]:
    """Counts, two in a number: a column less is a third less to read."""
    pairs = zip(counts[::2], [*counts[1::2], None], strict=False)
    return [first if second is None else first + second * 2**COUNT_BITS for first, second in pairs]


def _update(connection: sa.Connection, questions: Integers, **values: Any) -> None:
    """Write into the verdicts that stand on these questions."""
    if questions.size:
        standing = sa.and_(
            verdicts.c.superseded_at.is_(None), among(connection, verdicts.c.question_id, questions)
        )
        connection.execute(verdicts.update().where(standing).values(**values))


def _insert(connection: sa.Connection, found: Decided, now: datetime) -> None:
    """Insert verdicts on questions that have none; those of one kind together, in as few statements as kinds."""
    if connection.dialect.name == "postgresql":
        # A field of COPY has one width for all its rows.
        for rows in _alike([LENGTHS[found.decision], np.isnan(found.probability)]):
            _copy_kind(connection, found.chosen(rows), now)
    else:
        for rows in _alike([found.decision, found.final, *found.tally.T]):
            _select_kind(connection, found.chosen(rows), now)


def _alike(columns: Sequence[NDArray[Any]]) -> list[Integers]:
    """The rows in which whole numbers from 0 up are the same, ascending; one array a kind."""
    if not columns[0].size:
        return []
    kind = np.ravel_multi_index(
        [column.astype(np.int64) for column in columns], [int(column.max()) + 1 for column in columns]
    )
    order = np.argsort(kind, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(kind[order])) + 1)


def _copy_kind(connection: sa.Connection, found: Decided, now: datetime) -> None:
    """Insert verdicts whose decisions are words of one length, all with a probability or none."""
    copy_in(
        connection,
        verdicts,
        {
            "question_id": found.question,
            "decision": WORDS[found.decision].astype(f"S{LENGTHS[found.decision[0]]}"),
            "rule": found.rule.encode(),
            "parameters": json.dumps(dict(found.parameters)).encode(),
            "probability": None if np.isnan(found.probability[0]) else found.probability,
            **{answer.value: found.tally[:, place].astype(np.int32) for place, answer in enumerate(ANSWERS)},
            "final": found.final,
            "decided_at": moment_field(now),
        },
    )


def _select_kind(connection: sa.Connection, found: Decided, now: datetime) -> None:
    """Insert verdicts that differ in their question and probability alone, by one statement.

    SQLite takes three times as long for a statement a row.
    """
    pairs = zip(found.question.tolist(), found.probability.tolist(), strict=True)
    said = ",".join(map('"%d":%r'.__mod__, pairs)).replace("nan", "null")
    each = sa.func.json_each("{" + said + "}").table_valued("key", "value")
    values: dict[str, Any] = {
        "question_id": integer(each.c.key),
        "decision": sa.literal(DECISIONS[found.decision[0]], verdicts.c.decision.type),
        "rule": sa.literal(found.rule),
        "parameters": sa.literal(dict(found.parameters), sa.JSON),
        "probability": each.c.value,
        **{answer.value: sa.literal(int(found.tally[0, place])) for place, answer in enumerate(ANSWERS)},
        "final": sa.literal(bool(found.final[0])),
        "decided_at": sa.literal(now, verdicts.c.decided_at.type),
    }
    source = sa.select(*values.values())
    connection.execute(verdicts.insert().from_select(list(values), source, include_defaults=False))
