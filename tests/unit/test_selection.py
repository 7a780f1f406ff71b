"""Selecting categories: what is left out unless it is named, and a store that is untouched when a name is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hits import database
from imagenet_builder.errors import ProjectError
from imagenet_builder.project import Project
from imagenet_builder.selection import SelectionRequest, category_of, select_categories
from imagenet_builder.store import categories
from tests.builder_store import NOW, empty_project
from wordnet_synsets.errors import UnknownSynset, WordNetError
from wordnet_synsets.select import Reason, list_wnids

CANINE, WOLF, TIMBER_WOLF, DOG = "n02083346", "n02114100", "n02114367", "n02084071"
SCUBA_DIVER, SWIMMER = "n10565667", "n10683126"


@pytest.fixture
def project(tmp_path: Path, wordnet_folder: Path) -> Project:
    return empty_project(
        tmp_path / "project", wordnet={"folder": str(wordnet_folder), "exclude": ["wolf.n.01"]}
    )


def selected(project: Project) -> list[str]:
    with database.reading(project.engine) as connection:
        return [category.wnid for category in categories.selected(connection)]


def test_a_subtree_of_persons_gives_nothing(project: Project) -> None:
    selection, change = select_categories(project, SelectionRequest(under=["diver.n.01"]), NOW)
    assert selection.wnids == ()
    assert SCUBA_DIVER in {one.wnid for one in selection.left_out}
    assert {one.reason for one in selection.left_out} == {Reason.EXCLUDED}
    assert (change.added, change.restored, change.known) == (0, 0, 0)
    assert selected(project) == []


def test_a_person_that_is_named_is_taken(project: Project) -> None:
    select_categories(project, SelectionRequest(named=["scuba_diver.n.01"], under=["diver.n.01"]), NOW)
    assert selected(project) == [SCUBA_DIVER]


def test_what_the_settings_exclude_is_left_out_of_subtrees_beside_persons(project: Project) -> None:
    selection, _ = select_categories(project, SelectionRequest(under=["canine.n.02", "swimmer.n.02"]), NOW)
    chosen = set(selected(project))
    assert {CANINE, DOG} < chosen
    assert chosen.isdisjoint({WOLF, TIMBER_WOLF, SWIMMER})
    barred = {one.wnid: one.under for one in selection.left_out if one.reason is Reason.EXCLUDED}
    assert barred[WOLF] == barred[TIMBER_WOLF] == WOLF
    assert SWIMMER in barred


def test_a_file_counts_as_naming(project: Project, tmp_path: Path) -> None:
    listed = tmp_path / "mine.txt"
    listed.write_text(f"# mine\ntimber wolf\n{SCUBA_DIVER} scuba diver\n", encoding="utf-8")
    select_categories(project, SelectionRequest(file=listed), NOW)
    assert selected(project) == [TIMBER_WOLF, SCUBA_DIVER]


def test_a_packaged_list_counts_as_naming_and_keeps_its_order(project: Project) -> None:
    selection, change = select_categories(project, SelectionRequest(list_name="ilsvrc2012"), NOW)
    assert selection.wnids == list_wnids("ilsvrc2012")
    assert change.added == 1000
    assert {TIMBER_WOLF, SCUBA_DIVER} < set(selected(project))


def test_named_ones_list_file_and_subtrees_are_taken_together_once(project: Project, tmp_path: Path) -> None:
    listed = tmp_path / "mine.txt"
    listed.write_text("umbrella\n", encoding="utf-8")
    request = SelectionRequest(named=["mushroom.n.05"], file=listed, under=["umbrella"], limit=2)
    selection, change = select_categories(project, request, NOW)
    assert selected(project) == ["n07734744", "n04507155"] == list(selection.wnids)
    again = select_categories(project, SelectionRequest(named=["umbrella", "dog.n.01"]), NOW)[1]
    assert (change.added, again.added, again.known) == (2, 1, 1)
    assert selected(project) == ["n07734744", "n04507155", DOG]


def test_nothing_asked_for_is_refused(project: Project) -> None:
    with pytest.raises(ProjectError, match="nothing to select: give wnids or words, --under"):
        select_categories(project, SelectionRequest(leaves=True), NOW)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (SelectionRequest(named=["umbrella", "umbrela"]), UnknownSynset),
        (SelectionRequest(named=["umbrella"], under=["canin"]), UnknownSynset),
        (SelectionRequest(named=["umbrella"], list_name="ilsvrc2011"), WordNetError),
        (SelectionRequest(named=["umbrella"], file=Path("nowhere.txt")), WordNetError),
    ],
    ids=["a name", "a subtree", "a list", "a file"],
)
def test_a_wrong_name_anywhere_selects_nothing(
    request_: SelectionRequest, error: type[Exception], project: Project
) -> None:
    with pytest.raises(error):
        select_categories(project, request_, NOW)
    assert selected(project) == []


def test_a_wrong_exclusion_in_the_settings_selects_nothing(tmp_path: Path, wordnet_folder: Path) -> None:
    project = empty_project(tmp_path / "p", wordnet={"folder": str(wordnet_folder), "exclude": ["wulf"]})
    with pytest.raises(UnknownSynset, match="wulf"):
        select_categories(project, SelectionRequest(under=["canine.n.02"]), NOW)
    assert selected(project) == []


def test_a_category_is_its_synset(project: Project) -> None:
    category = category_of(project.graph["n04507155"])
    assert (category.wnid, category.name, category.sense_key) == (
        "n04507155",
        "umbrella.n.01",
        "umbrella%1:06:00::",
    )
    assert category.lemmas == ("umbrella",)
    assert category.gloss.startswith("a lightweight handheld collapsible canopy")
