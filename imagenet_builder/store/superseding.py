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

from .columns import copy_in, integer, load_columns, moment_field, read_columns
from .tables import verdicts

WORDS = np.array([decision.value.encode() for decision in DECISIONS])
LENGTHS = np.strings.str_len(WORDS)
NO_PROBABILITY = -1.0
ROUNDING = 1e-12

# What one statement works on: a table of eight-byte numbers that ends with the transaction.
_decided = sa.Table(
    "decided",
    sa.MetaData(),
    sa.Column("question_id", sa.BigInteger, primary_key=True),
    sa.Column("decision", sa.BigInteger),
    sa.Column("probability", sa.Double),
    *(sa.Column(answer.value, sa.BigInteger) for answer in ANSWERS),
    sa.Column("final", sa.BigInteger),
    prefixes=["TEMPORARY"],
)


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
    _decided.create(connection)
    tallies = [found.tally[:, place] for place in range(len(ANSWERS))]
    # A number that no probability is, where there is none: columns hold no nulls.
    probability = np.where(np.isnan(found.probability), NO_PROBABILITY, found.probability)
    columns = [found.question, found.decision, probability, *tallies, found.final.astype(np.int64)]
    load_columns(connection, _decided, columns)
    new, same = _decided.c, _is_said_again(found)
    standing = sa.and_(verdicts.c.superseded_at.is_(None), verdicts.c.question_id == new.question_id)
    connection.execute(
        verdicts.update()
        .where(
            verdicts.c.superseded_at.is_(None),
            ~verdicts.c.final,
            # Named, so that the index of standing verdicts serves: most rows are none of these.
            verdicts.c.question_id.in_(sa.select(new.question_id)),
            sa.exists().where(verdicts.c.question_id == new.question_id, same, new.final == 1),
        )
        .values(final=True)
    )
    connection.execute(_decided.delete().where(sa.exists().where(standing, same).correlate(_decided)))
    connection.execute(
        verdicts.update()
        .where(verdicts.c.superseded_at.is_(None), verdicts.c.question_id.in_(sa.select(new.question_id)))
        .values(superseded_at=now)
    )
    (left,) = read_columns(connection, sa.select(new.question_id).order_by(new.question_id), "i")
    _decided.drop(connection)
    return np.searchsorted(found.question, left)


def _is_said_again(found: Decided) -> sa.ColumnElement[bool]:
    """Whether a row of `verdicts` and one of `decided` say the same, final or not."""
    new, old = _decided.c, verdicts.c
    return sa.and_(
        old.decision == _decision_word(),
        old.rule == found.rule,
        sa.cast(old.parameters, sa.Text) == json.dumps(dict(found.parameters)),
        # Written as decimals on SQLite: a last digit is no other word.
        sa.func.abs(sa.func.coalesce(old.probability, NO_PROBABILITY) - new.probability) < ROUNDING,
        *(old[answer.value] == new[answer.value] for answer in ANSWERS),
    )


def _decision_word() -> sa.ColumnElement[str]:
    words = {place: decision.value for place, decision in enumerate(DECISIONS)}
    return sa.case(words, value=_decided.c.decision)


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
