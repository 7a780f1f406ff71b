"""Example pictures on verification pages: which are shown, under what names, and that they tell no answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from hits.marketplace.settings import utc_now
from hits.model import Answer
from imagenet_builder.aggregate import aggregate
from imagenet_builder.controls import record_controls
from imagenet_builder.examples import Examples, example_name, examples_of, picture_of
from imagenet_builder.project import Project
from imagenet_builder.publish import publish
from imagenet_builder.takedown import parse_target, take_down
from tests.verification_project import DOG, UMBRELLA, Verification, add_pictures, verification

WOLF = "n02114100"


@pytest.fixture
def decided(tmp_path: Path, wordnet_folder: Path, store_url: str) -> Iterator[Verification]:
    """Dogs, wolves and umbrellas of which every second picture was accepted."""
    pictures = {DOG: 10, WOLF: 6, UMBRELLA: 4}
    with verification(tmp_path, wordnet_folder, pictures, store_url=store_url) as made:
        publish(made.project)
        made.crowd_answers()
        aggregate(made.project)
        yield made


def accepted(made: Verification, wnid: str) -> set[str]:
    return {sha256 for (sha256, of), shows in made.truth.items() if of == wnid and shows}


def shown(made: Verification, names: tuple[str, ...]) -> set[str | None]:
    return {picture_of(made.project.secret, name) for name in names}


def test_a_category_without_verdicts_has_no_examples_and_needs_no_key(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with verification(tmp_path, wordnet_folder, {DOG: 2, WOLF: 2}) as made:
        assert examples_of(made.project, DOG) == Examples((), ())
        assert not (made.project.folder / "secret.key").exists()


def test_examples_are_accepted_pictures_of_it_and_of_its_siblings(decided: Verification) -> None:
    found = examples_of(decided.project, DOG)
    assert len(found.showing) == 3
    assert shown(decided, found.showing) <= accepted(decided, DOG)
    assert len(found.not_showing) == 1
    assert shown(decided, found.not_showing) <= accepted(decided, WOLF)
    assert examples_of(decided.project, UMBRELLA).not_showing == ()


def test_no_example_answers_a_question(decided: Verification) -> None:
    dogs, wolves = sorted(accepted(decided, DOG)), sorted(accepted(decided, WOLF))
    known = [(sha256, UMBRELLA, Answer.NO) for sha256 in dogs[:-1]]
    known += [(sha256, DOG, Answer.NO) for sha256 in wolves]
    record_controls(decided.project.engine, known, "requester", utc_now())
    found = examples_of(decided.project, DOG)
    assert (shown(decided, found.showing), found.not_showing) == ({dogs[-1]}, ())


def test_new_pages_show_them_and_the_server_has_them_until_they_are_taken_down(decided: Verification) -> None:
    decided.truth.update(add_pictures(decided.project, DOG, range(500, 504)))
    publish(Project(decided.project.folder, decided.project.settings))
    page = next(
        str(hit["Question"])
        for hit in decided.marketplace.client().list_hits()["HITs"]
        if hit["HITStatus"] == "Assignable"
    )
    assert "These show it" in page
    assert "These do not" in page
    addresses = re.findall(r'<img src="([^"]+)" alt="These [^"]+"', page)
    assert len(addresses) == 4
    for address in addresses:
        answer = requests.get(address, timeout=30)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
        sha256 = picture_of(decided.project.secret, address.rpartition("/")[2].removesuffix(".jpg"))
        assert sha256 is not None
        assert sha256 not in page
        take_down(decided.project, parse_target(sha256), "asked")
        assert requests.get(address, timeout=30).status_code == 404
        assert example_name(decided.project.secret, sha256) not in {
            *examples_of(decided.project, DOG).showing,
            *examples_of(decided.project, DOG).not_showing,
        }


def test_a_name_is_opened_by_its_own_secret_only_and_a_made_up_one_by_none() -> None:
    sha256, secret = "ab" * 32, b"s" * 32
    name = example_name(secret, sha256)
    assert re.fullmatch(r"[A-Za-z0-9_-]{64}", name)
    assert picture_of(secret, name) == sha256
    assert picture_of(b"t" * 32, name) is None
    changed = ("A" if name[0] != "A" else "B") + name[1:]
    assert [picture_of(secret, other) for other in (changed, sha256, name[:-1], name[:-1] + "=", "")] == [
        None
    ] * 5
