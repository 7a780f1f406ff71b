"""aggregate against a real marketplace, on both engines."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hits import database
from hits.answers import compose
from hits.errors import LockHeld, MarketplaceUnavailable
from hits.marketplace import people, working
from hits.marketplace.settings import utc_now
from hits.model import Answer, CellAnswer, Decision, PageAnswers, ReportReason
from imagenet_builder.aggregate import AGGREGATE_LOCK, aggregate
from imagenet_builder.cli import command_line
from imagenet_builder.cli.logs import JsonLines
from imagenet_builder.config import override
from imagenet_builder.controls import record_controls
from imagenet_builder.errors import ProjectError
from imagenet_builder.marketplace_keys import MarketplaceKeys, write_keys
from imagenet_builder.publish import PublishRequest, publish
from imagenet_builder.store.tables import (
    assignments,
    controls,
    hits,
    metadata,
    outbox,
    questions,
    rulings,
    superseded_verdicts,
    verdicts,
    votes,
)
from tests.real_parts import free_port
from tests.verification_project import DOG, UMBRELLA, Verification, verification

ONE_PAGE: dict[str, object] = {"page_size": 8, "controls": 2}
LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def published(tmp_path: Path, wordnet_folder: Path, store_url: str) -> Iterator[Verification]:
    """One page of six dogs-or-not and two controls, published."""
    with one_page(tmp_path, wordnet_folder, store_url) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path, wordnet_folder: Path) -> Iterator[Verification]:
    """The same on SQLite alone."""
    with one_page(tmp_path, wordnet_folder, None) as made:
        yield made


@contextmanager
def one_page(folder: Path, wordnet_folder: Path, store_url: str | None) -> Iterator[Verification]:
    with verification(folder, wordnet_folder, {DOG: 8}, store_url=store_url, verification=ONE_PAGE) as made:
        shows = sorted(picture for picture, truth in made.truth.items() if truth)
        does_not = sorted(picture for picture, truth in made.truth.items() if not truth)
        known = [(*shows[0], Answer.YES), (*does_not[0], Answer.NO)]
        record_controls(made.project.engine, known, "requester", utc_now())
        publish(made.project)
        yield made


def right(made: Verification, hit_id: str) -> dict[str, Answer]:
    """The true answers to a page."""
    return {
        name: Answer.YES if made.truth[picture] else Answer.NO
        for name, picture in made.pages()[hit_id].items()
    }


def only_page(made: Verification) -> str:
    (hit_id,) = made.pages()
    return hit_id


def current(made: Verification) -> dict[tuple[str, str], tuple[str, bool]]:
    """(sha256, wnid) → decision and whether it is final."""
    rows = made.rows(
        sa.select(questions.c.sha256, questions.c.wnid, verdicts.c.decision, verdicts.c.final).select_from(
            verdicts.join(questions, verdicts.c.question_id == questions.c.id)
        )
    )
    return {(sha256, wnid): (decision, final) for sha256, wnid, decision, final in rows}


def everything(made: Verification) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the store."""
    return {table.name: sorted(made.rows(sa.select(table)), key=repr) for table in metadata.sorted_tables}


def asked(made: Verification) -> set[tuple[str, str]]:
    """The questions that are no controls."""
    known = sa.exists().where(controls.c.question_id == questions.c.id)
    return {
        (sha256, wnid)
        for sha256, wnid in made.rows(sa.select(questions.c.sha256, questions.c.wnid).where(~known))
    }


def test_three_agreeing_workers_make_final_verdicts_that_are_true(published: Verification) -> None:
    hit_id = only_page(published)
    for worker in ("anna", "ben", "cleo"):
        published.submit(worker, hit_id, right(published, hit_id))
    report = aggregate(published.project)
    assert report.collected.assignments == report.collected.payments == 3
    assert (report.collected.controls_right, report.collected.controls_shown) == (6, 6)
    assert sum(report.collected.votes.values()) == 18
    assert (report.hits_closed, report.hits_open, report.provisional) == (1, 0, 0)
    expected = {
        picture: ("accepted" if published.truth[picture] else "rejected", True)
        for picture in asked(published)
    }
    assert current(published) == expected


