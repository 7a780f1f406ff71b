"""Workers who get no more work: decided by aggregate, held by qualifications, shown on the worker site."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hits import database
from hits.marketplace import people
from hits.marketplace.settings import utc_now
from hits.marketplace.working import CannotAccept
from hits.model import Answer, Exclusion
from imagenet_builder import excluded_workers
from imagenet_builder.aggregate import aggregate, settle_verdicts
from imagenet_builder.config import override
from imagenet_builder.controls import record_controls
from imagenet_builder.errors import PublishError
from imagenet_builder.publish import PublishRequest, publish
from imagenet_builder.store import tables, workers
from imagenet_builder.store.status import read_status
from tests import command
from tests.marketplace_worker import SiteWorker
from tests.verification_project import DOG, Verification, add_pictures, verification

PAGES: dict[str, object] = {"page_size": 24, "controls": 12}


@pytest.fixture
def judged(tmp_path: Path, wordnet_folder: Path, store_url: str) -> Iterator[Verification]:
    """Two pages of twelve questions and twelve controls; anna and ben are right, and cleo says yes to all."""
    with verification(tmp_path, wordnet_folder, {DOG: 36}, store_url=store_url, verification=PAGES) as made:
        known = sorted(picture for picture, shows in made.truth.items() if shows)[:6]
        known += sorted(picture for picture, shows in made.truth.items() if not shows)[:6]
        said = [(*picture, Answer.YES if made.truth[picture] else Answer.NO) for picture in known]
        record_controls(made.project.engine, said, "requester", utc_now())
        publish(made.project)
        for hit_id, shown in made.pages().items():
            right = {
                name: Answer.YES if made.truth[picture] else Answer.NO for name, picture in shown.items()
            }
            made.submit("anna", hit_id, right)
            made.submit("ben", hit_id, right)
            made.submit("cleo", hit_id, Answer.YES)
        yield made


def worker_id(made: Verification, pseudonym: str) -> str:
    return people.invite(made.marketplace.engine, pseudonym).worker_id


def new_page(made: Verification) -> str:
    before = set(made.pages())
    made.truth.update(add_pictures(made.project, DOG, range(500, 503)))
    publish(made.project)
    (hit_id,) = set(made.pages()) - before
    return hit_id


def test_a_bad_worker_is_paid_told_why_and_kept_from_new_pages(judged: Verification) -> None:
    report = aggregate(judged.project)
    assert (report.workers_excluded, report.collected.payments) == (1, 6)
    ((reason, told),) = judged.rows(sa.select(tables.exclusions.c.reason, tables.exclusions.c.told_at))
    assert reason == Exclusion.INACCURATE
    assert told is not None
    earned = {one.worker_id: one.earned_cents for one in people.list_workers(judged.marketplace.engine)}
    assert earned[worker_id(judged, "cleo")] == earned[worker_id(judged, "anna")] > 0
    hit_id = new_page(judged)
    with pytest.raises(CannotAccept, match="NotQualified"):
        judged.submit("cleo", hit_id, Answer.YES)
    judged.submit("anna", hit_id, Answer.YES)
    # The reason is where she meets it: on the page that she cannot take, and in her messages.
    cleo = SiteWorker(judged.marketplace.url, judged.marketplace.invite("cleo"))
    offer = cleo.get(f"/hits/{hit_id}").text
    assert "too many pictures whose answer is known were answered wrongly" in offer
    assert "This work is for people without that qualification." in offer
    assert "were answered rightly" in cleo.get("/messages").text
    anna = SiteWorker(judged.marketplace.url, judged.marketplace.invite("ben"))
    assert "data-missing" not in anna.get(f"/hits/{hit_id}").text


def test_answers_of_a_run_that_was_killed_before_it_judged_are_judged_by_the_next(
    judged: Verification, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(excluded_workers, "review", killed)
        with pytest.raises(KeyboardInterrupt):
            aggregate(judged.project)
    report = aggregate(judged.project)
    assert (report.collected.assignments, report.workers_excluded) == (0, 1)


def test_a_look_by_all_votes_that_was_killed_is_taken_again(
    judged: Verification, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(excluded_workers, "review", lambda *_, **__: 0)
        aggregate(judged.project)
        patched.setattr("imagenet_builder.store.workers.exclude", killed)
        with pytest.raises(KeyboardInterrupt):
            settle_verdicts(judged.project)
    assert judged.count(tables.exclusions) == 0
    assert settle_verdicts(judged.project) > 0
    assert judged.count(tables.exclusions) == 1
    assert settle_verdicts(judged.project) == 0


def test_the_next_run_says_nothing_more_and_a_readmitted_worker_stays(judged: Verification) -> None:
    aggregate(judged.project)
    assert aggregate(judged.project).workers_excluded == 0
    cleo = worker_id(judged, "cleo")
    excluded_workers.readmit(judged.project.engine, cleo, utc_now())
    hit_id = new_page(judged)
    aggregate(judged.project)
    judged.submit("cleo", hit_id, Answer.YES)
    assert aggregate(judged.project).workers_excluded == 0
    assert judged.count(tables.exclusions, tables.exclusions.c.lift_told_at.is_not(None)) == 1
    with pytest.raises(PublishError, match="is not excluded"):
        excluded_workers.readmit(judged.project.engine, cleo, utc_now())
    excluded_workers.exclude(judged.project.engine, cleo, "Enough.", utc_now())
    aggregate(judged.project)
    messages = SiteWorker(judged.marketplace.url, judged.marketplace.invite("cleo")).get("/messages").text
    assert "the requester decided so: Enough. What you handed in" in messages
    with pytest.raises(PublishError, match="excluded already"):
        excluded_workers.exclude(judged.project.engine, cleo, "enough", utc_now())
    with pytest.raises(PublishError, match="no worker NOBODY"):
        excluded_workers.exclude(judged.project.engine, "NOBODY", "", utc_now())


def test_an_exclusion_that_the_platform_did_not_hear_of_is_told_by_the_next_run(
    judged: Verification, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("imagenet_builder.store.workers.record_told", cut_off)
        with pytest.raises(KeyboardInterrupt):
            aggregate(judged.project)
    assert judged.count(tables.exclusions, tables.exclusions.c.told_at.is_(None)) == 1
    aggregate(judged.project)
    assert judged.count(tables.exclusions, tables.exclusions.c.told_at.is_(None)) == 0


def decisions(made: Verification) -> set[tuple[Any, ...]]:
    verdicts = tables.verdicts.c
    return set(made.rows(sa.select(verdicts.decision, verdicts.yes + verdicts.no)))


def test_a_majority_leaves_excluded_workers_out_unless_the_settings_say_otherwise(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with verification(tmp_path, wordnet_folder, {DOG: 20}, verification={"page_size": 20}) as made:
        publish(made.project)
        (hit_id,) = made.pages()
        for worker in ("anna", "ben", "cleo"):
            made.submit(worker, hit_id, Answer.NO if worker == "anna" else Answer.YES)
        aggregate(made.project)
        assert decisions(made) == {("accepted", 3)}
        excluded_workers.exclude(made.project.engine, worker_id(made, "cleo"), "asked to", utc_now())
        settings = override(made.project.settings, "verification", ignore_excluded=False)
        # Anna, excluded for her answers, counts again: no decision is another, but how sure it is.
        lenient = dataclasses.replace(made.project, settings=settings)
        assert aggregate(lenient).verdicts_changed == 20
        assert decisions(made) == {("accepted", 3)}
        assert aggregate(lenient).verdicts_changed == 0
        assert aggregate(made.project).verdicts_changed == 20
        assert decisions(made) == {("undecided", 3)}
        assert aggregate(made.project).verdicts_changed == 0


def test_verdicts_follow_exclusions_and_their_end_though_the_clock_was_set_back(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    tomorrow = utc_now() + timedelta(days=1)
    with verification(tmp_path, wordnet_folder, {DOG: 20}, verification={"page_size": 20}) as made:
        publish(made.project)
        (hit_id,) = made.pages()
        for worker in ("anna", "ben", "cleo"):
            made.submit(worker, hit_id, Answer.NO if worker == "anna" else Answer.YES)
        aggregate(made.project, now=tomorrow)
        excluded_workers.exclude(made.project.engine, worker_id(made, "cleo"), "asked to", utc_now())
        assert aggregate(made.project).verdicts_changed == 20
        assert decisions(made) == {("undecided", 3)}
        excluded_workers.readmit(made.project.engine, worker_id(made, "cleo"), utc_now() - timedelta(days=9))
        # By a rule for what is not final, which is nothing: the next run still hears of it.
        assert aggregate(made.project, rule="majority").verdicts_changed == 0
        assert aggregate(made.project).verdicts_changed == 20
        assert decisions(made) == {("accepted", 3)}
        assert aggregate(made.project).verdicts_changed == 0


def test_a_clock_that_was_set_back_while_pages_were_answered_makes_nobody_too_fast(
    judged: Verification,
) -> None:
    aggregate(judged.project)
    with database.writing(judged.project.engine) as connection:
        yesterday = utc_now() - timedelta(days=1)
        connection.execute(tables.assignments.update().values(page_seconds=None, submitted_at=yesterday))
    with database.reading(judged.project.engine) as connection:
        conducts = [line.conduct for line in excluded_workers.look_at_workers(connection)]
    assert [(one.pages, one.hasty_pages, one.seconds) for one in conducts] == [(2, 0, None)] * 3


def test_the_command_shows_accuracies_with_intervals_and_status_shows_alpha(judged: Verification) -> None:
    aggregate(judged.project)
    folder = judged.project.folder
    shown = command.done(folder, "workers", "--json").document
    by_worker = {one["worker"]: one for one in shown}
    cleo, anna = by_worker[worker_id(judged, "cleo")], by_worker[worker_id(judged, "anna")]
    assert cleo["no"]["high"] < 0.5 < anna["no"]["low"]
    assert cleo["excluded"]["reason"] == "inaccurate"
    assert anna["excluded"] is None
    table = command.done(folder, "workers").output
    assert "inaccurate: of known pictures" in table
    with database.writing(judged.project.engine) as connection:
        workers.record_unfounded(connection, 1, unfounded=True)
    assert "there is no reason any more" in " ".join(command.done(folder, "workers").output.split())
    # The answers bear it out, as the next look at all of them finds.
    assert aggregate(judged.project, finalise=True).workers_excluded == 0
    assert "any more" not in command.done(folder, "workers").output
    command.done(folder, "workers", "--readmit", worker_id(judged, "cleo"))
    assert "inaccurate" not in command.done(folder, "workers").output
    with database.reading(judged.project.engine) as connection:
        status = read_status(connection)
    # Of 24 questions half are yes for all three, half are no, no and yes.
    assert status.alpha is not None
    assert status.alpha == status.categories[0].alpha
    assert 0 < status.alpha < 1
    document = json.loads(command.done(folder, "status", "--json").output)
    assert document["categories"][0]["alpha"] == pytest.approx(status.alpha)
    assert "Krippendorff's alpha" in command.done(folder, "status").output


def test_pages_published_before_keep_an_excluded_worker_out_as_well(judged: Verification) -> None:
    judged.truth.update(add_pictures(judged.project, DOG, range(600, 603)))
    before = set(judged.pages())
    publish(judged.project, PublishRequest())
    (hit_id,) = set(judged.pages()) - before
    aggregate(judged.project)
    with pytest.raises(CannotAccept, match="NotQualified"):
        judged.submit("cleo", hit_id, Answer.YES)


Says = Callable[[bool], Answer]


def right(shows: bool) -> Answer:
    return Answer.YES if shows else Answer.NO


def wrong(shows: bool) -> Answer:
    return right(not shows)


def exclusions_and_verdicts(
    folder: Path, wordnet_folder: Path, crowd: Sequence[tuple[str, Says]], *, often: bool, small: bool
) -> tuple[set[Any], list[Any]]:
    """Whose votes are left out, and what stands, when the crowd has answered a page.

    A `small` store's workers are judged by all votes in each run, others' as a release is settled.
    """
    asked: dict[str, object] = {"page_size": 40, "votes": len(crowd)}
    folder.mkdir()
    with verification(folder, wordnet_folder, {DOG: 40}, verification=asked) as made:
        publish(made.project)
        ((hit_id, shown),) = made.pages().items()
        for worker, says in crowd:
            made.submit(worker, hit_id, {name: says(made.truth[picture]) for name, picture in shown.items()})
            if often:
                aggregate(made.project)
        aggregate(made.project)
        if not small:
            settle_verdicts(made.project)
        with database.reading(made.project.engine) as connection:
            left_out = workers.left_out(connection, ignoring=True).tolist()
        w, q, v = tables.workers.c, tables.questions.c, tables.verdicts.c
        named = {one.worker_id: one.pseudonym for one in people.list_workers(made.marketplace.engine)}
        ids = made.rows(sa.select(w.platform_worker_id).where(w.id.in_(left_out)))
        columns = (q.sha256, v.decision, v.probability, v.yes, v.no, v.final)
        stands = sa.select(*columns).join(tables.verdicts, v.question_id == q.id).order_by(q.sha256)
        return {named[one] for (one,) in ids}, made.rows(stands)


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize(
    ("crowd", "left_out"),
    [
        # Nobody had answered yet who could have contradicted her.
        ([("cleo", wrong), ("anna", right), ("ben", right)], {"cleo"}),
        # Those who spoke against her first were contradicted themselves.
        ([("dora", wrong), ("emil", wrong), ("anna", right), ("ben", right), ("fay", right)], set()),
    ],
)
def test_whose_votes_are_left_out_in_the_end_does_not_depend_on_when_aggregation_ran(
    tmp_path: Path,
    wordnet_folder: Path,
    crowd: Sequence[tuple[str, Says]],
    left_out: set[str],
    small: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not small:
        monkeypatch.setattr(excluded_workers, "LATEST_ANSWERS", 100)
    once = exclusions_and_verdicts(tmp_path / "once", wordnet_folder, crowd, often=False, small=small)
    often = exclusions_and_verdicts(tmp_path / "often", wordnet_folder, crowd, often=True, small=small)
    assert often == once
    assert once[0] == left_out
