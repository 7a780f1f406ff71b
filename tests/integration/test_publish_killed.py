"""publish-hits and aggregate killed with SIGKILL at their calls, and run again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits import database
from hits.marketplace import people
from imagenet_builder.aggregate import AGGREGATE_LOCK, aggregate
from imagenet_builder.cli import EXIT_LOCKED
from imagenet_builder.publish import publish
from imagenet_builder.reconcile import PUBLISH_LOCK
from imagenet_builder.store.tables import (
    assignments,
    hit_questions,
    hits,
    outbox,
    questions,
    verdicts,
    votes,
)
from tests.killing_proxy import KillingProxy, killing_proxy
from tests.verification_project import DOG, UMBRELLA, Verification, verification

PAGES: dict[str, object] = {"page_size": 6, "controls": 0}
PICTURES = {DOG: 10, UMBRELLA: 5}
CREATE, LIST, APPROVE = "CreateHITWithHITType", "ListAssignmentsForHIT", "ApproveAssignment"


@pytest.fixture
def watched(tmp_path: Path, wordnet_folder: Path) -> Iterator[tuple[Verification, KillingProxy]]:
    """A project that reaches its marketplace through a proxy that can kill it."""
    with killing_proxy() as (proxy, address):

        def between(url: str) -> str:
            proxy.upstream = url
            return address

        with verification(tmp_path, wordnet_folder, PICTURES, endpoint=between, verification=PAGES) as made:
            yield made, proxy


def start(made: Verification, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "imagenet_builder", "--project", str(made.project.folder), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(running: subprocess.Popen[str]) -> tuple[int, str]:
    output, errors = running.communicate(timeout=120)
    return running.returncode, output + errors


def killed(made: Verification, proxy: KillingProxy, *command: str) -> None:
    running = start(made, *command)
    proxy.client(running)
    code, said = finish(running)
    assert proxy.killed.is_set(), said
    assert code == -9, said


def undisturbed(made: Verification, proxy: KillingProxy, *command: str) -> str:
    proxy.spare()
    code, said = finish(start(made, *command))
    assert code == 0, said
    return said


def asked(made: Verification) -> list[tuple[str, str]]:
    rows = made.rows(
        sa.select(questions.c.sha256, questions.c.wnid).select_from(questions.join(hit_questions))
    )
    return sorted((sha256, wnid) for sha256, wnid in rows)


def test_publishing_killed_at_every_step_makes_no_page_twice(
    watched: tuple[Verification, KillingProxy],
) -> None:
    made, proxy = watched
    run = ("publish-hits", "--sandbox")
    # Intended and not created; created and not written down, at the first page and, in the next run, the second.
    for number, delivered in ((1, False), (1, True), (2, True)):
        proxy.kill(CREATE, number, delivered=delivered)
        killed(made, proxy, *run)
    said = undisturbed(made, proxy, *run)
    assert "1 of an earlier run" in said
    there = made.marketplace.client().list_hits()["HITs"]
    rows = made.rows(sa.select(hits.c.platform_hit_id, hits.c.state, hits.c.wnid))
    assert sorted(hit["HITId"] for hit in there) == sorted(row[0] for row in rows)
    assert {row[1] for row in rows} == {"published"}
    # As an undisturbed run lays them out: ten dogs on two pages, five umbrellas on one.
    assert sorted(row[2] for row in rows) == [DOG, DOG, UMBRELLA]
    assert asked(made) == sorted(made.truth)
    assert "nothing to publish" in undisturbed(made, proxy, *run)


def test_aggregation_killed_at_every_step_pays_nobody_twice_and_decides_the_same(
    watched: tuple[Verification, KillingProxy],
) -> None:
    made, proxy = watched
    publish(made.project)
    made.crowd_answers(3)
    # Before anything is stored; stored and not paid; paid and not written down.
    for operation, number, delivered in ((LIST, 2, True), (APPROVE, 1, False), (APPROVE, 3, True)):
        proxy.kill(operation, number, delivered=delivered)
        killed(made, proxy, "aggregate")
    undisturbed(made, proxy, "aggregate")
    # Three of nine were paid before: the third is asked for again, and the platform's refusal counts as paid.
    assert proxy.calls[APPROVE] == 7
    assert made.count(assignments) == made.count(assignments, assignments.c.status == "Approved") == 9
    assert made.count(outbox) == made.count(outbox, outbox.c.done_at.is_not(None)) == 9
    ((promised,),) = made.rows(sa.select(sa.func.sum(hits.c.reward_cents * hits.c.votes_wanted)))
    assert sum(worker.earned_cents for worker in people.list_workers(made.marketplace.engine)) == promised
    assert made.count(votes) == 3 * len(made.truth)
    decided = made.rows(
        sa.select(questions.c.sha256, questions.c.wnid, verdicts.c.decision, verdicts.c.final).select_from(
            verdicts.join(questions, verdicts.c.question_id == questions.c.id)
        )
    )
    assert sorted(decided) == sorted(
        (*picture, "accepted" if shows else "rejected", True) for picture, shows in made.truth.items()
    )
    assert aggregate(made.project).verdicts_changed == 0


@pytest.mark.parametrize(
    ("lock", "command"), [(AGGREGATE_LOCK, ("aggregate",)), (PUBLISH_LOCK, ("publish-hits", "--sandbox"))]
)
def test_an_overlapping_run_leaves_with_75(
    watched: tuple[Verification, KillingProxy], lock: str, command: tuple[str, ...]
) -> None:
    made, _ = watched
    with database.exclusive_lock(made.project.engine, lock):
        code, said = finish(start(made, *command))
    assert code == EXIT_LOCKED
    assert f"another {lock} is running" in said
    assert "Traceback" not in said
