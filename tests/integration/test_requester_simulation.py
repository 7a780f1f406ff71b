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
    ALWAYS_YES,
    CAREFUL,
    CONFUSED,
    HURRIED,
    PROFILES,
    RANDOM,
    Shown,
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
    crowd = invited(marketplace, FLAWLESS, CAREFUL, HURRIED, ALWAYS_YES)
    told: list[int] = []
    report = await simulate(crowd, shown, seed=7, progress=told.append)

    assert report.pages == sum(report.pages_by_worker) == 12
    assert told == list(range(1, 13))
    assert sum(report.answers.values()) == 12 * 12
    assert report.late == 0
    counted: Counter[Answer] = Counter()
    for hit_id in hit_ids:
        for assignment in requester.assignments(hit_id):
            counted.update(cell.answer for cell in parse(assignment.answer_xml).cells)
    assert counted == Counter({answer: count for answer, count in report.answers.items() if count})
    assert (await simulate(crowd, shown, seed=7)).pages == 0


async def test_flawless_and_always_yes_workers_answer_as_their_profile_says(
    marketplace: Any, site: PictureSite
) -> None:
    requester, (hit_id,) = publish(marketplace, render(site.page(*NAMES)))
    await simulate(invited(marketplace, FLAWLESS, ALWAYS_YES, ALWAYS_YES), shown)
    kinds: Counter[str] = Counter()
    for assignment in requester.assignments(hit_id):
        answers = parse(assignment.answer_xml)
        right = sum((cell.answer is Answer.YES) == shown(cell.name) for cell in answers.cells)
        always_yes = all(cell.answer is Answer.YES for cell in answers.cells)
        kinds["always-yes" if always_yes else "flawless" if right == 48 else "other"] += 1
        assert answers.seconds
    assert kinds == {"flawless": 1, "always-yes": 2}


async def test_workers_confused_by_siblings_say_yes_to_what_is_near_and_no_to_what_is_far(
    marketplace: Any, site: PictureSite
) -> None:
    names = [f"{kind}-{place}" for place in range(16) for kind in ("shown", "near", "far")]
    requester, (hit_id,) = publish(marketplace, render(site.page(*names)), votes=2)
    truth: dict[str, Shown] = {"shown": True, "near": "sibling", "far": False}
    crowd = invited(marketplace, CONFUSED, WorkerProfile("knowing", 1.0, 1.0, 0.0, 1.0))
    await simulate(crowd, lambda name: truth[name.partition("-")[0]], picture_sample=0)
    said: dict[bool, Counter[str]] = {}
    for assignment in requester.assignments(hit_id):
        cells = parse(assignment.answer_xml).cells
        yes = Counter(cell.name.partition("-")[0] for cell in cells if cell.answer is Answer.YES)
        said[yes["near"] > 0] = yes
    assert said[False] == {"shown": 16}
    assert said[True]["near"] > 6 > said[True]["far"]
    assert said[True]["shown"] > 10


async def test_a_crowd_that_arrives_over_time_reports_its_own_time_and_may_take_it(
    marketplace: Any, site: PictureSite
) -> None:
    publish(marketplace, *(render(site.page(*NAMES[start : start + 12])) for start in range(0, 48, 12)))
    crowd = invited(marketplace, FLAWLESS, FLAWLESS, FLAWLESS)
    timed = await simulate(crowd, shown, arrivals_an_hour=7200, pace=0.02, picture_sample=0, concurrency=3)
    assert timed.pages == 12
    # A page of twelve pictures takes around twelve seconds; nobody works on two at once.
    assert 12 * 5 < timed.worked_seconds < 12 * 30
    assert timed.worked_seconds / 3 <= timed.span_seconds < timed.worked_seconds + 60
    assert timed.seconds >= 0.02 * timed.span_seconds


async def test_who_comes_later_finds_less(marketplace: Any, site: PictureSite) -> None:
    publish(marketplace, *(render(site.page(f"yes-{number}")) for number in range(6)), votes=1)
    crowd = invited(marketplace, FLAWLESS, FLAWLESS)
    report = await simulate(crowd, shown, arrivals_an_hour=0.36, pace=0.0005, picture_sample=0)
    assert report.pages_by_worker == (6, 0)


async def test_pictures_that_do_not_load_are_answered_broken(marketplace: Any, site: PictureSite) -> None:
    requester, (hit_id,) = publish(marketplace, render(site.page("yes-1", "gone", "no-2")), votes=1)
    site.missing.add("gone")
    report = await simulate(invited(marketplace, ALWAYS_YES), shown)
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
    assert set(PROFILES) == {"careful", "hurried", "confused-by-siblings", "random", "always-yes"}
