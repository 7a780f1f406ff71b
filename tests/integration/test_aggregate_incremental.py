"""aggregate decides only what new votes touch, and what it says in the end does not depend on when it ran."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hits import database
from hits.model import Answer, Decision
from imagenet_builder import deciding, excluded_workers
from imagenet_builder.aggregate import aggregate, settle_verdicts
from imagenet_builder.errors import ProjectError
from imagenet_builder.project import Project
from imagenet_builder.store import verdicts as store
from imagenet_builder.store.tables import (
    assignments,
    controls,
    hit_questions,
    hits,
    images,
    questions,
    rulings,
    superseded_verdicts,
    verdicts,
    votes,
    watermarks,
    workers,
)
from imagenet_builder.verdicts import PROVISIONAL, decide
from tests.builder_store import NOW, add_categories, empty_project

DOG = "n02084071"


@pytest.fixture(autouse=True)
def nobody_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Votes are put into the store here: there is no marketplace that could be told of an excluded worker."""
    monkeypatch.setattr(excluded_workers, "review", lambda *_, **__: 0)


@pytest.fixture
def project(tmp_path: Path, store_url: str) -> Project:
    return asked_project(tmp_path, store_url)


def asked_project(folder: Path, store_url: str, rule: str = "majority", pages: int = 4) -> Project:
    """Four pages of ten questions and two controls, all answered that will be: nothing is open on a marketplace."""
    project = empty_project(folder, store={"url": store_url})
    add_categories(project, DOG)
    n_questions = 10 * pages + 2
    with database.writing(project.engine) as connection:
        connection.execute(images.insert(), [_image(number) for number in range(n_questions)])
        connection.execute(
            questions.insert(),
            [
                {"id": number + 1, "sha256": f"{number:064x}", "wnid": DOG, "asked_at": NOW}
                for number in range(n_questions)
            ],
        )
        connection.execute(
            controls.insert(),
            [
                {
                    "question_id": n_questions - 1,
                    "answer": "yes",
                    "provenance": "requester",
                    "labelled_at": NOW,
                },
                {"question_id": n_questions, "answer": "no", "provenance": "requester", "labelled_at": NOW},
            ],
        )
        connection.execute(hits.insert(), [_hit(page, rule) for page in range(pages)])
        connection.execute(hit_questions.insert(), list(_slots(pages, n_questions)))
        connection.execute(
            workers.insert(),
            [
                {"id": worker + 1, "endpoint": "e", "platform_worker_id": f"W{worker}", "first_seen_at": NOW}
                for worker in range(5)
            ],
        )
    return project


def _image(number: int) -> dict[str, Any]:
    columns = {"format": "JPEG", "mode": "RGB", "width": 9, "height": 9, "byte_count": 9, "orientation": 1}
    return {**columns, "sha256": f"{number:064x}", "perceptual_hash": 0, "stored_at": NOW}


def _hit(page: int, rule: str) -> dict[str, Any]:
    return {
        "id": page + 1,
        "wnid": DOG,
        "token": f"t{page}",
        "endpoint": "e",
        "live": False,
        "state": "collected",
        "votes_wanted": 3,
        "rule": rule,
        "reward_cents": 1,
        "fee_cents": 1,
        "intended_at": NOW,
        "platform_hit_id": f"H{page}",
    }


def _slots(pages: int, n_questions: int) -> Iterable[dict[str, Any]]:
    for page in range(pages):
        asked = [*range(10 * page + 1, 10 * page + 11), n_questions - 1, n_questions]
        for position, question in enumerate(asked):
            yield {
                "hit_id": page + 1,
                "position": position,
                "question_id": question,
                "as_control": question > n_questions - 2,
                "picture_name": f"{page}-{question}",
            }


