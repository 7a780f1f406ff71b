"""The test that people take before they get a project's pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hits.errors import RequestRefused
from imagenet_builder.errors import ProjectError
from imagenet_builder.publish import PublishRequest, publish
from imagenet_builder.store.tables import hits
from tests.marketplace_programs import answer_key, form_question, question_form, selections
from tests.marketplace_worker import SiteWorker
from tests.verification_project import DOG, UMBRELLA, Verification, add_pictures, verification

TEST = question_form(
    form_question("wolf", selections("yes", "no")), form_question("pup", selections("yes", "no"))
)
ANSWERS = answer_key(
    {"wolf": {"no": 1}, "pup": {"yes": 1}},
    "<PercentageMapping><MaximumSummedScore>2</MaximumSummedScore></PercentageMapping>",
)


@pytest.fixture
def guarded(tmp_path: Path, wordnet_folder: Path) -> Iterator[Verification]:
    settings = {"entrance_test": "test.xml", "entrance_answers": "answers.xml", "entrance_score": 75}
    with verification(tmp_path, wordnet_folder, {DOG: 4, UMBRELLA: 4}, verification=settings) as made:
        (made.project.folder / "test.xml").write_text(TEST, encoding="utf-8")
        (made.project.folder / "answers.xml").write_text(ANSWERS, encoding="utf-8")
        yield made


def take_test(worker: SiteWorker, type_id: str, **answers: str) -> None:
    worker.post(f"/qualifications/{type_id}/request")
    worker.post(f"/qualifications/{type_id}/test", **answers)


def test_pages_are_for_those_who_pass_the_test(guarded: Verification) -> None:
    publish(guarded.project)
    client = guarded.marketplace.client()
    pages = client.list_hits()["HITs"]
    requirements = {str(page["QualificationRequirements"]) for page in pages}
    assert (len(pages), len(requirements)) == (2, 1)
    [wanted] = [
        entry
        for entry in pages[0]["QualificationRequirements"]
        if entry["Comparator"] == "GreaterThanOrEqualTo"
    ]
    assert (wanted["IntegerValues"], wanted["ActionsGuarded"]) == ([75], "Accept")
    ada, bo, cy = (
        SiteWorker(guarded.marketplace.url, guarded.marketplace.invite(n)) for n in ("Ada", "Bo", "Cy")
    )
    take_test(ada, wanted["QualificationTypeId"], wolf="no", pup="yes")
    take_test(bo, wanted["QualificationTypeId"], wolf="no", pup="no")
    path = f"/hits/{pages[0]['HITId']}/accept"
    assert ada.post(path).status_code == 303
    assert "entrance test" in ada.get("/qualifications").text
    for kept_out in (bo, cy):
        answer = kept_out.post(path)
        assert answer.status_code == 409
        assert "entrance test" in answer.text


def test_one_test_is_one_qualification_and_another_is_another(guarded: Verification) -> None:
    client = guarded.marketplace.client()

    def tests() -> set[str]:
        found = client.list_qualification_types(MustBeRequestable=False, MustBeOwnedByCaller=True)
        return {one["Name"] for one in found["QualificationTypes"] if "entrance test" in one["Name"]}

    publish(guarded.project, PublishRequest(categories=(DOG,)))
    first = tests()
    publish(guarded.project, PublishRequest(categories=(UMBRELLA,)))
    assert tests() == first
    assert len(first) == 1
    (guarded.project.folder / "test.xml").write_text(TEST.replace("Which?", "Which one?"), encoding="utf-8")
    guarded.truth.update(add_pictures(guarded.project, DOG, range(500, 504)))
    publish(guarded.project)
    assert len(tests()) == 2


@pytest.mark.parametrize("name", ["test.xml", "answers.xml"])
def test_a_file_that_is_not_there_is_named(guarded: Verification, name: str) -> None:
    (guarded.project.folder / name).unlink()
    with pytest.raises(ProjectError, match=name):
        publish(guarded.project)
    assert guarded.count(hits) == 0


def test_a_test_that_is_none_is_refused_by_the_marketplace(guarded: Verification) -> None:
    (guarded.project.folder / "test.xml").write_text("<p>no form</p>", encoding="utf-8")
    with pytest.raises(RequestRefused, match="QuestionForm"):
        publish(guarded.project)
    assert guarded.count(hits) == 0
