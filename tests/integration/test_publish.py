"""publish-hits against a real marketplace, on both engines."""

from __future__ import annotations

import dataclasses
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits import database
from hits.errors import LockHeld, MarketplaceUnavailable
from hits.marketplace import tables as market
from hits.marketplace.settings import utc_now
from hits.model import Answer
from hits.page import manifest
from imagenet_builder import marketplace_keys, own_marketplace
from imagenet_builder.aggregate import aggregate
from imagenet_builder.config import override
from imagenet_builder.controls import record_controls
from imagenet_builder.errors import ProjectError, PublishError
from imagenet_builder.marketplace_keys import MarketplaceKeys, write_keys
from imagenet_builder.pages import PageMaker
from imagenet_builder.project import Project
from imagenet_builder.publish import PublishReport, PublishRequest, publish
from imagenet_builder.reconcile import PUBLISH_LOCK, reconcile
from imagenet_builder.simulating import truth_by_picture_name
from imagenet_builder.store import publish as store
from imagenet_builder.store.tables import controls, hit_questions, hits, questions, renditions
from tests import command
from tests.builder_store import empty_project
from tests.real_parts import free_port
from tests.verification_project import DOG, UMBRELLA, Verification, add_pictures, verification

SMALL_PAGES: dict[str, object] = {"page_size": 8, "controls": 2}


@pytest.fixture
def prepared(tmp_path: Path, wordnet_folder: Path, store_url: str) -> Iterator[Verification]:
    """Ten pictures of dogs and five of umbrellas, eight a page."""
    with verification(
        tmp_path, wordnet_folder, {DOG: 10, UMBRELLA: 5}, store_url=store_url, verification=SMALL_PAGES
    ) as made:
        yield made


@pytest.fixture
def small(tmp_path: Path, wordnet_folder: Path) -> Iterator[Verification]:
    """The same on SQLite alone."""
    with verification(tmp_path, wordnet_folder, {DOG: 10, UMBRELLA: 5}, verification=SMALL_PAGES) as made:
        yield made


def with_settings(project: Project, section: str, **changes: object) -> Project:
    return dataclasses.replace(project, settings=override(project.settings, section, **changes))


def listed(made: Verification) -> list[dict[str, object]]:
    pages = made.marketplace.client().get_paginator("list_hits").paginate()
    return [hit for page in pages for hit in page["HITs"]]


def test_every_pending_picture_is_asked_about_exactly_once(prepared: Verification) -> None:
    report = publish(prepared.project)
    assert (report.cost.pages, report.questions, report.published) == (3, 15, 3)
    asked = prepared.rows(
        sa.select(questions.c.sha256, questions.c.wnid).join(hit_questions).where(~hit_questions.c.as_control)
    )
    assert sorted(asked) == sorted(prepared.truth)
    rows = prepared.rows(sa.select(hits.c.state, hits.c.platform_hit_id, hits.c.endpoint, hits.c.live))
    assert {row[0] for row in rows} == {"published"}
    assert {row[1] for row in rows} == {hit["HITId"] for hit in listed(prepared)}
    assert {row[2:] for row in rows} == {(prepared.marketplace.url, False)}


def test_publishing_again_with_nothing_new_changes_nothing(prepared: Verification) -> None:
    publish(prepared.project)
    before = prepared.rows(sa.select(hits)), prepared.rows(sa.select(hit_questions))
    report = publish(prepared.project)
    assert report.nothing
    assert report.published == 0
    assert (prepared.rows(sa.select(hits)), prepared.rows(sa.select(hit_questions))) == before
    assert len(listed(prepared)) == 3


def test_pictures_crawled_later_are_published_later(prepared: Verification) -> None:
    publish(prepared.project)
    add_pictures(prepared.project, DOG, range(500, 503))
    report = publish(prepared.project)
    assert (report.cost.pages, report.questions) == (1, 3)


def test_the_cost_that_was_said_is_what_the_marketplace_takes(prepared: Verification) -> None:
    report = publish(prepared.project, PublishRequest(reward_cents=25))
    assert report.cost.reward_cents == 3 * 3 * 25
    assert report.cost.fees_cents == 3 * 3 * 5
    assert report.balance_cents == 1_000_000 - report.cost.total_cents


