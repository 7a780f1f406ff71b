"""Where a project stands: every figure against a store that was filled by hand, on both engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hits import database
from hits.model import AssignmentStatus
from imagenet_builder.project import Project
from imagenet_builder.store import categories
from imagenet_builder.store import tables as t
from imagenet_builder.store.status import CategoryStatus, Status, read_status
from tests.builder_store import NOW, add_categories, empty_project
from tests.small_store import SmallStore

A, B, DROPPED = "n00000001", "n00000002", "n00000003"


@pytest.fixture
def project(tmp_path: Path, store_url: str) -> Project:
    project = empty_project(tmp_path / "project", store={"url": store_url})
    add_categories(project, A, B, DROPPED)
    with database.writing(project.engine) as connection:
        categories.drop(connection, [DROPPED], NOW)
    return project


def status_of(project: Project) -> Status:
    with database.reading(project.engine) as connection:
        return read_status(connection)


def test_a_project_without_anything_stands_at_nought(project: Project) -> None:
    nothing: dict[str, Any] = {"pending": 0, "stored": 0, "rejected": 0, "failed": 0}
    undecided: dict[str, Any] = {"accepted": 0, "refused": 0, "undecided": 0, "open": 0, "controls": 0}
    undecided["alpha"] = None
    assert status_of(project) == Status(
        categories=(
            CategoryStatus(A, "thing0.n.01", **nothing, **undecided),
            CategoryStatus(B, "thing1.n.01", **nothing, **undecided),
        ),
        outcomes={}, images=0, image_bytes=0, hits={}, votes={}, workers=0, assignments=0, approved=0,
        promised_cents=0, spent_cents=0, controls_right=0, controls_shown=0, agreement=None, alpha=None,
        excluded=0, releases=(),
    )  # fmt: skip


def test_candidates_are_counted_by_category_and_outcome_and_images_once(project: Project) -> None:
    store = SmallStore(project)
    twice, other = store.image(byte_count=100), store.image(byte_count=3_000_000_000)
    store.candidate(A, twice)
    store.candidate(A, twice)
    store.candidate(B, twice)
    store.candidate(DROPPED, other)
    store.candidate(A, state="rejected", reason="licence")
    store.candidate(B, state="rejected", reason="licence")
    store.candidate(B, state="rejected", reason="too-small")
    store.candidate(A, state="failed", reason="timeout")
    store.candidate(A, state="pending")
    status = status_of(project)
    assert [(one.pending, one.stored, one.rejected, one.failed) for one in status.categories] == [
        (1, 2, 1, 1),
        (0, 1, 2, 0),
    ]
    assert status.outcomes == {
        ("stored", ""): 4,
        ("rejected", "licence"): 2,
        ("rejected", "too-small"): 1,
        ("failed", "timeout"): 1,
        ("pending", ""): 1,
    }
    # The commonest reason of a state comes first.
    assert [key for key in status.outcomes if key[0] == "rejected"] == [
        ("rejected", "licence"),
        ("rejected", "too-small"),
    ]
    assert (status.images, status.image_bytes) == (2, 3_000_000_100)


def test_questions_are_counted_by_their_current_verdict_and_controls_are_none(project: Project) -> None:
    store = SmallStore(project)
    changed, refused, unclear, waiting, elsewhere, known = (
        store.question(store.image(), wnid) for wnid in (A, A, A, A, B, A)
    )
    store.verdict(changed, "undecided", superseded=True)
    store.verdict(changed, "rejected", superseded=True)
    store.verdict(changed, "accepted")
    store.verdict(refused, "rejected")
    store.verdict(unclear, "undecided")
    # Superseded and not decided anew: open again.
    store.verdict(waiting, "undecided", superseded=True)
    store.verdict(elsewhere, "accepted")
    store.control(known, "yes")
    store.verdict(known, "accepted")
    assert [
        (one.accepted, one.refused, one.undecided, one.open, one.controls)
        for one in status_of(project).categories
    ] == [
        (1, 1, 1, 1, 1),
        (1, 0, 0, 0, 0),
    ]


def test_money_is_what_was_promised_and_what_was_approved(project: Project) -> None:
    store = SmallStore(project)
    worker = store.worker()
    collected = store.hit(A, state="collected", reward=9, fee=2, votes=3)
    published = store.hit(A, state="published", reward=20, fee=4, votes=3)
    store.hit(A, state="intended", reward=1, fee=1, votes=1)
    store.hit(B, state="abandoned", reward=50, fee=10, votes=3)
    for _ in range(2):
        store.assignment(collected, worker, right=3, shown=4)
    store.assignment(collected, worker, status=AssignmentStatus.SUBMITTED, right=1, shown=4)
    store.assignment(published, worker, right=0, shown=2)
    store.assignment(published, worker, status=AssignmentStatus.REJECTED)
    status = status_of(project)
    assert status.hits == {"abandoned": 1, "collected": 1, "intended": 1, "published": 1}
    assert status.promised_cents == 3 * 11 + 3 * 24 + 2
    assert status.spent_cents == 2 * 11 + 24
    assert (status.assignments, status.approved, status.workers) == (5, 3, 1)
    assert (status.controls_right, status.controls_shown) == (7, 14)


def test_agreement_is_the_share_of_pairs_of_counting_yes_and_no_votes(project: Project) -> None:
    store = SmallStore(project)
    hit = store.hit(A, state="published", reward=1, fee=1, votes=3)
    workers = [store.worker() for _ in range(4)]
    pages = [store.assignment(hit, worker) for worker in workers]
    again = store.assignment(hit, workers[0])
    said = {
        "all": ("yes", "yes", "yes"),  # 3 pairs, 3 agree
        "one against": ("no", "no", "yes", "no"),  # 6 pairs, 3 agree
        "abstained": ("yes", "unsure", "broken", "report"),  # none
        "repeated": ("no", "no"),  # 1 pair, 1 agrees; the repeated yes below does not count
    }
    for answers in said.values():
        question = store.question(store.image(), A)
        for page, worker, answer in zip(pages, workers, answers, strict=False):
            store.vote(question, page, worker, answer)
    store.vote(question, again, workers[0], "yes", counts=False)
    status = status_of(project)
    assert status.agreement == pytest.approx(7 / 10)
    # Every vote that is stored is counted here, whether it counts for a verdict or not.
    assert status.votes == {"broken": 1, "no": 5, "report": 1, "unsure": 1, "yes": 6}


def test_one_vote_a_question_tells_nothing_of_agreement(project: Project) -> None:
    store = SmallStore(project)
    worker = store.worker()
    page = store.assignment(store.hit(A, state="published", reward=1, fee=1, votes=1), worker)
    for _ in range(3):
        store.vote(store.question(store.image(), A), page, worker, "yes")
    assert status_of(project).agreement is None


def test_releases_are_named_once_in_their_order(project: Project) -> None:
    with database.writing(project.engine) as connection:
        for name in ("second-thought", "first", "second-thought"):
            connection.execute(
                t.releases.insert().values(
                    name=name, digest="0" * 64, classes=1, seed=0, settings={}, written_at=NOW
                )
            )
    assert status_of(project).releases == ("second-thought", "first")