def test_running_again_with_nothing_new_changes_no_row(published: Verification) -> None:
    hit_id = only_page(published)
    for worker in ("anna", "ben"):
        published.submit(worker, hit_id, right(published, hit_id))
    aggregate(published.project)
    before = everything(published)
    again = aggregate(published.project, now=LATER)
    assert (again.collected.assignments, again.collected.payments, again.verdicts_changed) == (0, 0, 0)
    assert everything(published) == before
    published.submit("cleo", hit_id, right(published, hit_id))
    aggregate(published.project)
    closed = everything(published)
    aggregate(published.project, now=LATER)
    assert everything(published) == closed


def test_workers_are_paid_once_whatever_they_answered(published: Verification) -> None:
    hit_id = only_page(published)
    published.submit("anna", hit_id, right(published, hit_id))
    published.submit("ben", hit_id, [("answers", "no JSON at all")])
    report = aggregate(published.project)
    aggregate(published.project)
    ((reward, fee),) = published.rows(sa.select(hits.c.reward_cents, hits.c.fee_cents))
    assert report.collected.paid_cents == report.spent_cents == 2 * (reward + fee)
    statuses = {
        one["AssignmentStatus"]
        for one in published.marketplace.client().list_assignments_for_hit(HITId=hit_id)["Assignments"]
    }
    assert statuses == {"Approved"}
    assert {row[0] for row in published.rows(sa.select(assignments.c.status))} == {"Approved"}
    earned = {worker.earned_cents for worker in people.list_workers(published.marketplace.engine)}
    assert earned == {reward}


def test_votes_before_the_last_make_provisional_verdicts_and_history_is_kept(published: Verification) -> None:
    hit_id = only_page(published)
    truth = right(published, hit_id)
    published.submit("anna", hit_id, truth)
    first = aggregate(published.project)
    assert (first.decisions[Decision.UNDECIDED], first.provisional) == (6, 6)
    published.submit("ben", hit_id, truth)
    second = aggregate(published.project)
    assert (second.decisions[Decision.UNDECIDED], second.provisional) == (0, 6)
    published.submit("cleo", hit_id, truth)
    third = aggregate(published.project)
    assert third.provisional == 0
    assert (published.count(superseded_verdicts), published.count(verdicts)) == (12, 6)
    history = published.rows(
        sa.select(superseded_verdicts.c.yes + superseded_verdicts.c.no, superseded_verdicts.c.final).order_by(
            superseded_verdicts.c.superseded_by
        )
    )
    assert history == [(1, False)] * 6 + [(2, False)] * 6
    ruled = published.rows(sa.select(rulings.c.id, rulings.c.rule).order_by(rulings.c.id))
    assert [rule for _, rule in ruled] == ["majority"] * 3
    chain = published.rows(
        sa.select(superseded_verdicts.c.ruling_id, superseded_verdicts.c.superseded_by).distinct()
    )
    first_id, second_id, third_id = (row_id for row_id, _ in ruled)
    assert sorted(chain) == [(first_id, second_id), (second_id, third_id)]


def test_a_tie_and_abstentions_are_undecided_with_their_tally(small: Verification) -> None:
    hit_id = only_page(small)
    said = {"anna": Answer.YES, "ben": Answer.NO, "cleo": Answer.UNSURE}
    for worker, answer in said.items():
        small.submit(worker, hit_id, answer)
    report = aggregate(small.project)
    assert report.decisions == {Decision.ACCEPTED: 0, Decision.REJECTED: 0, Decision.UNDECIDED: 6}
    tallies = small.rows(sa.select(verdicts.c.yes, verdicts.c.no, verdicts.c.unsure, verdicts.c.probability))
    assert set(tallies) == {(1, 1, 1, 0.5)}


def test_an_expired_page_without_votes_leaves_its_questions_undecided_for_good(
    published: Verification,
) -> None:
    hit_id = only_page(published)
    published.submit("anna", hit_id, right(published, hit_id))
    published.marketplace.client().update_expiration_for_hit(HITId=hit_id, ExpireAt=0)
    report = aggregate(published.project)
    assert (report.hits_closed, report.hits_open) == (1, 0)
    assert set(current(published).values()) == {("undecided", True)}
    assert published.rows(sa.select(hits.c.state)) == [("collected",)]


