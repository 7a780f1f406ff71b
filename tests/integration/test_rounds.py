"""Publishing in rounds: the next vote is asked only where it can matter, and of others than before."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits.marketplace import people
from hits.marketplace.settings import utc_now
from hits.marketplace.working import CannotAccept
from hits.model import Answer, Decision
from imagenet_builder import excluded_workers
from imagenet_builder.aggregate import aggregate, settle_verdicts
from imagenet_builder.config import override
from imagenet_builder.controls import record_controls
from imagenet_builder.errors import ProjectError
from imagenet_builder.publish import PublishRequest, publish
from imagenet_builder.store.tables import hit_questions, hits, questions, verdicts, votes
from tests import command
from tests.marketplace_worker import SiteWorker
from tests.verification_project import DOG, Verification, verification

Picture = tuple[str, str]


@contextmanager
def in_rounds(
    folder: Path, wordnet_folder: Path, pictures: int, **settings: object
) -> Iterator[Verification]:
    chosen = {"rounds": True, "page_size": 10, "controls": 2, **settings}
    with verification(folder, wordnet_folder, {DOG: pictures}, verification=chosen) as made:
        yield made


def open_pages(made: Verification) -> list[str]:
    rows = made.rows(sa.select(hits.c.platform_hit_id).where(hits.c.state == "published").order_by(hits.c.id))
    return [hit_id for (hit_id,) in rows]


def asked_on(made: Verification, hit_id: str) -> set[Picture]:
    rows = made.rows(
        sa.select(questions.c.sha256, questions.c.wnid)
        .select_from(questions.join(hit_questions).join(hits))
        .where(hits.c.platform_hit_id == hit_id, ~hit_questions.c.as_control)
    )
    return {(sha256, wnid) for sha256, wnid in rows}


def answer(made: Verification, worker: str, hit_id: str, says: Callable[[Picture], bool]) -> None:
    shown = made.pages()[hit_id]
    made.submit(
        worker,
        hit_id,
        {name: Answer.YES if says(picture) else Answer.NO for name, picture in shown.items()},
    )


def wrong_on(made: Verification, doubtful: set[Picture]) -> Callable[[Picture], bool]:
    """The truth, but for some pictures."""
    return lambda picture: made.truth[picture] != (picture in doubtful)


def always(made: Verification, hard: set[Picture], said: bool) -> Callable[[Picture], bool]:
    """The truth, but one answer to hard pictures."""
    return lambda picture: said if picture in hard else made.truth[picture]


def votes_a_question(made: Verification) -> dict[Picture, int]:
    rows = made.rows(
        sa.select(questions.c.sha256, questions.c.wnid, sa.func.count())
        .select_from(questions.join(votes))
        .where(votes.c.counts)
        .group_by(questions.c.sha256, questions.c.wnid)
    )
    return {(sha256, wnid): number for sha256, wnid, number in rows}


def test_a_majority_asks_two_and_a_third_only_where_they_differ(tmp_path: Path, wordnet_folder: Path) -> None:
    with in_rounds(tmp_path, wordnet_folder, 20) as made:
        disputed = set(sorted(made.truth)[:3])
        first = publish(made.project)
        assert (first.cost.pages, first.votes, first.most_votes) == (2, 2, 3)
        for hit_id in open_pages(made):
            answer(made, "anna", hit_id, made.truth.__getitem__)
            answer(made, "ben", hit_id, wrong_on(made, disputed))
        report = aggregate(made.project)
        assert report.provisional == len(disputed)
        assert report.hits_open == 0
        second = publish(made.project)
        assert (second.cost.pages, second.questions, second.asked_again) == (1, 0, 3)
        assert second.cost.assignments == 1
        (page,) = open_pages(made)
        assert asked_on(made, page) == disputed
        assert publish(made.project).nothing
        answer(made, "cleo", page, made.truth.__getitem__)
        report = aggregate(made.project)
        assert report.provisional == 0
        assert publish(made.project).nothing
        decided = made.rows(
            sa.select(
                questions.c.sha256, questions.c.wnid, verdicts.c.decision, verdicts.c.final
            ).select_from(verdicts.join(questions, verdicts.c.question_id == questions.c.id))
        )
        expected = [(*one, "accepted" if shows else "rejected", True) for one, shows in made.truth.items()]
        assert sorted(decided) == sorted(expected)
        counts = votes_a_question(made)
        assert {picture: counts[picture] for picture in counts if counts[picture] == 3} == dict.fromkeys(
            disputed, 3
        )
        assert sum(counts.values()) == 2 * 20 + 3


def test_the_policy_is_that_of_the_page_whatever_the_settings_say_later(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with in_rounds(tmp_path, wordnet_folder, 8) as made:
        publish(made.project)
        (page,) = open_pages(made)
        answer(made, "anna", page, lambda picture: True)
        answer(made, "ben", page, lambda picture: False)
        changed = override(made.project.settings, "verification", rounds=False, votes=7, rule="dawid-skene")
        later = dataclasses.replace(made.project, settings=changed)
        aggregate(later)
        report = publish(later)
        assert (report.asked_again, report.cost.assignments) == (8, 1)
        stored = made.rows(sa.select(hits.c.rule, hits.c.votes_wanted, hits.c.rounds).order_by(hits.c.id))
        rounds = {"target": 0.9, "most": 3}
        assert stored == [("majority", 2, rounds), ("majority", 1, rounds)]


def test_what_was_asked_for_play_money_is_not_asked_on_for_real_money(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with in_rounds(tmp_path, wordnet_folder, 4) as made:
        publish(made.project)
        (page,) = open_pages(made)
        answer(made, "anna", page, lambda picture: True)
        answer(made, "ben", page, lambda picture: False)
        aggregate(made.project)
        settings = override(made.project.settings, "marketplace", live_endpoint=made.marketplace.url)
        live = dataclasses.replace(made.project, settings=settings)
        assert publish(live, PublishRequest(live=True), confirm=lambda plan: None).nothing
        assert publish(made.project).asked_again == 4


def test_earlier_voters_are_kept_out_and_told_why_and_others_are_not(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with in_rounds(tmp_path, wordnet_folder, 8) as made:
        publish(made.project)
        (page,) = open_pages(made)
        answer(made, "anna", page, lambda picture: True)
        answer(made, "ben", page, lambda picture: False)
        aggregate(made.project)
        publish(made.project)
        (page,) = open_pages(made)
        for worker in ("anna", "ben"):
            with pytest.raises(CannotAccept, match="NotQualified"):
                answer(made, worker, page, lambda picture: True)
        anna = SiteWorker(made.marketplace.url, made.marketplace.invite("anna"))
        assert "answered these pictures before" in anna.get(f"/hits/{page}").text
        bars = made.rows(sa.select(hits.c.bar_type_id).where(hits.c.bar_type_id.is_not(None)))
        assert len(bars) == 1
        answer(made, "cleo", page, lambda picture: True)
        aggregate(made.project)
        # The page has ended: its qualification is gone from the marketplace and the store.
        assert made.count(hits, hits.c.bar_type_id.is_not(None)) == 0
        left = made.marketplace.client().list_qualification_types(
            MustBeRequestable=False, MustBeOwnedByCaller=True
        )["QualificationTypes"]
        assert bars[0][0] not in {one["QualificationTypeId"] for one in left}


def test_a_worker_who_knows_few_of_a_page_is_let_in_and_only_new_votes_count(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with in_rounds(tmp_path, wordnet_folder, 30, page_size=10, controls=0) as made:
        publish(made.project)
        pages = open_pages(made)
        workers = ["anna", "ben", "cleo", "dora", "emil", "fred"]
        for number, page in enumerate(pages):
            doubtful = set(sorted(asked_on(made, page))[:3])
            answer(made, workers[2 * number], page, made.truth.__getitem__)
            answer(made, workers[2 * number + 1], page, wrong_on(made, doubtful))
        aggregate(made.project)
        report = publish(made.project)
        assert (report.cost.pages, report.asked_again) == (1, 9)
        (page,) = open_pages(made)
        answer(made, "anna", page, made.truth.__getitem__)
        assert aggregate(made.project).collected.repeated == 3
        assert sorted(votes_a_question(made).values()) == [2] * 24 + [3] * 6


def test_a_short_page_waits_for_company_while_its_category_is_at_work(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with in_rounds(tmp_path, wordnet_folder, 20, page_size=10, controls=0) as made:
        publish(made.project)
        done, still_open = open_pages(made)
        doubtful = set(sorted(asked_on(made, done))[:4])
        answer(made, "anna", done, made.truth.__getitem__)
        answer(made, "ben", done, wrong_on(made, doubtful))
        aggregate(made.project)
        assert publish(made.project).nothing
        made.marketplace.client().update_expiration_for_hit(HITId=still_open, ExpireAt=0)
        aggregate(made.project)
        assert publish(made.project).asked_again == 4


def test_dawid_skene_asks_on_until_the_target_or_the_most(tmp_path: Path, wordnet_folder: Path) -> None:
    settings = {"rule": "dawid-skene", "target": 0.9, "most_votes": 4, "page_size": 26, "controls": 8}
    with in_rounds(tmp_path, wordnet_folder, 44, **settings) as made:
        known = sorted(picture for picture, shows in made.truth.items() if shows)[:4]
        known += sorted(picture for picture, shows in made.truth.items() if not shows)[:4]
        said = [(*picture, Answer.YES if made.truth[picture] else Answer.NO) for picture in known]
        record_controls(made.project.engine, said, "requester", utc_now())
        hard = set(sorted(set(made.truth).difference(known))[:4])
        first = publish(made.project)
        assert (first.votes, first.most_votes, first.questions) == (1, 4, 36)
        for number in range(8):
            for page in open_pages(made):
                answer(made, f"worker {number}", page, always(made, hard, number % 2 == 0))
            aggregate(made.project)
            if publish(made.project).nothing:
                break
        counts = votes_a_question(made)
        easy = [counts[picture] for picture in counts if picture not in hard]
        assert max(counts.values()) <= 4
        assert min(counts[picture] for picture in hard) >= 3
        assert sum(easy) / len(easy) < 2.5
        # Provisional until told: rules that learn are fitted to all votes once more.
        assert aggregate(made.project, finalise=True).provisional == 0
        assert publish(made.project).nothing


def test_a_mean_of_votes_is_never_exceeded_however_often_one_publishes(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    settings = {"rule": "dawid-skene", "target": 0.95, "most_votes": 5, "mean_votes": 1.5, "page_size": 42}
    with in_rounds(tmp_path, wordnet_folder, 40, **settings) as made:
        first = publish(made.project)
        assert (first.votes, first.most_votes, first.mean_votes) == (1, 5, 1.5)
        stored = made.rows(sa.select(hits.c.rounds))
        assert stored == [({"target": 0.95, "most": 5, "mean": 1.5},)]
        generator = random.Random(1)
        asked_again = []
        for number in range(8):
            for page in open_pages(made):
                answer(made, f"worker {number}", page, lambda picture: generator.random() < 0.5)
            aggregate(made.project)
            again = publish(made.project)
            if again.nothing:
                break
            asked_again.append(again.asked_again)
            assert publish(made.project).nothing
            # What was not asked yet is not ended by settling all verdicts, as an export does.
            settle_verdicts(made.project)
        # Half of the votes that the mean leaves, half of the rest, and so on; the least is one for twenty questions.
        assert asked_again == [10, 5, 3, 2]
        assert sum(votes_a_question(made).values()) == 60


def test_the_dynamic_rules_subset_is_two_pages_of_five_votes_and_the_rest_begins_with_one(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    settings = {"rule": "dynamic", "target": 0.8, "most_votes": 10, "page_size": 12, "controls": 0}
    with in_rounds(tmp_path, wordnet_folder, 30, **settings) as made:
        publish(made.project)
        wanted = made.rows(
            sa.select(hits.c.votes_wanted, hits.c.platform_hit_id, hits.c.fee_cents, hits.c.reward_cents)
        )
        (subset,) = [hit_id for number, hit_id, *_ in wanted if number == 5]
        assert sorted(number for number, *_ in wanted) == [1, 1, 5]
        asked = asked_on(made, subset)
        assert len(asked) == 12
        for worker in range(5):
            answer(made, f"worker {worker}", subset, made.truth.__getitem__)
        aggregate(made.project)
        again = publish(made.project)
        assert (again.asked_again, again.cost.assignments) == (12, 5)
        (second,) = [page for page in open_pages(made) if asked_on(made, page) == asked]
        with pytest.raises(CannotAccept, match="NotQualified"):
            answer(made, "worker 0", second, made.truth.__getitem__)
        for worker in range(5, 10):
            answer(made, f"worker {worker}", second, made.truth.__getitem__)
        aggregate(made.project)
        counts = votes_a_question(made)
        assert {counts[picture] for picture in asked} == {10}
        # Under ten assignments a HIT: the fee stays at a fifth.
        assert all(fee == -(-reward * 20 // 100) for _, _, fee, reward in wanted)
        # New pictures of the category make no second subset.
        assert publish(made.project, PublishRequest(dry_run=True)).asked_again in {0, 18}


@pytest.mark.parametrize(
    ("settings", "votes", "times"),
    [
        ({"rule": "majority"}, "2 a question at first, at most 3, 2 assignments", 3 / 2),
        ({"rule": "dawid-skene"}, "1 a question at first, at most 5, 1 assignment", 5),
        (
            {"rule": "dawid-skene", "mean_votes": 2.5},
            "1 a question at first, at most 5 and 2.5 on average, 1 assignment",
            2.5,
        ),
        (
            {"rule": "dynamic"},
            "1 a question at first, at most 5 (10 on a first page of each category), 5 assignments",
            2,
        ),
    ],
)
def test_a_plan_in_rounds_says_what_all_votes_that_a_question_may_get_will_cost(
    tmp_path: Path, wordnet_folder: Path, settings: dict[str, object], votes: str, times: float
) -> None:
    with in_rounds(tmp_path, wordnet_folder, 8, **settings) as made:
        dry = publish(made.project, PublishRequest(dry_run=True))
        assert dry.new_most_cents == pytest.approx(dry.new_cents * times)
        said = command.done(made.project.folder, "publish-hits", "--sandbox", "--dry-run").output
        assert votes in said
        assert f"with all votes at most about {dry.new_most_cents / 8:.1f} and" in said


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"target": 1.5, "rule": "dawid-skene"}, "target"),
        ({"rule": "dynamic", "target": 0.2}, "threshold"),
        ({"rule": "dawid-skene", "mean_votes": 7.0}, "mean"),
        ({"rule": "majority", "mean_votes": 2.3}, "dawid-skene"),
    ],
)
def test_a_policy_that_no_rule_takes_is_refused_before_anything_is_spent(
    tmp_path: Path, wordnet_folder: Path, settings: dict[str, object], complaint: str
) -> None:
    with in_rounds(tmp_path, wordnet_folder, 4, **settings) as made:
        with pytest.raises(ProjectError, match=complaint):
            publish(made.project)
        assert made.count(hits) == 0


def test_a_question_whose_vote_was_of_an_excluded_worker_gets_another(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with in_rounds(tmp_path, wordnet_folder, 8) as made:
        publish(made.project)
        (page,) = open_pages(made)
        answer(made, "anna", page, made.truth.__getitem__)
        answer(made, "cleo", page, made.truth.__getitem__)
        aggregate(made.project)
        cleo = people.invite(made.marketplace.engine, "cleo").worker_id
        excluded_workers.exclude(made.project.engine, cleo, "asked to", utc_now())
        assert aggregate(made.project).provisional == 8
        assert publish(made.project).asked_again == 8
        (page,) = open_pages(made)
        answer(made, "dora", page, made.truth.__getitem__)
        report = aggregate(made.project)
        assert (report.provisional, report.decisions[Decision.UNDECIDED]) == (0, 0)