def vote(project: Project, worker: int, page: int, *, liar: bool = False) -> None:
    """One worker answers one page, questions with even ids are yes; a liar says the opposite, of controls too."""
    with database.writing(project.engine) as connection:
        assignment_id = connection.execute(
            assignments.insert()
            .values(
                hit_id=page + 1,
                worker_id=worker + 1,
                platform_assignment_id=f"A{worker}-{page}",
                status="Approved",
                accepted_at=NOW,
                submitted_at=NOW,
                collected_at=NOW,
                controls_right=0,
                controls_shown=2,
                answer_xml="<x/>",
            )
            .returning(assignments.c.id)
        ).scalar_one()
        rows = connection.execute(
            sa.select(hit_questions.c.question_id, hit_questions.c.as_control, controls.c.answer)
            .outerjoin(controls, controls.c.question_id == hit_questions.c.question_id)
            .where(hit_questions.c.hit_id == page + 1)
        )
        connection.execute(
            votes.insert(),
            [
                {
                    "question_id": question,
                    "assignment_id": assignment_id,
                    "worker_id": worker + 1,
                    "answer": "yes"
                    if (question % 2 == 0 if known is None else known == "yes") != liar
                    else "no",
                    "counts": not as_control,
                    "cast_at": NOW,
                }
                for question, as_control, known in rows
            ],
        )


def written(project: Project, *, history: bool = False) -> list[tuple[Any, ...]]:
    """The verdicts that stand, or all of them, without their times and row ids."""
    found: list[Any] = []
    for table in (verdicts, superseded_verdicts) if history else (verdicts,):
        c, r = table.c, rulings.c
        columns = (c.question_id, c.decision, r.rule, r.parameters, c.yes, c.no, c.final)
        statement = sa.select(*columns, sa.func.round(c.probability * 1e9))
        with database.reading(project.engine) as connection:
            found += connection.execute(statement.join_from(table, rulings, r.id == c.ruling_id)).all()
    return sorted(map(tuple, found), key=repr)


def test_a_run_decides_the_questions_with_new_votes_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[list[int]] = []

    def watched(asked: Any, evidence: Any, finality: Any = PROVISIONAL) -> Any:
        decided.append(asked.question.tolist())
        return decide(asked, evidence, finality)

    monkeypatch.setattr("imagenet_builder.deciding.decide", watched)
    for worker in range(3):
        for page in range(4):
            vote(project, worker, page)
    assert aggregate(project).verdicts_changed == 40
    assert aggregate(project).verdicts_changed == 0
    vote(project, 3, 2)
    assert aggregate(project).verdicts_changed == 10
    assert decided == [list(range(1, 41)), list(range(21, 31))]


def test_the_watermark_stands_where_it_stood_when_nothing_is_new(project: Project) -> None:
    vote(project, 0, 0)
    aggregate(project, now=NOW)
    with database.reading(project.engine) as connection:
        before = connection.execute(sa.select(watermarks)).all()
        assert store.watermark(connection) == store.latest_vote(connection) == 12
    aggregate(project, now=NOW + timedelta(days=1))
    with database.reading(project.engine) as connection:
        assert connection.execute(sa.select(watermarks)).all() == before


@pytest.mark.parametrize(("at_once", "kept"), [(100, 0), (15, 30)])
def test_a_run_that_ends_before_the_watermark_moves_decides_the_same_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, at_once: int, kept: int
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deciding, "VERDICTS_AT_ONCE", at_once)
    for page in range(4):
        vote(project, 0, page)
    aggregate(project)
    for page in range(4):
        vote(project, 1, page)
    with monkeypatch.context() as patched:
        patched.setattr(store, "move_watermark", cut_off)
        with pytest.raises(KeyboardInterrupt):
            aggregate(project)
    # The last part is written with the watermark, or not at all.
    assert len(written(project, history=True)) == 40 + kept
    assert aggregate(project).verdicts_changed == 40 - kept
    before = written(project, history=True)
    assert len(before) == 80
    assert aggregate(project).verdicts_changed == 0
    assert written(project, history=True) == before


