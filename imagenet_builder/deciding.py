"""Bringing verdicts up to the votes: which questions are decided anew, by which votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from hits import database
from hits.consensus import LEARNING

from .store import verdicts as verdict_store
from .store import workers as worker_store
from .store.superseding import supersede
from .verdicts import NO_CONTROLS, NOBODY, PROVISIONAL, Decided, Evidence, Finality, Integers, decide

if TYPE_CHECKING:
    import sqlalchemy as sa

# Verdicts written in one transaction, so that it stays short.
VERDICTS_AT_ONCE = 100_000
# Up to so many votes a rule that learns is fitted to all of them in every run: that takes about a second.
VOTES_TO_REFIT = 300_000
# Of all questions, the share that is read one by one.
MOST_TO_CHOOSE = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """What to decide. By `chosen` questions' votes and the controls that stood beside them, or by all votes (None).

    `completed` HITs bring no more votes; `rule` replaces that of the pages; verdicts on `only` these are written,
    and with `voted` on all that have votes. `fresh` questions have votes that no verdict knows of.
    """

    completed: Sequence[int]
    rule: str | None
    finality: Finality = PROVISIONAL
    chosen: Integers | None = None
    only: Integers | None = None
    voted: bool = False
    fresh: Integers = field(default_factory=lambda: NOBODY)


class Deciding:
    """One run's decisions; `seen` is the last vote that its verdicts know of.

    `ignore_excluded` leaves the votes of excluded workers out of rules that count heads.
    """

    def __init__(self, engine: sa.Engine, now: datetime, *, ignore_excluded: bool) -> None:
        self.engine = engine
        self.now = now
        self.ignore_excluded = ignore_excluded
        self.seen = 0
        self._following: Integers = NOBODY
        self._rules: set[str] | None = None

    def decide(self, completed: Sequence[int], rule: str | None, finalise: bool) -> int:
        """Bring verdicts, and the watermark, up to the votes; returns how many verdicts changed."""
        with database.reading(self.engine) as connection:
            self._look(connection)
            if finalise:
                task = _Task(completed, rule, Finality(True, everything=True))
            elif rule is not None:
                # Final verdicts stay as they are, so that a later run follows the exclusions.
                self._following = NOBODY
                task = self._task(connection, completed, rule, verdict_store.unsettled_questions(connection))
            else:
                task = self._task_since(connection, completed, verdict_store.watermark(connection))
            found = self._decided(connection, task)
        return self._write(found, task)

    def _task_since(self, connection: sa.Connection, completed: Sequence[int], after: int) -> _Task:
        """What votes after the row `after` touch."""
        if not after:
            # Nothing was decided yet: all votes are new.
            ended = verdict_store.ended_questions(connection, completed)
            return _Task(completed, None, only=ended, voted=True)
        fresh = verdict_store.voted_questions(connection, after)
        touched = np.union1d(fresh, verdict_store.ended_questions(connection, completed))
        if self._following.size:
            touched = np.union1d(touched, worker_store.questions_of_excluded(connection, self._following))
        return replace(self._task(connection, completed, None, touched), fresh=fresh)

    def _task(
        self, connection: sa.Connection, completed: Sequence[int], rule: str | None, touched: Integers
    ) -> _Task:
        """How touched questions are decided: with all others where a rule learns from them, unless these are many."""
        if not touched.size:
            return _Task(completed, rule, chosen=touched)
        learning = self._learns(connection, rule)
        if learning and (rule is not None or self.seen <= VOTES_TO_REFIT):
            only = np.union1d(touched, verdict_store.unsettled_questions(connection))
            return _Task(completed, rule, only=only)
        if not learning and touched.size > MOST_TO_CHOOSE * verdict_store.latest_question(connection):
            # Choosing among rows costs more than reading them all.
            return _Task(completed, rule, only=touched)
        return _Task(completed, rule, chosen=touched)

    def settle(self) -> int:
        """Refit every rule to all votes; what waits for no more becomes final. Returns how many verdicts changed."""
        task = _Task((), None, Finality(fitted=True))
        with database.reading(self.engine) as connection:
            self._look(connection)
            found = self._decided(connection, task)
        return self._write(found, task)

    def _look(self, connection: sa.Connection) -> None:
        """Note which votes are there, and which exclusions the verdicts do not follow yet."""
        self.seen = verdict_store.latest_vote(connection)
        self._following = worker_store.exclusions_to_follow(connection, ignoring=self.ignore_excluded)

    def _decided(self, connection: sa.Connection, task: _Task) -> list[Decided]:
        chosen = task.chosen
        if chosen is not None and not chosen.size:
            return []
        learning = self._learns(connection, task.rule)
        asked = verdict_store.asked(connection, chosen=chosen, closing=task.completed, categories=learning)
        if task.rule is not None:
            asked = replace(asked, policies=[replace(policy, rule=task.rule) for policy in asked.policies])
        ignored = worker_store.left_out(connection, ignoring=self.ignore_excluded)
        evidence = Evidence(
            verdict_store.ballots(connection, chosen=chosen, by_worker=learning or ignored.size > 0),
            verdict_store.control_ballots(connection, chosen=chosen) if learning else NO_CONTROLS,
            ignored,
        )
        return decide(asked, evidence, task.finality)

    def _learns(self, connection: sa.Connection, rule: str | None) -> bool:
        """Whether `rule`, or without one any by which questions were published, learns from all votes."""
        if rule is None and self._rules is None:
            self._rules = verdict_store.rules_asked(connection)
        return bool(LEARNING & ({rule} if rule else self._rules or set()))

    def _write(self, decided: Sequence[Decided], task: _Task) -> int:
        """Write what was decided, when nothing is read any more: SQLite keeps all changes in its log until then."""
        chosen = [(found, _rows_to_write(found, task)) for found in decided]
        parts, fresh = [chosen], task.fresh
        if sum(rows.size for _, rows in chosen) > VERDICTS_AT_ONCE:
            # A run that ended between two of these may have written verdicts that know of fresh votes.
            parts, fresh = [[part] for found, rows in chosen for part in _in_parts(found, rows)], NOBODY
        changed = 0
        for place, part in enumerate(parts, 1):
            with database.writing(self.engine) as connection:
                for found, rows in part:
                    changed += supersede(connection, found.chosen(rows), self.now, fresh)
                if place == len(parts):
                    worker_store.record_followed(connection, self._following)
                    verdict_store.move_watermark(connection, self.seen, self.now)
        return changed


def _rows_to_write(found: Decided, task: _Task) -> Integers:
    """The places of the verdicts that a task asks for."""
    if task.only is None:
        return np.arange(found.question.size)
    wanted = np.isin(found.question, task.only)
    return np.flatnonzero(wanted | found.tally.any(axis=1) if task.voted else wanted)


def _in_parts(found: Decided, rows: Integers) -> list[tuple[Decided, Integers]]:
    """The rows of verdicts, no more at a time than one transaction takes."""
    return [
        (found, rows[start : start + VERDICTS_AT_ONCE]) for start in range(0, rows.size, VERDICTS_AT_ONCE)
    ]