def test_the_reward_keeps_the_pay_floor(small: Verification) -> None:
    publish(small.project)
    settings = small.project.settings.verification
    shown = sa.select(sa.func.count()).where(hit_questions.c.hit_id == hits.c.id).scalar_subquery()
    for reward, pictures in small.rows(sa.select(hits.c.reward_cents, shown)):
        seconds = pictures * settings.seconds_per_picture
        assert reward >= settings.pay_per_hour_cents * seconds / 3600


def test_the_page_that_workers_see_asks_under_names_that_tell_nothing(small: Verification) -> None:
    publish(small.project, PublishRequest(categories=(DOG,)))
    shown: list[str] = []
    for hit in listed(small):
        page = manifest(str(hit["Question"]))
        assert page.concept_name == "dog"
        shown += [cell.name for cell in page.cells]
        assert all(
            cell.picture_url == f"{small.marketplace.url}/pictures/{cell.name}.jpg" for cell in page.cells
        )
        assert not re.search(r"[0-9a-f]{64}", str(hit["Question"]))
    names = {name for (name,) in small.rows(sa.select(hit_questions.c.picture_name))}
    assert sorted(shown) == sorted(names)


def test_a_control_has_another_name_on_every_page(small: Verification) -> None:
    dogs = sorted(sha256 for sha256, wnid in small.truth if wnid == DOG)
    record_controls(small.project.engine, [(dogs[0], DOG, Answer.YES)], "requester", utc_now())
    publish(small.project, PublishRequest(categories=(DOG,)))
    names = small.rows(
        sa.select(questions.c.sha256, hit_questions.c.picture_name)
        .join(questions)
        .where(hit_questions.c.as_control)
    )
    assert {sha256 for sha256, _ in names} == {dogs[0]}
    assert len({name for _, name in names}) == 2
    asked = small.rows(sa.select(questions.c.sha256).join(hit_questions).where(~hit_questions.c.as_control))
    assert sorted(sha256 for (sha256,) in asked) == dogs[1:]


def test_thumbnails_are_made_before_anything_is_published(small: Verification) -> None:
    publish(small.project)
    made = {sha256 for (sha256,) in small.rows(sa.select(renditions.c.sha256))}
    assert made == {sha256 for sha256, _ in small.truth}


def test_a_picture_that_cannot_be_shown_is_left_out_and_the_rest_published(small: Verification) -> None:
    lost = min(sha256 for sha256, wnid in small.truth if wnid == DOG)
    small.project.images.delete(lost)
    report = publish(small.project, PublishRequest(categories=(DOG,)))
    assert (report.questions, report.unshowable) == (9, 1)


def test_a_dry_run_says_the_same_and_changes_nothing(prepared: Verification) -> None:
    dry = publish(prepared.project, PublishRequest(dry_run=True))
    assert prepared.count(hits) == prepared.count(questions) == prepared.count(renditions) == 0
    assert listed(prepared) == []
    assert dry.balance_cents == 1_000_000
    real = publish(prepared.project)
    same = {field.name for field in dataclasses.fields(PublishReport)} - {
        "dry_run",
        "published",
        "balance_cents",
    }
    assert {name: getattr(dry, name) for name in same} == {name: getattr(real, name) for name in same}


def test_only_the_named_category_is_published(small: Verification) -> None:
    report = publish(small.project, PublishRequest(categories=(UMBRELLA,)))
    assert (report.categories, report.questions) == (1, 5)
    with pytest.raises(PublishError, match="n00000001 is no category"):
        publish(small.project, PublishRequest(categories=("n00000001",)))


