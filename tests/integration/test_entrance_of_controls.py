"""`controls test`: an entrance test made of the requester's own known pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from hits.model import Answer
from imagenet_builder.cli import command_line, run
from imagenet_builder.controls import REQUESTER, record_controls
from imagenet_builder.entrance_form import choose_known
from imagenet_builder.examples import example_name
from imagenet_builder.publish import publish
from imagenet_builder.store.tables import hits
from tests.builder_store import NOW
from tests.marketplace_worker import SiteWorker
from tests.verification_project import DOG, UMBRELLA, Verification, verification

SETTINGS = {
    "entrance_test": "entrance-test.xml",
    "entrance_answers": "entrance-answers.xml",
    "entrance_score": 100,
}


@pytest.fixture
def known(tmp_path: Path, wordnet_folder: Path) -> Iterator[Verification]:
    """Ten pictures of each category; of six of each the requester knows whether they show it."""
    with verification(tmp_path, wordnet_folder, {DOG: 10, UMBRELLA: 10}, verification=SETTINGS) as made:
        for wnid in (DOG, UMBRELLA):
            here = {sha256: shows for (sha256, of), shows in sorted(made.truth.items()) if of == wnid}
            for wanted in (True, False):
                some = [sha256 for sha256, shows in here.items() if shows is wanted][:3]
                answer = Answer.YES if wanted else Answer.NO
                record_controls(
                    made.project.engine, [(sha256, wnid, answer) for sha256 in some], REQUESTER, NOW
                )
        yield made


def made_test(known: Verification, *options: str) -> int:
    return run(command_line.main, "--project", str(known.project.folder), "controls", "test", *options)


def test_who_knows_the_pictures_gets_the_pages_and_who_says_yes_to_all_does_not(known: Verification) -> None:
    assert made_test(known, "--pictures", "8") == 0
    publish(known.project)
    client = known.marketplace.client()
    page = client.list_hits()["HITs"][0]
    [wanted] = [
        one for one in page["QualificationRequirements"] if one["Comparator"] == "GreaterThanOrEqualTo"
    ]
    type_id = wanted["QualificationTypeId"]
    asked = client.get_qualification_type(QualificationTypeId=type_id)["QualificationType"]["Test"]
    names = re.findall(r"<DataURL>(.+?)</DataURL>", asked)
    shown = {
        f"{known.project.settings.marketplace.pictures_url}/{example_name(known.project.secret, sha256)}.jpg": shows
        for (sha256, _), shows in known.truth.items()
    }
    truths = [shown[url] for url in names]
    assert truths.count(True) == truths.count(False) == 4
    assert all(requests.get(url, timeout=30).headers["Content-Type"] == "image/jpeg" for url in names)
    said = {f"picture-{number}": "yes" if shows else "no" for number, shows in enumerate(truths, start=1)}
    right, easy = (
        SiteWorker(known.marketplace.url, known.marketplace.invite(name)) for name in ("Ada", "Bo")
    )
    for worker, answers in ((right, said), (easy, dict.fromkeys(said, "yes"))):
        worker.post(f"/qualifications/{type_id}/request")
        worker.post(f"/qualifications/{type_id}/test", **answers)
    assert right.post(f"/hits/{page['HITId']}/accept").status_code == 303
    assert easy.post(f"/hits/{page['HITId']}/accept").status_code == 409


def test_the_test_has_pairs_of_all_categories_in_turn_and_is_the_same_each_time(known: Verification) -> None:
    chosen = choose_known(known.project, [DOG, UMBRELLA], 9)
    assert chosen == choose_known(known.project, [DOG, UMBRELLA], 9)
    assert len(chosen) == len({one.sha256 for one in chosen}) == 8
    for wnid in (DOG, UMBRELLA):
        answers = [one.answer for one in chosen if one.wnid == wnid]
        assert sorted(answers) == [Answer.NO, Answer.NO, Answer.YES, Answer.YES]
    assert len(choose_known(known.project, [DOG, UMBRELLA], 100)) == 12
    assert {one.wnid for one in choose_known(known.project, [DOG], 100)} == {DOG}


def test_a_test_that_people_may_have_passed_is_not_overwritten(
    known: Verification, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made_test(known) == 0
    before = (known.project.folder / "entrance-test.xml").read_bytes()
    capsys.readouterr()
    assert made_test(known, "--pictures", "4") == 1
    assert re.fullmatch(r"Error: .*entrance-test\.xml is there already.*--out\n", capsys.readouterr().err)
    assert (known.project.folder / "entrance-test.xml").read_bytes() == before
    (tmp_path / "other").mkdir()
    assert made_test(known, "--out", str(tmp_path / "other")) == 0


def test_without_known_pictures_of_both_kinds_the_remedy_is_named(
    tmp_path: Path, wordnet_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with verification(tmp_path, wordnet_folder, {DOG: 4}) as made:
        yes = [(sha256, wnid, Answer.YES) for (sha256, wnid), shows in made.truth.items() if shows]
        record_controls(made.project.engine, yes, REQUESTER, NOW)
        assert made_test(made) == 1
        assert "controls label" in capsys.readouterr().err
        assert made.count(hits) == 0
        assert not (made.project.folder / "entrance-test.xml").exists()
