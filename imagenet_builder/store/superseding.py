"""Writing verdicts: those that stand and say something else become history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from imagenet_builder.verdicts import ANSWERS, DECISIONS, NOBODY, Decided, Integers, Mask

from .columns import copy_in, integer
from .stretches import along, among, read_chosen
from .tables import rulings, superseded_verdicts, verdicts

WORDS = np.array([decision.value.encode() for decision in DECISIONS])
LENGTHS = np.strings.str_len(WORDS)
# Probabilities are compared as whole numbers of this share; SQLite writes decimals: a last digit is no other word.
PROBABILITY_UNIT = 1e-15
ROUNDING = 1000
NO_PROBABILITY = -1.0
# A decision and whether it is final, below its ruling, in one number; and three counts of votes in one.
FINAL, DECISION, RULING = 1, 2, 8
COUNT_BITS = 20


def supersede(connection: sa.Connection, found: Decided, now: datetime, fresh: Integers = NOBODY) -> int:
    """Write verdicts in place of those that stand and say something else, which become history; returns how many.

    Being final is not something else: a verdict that is said again finally becomes final, and nothing else changes.
    The questions of `found` ascend. On `fresh` ones there are votes that no verdict knows of: what stands there counted
    other votes, and is not compared.
    """
    any_stands = _any_stands(connection, found)
    if any_stands:
        found = found.chosen(np.flatnonzero(~_said_again(connection, found, np.isin(found.question, fresh))))
    if found.question.size:
        ruling = _ruling(connection, found, now)
        if any_stands:
            _make_history(connection, found.question, ruling)
        _insert(connection, found, ruling)
    return int(found.question.size)


def _said_again(connection: sa.Connection, found: Decided, other: Mask) -> Mask:
    """Which verdicts say what stands, which becomes final with them; none of those known to say something `other`."""
    again = np.zeros_like(other)
    compared = np.flatnonzero(~other)
    if compared.size:
        standing = _standing(connection, found.chosen(compared))
        place = compared[np.searchsorted(found.question[compared], standing.question)]
        same = _says_the_same(found.chosen(place), standing)
        again[place[same]] = True
        _make_final(connection, standing.question[same & ~standing.final & found.final[place]])
    return again


def _any_stands(connection: sa.Connection, found: Decided) -> bool:
    """Whether any question between the first and the last has a verdict: new questions come after the old ones."""
    if not found.question.size:
        return False
    first, last = int(found.question[0]), int(found.question[-1])
    standing = sa.exists().where(verdicts.c.question_id.between(first, last))
    return bool(connection.scalar(sa.select(standing)))


@dataclass(frozen=True, slots=True, eq=False)
class _Standing:
    """Verdicts that stand; `said` as in `_said`; `alike` those by the same rule with the same parameters."""

    question: Integers
    final: Mask
    alike: Mask
    said: list[Integers]


def _standing(connection: sa.Connection, found: Decided) -> _Standing:
    """The verdicts that stand on these questions."""
    old = verdicts.c
    decision = sa.case({word.value: place for place, word in enumerate(DECISIONS)}, value=old.decision)
    columns = [
        integer(old.question_id),
        integer(old.ruling_id) * RULING + integer(decision) * DECISION + sa.case((old.final, FINAL), else_=0),
        integer(sa.func.coalesce(old.probability, NO_PROBABILITY) / PROBABILITY_UNIT),
        *_packed([integer(old[answer.value]) for answer in ANSWERS]),
    ]
    question, decided, probability, *counts = read_chosen(
        connection, lambda source: sa.select(*columns).select_from(source), old.question_id, found.question
    )
    return _Standing(
        question,
        decided & FINAL != 0,
        np.isin(decided // RULING, _rulings_alike(connection, np.unique(decided // RULING), found)),
        [probability, decided % RULING // DECISION, *counts],
    )


def _rulings_alike(connection: sa.Connection, among_them: Integers, found: Decided) -> list[int]:
    """Those of some rulings (ascending) that were by the same rule with the same parameters."""
    columns = sa.select(rulings.c.id, rulings.c.rule, rulings.c.parameters)
    rows = connection.execute(columns.select_from(along(connection, rulings.c.id, among_them)))
    said = (found.rule, dict(found.parameters))
    return [row.id for row in rows if (row.rule, row.parameters) == said]


def _says_the_same(new: Decided, standing: _Standing) -> Mask:
    """Which of these verdicts say what stands; one by another rule says something else, whatever it says."""
    probability, *words = _said(new)
    same: Mask = standing.alike & (np.abs(probability - standing.said[0]) <= ROUNDING)
    for ours, theirs in zip(words, standing.said[1:], strict=True):
        same &= ours == theirs
    return same


def _said(found: Decided) -> list[Integers]:
    """What verdicts say, in whole numbers: probability, decision, and how many gave each answer."""
    probability = np.where(np.isnan(found.probability), NO_PROBABILITY, found.probability)
    counts = list(found.tally.T)
    return [(probability / PROBABILITY_UNIT).astype(np.int64), found.decision, *_packed(counts)]


def _packed(counts: Sequence[Any]) -> list[Any]:
    """Counts, three in a number: a column less is a third less to read."""
    return [
        sum(count * 2 ** (COUNT_BITS * place) for place, count in enumerate(counts[start : start + 3]))
        for start in range(0, len(counts), 3)
    ]


def _make_final(connection: sa.Connection, questions: Integers) -> None:
    if questions.size:
        here = among(connection, verdicts.c.question_id, questions)
        connection.execute(verdicts.update().where(here).values(final=True))


def _ruling(connection: sa.Connection, found: Decided, now: datetime) -> int:
    """The row of what these verdicts have in common: the latest, which a part before these may have written."""
    latest = sa.select(rulings).order_by(rulings.c.id.desc()).limit(1)
    said = {"rule": found.rule, "parameters": dict(found.parameters), "decided_at": now}
    for row, *before in connection.execute(latest):
        if before == list(said.values()):
            return int(row)
    number: int = connection.execute(rulings.insert().values(said).returning(rulings.c.id)).scalar_one()
    return number


def _make_history(connection: sa.Connection, questions: Integers, ruling: int) -> None:
    """Keep what stands on any of these questions as what the ruling superseded, and make room for others."""
    here = along(connection, verdicts.c.question_id, questions)
    gone = sa.select(*verdicts.c, sa.literal(ruling)).select_from(here)
    connection.execute(superseded_verdicts.insert().from_select(superseded_verdicts.c.keys(), gone))
    if connection.dialect.name == "postgresql":
        # Which COPY does not write over; on SQLite they are replaced where they are, for half the cost.
        connection.execute(verdicts.delete().where(among(connection, verdicts.c.question_id, questions)))


def _insert(connection: sa.Connection, found: Decided, ruling: int) -> None:
    """Write verdicts for which there is room; those of one kind together, in as few statements as kinds."""
    if connection.dialect.name == "postgresql":
        # A field of COPY has one width for all its rows.
        for rows in _alike([LENGTHS[found.decision], np.isnan(found.probability)]):
            _copy_kind(connection, found.chosen(rows), ruling)
    else:
        for rows in _alike([found.decision, found.final, *found.tally.T]):
            _select_kind(connection, found.chosen(rows), ruling)


def _alike(columns: Sequence[NDArray[Any]]) -> list[Integers]:
    """The rows in which whole numbers from 0 up are the same, ascending; one array a kind."""
    if not columns[0].size:
        return []
    kind = np.ravel_multi_index(
        [column.astype(np.int64) for column in columns], [int(column.max()) + 1 for column in columns]
    )
    order = np.argsort(kind, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(kind[order])) + 1)


def _copy_kind(connection: sa.Connection, found: Decided, ruling: int) -> None:
    """Insert verdicts whose decisions are words of one length, all with a probability or none."""
    copy_in(
        connection,
        verdicts,
        {
            "question_id": found.question,
            "decision": WORDS[found.decision].astype(f"S{LENGTHS[found.decision[0]]}"),
            "final": found.final,
            "ruling_id": ruling.to_bytes(8, "big"),
            "probability": None if np.isnan(found.probability[0]) else found.probability,
            **{answer.value: found.tally[:, place].astype(np.int32) for place, answer in enumerate(ANSWERS)},
        },
    )


def _select_kind(connection: sa.Connection, found: Decided, ruling: int) -> None:
    """Write verdicts that differ in their question and probability alone, over those that stand, by one statement.

    SQLite takes twice as long for a statement a row.
    """
    question, probability = found.question, found.probability
    alike: dict[str, Any] = {
        "decision": DECISIONS[found.decision[0]].value,
        "final": bool(found.final[0]),
        "ruling_id": ruling,
        **{answer.value: int(found.tally[0, place]) for place, answer in enumerate(ANSWERS)},
    }
    if (probability == probability[0]).all() or np.isnan(probability).all():
        alike["probability"] = None if np.isnan(probability[0]) else float(probability[0])
        differing, picked, said = ["question_id"], "value", str(question.tolist())
    else:
        pairs = map('"%d":%r'.__mod__, zip(question.tolist(), probability.tolist(), strict=True))
        said = "{" + ",".join(pairs).replace("nan", "null") + "}"
        differing, picked = ["question_id", "probability"], "CAST(key AS INTEGER), value"
    names = ", ".join(f'"{name}"' for name in [*differing, *alike])
    rows = f"SELECT {picked}{', ?' * len(alike)} FROM json_each(?)"
    connection.exec_driver_sql(f"REPLACE INTO {verdicts.name} ({names}) {rows}", (*alike.values(), said))