def test_what_stayed_undecided_is_said_only_when_nothing_can_change_it(small: Verification) -> None:
    def said() -> str:
        ran = CliRunner().invoke(command_line, ["--project", str(small.project.folder), "aggregate"])
        assert ran.exit_code == 0, ran.output
        return ran.output

    hit_id = only_page(small)
    for worker, answer in {"anna": Answer.YES, "ben": Answer.NO}.items():
        small.submit(worker, hit_id, answer)
    assert "stayed undecided" not in said()
    small.submit("cleo", hit_id, Answer.UNSURE)
    assert "pictures that stayed undecided: 6 (`publish-hits --again` asks about them once more)" in said()


def test_a_rule_that_finds_nothing_but_final_verdicts_says_how_it_decides_these(small: Verification) -> None:
    def said(*options: str) -> str:
        asked = ["--project", str(small.project.folder), "aggregate", *options]
        ran = CliRunner().invoke(command_line, asked)
        assert ran.exit_code == 0, ran.output
        return ran.output

    hit_id = only_page(small)
    for worker in ("anna", "ben", "cleo"):
        small.submit(worker, hit_id, right(small, hit_id))
    assert "--finalise" not in said()
    assert "dawid-skene changed no verdict: final ones it decides only with --finalise" in said(
        "--rule", "dawid-skene"
    )
    assert "changed no verdict" not in said("--rule", "dawid-skene", "--finalise")
    assert {name for (name,) in small.rows(sa.select(rulings.c.rule))} == {"majority", "dawid-skene"}


def test_an_expired_page_that_somebody_still_holds_stays_open(small: Verification) -> None:
    hit_id = only_page(small)
    worker = people.invite(small.marketplace.engine, "anna").worker_id
    assignment_id = working.accept(small.marketplace.engine, hit_id, worker, 10, utc_now())
    small.marketplace.client().update_expiration_for_hit(HITId=hit_id, ExpireAt=0)
    assert aggregate(small.project).hits_open == 1
    cells = tuple(CellAnswer(name, said) for name, said in right(small, hit_id).items())
    fields = compose(PageAnswers(cells, None)).items()
    working.submit(small.marketplace.engine, assignment_id, fields, utc_now(), worker)
    report = aggregate(small.project)
    assert (report.collected.assignments, report.hits_open) == (1, 0)


@pytest.mark.parametrize("collected_first", ["earlier", "later"])
def test_only_the_first_vote_of_a_worker_counts_whatever_is_collected_first(
    published: Verification, collected_first: str
) -> None:
    """The same question stands on two pages; anna answers no on one, then yes on the other."""
    first = only_page(published)
    published.marketplace.client().update_expiration_for_hit(HITId=first, ExpireAt=0)
    aggregate(published.project)
    publish(published.project, PublishRequest(again=True))
    with database.writing(published.project.engine) as connection:
        connection.execute(hits.update().values(state="published"))
    (second,) = set(published.pages()) - {first}
    published.marketplace.client().update_expiration_for_hit(
        HITId=first, ExpireAt=utc_now() + timedelta(days=1)
    )
    pages = {"earlier": first, "later": second}
    order = ["earlier", "later"] if collected_first == "earlier" else ["later", "earlier"]
    now = utc_now()
    cast = {"earlier": (now, Answer.NO), "later": (now + timedelta(seconds=60), Answer.YES)}
    repeated = 0
    for which in order:
        at, answer = cast[which]
        published.submit("anna", pages[which], answer, at=at)
        repeated += aggregate(published.project).collected.repeated
    assert repeated == 6
    counted = published.rows(
        sa.select(votes.c.answer, sa.func.count()).where(votes.c.counts).group_by("answer")
    )
    assert counted == [("no", 6)]
    assert published.count(votes) == 16
    tallies = published.rows(sa.select(verdicts.c.yes, verdicts.c.no))
    assert set(tallies) == {(0, 1)}


def test_answers_that_cannot_be_read_are_stored_with_the_reason_and_paid(small: Verification) -> None:
    hit_id = only_page(small)
    small.submit("anna", hit_id, [("something", "else")])
    small.submit("ben", hit_id, [("answers", json.dumps({"v": 99}))])
    small.submit("cleo", hit_id, {"0" * 32: Answer.YES})
    report = aggregate(small.project)
    assert (report.collected.unreadable, report.collected.payments, sum(report.collected.votes.values())) == (
        3,
        3,
        0,
    )
    reasons = [reason for (reason,) in small.rows(sa.select(assignments.c.unreadable))]
    assert all(reasons)
    assert set(current(small).values()) == {("undecided", True)}


