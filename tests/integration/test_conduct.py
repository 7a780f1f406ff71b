"""What workers answered, read as arrays, beside the same rows gone through one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from hits import database
from hits.consensus import ABSTAINED, NO, UNKNOWN, YES
from hits.model import Answer
from imagenet_builder.project import Project
from imagenet_builder.store.conduct import WorkerVotes, worker_votes
from imagenet_builder.store.tables import assignments, controls, votes, workers
from tests.builder_store import NOW
from tests.integration.test_aggregate_incremental import asked_project

LABELS = {Answer.YES: YES, Answer.NO: NO, Answer.UNSURE: ABSTAINED}
QUESTIONS, CONTROLS = range(1, 21), (21, 22)
PAGES, WORKERS = 40, 9

# A worker's answers in order: the label, the right one of a control, else how many others said no and yes.
Answers = list[tuple[int, int, int | None, int | None]]


def filled(project: Project, seed: int) -> None:
    """Forty pages of nine workers of two endpoints: some cannot be read or have no clock, some were answered before.

    Votes mostly lie page by page, the pages in the order of their rows but for a few.
    """
    generator = np.random.default_rng(seed)
    with database.writing(project.engine) as connection:
        connection.execute(
            workers.insert(),
            [
                {"id": one, "endpoint": "f", "platform_worker_id": f"W{one}", "first_seen_at": NOW}
                for one in range(6, WORKERS + 1)
            ],
        )
        connection.execute(assignments.insert(), [_page(page, generator) for page in range(1, PAGES + 1)])
        rows = connection.execute(
            sa.select(assignments.c.id, assignments.c.worker_id)
            .where(assignments.c.unreadable.is_(None))
            .order_by(assignments.c.id)
        ).all()
        answered: set[tuple[int, int]] = set()
        cast = [one for page, worker in rows for one in _votes(page, worker, answered, generator)]
        for place in generator.integers(1, len(cast), 12).tolist():
            cast[place - 1], cast[place] = cast[place], cast[place - 1]
        away = generator.integers(len(cast))
        connection.execute(votes.insert(), cast[away:] + cast[:away] if seed % 2 else cast)


def _page(page: int, generator: np.random.Generator) -> dict[str, Any]:
    held = timedelta(seconds=float(generator.choice([-5, 0, 7, 31.5])))
    return {
        "id": page,
        "hit_id": page % 2 + 1,
        "worker_id": int(generator.integers(1, WORKERS + 1)),
        "platform_assignment_id": f"A{page}",
        "status": "Approved",
        "accepted_at": NOW,
        "submitted_at": NOW + held,
        "collected_at": NOW,
        "page_seconds": None if generator.random() < 0.3 else float(generator.random() * 60),
        "controls_right": 0,
        "controls_shown": 2,
        "unreadable": "no answers" if generator.random() < 0.2 else None,
        "answer_xml": "<x/>",
    }


def _votes(
    page: int, worker: int, answered: set[tuple[int, int]], generator: np.random.Generator
) -> Iterator[dict[str, Any]]:
    for question in generator.choice(
        [*QUESTIONS, *CONTROLS], generator.integers(1, 12), replace=False
    ).tolist():
        answer = Answer(generator.choice(list(Answer), p=[0.4, 0.35, 0.1, 0.1, 0.05]))
        # A question may have become a control when it had been answered.
        counts = (worker, question) not in answered and (question not in CONTROLS or generator.random() < 0.1)
        if counts:
            answered.add((worker, question))
        yield {
            "question_id": question,
            "assignment_id": page,
            "worker_id": worker,
            "answer": answer,
            "report_reason": "private" if answer == Answer.REPORT else None,
            "counts": counts,
            "cast_at": NOW,
        }


def one_by_one(connection: sa.Connection, after: int, new_after: int) -> dict[int, tuple[Any, ...]]:
    """Of each worker with new pages: the answers, the seconds a picture of each page, repeats, unreadable pages."""
    every = connection.execute(sa.select(votes).order_by(votes.c.id)).all()
    known = {row.question_id: LABELS[Answer(row.answer)] for row in connection.execute(sa.select(controls))}
    pages = {row.id: row for row in connection.execute(sa.select(assignments).order_by(assignments.c.id))}

    def page_of(vote: int) -> int:
        return max(((row.id, row.assignment_id) for row in every if row.id <= vote), default=(0, 0))[1]

    new_after = max(after, new_after)
    broken = [row for row in pages.values() if row.unreadable]
    new = {pages[row.assignment_id].worker_id for row in every if row.id > new_after}
    new |= {row.worker_id for row in broken if row.id > page_of(new_after)}
    cast = [row for row in every if row.id > after]
    pictures = Counter(row.assignment_id for row in cast)
    said = [row for row in cast if row.counts and Answer(row.answer) in LABELS]
    found = {}
    for worker in new:
        answers: Answers = []
        own = [row for row in cast if row.worker_id == worker and (row.counts or row.question_id in known)]
        for row in own:
            if Answer(row.answer) in LABELS:
                label, truth = LABELS[Answer(row.answer)], known.get(row.question_id, UNKNOWN)
                others = Counter(
                    LABELS[Answer(other.answer)]
                    for other in said
                    if other.question_id == row.question_id and other.id != row.id
                )
                counted = (others[NO], others[YES]) if truth == UNKNOWN else (None, None)
                answers.append((label, truth, *counted))
        found[worker] = (
            answers,
            [
                _seconds(pages[page]) / pictures[page]
                for page in pages
                if pages[page].worker_id == worker and pictures[page]
            ],
            sum(row.worker_id == worker for row in cast) - len(own),
            sum(row.worker_id == worker and row.id > page_of(after) for row in broken),
        )
    return found


def _seconds(page: Any) -> float:
    if page.page_seconds is not None:
        return float(page.page_seconds)
    held: float = (page.submitted_at - page.accepted_at).total_seconds()
    return held if held > 0 else np.nan


def by_worker(read: WorkerVotes) -> dict[int, tuple[Any, ...]]:
    """What was read as arrays, as `one_by_one` has it."""
    cast = read.votes
    counts = [np.bincount(cast.task[cast.label == one], minlength=cast.n_tasks) for one in (NO, YES)]
    truth = cast.truth()
    found = {}
    for place, worker in enumerate(read.ids.tolist()):
        answers: Answers = []
        for task, label in zip(
            cast.task[cast.worker == place].tolist(), cast.label[cast.worker == place].tolist(), strict=True
        ):
            no, yes = (int(each[task]) - (label == one) for each, one in zip(counts, (NO, YES), strict=True))
            open_question = truth[task] == UNKNOWN
            answers.append(
                (label, int(truth[task]), no if open_question else None, yes if open_question else None)
            )
        found[worker] = (
            answers,
            read.pages.seconds[read.pages.worker == place].tolist(),
            int(read.repeats[place]),
            int(read.unreadable[place]),
        )
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_arrays_say_what_the_rows_say_one_by_one(tmp_path: Path, store_url: str, seed: int) -> None:
    project = asked_project(tmp_path, store_url, pages=2)
    filled(project, seed)
    with database.reading(project.engine) as connection:
        last = connection.scalar(sa.select(sa.func.max(votes.c.id))) or 0
        numbers = set()
        for after in (0, 1, last // 3, last - 20, last):
            for new_after in (0, after, last // 2, last - 9, last - 1, last, last + 5):
                plain = one_by_one(connection, after, new_after)
                read = worker_votes(connection, after=after, new_after=new_after)
                assert read.ids.tolist() == sorted(plain)
                np.testing.assert_equal(by_worker(read), plain)
                numbers.add(len(plain))
    # Some, but not all, are asked about in between.
    assert WORKERS in numbers
    assert numbers - {0, WORKERS}


def test_a_store_without_an_answer_has_nobody(tmp_path: Path, store_url: str) -> None:
    project = asked_project(tmp_path, store_url, pages=2)
    with database.reading(project.engine) as connection:
        read = worker_votes(connection)
    assert (read.ids.size, read.votes.task.size, read.pages.worker.size, read.repeats.size) == (0, 0, 0, 0)
