"""The demo's truth: what was drawn where, for every question, and verdicts scored against it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagenet_builder.demo.truth import (
    Score,
    read_truth_file,
    score_verdicts,
    truth_of_questions,
    write_question_truth,
)
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.project import Project
from imagenet_builder.simulating import read_truths
from tests.builder_store import add_categories, empty_project
from tests.small_store import SmallStore

A, B = "n00000001", "n00000002"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = empty_project(tmp_path / "project")
    add_categories(project, A, B)
    return project


def test_the_truth_file_is_read_by_address(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    lines = [{"url": "http://x/1", "wnids": [A, B], "title": "File:1"}, {"url": "http://x/2", "wnids": []}]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    assert read_truth_file(path) == {"http://x/1": {A, B}, "http://x/2": frozenset()}


@pytest.mark.parametrize(
    "content",
    [None, b"{", b'{"url": "x"}\n', b'{"wnids": []}\n', b'{"url": "x", "wnids": 5}\n', b"[1]\n", b"\xff"],
)
def test_a_truth_file_that_is_none_is_one_line_with_its_name(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        SourceError, match=r"cannot read the picture site's truth file .*truth\.jsonl"
    ) as raised:
        read_truth_file(path)
    assert "\n" not in str(raised.value)


def test_one_image_from_two_addresses_shows_what_either_says(project: Project) -> None:
    store = SmallStore(project)
    image = store.image()
    first, second = store.candidate(A, image), store.candidate(A, image)
    store.candidate(B, image, url=first)
    assert truth_of_questions(project.engine, {second: frozenset({A})}) == {
        (image, A): True,
        (image, B): False,
    }
    assert truth_of_questions(project.engine, {first: frozenset({B}), second: frozenset({A})}) == {
        (image, A): True,
        (image, B): True,
    }


def test_a_reduced_picture_is_known_by_its_originals_address(project: Project) -> None:
    store = SmallStore(project)
    image = store.image()
    thumbnail = store.candidate(A, image, original_url="http://x/original.jpg")
    assert truth_of_questions(project.engine, {"http://x/original.jpg": frozenset({A})}) == {(image, A): True}
    assert truth_of_questions(project.engine, {thumbnail: frozenset({A})}) == {(image, A): False}


def test_only_stored_candidates_are_questions_and_an_unknown_address_shows_nothing(project: Project) -> None:
    store = SmallStore(project)
    image = store.image()
    store.candidate(A, image)
    refused = store.candidate(B, state="rejected", reason="too-small")
    pending = store.candidate(B, state="pending")
    drawn = {refused: frozenset({B}), pending: frozenset({B})}
    assert truth_of_questions(project.engine, drawn) == {(image, A): False}


def test_simulated_crowds_read_the_truth_that_is_written(tmp_path: Path) -> None:
    truth = {("f" * 64, A): True, ("0" * 64, A): False, ("f" * 64, B): False}
    write_question_truth(tmp_path / "questions.jsonl", truth)
    assert read_truths(tmp_path / "questions.jsonl") == truth


def test_a_truth_is_yes_no_or_something_near(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    said = {"a": True, "b": False, "c": "sibling"}
    path.write_text(
        "".join(
            json.dumps({"sha256": sha, "wnid": "w", "truth": truth}) + "\n" for sha, truth in said.items()
        )
    )
    assert read_truths(path) == {(sha, "w"): truth for sha, truth in said.items()}
    for wrong in ("cousin", 1, None):
        path.write_text(json.dumps({"sha256": "a", "wnid": "w", "truth": wrong}))
        with pytest.raises(ProjectError, match="line 1"):
            read_truths(path)


def test_verdicts_are_scored_by_what_was_drawn(project: Project) -> None:
    store = SmallStore(project)
    truth: dict[tuple[str, str], bool] = {}
    said = {
        ("accepted", True): 5,
        ("accepted", False): 1,
        ("rejected", False): 4,
        ("rejected", True): 3,
        ("undecided", True): 2,
        ("undecided", False): 1,
    }
    for (decision, shows), number in said.items():
        for _ in range(number):
            image = store.image()
            question = store.question(image, A)
            store.verdict(question, "undecided", superseded=True)
            store.verdict(question, decision)
            truth[image, A] = shows
    # Neither a control nor a question without a verdict is scored, and neither need be known.
    control = store.question(store.image(), A)
    store.control(control, "yes")
    store.verdict(control, "accepted")
    store.question(store.image(), B)
    score = score_verdicts(project.engine, truth)
    assert score == Score(accepted_right=5, accepted_wrong=1, rejected_right=4, rejected_wrong=3, undecided=3)
    assert score.precision == pytest.approx(5 / 6)
    assert score.recall == pytest.approx(5 / 8)


def test_without_verdicts_there_is_neither_precision_nor_recall(project: Project) -> None:
    score = score_verdicts(project.engine, {})
    assert score == Score(0, 0, 0, 0, 0)
    assert score.precision is None
    assert score.recall is None


def test_with_nothing_accepted_precision_is_unknown_and_recall_nought(project: Project) -> None:
    store = SmallStore(project)
    image = store.image()
    store.verdict(store.question(image, A), "rejected")
    score = score_verdicts(project.engine, {(image, A): True})
    assert score.precision is None
    assert score.recall == 0.0
