"""Controls: questions whose answer is known. They measure workers, not pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hits import database
from hits.model import Answer

from .errors import PublishError
from .reconcile import PUBLISH_LOCK
from .store import categories
from .store import controls as store
from .store import publish as publish_store

if TYPE_CHECKING:
    import sqlalchemy as sa

REQUESTER = "requester"
KNOWN = (Answer.YES, Answer.NO)
QUESTIONS_AT_ONCE = 500

Labelled = tuple[str, str, Answer]


@dataclass(frozen=True, slots=True)
class ControlsReport:
    """How many controls were written, and how many questions were left because the crowd was asked them."""

    recorded: int
    left: int


def record_controls(
    engine: sa.Engine, labelled: Iterable[Labelled], provenance: str, now: datetime
) -> ControlsReport:
    """Let the answers to (sha256, wnid, YES or NO) be known; `provenance` says who knows, never the crowd.

    A question that the crowd was asked is left alone. A later answer replaces an earlier one. Raises
    PublishError for a picture that is not in the store, ValueError for another answer, and LockHeld while
    HITs are published.
    """
    by_category: dict[str, dict[str, Answer]] = defaultdict(dict)
    for sha256, wnid, answer in labelled:
        if answer not in KNOWN:
            raise ValueError(f"a control's answer is yes or no, not {answer}")
        by_category[wnid][sha256] = answer
    recorded = left = 0
    with database.exclusive_lock(engine, PUBLISH_LOCK):
        for wnid, answers in by_category.items():
            known = sorted(answers)
            for start in range(0, len(known), QUESTIONS_AT_ONCE):
                some = known[start : start + QUESTIONS_AT_ONCE]
                with database.writing(engine) as connection:
                    done = _record(connection, wnid, {key: answers[key] for key in some}, provenance, now)
                recorded, left = recorded + done, left + len(some) - done
    return ControlsReport(recorded, left)


def _record(
    connection: sa.Connection, wnid: str, answers: dict[str, Answer], provenance: str, now: datetime
) -> int:
    if wnid not in {category.wnid for category in categories.selected(connection)}:
        raise PublishError(f"{wnid} is no category of this project; see `imagenet-builder synsets selected`")
    absent = sorted(answers.keys() - store.known_images(connection, answers.keys()))
    if absent:
        raise PublishError(f"the picture {absent[0]} is not in the store; nothing of {wnid} was recorded")
    questions = publish_store.add_questions(connection, wnid, list(answers), now)
    crowds = store.crowds_questions(connection, questions.values())
    for sha256, question_id in questions.items():
        if question_id not in crowds:
            store.set_control(connection, question_id, answers[sha256], provenance, now)
    return len(questions) - len(crowds)