def test_unknown_pictures_and_missing_answers_are_counted_and_the_rest_is_used(small: Verification) -> None:
    hit_id = only_page(small)
    said = right(small, hit_id)
    dropped = sorted(said)[:3]
    small.submit(
        "anna",
        hit_id,
        {**{name: answer for name, answer in said.items() if name not in dropped}, "not-there": Answer.YES},
    )
    report = aggregate(small.project)
    assert (report.collected.unknown_pictures, report.collected.missing_pictures) == (1, 3)
    assert report.collected.unreadable == 0
    assert small.count(votes) == 5


def test_reports_abstain_and_are_listed(small: Verification) -> None:
    hit_id = only_page(small)
    name, picture = next(
        (name, picture) for name, picture in small.pages()[hit_id].items() if picture in asked(small)
    )
    cells = (CellAnswer(name, Answer.REPORT, ReportReason.PRIVATE),)
    small.submit("anna", hit_id, list(compose(PageAnswers(cells, 3.0)).items()))
    report = aggregate(small.project)
    assert [(one.sha256, one.wnid, one.reasons) for one in report.reported] == [
        (*picture, (ReportReason.PRIVATE,))
    ]
    assert current(small)[picture] == ("undecided", False)


def test_votes_on_controls_never_count_and_measure_the_worker(small: Verification) -> None:
    hit_id = only_page(small)
    small.submit("anna", hit_id, right(small, hit_id))
    small.submit("ben", hit_id, Answer.YES)
    aggregate(small.project)
    shown = small.rows(
        sa.select(assignments.c.controls_right, assignments.c.controls_shown).order_by(assignments.c.id)
    )
    assert shown == [(2, 2), (1, 2)]
    assert small.count(votes) == 16
    assert small.count(votes, votes.c.counts) == 12


def test_an_assignment_that_the_platform_approved_itself_is_not_paid_again(small: Verification) -> None:
    hit_id = only_page(small)
    assignment_id = small.submit("anna", hit_id, right(small, hit_id))
    small.marketplace.client().approve_assignment(AssignmentId=assignment_id)
    report = aggregate(small.project)
    assert (report.collected.assignments, report.collected.payments) == (1, 0)
    assert small.count(outbox) == 0
    assert report.spent_cents > 0


def test_a_payment_that_is_refused_is_tried_again_and_in_the_end_left_to_people(small: Verification) -> None:
    hit_id = only_page(small)
    assignment_id = small.submit("anna", hit_id, right(small, hit_id))
    aggregate(small.project)
    with database.writing(small.project.engine) as connection:
        connection.execute(outbox.update().values(done_at=None, attempts=0))
        connection.execute(assignments.update().values(platform_assignment_id="3UNKNOWN", status="Submitted"))
    for _ in range(5):
        # The true id is collected as new in the first run; what is left is the payment nobody knows.
        report = aggregate(small.project)
        assert report.collected.payments_refused == 1
    assert report.payments_given_up == 1
    assert aggregate(small.project).collected.payments_refused == 0
    ((error,),) = small.rows(sa.select(outbox.c.last_error).where(outbox.c.done_at.is_(None)))
    assert "AssignmentDoesNotExist" in error
    assert assignment_id


def test_a_page_that_the_marketplace_does_not_know_is_named_and_nothing_is_lost(small: Verification) -> None:
    with database.writing(small.project.engine) as connection:
        connection.execute(hits.update().values(platform_hit_id="3UNKNOWNHIT"))
    report = aggregate(small.project)
    assert (report.collected.lost_hits, report.hits_open) == (1, 1)


def test_a_marketplace_that_is_down_is_one_line_and_nothing_changes(small: Verification) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    write_keys(small.project, MarketplaceKeys(endpoint, "AKIAEXAMPLE", "secret"))
    with database.writing(small.project.engine) as connection:
        connection.execute(hits.update().values(endpoint=endpoint))
    before = everything(small)
    with pytest.raises(MarketplaceUnavailable, match="cannot be reached"):
        aggregate(small.project)
    assert everything(small) == before