@pytest.mark.parametrize("rule", ["majority", "dawid-skene", "dynamic"])
@pytest.mark.parametrize("large", [False, True])
def test_final_verdicts_do_not_depend_on_when_aggregation_ran(
    tmp_path: Path, rule: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(deciding, "VOTES_TO_REFIT", 0)
    cast = [(worker, page) for worker in range(4) for page in range(4)]
    often = asked_project(tmp_path / "often", f"sqlite:///{tmp_path}/often.sqlite3", rule)
    once = asked_project(tmp_path / "once", f"sqlite:///{tmp_path}/once.sqlite3", rule)
    for worker, page in cast:
        for project in (often, once):
            vote(project, worker, page, liar=worker == 0)
        aggregate(often)
    for project in (often, once):
        report = aggregate(project, finalise=True)
        assert report.provisional == 0
        assert report.decisions[Decision.ACCEPTED] == report.decisions[Decision.REJECTED] == 20
    assert written(often) == written(once)
    for project in (often, once):
        project.engine.dispose()


def test_on_a_large_store_a_rule_that_learns_gives_touched_questions_a_provisional_verdict(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "VOTES_TO_REFIT", 0)
    with database.writing(project.engine) as connection:
        connection.execute(hits.update().values(rule="dawid-skene"))
    for worker in range(3):
        vote(project, worker, 0)
    assert aggregate(project).verdicts_changed == 10
    vote(project, 0, 1)
    report = aggregate(project)
    assert (report.verdicts_changed, report.provisional) == (10, 20)


def test_a_release_is_settled_by_all_votes_but_for_what_still_waits_or_wants(project: Project) -> None:
    rounds = {"target": 0.9, "most": 3}
    with database.writing(project.engine) as connection:
        connection.execute(hits.update().values(rule="dawid-skene"))
        connection.execute(hits.update().where(hits.c.id == 1).values(state="published"))
        connection.execute(hits.update().where(hits.c.id == 2).values(rounds=rounds, votes_wanted=1))
    for worker in range(4):
        for page in (0, 2, 3):
            vote(project, worker, page, liar=worker == 0)
    vote(project, 1, 1)
    vote(project, 2, 1, liar=True)
    with pytest.raises(ProjectError, match="no keys"):
        aggregate(project)
    assert {row[6] for row in written(project)} == {False}
    settle_verdicts(project)
    final = {row[0] for row in written(project) if row[6]}
    # Page 1 is out; the two votes on page 2 contradict each other, and a third may come.
    assert final == set(range(21, 41))
    before = written(project, history=True)
    assert settle_verdicts(project) == 0
    assert written(project, history=True) == before


def test_with_nothing_provisional_there_is_nothing_to_settle(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for worker in range(3):
        vote(project, worker, 0)
    aggregate(project)

    def not_called(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("imagenet_builder.deciding.decide", not_called)
    assert settle_verdicts(project) == 0


def test_a_page_that_was_given_up_ends_the_wait_of_its_questions(project: Project) -> None:
    with database.writing(project.engine) as connection:
        connection.execute(hits.update().where(hits.c.id == 1).values(state="published"))
        connection.execute(hits.update().where(hits.c.id == 1).values(endpoint="gone"))
    vote(project, 0, 0)
    with pytest.raises(ProjectError, match="no keys"):
        aggregate(project)
    assert {row[6] for row in written(project)} == {False}
    with database.writing(project.engine) as connection:
        connection.execute(hits.update().where(hits.c.id == 1).values(state="abandoned"))
    aggregate(project)
    assert {row[6] for row in written(project)} == {True}


def test_votes_by_answer_are_tallied_in_the_right_columns(project: Project) -> None:
    for worker in range(5):
        vote(project, worker, 0)
    said = dict(enumerate(("yes", "no", "unsure", "broken", "yes"), start=1))
    with database.writing(project.engine) as connection:
        for worker, answer in said.items():
            connection.execute(votes.update().where(votes.c.worker_id == worker).values(answer=answer))
    aggregate(project)
    with database.reading(project.engine) as connection:
        columns = [verdicts.c[answer.value] for answer in Answer]
        tallies = set(map(tuple, connection.execute(sa.select(*columns))))
    assert tallies == {(2, 1, 1, 1, 0)}
