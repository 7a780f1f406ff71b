"""Writing verdicts: those that stand and say something else become history."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from imagenet_builder.verdicts import ANSWERS, DECISIONS, Decided

from .columns import load_columns
from .tables import verdicts

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
    """
    _decided.create(connection)
    tallies = [found.tally[:, place] for place in range(len(ANSWERS))]
    # A number that no probability is, where there is none: columns hold no nulls.
    probability = np.where(np.isnan(found.probability), -1.0, found.probability)
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
    repeated = connection.execute(
        _decided.delete().where(sa.exists().where(standing, same).correlate(_decided))
    )
    connection.execute(
        verdicts.update()
        .where(verdicts.c.superseded_at.is_(None), verdicts.c.question_id.in_(sa.select(new.question_id)))
        .values(superseded_at=now)
    )
    connection.execute(_insertion(found, now))
    _decided.drop(connection)
    return int(found.question.size - repeated.rowcount)


def _is_said_again(found: Decided) -> sa.ColumnElement[bool]:
    """Whether a row of `verdicts` and one of `decided` say the same, final or not."""
    new, old = _decided.c, verdicts.c
    return sa.and_(
        old.decision == _decision_word(),
        old.rule == found.rule,
        sa.cast(old.parameters, sa.Text) == json.dumps(dict(found.parameters)),
        sa.func.coalesce(old.probability, -1.0) == new.probability,
        *(old[answer.value] == new[answer.value] for answer in ANSWERS),
    )


def _decision_word() -> sa.ColumnElement[str]:
    words = {place: decision.value for place, decision in enumerate(DECISIONS)}
    return sa.case(words, value=_decided.c.decision)


def _insertion(found: Decided, now: datetime) -> sa.Insert:
    new = _decided.c
    tallies = {answer.value: new[answer.value] for answer in ANSWERS}
    values: dict[str, Any] = {
        "question_id": new.question_id,
        "decision": _decision_word(),
        "rule": sa.literal(found.rule),
        "parameters": sa.literal(dict(found.parameters), sa.JSON),
        "probability": sa.func.nullif(new.probability, -1.0),
        **tallies,
        "final": new.final == 1,
        "decided_at": sa.literal(now, verdicts.c.decided_at.type),
    }
    source = sa.select(*values.values()).order_by(new.question_id)
    return verdicts.insert().from_select(list(values), source, include_defaults=False)
