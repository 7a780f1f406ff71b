"""HIT pictures over HTTP, and the requester's own labelling pages."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from hits.model import Answer
from imagenet_builder.controls import ControlsReport, record_controls
from imagenet_builder.errors import PublishError
from imagenet_builder.labelling import LabellingSite
from imagenet_builder.publish import publish
from imagenet_builder.reconcile import utc_now
from imagenet_builder.store.tables import controls, hit_questions, questions
from tests.verification_project import DOG, UMBRELLA, Verification, verification


@pytest.fixture
def shown(tmp_path: Path, wordnet_folder: Path) -> Iterator[Verification]:
    with verification(tmp_path, wordnet_folder, {DOG: 6, UMBRELLA: 3}) as made:
        yield made


@pytest.fixture
def on_each_engine(tmp_path: Path, wordnet_folder: Path, store_url: str) -> Iterator[Verification]:
    with verification(tmp_path, wordnet_folder, {DOG: 6, UMBRELLA: 3}, store_url=store_url) as made:
        yield made


def names(made: Verification) -> list[str]:
    return [name for (name,) in made.rows(sa.select(hit_questions.c.picture_name))]


def get(made: Verification, path: str) -> requests.Response:
    return requests.get(f"{made.marketplace.url}/pictures/{path}", timeout=30)


def test_every_picture_of_a_page_is_served_as_a_thumbnail(on_each_engine: Verification) -> None:
    publish(on_each_engine.project)
    for name in names(on_each_engine):
        answer = get(on_each_engine, f"{name}.jpg")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "immutable" in answer.headers["Cache-Control"]
        picture = Image.open(io.BytesIO(answer.content))
        assert max(picture.size) <= on_each_engine.project.settings.verification.thumbnail_side
        assert not picture.getexif()


def test_no_header_is_the_same_for_one_picture_under_two_names(shown: Verification) -> None:
    record_controls(
        shown.project.engine,
        [(min(sha256 for sha256, wnid in shown.truth if wnid == DOG), DOG, Answer.YES)],
        "requester",
        utc_now(),
    )
    publish(shown.project)
    assert len(names(shown)) == 9
    headers = get(shown, f"{names(shown)[0]}.jpg").headers
    assert {"ETag", "Last-Modified", "Content-Disposition"}.isdisjoint(headers)


def test_names_that_no_page_has_are_not_found(shown: Verification) -> None:
    publish(shown.project)
    sha256 = next(sha256 for sha256, _ in shown.truth)
    for path in (
        f"{sha256}.jpg",
        f"{sha256[:32]}.jpg",
        "0" * 32 + ".jpg",
        names(shown)[0],
        names(shown)[0] + ".png",
        names(shown)[0].upper() + "x.jpg",
        "..%2f..%2fsecret.key.jpg",
        "",
    ):
        answer = get(shown, path)
        assert answer.status_code == 404, path
        assert sha256 not in answer.text


def test_a_picture_whose_bytes_are_gone_is_not_found_and_the_server_goes_on(shown: Verification) -> None:
    publish(shown.project)
    for sha256 in list(shown.project.images):
        shown.project.images.delete(sha256)
    assert get(shown, f"{names(shown)[0]}.jpg").status_code == 404
    assert get(shown, f"{names(shown)[1]}.jpg").status_code == 404


def test_controls_are_never_questions_and_questions_never_become_controls(
    on_each_engine: Verification,
) -> None:
    dogs = sorted(sha256 for sha256, wnid in on_each_engine.truth if wnid == DOG)
    engine = on_each_engine.project.engine
    made = record_controls(engine, [(dogs[0], DOG, Answer.YES)], "requester", utc_now())
    assert made == ControlsReport(1, 0)
    publish(on_each_engine.project)
    later = record_controls(
        engine, [(dogs[0], DOG, Answer.NO), (dogs[1], DOG, Answer.NO)], "requester", utc_now()
    )
    assert later == ControlsReport(1, 1)
    rows = on_each_engine.rows(
        sa.select(questions.c.sha256, controls.c.answer).select_from(controls.join(questions))
    )
    assert rows == [(dogs[0], "no")]


def test_a_negative_control_may_come_from_another_category(shown: Verification) -> None:
    umbrella = next(sha256 for sha256, wnid in shown.truth if wnid == UMBRELLA)
    record_controls(shown.project.engine, [(umbrella, DOG, Answer.NO)], "requester", utc_now())
    report = publish(shown.project)
    assert (report.questions, report.controls) == (9, 1)


def test_a_control_without_its_picture_or_category_is_refused(shown: Verification) -> None:
    dog = next(sha256 for sha256, wnid in shown.truth if wnid == DOG)
    with pytest.raises(PublishError, match="not in the store"):
        record_controls(shown.project.engine, [("f" * 64, DOG, Answer.YES)], "requester", utc_now())
    with pytest.raises(PublishError, match="no category"):
        record_controls(shown.project.engine, [(dog, "n00000001", Answer.YES)], "requester", utc_now())
    with pytest.raises(ValueError, match="yes or no"):
        record_controls(shown.project.engine, [(dog, DOG, Answer.UNSURE)], "requester", utc_now())
    assert shown.count(controls) == 0


async def test_the_requester_labels_pictures_in_a_browser(on_each_engine: Verification) -> None:
    site = LabellingSite(on_each_engine.project, [DOG, UMBRELLA], shown=4)
    async with TestClient(TestServer(site.create_app())) as browser:
        overview = await (await browser.get(f"{site.base}/")).text()
        assert DOG in overview
        address = f"{site.base}/categories/{DOG}"
        page = await (await browser.get(address)).text()
        pictures = re.findall(r'src="([^"]+)"', page)
        assert len(pictures) == 4
        for picture in pictures:
            answer = await browser.get(picture)
            assert answer.content_type == "image/jpeg"
        offered = [picture.rpartition("/")[2].removesuffix(".jpg") for picture in pictures]
        following = await browser.post(
            address, data={offered[0]: "yes", offered[1]: "no", offered[2]: "", "more": offered[-1]}
        )
        assert following.status == 200
        rest = re.findall(r'src="([^"]+)"', await following.text())
        assert len(rest) == 2
        assert set(rest).isdisjoint(pictures)
    rows = await asyncio.to_thread(
        on_each_engine.rows,
        sa.select(questions.c.sha256, controls.c.answer, controls.c.provenance).select_from(
            controls.join(questions)
        ),
    )
    assert sorted(rows) == sorted([(offered[0], "yes", "requester"), (offered[1], "no", "requester")])
    assert site.recorded == 2


async def test_nobody_without_the_secret_address_labels_or_looks(shown: Verification) -> None:
    site = LabellingSite(shown.project, [DOG], shown=4)
    picture = next(sha256 for sha256, _ in shown.truth)
    async with TestClient(TestServer(site.create_app())) as browser:
        for path in ("/", f"/categories/{DOG}", f"/pictures/{picture}.jpg", "/guess/"):
            assert (await browser.get(path)).status == 404
        assert (await browser.post(f"/guess/categories/{DOG}", data={picture: "yes"})).status == 404
        assert (await browser.get(f"{site.base}/categories/{UMBRELLA}")).status == 404
        wrong = await browser.post(f"{site.base}/categories/{DOG}", data={"f" * 64: "yes"})
        assert wrong.status == 400
        page = await browser.get(f"{site.base}/")
        assert page.headers["Referrer-Policy"] == "no-referrer"
    assert await asyncio.to_thread(shown.count, controls) == 0