def test_a_budget_is_never_exceeded_and_says_what_waits(small: Verification) -> None:
    price = publish(small.project, PublishRequest(dry_run=True, reward_cents=10)).cost.total_cents // 3
    report = publish(small.project, PublishRequest(reward_cents=10, budget_cents=2 * price + price // 2))
    assert (report.cost.pages, report.published) == (2, 2)
    assert report.over_budget + report.questions == 15
    rest = publish(small.project, PublishRequest(reward_cents=10))
    assert rest.questions == report.over_budget


def test_a_balance_that_is_too_small_stops_before_anything_is_intended(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with verification(tmp_path, wordnet_folder, {DOG: 10}, balance_cents=10) as made:
        with pytest.raises(PublishError, match=r"the balance is \$0\.10"):
            publish(made.project)
        assert made.count(hits) == 0


def test_a_marketplace_that_is_down_is_one_clear_line_and_nothing_is_intended(small: Verification) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    project = with_settings(small.project, "marketplace", endpoint=endpoint)
    write_keys(project, MarketplaceKeys(endpoint, "AKIAEXAMPLE", "secret"))
    with pytest.raises(MarketplaceUnavailable, match="marketplace serve") as caught:
        publish(project)
    assert "\n" not in str(caught.value)
    assert small.count(hits) == small.count(renditions) == 0


def test_wrong_keys_are_one_clear_line(small: Verification) -> None:
    write_keys(small.project, MarketplaceKeys(small.marketplace.url, "AKIAEXAMPLE", "secret"))
    with pytest.raises(MarketplaceUnavailable, match="refused the keys"):
        publish(small.project)
    assert small.count(hits) == 0


def test_an_endpoint_without_keys_says_where_they_belong(small: Verification) -> None:
    project = with_settings(small.project, "marketplace", endpoint="https://elsewhere.example.org")
    with pytest.raises(ProjectError, match=r"marketplace-keys\.toml"):
        publish(project)


def test_live_without_an_endpoint_is_refused(small: Verification) -> None:
    with pytest.raises(ProjectError, match="live_endpoint"):
        publish(small.project, PublishRequest(live=True))


def test_live_pages_are_marked_so_and_asked_for_confirmation_first(small: Verification) -> None:
    project = with_settings(small.project, "marketplace", live_endpoint=small.marketplace.url)

    def refuse(plan: PublishReport) -> None:
        assert plan.cost.pages == 3
        raise PublishError("not confirmed")

    with pytest.raises(PublishError, match="not confirmed"):
        publish(project, PublishRequest(live=True), confirm=refuse)
    assert small.count(hits) == 0
    publish(project, PublishRequest(live=True), confirm=lambda plan: None)
    assert small.count(hits, hits.c.live) == 3


def test_two_publications_at_once_are_refused(prepared: Verification) -> None:
    with (
        database.exclusive_lock(prepared.project.engine, PUBLISH_LOCK),
        pytest.raises(LockHeld, match="another publish"),
    ):
        publish(prepared.project)


def test_an_unknown_rule_is_refused_before_anything_is_spent(small: Verification) -> None:
    project = with_settings(small.project, "verification", rule="oracle")
    with pytest.raises(ProjectError, match="oracle"):
        publish(project)
    assert small.count(hits) == 0


def test_a_page_without_room_for_questions_is_refused(small: Verification) -> None:
    record_controls(
        small.project.engine,
        [(sha256, wnid, Answer.YES) for sha256, wnid in sorted(small.truth)[:6]],
        "requester",
        utc_now(),
    )
    project = with_settings(small.project, "verification", page_size=1, controls=1)
    with pytest.raises(PublishError, match="--page-size"):
        publish(project)


def leave_intended(made: Verification) -> None:
    """The state after a kill before any of the platform's answers were written down."""
    publish(made.project, PublishRequest(categories=(DOG,)))
    with database.writing(made.project.engine) as connection:
        connection.execute(hits.update().values(state="intended", platform_hit_id=None, published_at=None))


def test_intended_pages_that_exist_already_are_not_created_again(prepared: Verification) -> None:
    leave_intended(prepared)
    there = {str(hit["HITId"]) for hit in listed(prepared)}
    report = publish(prepared.project, PublishRequest(categories=(DOG,)))
    assert (report.resumed, report.questions, report.published) == (2, 0, 2)
    assert {str(hit["HITId"]) for hit in listed(prepared)} == there
    assert {row[0] for row in prepared.rows(sa.select(hits.c.platform_hit_id))} == there


def test_after_the_token_has_lapsed_an_intended_page_is_found_by_its_annotation(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with verification(tmp_path, wordnet_folder, {DOG: 10}, verification=SMALL_PAGES) as made:
        leave_intended(made)
        there = {str(hit["HITId"]) for hit in listed(made)}
        with database.writing(made.project.engine) as connection:
            connection.execute(hits.update().values(intended_at=utc_now() - timedelta(hours=30)))
        # The platform has forgotten the tokens: creating with them again would make new HITs.
        with database.writing(made.marketplace.engine) as connection:
            connection.execute(market.request_tokens.delete())
        publish(made.project)
        assert {str(hit["HITId"]) for hit in listed(made)} == there
        assert made.count(hits, hits.c.state == "published") == 2


def test_reconcile_finds_intended_pages_and_names_unknown_ones(prepared: Verification) -> None:
    leave_intended(prepared)
    report = reconcile(prepared.project)
    assert (report.found, report.missing, report.unknown) == (2, 0, 0)
    with database.writing(prepared.project.engine) as connection:
        gone = sa.select(sa.func.min(hits.c.id)).scalar_subquery()
        connection.execute(hits.update().where(hits.c.id == gone).values(platform_hit_id="3GONE"))
    assert reconcile(prepared.project).unknown == 1
    assert prepared.count(hits, hits.c.state == "abandoned") == 0
    assert reconcile(prepared.project, abandon=True).abandoned == 1
    again = publish(prepared.project, PublishRequest(categories=(DOG,)))
    assert again.questions > 0


def test_reconcile_counts_the_pages_that_a_store_from_a_backup_has_forgotten(small: Verification) -> None:
    publish(small.project, PublishRequest(categories=(DOG,)))
    assert reconcile(small.project).foreign == 0
    store_file = small.project.folder / "store.sqlite3"
    with closing(sqlite3.connect(store_file)) as now, closing(sqlite3.connect(":memory:")) as backup:
        now.backup(backup)
        publish(small.project, PublishRequest(categories=(UMBRELLA,)))
        assert reconcile(small.project).foreign == 0
        small.project.engine.dispose()
        backup.backup(now)
    report = reconcile(small.project)
    assert (report.published, report.unknown, report.foreign) == (2, 0, 1)
    assert "1 pages there are not in this store" in command.done(small.project.folder, "reconcile").output


def test_reconcile_asks_the_marketplace_though_the_store_from_a_backup_knows_of_no_page(
    small: Verification,
) -> None:
    store_file = small.project.folder / "store.sqlite3"
    with closing(sqlite3.connect(store_file)) as now, closing(sqlite3.connect(":memory:")) as backup:
        now.backup(backup)
        publish(small.project)
        published = len(small.pages())
        small.project.engine.dispose()
        backup.backup(now)
    assert (reconcile(small.project).published, reconcile(small.project).foreign) == (0, published)


def test_the_same_hit_always_renders_to_the_same_page(small: Verification) -> None:
    publish(small.project)
    fresh = Project(small.project.folder, small.project.settings)
    with database.reading(fresh.engine) as connection:
        for hit in store.hits_in_state(connection, "published"):
            names = [name for name, _ in store.page_pictures(connection, hit.id)]
            asked = small.marketplace.client().get_hit(HITId=hit.platform_hit_id)["HIT"]["Question"]
            assert PageMaker(fresh).question(hit.wnid, names) == asked
    fresh.engine.dispose()


def test_questions_that_stayed_undecided_are_asked_again_only_when_told(small: Verification) -> None:
    publish(small.project, PublishRequest(categories=(DOG,)))
    for hit_id in small.pages():
        small.marketplace.client().update_expiration_for_hit(HITId=hit_id, ExpireAt=0)
    assert aggregate(small.project).hits_closed == 2
    assert publish(small.project, PublishRequest(categories=(DOG,))).nothing
    again = publish(small.project, PublishRequest(categories=(DOG,), again=True))
    assert again.questions == 10
    assert publish(small.project, PublishRequest(categories=(DOG,), again=True)).nothing


def test_keys_that_the_user_wrote_are_never_replaced_by_the_own_marketplaces(small: Verification) -> None:
    written = marketplace_keys.read_keys(small.project, small.marketplace.url)
    with pytest.raises(ProjectError, match="another marketplace"):
        own_marketplace.create_app(small.project)
    assert marketplace_keys.read_keys(small.project, small.marketplace.url) == written


def test_the_own_marketplaces_keys_follow_its_store(tmp_path: Path) -> None:
    project = empty_project(tmp_path)
    engine = own_marketplace.open_marketplace(project)
    keys = own_marketplace.own_keys(project, engine)
    assert own_marketplace.own_keys(project, engine) == keys
    engine.dispose()
    for file in tmp_path.glob("marketplace.sqlite3*"):
        file.unlink()
    fresh = own_marketplace.own_keys(project, own_marketplace.open_marketplace(project))
    assert fresh.access_key != keys.access_key
    assert marketplace_keys.read_keys(project, fresh.endpoint) == fresh


def test_keys_are_kept_in_a_file_for_its_owner_alone(small: Verification) -> None:
    path = small.project.folder / "marketplace-keys.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    other = MarketplaceKeys("https://live.example.org", "AKIAOTHER", 'a"b\\c')
    write_keys(small.project, other)
    assert marketplace_keys.read_keys(small.project, other.endpoint) == other
    assert marketplace_keys.read_keys(small.project, small.marketplace.url) is not None
    path.write_text("[[requester]]\nendpoint = 'x'\n")
    with pytest.raises(ProjectError, match="damaged"):
        marketplace_keys.read_keys(small.project, "x")


def test_negative_controls_are_borrowed_from_categories_that_are_taken_for_this_one(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    fork, spoon = "n03383948", "n04284002"
    pictures = {fork: 6, spoon: 6, UMBRELLA: 6}
    with verification(tmp_path, wordnet_folder, pictures, verification=SMALL_PAGES) as made:
        engine = made.project.engine
        shown = {
            wnid: sorted(sha for (sha, of), true in made.truth.items() if of == wnid and true)
            for wnid in pictures
        }
        known = [(sha, wnid, Answer.YES) for wnid in pictures for sha in shown[wnid][:2]]
        record_controls(engine, known, "requester", utc_now())
        publish(made.project, PublishRequest(dry_run=True))
        assert made.count(controls) == 6
        publish(made.project)
        borrowed = made.rows(
            sa.select(questions.c.wnid, questions.c.sha256, controls.c.answer)
            .select_from(controls.join(questions))
            .where(controls.c.provenance == "sibling")
        )
        # What shows a fork shows no spoon, and the other way; nothing is taken for an umbrella.
        assert {wnid for wnid, *_ in borrowed} == {fork, spoon}
        assert all(answer == Answer.NO for *_, answer in borrowed)
        assert {sha for wnid, sha, _ in borrowed if wnid == fork} <= set(shown[spoon][:2])
        said = made.rows(
            sa.select(hits.c.wnid, controls.c.answer, sa.func.count())
            .select_from(
                hits.join(hit_questions).join(controls, controls.c.question_id == hit_questions.c.question_id)
            )
            .where(hit_questions.c.as_control)
            .group_by(hits.c.wnid, controls.c.answer)
        )
        assert {(wnid, answer): number for wnid, answer, number in said} == {
            (fork, "yes"): 1,
            (fork, "no"): 1,
            (spoon, "yes"): 1,
            (spoon, "no"): 1,
            (UMBRELLA, "yes"): 2,
        }
        # Workers who are simulated know these too, or they would be taken for bad ones.
        told = truth_by_picture_name(engine, made.truth)
        lent = [
            name
            for page in made.pages().values()
            for name, (sha256, wnid) in page.items()
            if (sha256, wnid) not in made.truth
        ]
        assert len(lent) == 2
        assert [told[name] for name in lent] == ["sibling"] * 2
        before = made.count(controls)
        publish(made.project)
        assert made.count(controls) == before
