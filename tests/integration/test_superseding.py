"""Verdicts written over each other in any order, beside a plain model of what then stands and what stood before."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.store.superseding import supersede
from imagenet_builder.store.tables import rulings, superseded_verdicts, verdicts
from imagenet_builder.verdicts import ANSWERS, DECISIONS, Decided
from tests.builder_store import NOW, empty_project

COUNTS = [answer.value for answer in ANSWERS]
# What a verdict says; whether it is final is no part of it.
Said = tuple[Any, ...]


@dataclass
class Model:
    """One question after the other: question → (what is said, whether finally, when); and what stood before."""

    standing: dict[int, tuple[Said, bool, int]] = field(default_factory=dict)
    history: list[tuple[int, Said, bool, int, int]] = field(default_factory=list)

    def supersede(self, found: Decided, run: int) -> int:
        changed = 0
        for question, said, final in each(found):
            before = self.standing.get(question)
            if before is not None and before[0] == said:
                self.standing[question] = (said, before[1] or final, before[2])
                continue
            if before is not None:
                self.history.append((question, *before, run))
            self.standing[question] = (said, final, run)
            changed += 1
        return changed

    def says_other(self, found: Decided) -> list[int]:
        """The questions of which something else is said than stands, or which nothing stood on."""
        return [
            one for one, said, _ in each(found) if one not in self.standing or self.standing[one][0] != said
        ]


def each(found: Decided) -> list[tuple[int, Said, bool]]:
    parameters = tuple(sorted(found.parameters.items()))
    return [
        (
            int(found.question[row]),
            (
                *(found.rule, parameters, DECISIONS[found.decision[row]].value),
                None if np.isnan(found.probability[row]) else round(float(found.probability[row]), 9),
                *found.tally[row].tolist(),
            ),
            bool(found.final[row]),
        )
        for row in range(found.question.size)
    ]


def drawn(random: np.random.Generator) -> Decided:
    """Verdicts on neighbouring and scattered questions, few of which differ from those of other draws."""
    size = int(random.integers(0, 60))
    first = int(random.integers(1, 80))
    question = np.arange(first, first + size) if random.random() < 0.5 else random.permutation(100)[:size] + 1
    probability = random.choice([np.nan, 0.25, 2 / 3], size)
    if random.random() < 0.5:
        # As of a rule that says of each question how sure it is.
        probability = np.where(random.random(size) < 0.2, np.nan, np.round(question / 117, 9))
    rule, parameters = [("majority", {"needed": 3}), ("majority", {"needed": 5}), ("dawid-skene", {})][
        random.integers(3)
    ]
    # The same number of votes, mostly of the same kind.
    tally = 2 * np.eye(len(ANSWERS), dtype=np.int64)[random.choice([0, 0, 0, 1, 4], size)]
    return Decided(
        rule=rule,
        parameters=parameters,
        question=np.sort(question),
        decision=random.choice([0, 1, 1, 2], size),
        probability=probability,
        tally=tally,
        final=random.random(size) < 0.5,
        wanting=np.zeros(size, dtype=np.bool_),
    )


def stored(connection: sa.Connection, table: sa.Table, *more: sa.Column[Any]) -> list[tuple[Any, ...]]:
    c = table.c
    counts = [c[name] for name in COUNTS]
    rows = connection.execute(
        sa.select(c.question_id, rulings.c.rule, rulings.c.parameters, c.decision, c.probability, *counts)
        .add_columns(c.final, rulings.c.decided_at, *more)
        .join_from(table, rulings, rulings.c.id == c.ruling_id)
    )
    found = []
    for question, rule, parameters, decision, probability, *rest in rows:
        said = (rule, tuple(sorted(parameters.items())), decision)
        rounded = None if probability is None else round(probability, 9)
        found.append((question, (*said, rounded, *rest[: len(COUNTS)]), *rest[len(COUNTS) :]))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_what_stands_and_what_stood_before_are_as_if_written_one_by_one(
    tmp_path: Path, store_url: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    engine = empty_project(tmp_path / "p", store={"url": store_url}).engine
    model = Model()
    for run in range(14):
        found = drawn(random)
        # New votes are one reason of several to say something else.
        other = np.array(model.says_other(found), dtype=np.int64)
        fresh = other[random.random(other.size) < random.choice([0, 0.5, 1])]
        with database.writing(engine) as connection:
            changed = supersede(connection, found, NOW + timedelta(minutes=run), fresh)
        assert changed == model.supersede(found, run)
    with database.reading(engine) as connection:
        standing = stored(connection, verdicts)
        history = stored(connection, superseded_verdicts, superseded_verdicts.c.superseded_by)
        times = {row.id: row.decided_at for row in connection.execute(sa.select(rulings))}
    moments = [NOW + timedelta(minutes=run) for run in range(14)]
    assert sorted(standing) == sorted(
        (question, said, final, moments[run]) for question, (said, final, run) in model.standing.items()
    )
    ended = sorted(((*one, times[ruling]) for *one, ruling in history), key=repr)
    assert ended == sorted(
        (
            (question, said, final, moments[begun], moments[over])
            for question, said, final, begun, over in model.history
        ),
        key=repr,
    )
    assert len(model.history) > 100
    assert len(times) <= 14


def test_parts_of_one_run_share_their_ruling_and_an_empty_one_writes_none(
    tmp_path: Path, store_url: str
) -> None:
    engine = empty_project(tmp_path / "p", store={"url": store_url}).engine
    random = np.random.default_rng(5)
    found = drawn(random)
    while found.question.size < 20:
        found = drawn(random)
    with database.writing(engine) as connection:
        for rows in (np.arange(10), np.arange(10, found.question.size), np.arange(0)):
            supersede(connection, found.chosen(rows), NOW)
    with database.writing(engine) as connection:
        assert supersede(connection, found, NOW + timedelta(hours=1)) == 0
        assert connection.scalar(sa.select(sa.func.count()).select_from(rulings)) == 1