def test_one_marketplace_that_is_down_does_not_hold_the_others_up(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with verification(tmp_path, wordnet_folder, {DOG: 12}, verification=ONE_PAGE) as made:
        publish(made.project)
        here, gone = sorted(made.pages())
        endpoint = f"http://127.0.0.1:{free_port()}"
        with database.writing(made.project.engine) as connection:
            connection.execute(hits.update().where(hits.c.platform_hit_id == gone).values(endpoint=endpoint))
        made.submit("anna", here, Answer.YES)
        with pytest.raises(ProjectError, match="no keys for"):
            aggregate(made.project)
        assert made.count(assignments, assignments.c.status == "Approved") == 1
        assert made.count(verdicts) > 0


def test_finalise_decides_every_question_from_the_votes_there_are(small: Verification) -> None:
    hit_id = only_page(small)
    for worker in ("anna", "ben"):
        small.submit(worker, hit_id, right(small, hit_id))
    assert aggregate(small.project).provisional == 6
    report = aggregate(small.project, finalise=True)
    assert (report.provisional, report.verdicts_changed, report.hits_open) == (0, 0, 1)
    before = everything(small)
    aggregate(small.project, finalise=True, now=LATER)
    aggregate(small.project, now=LATER)
    assert everything(small) == before


def test_an_unknown_rule_is_refused_by_name(small: Verification) -> None:
    with pytest.raises(ProjectError, match="majority"):
        aggregate(small.project, rule="oracle")


def test_another_number_of_votes_is_kept_with_what_was_published(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with verification(tmp_path, wordnet_folder, {DOG: 4}, verification={"votes": 1}) as made:
        publish(made.project)
        hit_id = only_page(made)
        project = dataclasses.replace(
            made.project, settings=override(made.project.settings, "verification", votes=9)
        )
        made.submit("anna", hit_id, right(made, hit_id))
        report = aggregate(project)
        assert (report.hits_closed, report.decisions[Decision.UNDECIDED]) == (1, 0)
        assert {json.dumps(parameters) for (parameters,) in made.rows(sa.select(rulings.c.parameters))} == {
            '{"needed": 1}'
        }


@pytest.mark.parametrize("rule", ["dawid-skene", "dynamic"])
def test_rules_that_learn_decide_from_the_store_with_controls_and_are_final_when_told(
    tmp_path: Path, wordnet_folder: Path, rule: str
) -> None:
    with verification(tmp_path, wordnet_folder, {DOG: 12, UMBRELLA: 12}, verification={"rule": rule}) as made:
        for wnid in (DOG, UMBRELLA):
            known = sorted(picture for picture in made.truth if picture[1] == wnid)[:4]
            said = [(*picture, Answer.YES if made.truth[picture] else Answer.NO) for picture in known]
            record_controls(made.project.engine, said, "requester", utc_now())
        publish(made.project)
        for hit_id in made.pages():
            for worker in ("anna", "ben", "cleo"):
                made.submit(worker, hit_id, right(made, hit_id))
        report = aggregate(made.project)
        assert report.provisional == len(asked(made))
        assert not any(final for _, final in current(made).values())
        before = everything(made)
        aggregate(made.project)
        assert everything(made) == before
        report = aggregate(made.project, finalise=True)
        assert (report.provisional, report.decisions[Decision.UNDECIDED]) == (0, 0)
        expected = {
            picture: ("accepted" if made.truth[picture] else "rejected", True) for picture in asked(made)
        }
        assert current(made) == expected
        assert {name for (name,) in made.rows(sa.select(rulings.c.rule))} == {rule}


def test_two_aggregations_at_once_are_refused(published: Verification) -> None:
    with (
        database.exclusive_lock(published.project.engine, AGGREGATE_LOCK),
        pytest.raises(LockHeld, match="another aggregate"),
    ):
        aggregate(published.project)


def test_the_log_line_for_collectors_holds_the_figures(
    small: Verification, caplog: pytest.LogCaptureFixture
) -> None:
    small.submit("anna", only_page(small), Answer.YES)
    with caplog.at_level(logging.INFO, logger="imagenet_builder.aggregate"):
        aggregate(small.project)
    line = json.loads(JsonLines().format(caplog.records[-1]))
    assert (line["assignments"], line["payments"], line["votes"]["yes"]) == (1, 1, 6)
    assert line["decisions"] == {"accepted": 0, "rejected": 0, "undecided": 6}
