"""Simulated workers on the running worker site."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hits.answers import parse
from hits.errors import SimulationError
from hits.model import Answer
from hits.page import render
from hits.requester import Requester, connect
from hits.simulation import (
    CAREFUL,
    HURRIED,
    PROFILES,
    RANDOM,
    SPAMMING,
    SimulatedWorker,
    WorkerProfile,
    simulate,
)
from tests.marketplace_server import running_marketplace
from tests.picture_site import PictureSite, running_picture_site, terms
from tests.real_parts import free_port

FLAWLESS = WorkerProfile("flawless", 1.0, 1.0, 0.0, 1.0)
NAMES = [f"{'yes' if place % 3 else 'no'}-{place}" for place in range(48)]


def shown(name: str) -> bool:
    return name.startswith("yes")


@pytest.fixture
def site() -> Iterator[PictureSite]:
    with running_picture_site() as pictures:
        yield pictures


@pytest.fixture
def marketplace(tmp_path: Path) -> Iterator[Any]:
    with running_marketplace(tmp_path) as running:
        yield running


def publish(marketplace: Any, *questions: str, votes: int = 3) -> tuple[Requester, list[str]]:
    requester = connect(marketplace.url, marketplace.keys.access_key, marketplace.keys.secret_key)
    return requester, [
        requester.create_hit(f"token-{place}", f"page {place}", terms(max_assignments=votes), question)
        for place, question in enumerate(questions)
    ]


def invited(marketplace: Any, *profiles: WorkerProfile) -> list[SimulatedWorker]:
    return [
        SimulatedWorker(marketplace.invite(f"{profile.name}-{place}"), profile)
        for place, profile in enumerate(profiles)
    ]


async def test_a_crowd_answers_all_there_is_and_its_answers_are_read(
    marketplace: Any, site: PictureSite
) -> None:
    questions = [render(site.page(*NAMES[start : start + 12])) for start in range(0, 48, 12)]
    requester, hit_ids = publish(marketplace, *questions)
    crowd = invited(marketplace, FLAWLESS, CAREFUL, HURRIED, SPAMMING)
    report = await simulate(crowd, shown, seed=7)

    assert report.pages == sum(report.pages_by_worker) == 12
    assert sum(report.answers.values()) == 12 * 12
    assert report.late == 0
    counted: Counter[Answer] = Counter()
    for hit_id in hit_ids:
        for assignment in requester.assignments(hit_id):
            counted.update(cell.answer for cell in parse(assignment.answer_xml).cells)
    assert counted == Counter({answer: count for answer, count in report.answers.items() if count})
    assert (await simulate(crowd, shown, seed=7)).pages == 0


async def test_flawless_and_spamming_workers_answer_as_their_profile_says(
    marketplace: Any, site: PictureSite
) -> None:
    requester, (hit_id,) = publish(marketplace, render(site.page(*NAMES)))
    await simulate(invited(marketplace, FLAWLESS, SPAMMING, SPAMMING), shown)
    kinds: Counter[str] = Counter()
    for assignment in requester.assignments(hit_id):
        answers = parse(assignment.answer_xml)
        right = sum((cell.answer is Answer.YES) == shown(cell.name) for cell in answers.cells)
        always_yes = all(cell.answer is Answer.YES for cell in answers.cells)
        kinds["spamming" if always_yes else "flawless" if right == 48 else "other"] += 1
        assert answers.seconds
    assert kinds == {"flawless": 1, "spamming": 2}


async def test_pictures_that_do_not_load_are_answered_broken(marketplace: Any, site: PictureSite) -> None:
    requester, (hit_id,) = publish(marketplace, render(site.page("yes-1", "gone", "no-2")), votes=1)
    site.missing.add("gone")
    report = await simulate(invited(marketplace, SPAMMING), shown)
    (assignment,) = requester.assignments(hit_id)
    assert [cell.answer for cell in parse(assignment.answer_xml).cells] == ["yes", "broken", "yes"]
    assert report.answers[Answer.BROKEN] == 1
    assert site.asked == {"yes-1": 1, "gone": 1, "no-2": 1}


async def test_only_the_sampled_share_of_pictures_is_fetched(marketplace: Any, site: PictureSite) -> None:
    publish(marketplace, render(site.page(*NAMES)), votes=1)
    await simulate(invited(marketplace, FLAWLESS), shown, picture_sample=0.25)
    assert 0 < len(site.asked) < 30


def test_one_seed_gives_the_same_answers_whoever_comes_first(site: PictureSite, tmp_path: Path) -> None:
    said = []
    for place, concurrency in enumerate((1, 3)):
        folder = tmp_path / str(place)
        folder.mkdir()
        with running_marketplace(folder) as marketplace:
            requester, hit_ids = publish(
                marketplace, render(site.page(*NAMES[:24])), render(site.page(*NAMES[24:]))
            )
            crowd = invited(marketplace, HURRIED, RANDOM, CAREFUL)
            asyncio.run(simulate(crowd, shown, seed=3, concurrency=concurrency, picture_sample=0.0))
            said.append(
                [
                    sorted(
                        tuple(cell.answer for cell in parse(assignment.answer_xml).cells)
                        for assignment in requester.assignments(hit_id)
                    )
                    for hit_id in hit_ids
                ]
            )
    assert said[0] == said[1]


async def test_no_more_pages_are_begun_than_asked_for(marketplace: Any, site: PictureSite) -> None:
    publish(marketplace, *(render(site.page(f"yes-{number}")) for number in range(4)))
    report = await simulate(invited(marketplace, CAREFUL, CAREFUL), shown, max_pages=5)
    assert report.pages == 5


def test_a_page_submitted_too_late_is_counted_and_its_worker_stops(site: PictureSite, tmp_path: Path) -> None:
    passed = [timedelta()]

    def truth_takes_long(_: str) -> bool:
        passed[0] = timedelta(minutes=31)
        return True

    with running_marketplace(tmp_path, clock=lambda: datetime.now(UTC) + passed[0]) as marketplace:
        requester, (hit_id,) = publish(marketplace, render(site.page("yes-1")))
        report = asyncio.run(simulate(invited(marketplace, FLAWLESS), truth_takes_long))
        assert (report.pages, report.late, sum(report.answers.values())) == (0, 1, 0)
        passed[0] = timedelta()
        assert list(requester.assignments(hit_id)) == []


async def test_what_nobody_knows_is_drawn_from_the_assumed_yield_alike_for_all(
    marketplace: Any, site: PictureSite
) -> None:
    requester, (hit_id,) = publish(marketplace, render(site.page(*NAMES)))
    await simulate(
        invited(marketplace, FLAWLESS, FLAWLESS, FLAWLESS),
        lambda _: None,
        assumed_yield=0.3,
        picture_sample=0,
    )
    said = {parse(assignment.answer_xml).cells for assignment in requester.assignments(hit_id)}
    assert len(said) == 1
    assert 4 < sum(cell.answer is Answer.YES for cell in said.pop()) < 26


async def test_a_site_that_is_down_and_a_link_that_is_wrong_are_told_without_the_secret(
    marketplace: Any,
) -> None:
    down = SimulatedWorker(f"http://127.0.0.1:{free_port()}/invitation/secret-token", CAREFUL)
    with pytest.raises(SimulationError, match="imagenet-builder marketplace serve") as failure:
        await simulate([down], shown)
    assert "secret-token" not in str(failure.value)
    wrong = SimulatedWorker(f"{marketplace.url}/invitation/secret-token", CAREFUL)
    with pytest.raises(SimulationError, match="HTTP 404") as failure:
        await simulate([wrong], shown)
    assert "secret-token" not in str(failure.value)


async def test_another_requesters_page_is_told_and_not_guessed_at(marketplace: Any) -> None:
    foreign = (
        '<HTMLQuestion xmlns="http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/'
        '2011-11-11/HTMLQuestion.xsd"><HTMLContent><![CDATA[<!DOCTYPE html><form></form>]]></HTMLContent>'
        "<FrameHeight>0</FrameHeight></HTMLQuestion>"
    )
    publish(marketplace, foreign)
    with pytest.raises(SimulationError, match="only answer verification pages"):
        await simulate(invited(marketplace, CAREFUL), shown)


def test_profiles_are_found_by_their_names() -> None:
    assert {name: profile.name for name, profile in PROFILES.items()} == {name: name for name in PROFILES}
    assert {"careful", "hurried", "spamming", "random"} <= set(PROFILES)
