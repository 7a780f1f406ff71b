"""Pages before they are published: layout, names, concepts, money on the command line."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.model import Answer
from imagenet_builder.cli.publish_hits import cents_of
from imagenet_builder.concepts import concept_of, confusable, wikipedia_url
from imagenet_builder.config import VerificationSettings
from imagenet_builder.errors import PublishError
from imagenet_builder.pages import PageDesigner, PageMaker, picture_name
from imagenet_builder.policy import Policy
from imagenet_builder.project import Project
from imagenet_builder.store.publish import HitIntent
from wordnet_synsets.errors import UnknownSynset
from wordnet_synsets.graph import Graph, open_graph

from ..builder_store import empty_project

SECRET = b"k" * 32
MAJORITY = Policy("majority", 3)
DOG, PERSON = "n02084071", "n00007846"


def designer(secret: bytes = SECRET, **settings: int) -> PageDesigner:
    chosen = VerificationSettings(**settings)  # type: ignore[arg-type]
    return PageDesigner(chosen, secret, "http://127.0.0.1:1", False, None, chosen.seconds_per_picture)


def layout(intents: list[HitIntent]) -> list[list[tuple[str, bool]]]:
    return [[(slot.sha256, slot.is_control) for slot in intent.slots] for intent in intents]


def shas(number: int, letter: str = "a") -> list[str]:
    return [f"{letter}{place:063x}" for place in range(number)]


def answers(number: int) -> dict[str, Answer]:
    """So many controls, every other one negative."""
    return {sha256: Answer.NO if place % 2 else Answer.YES for place, sha256 in enumerate(shas(number, "b"))}


@given(pending=st.integers(0, 200), known=st.integers(0, 12), earlier=st.integers(0, 3))
def test_every_picture_is_asked_once_and_the_layout_follows_from_its_seed(
    pending: int, known: int, earlier: int
) -> None:
    first = designer().design(DOG, MAJORITY, shas(pending), answers(known), earlier)
    asked = [sha256 for page in layout(first) for sha256, is_control in page if not is_control]
    assert sorted(asked) == shas(pending)
    assert all(len(page) <= 48 for page in layout(first))
    again = designer().design(DOG, MAJORITY, shas(pending), answers(known), earlier)
    assert layout(again) == layout(first)
    assert len({intent.token for intent in (*first, *again)}) == len(first) + len(again)


def test_three_controls_of_a_page_show_the_concept_and_three_do_not() -> None:
    known = dict.fromkeys(shas(20, "b"), Answer.YES) | dict.fromkeys(shas(4, "c"), Answer.NO)
    for intent in designer().design(DOG, MAJORITY, shas(168), known, 0):
        said = Counter(slot.known for slot in intent.slots)
        assert said == {None: 42, Answer.YES: 3, Answer.NO: 3}
        assert all(slot.is_control == (slot.known is not None) for slot in intent.slots)


def test_another_secret_or_category_lays_out_otherwise() -> None:
    pending, known = shas(60), answers(6)
    one = layout(designer().design(DOG, MAJORITY, pending, known, 0))
    assert layout(designer(b"x" * 32).design(DOG, MAJORITY, pending, known, 0)) != one
    assert layout(designer().design(PERSON, MAJORITY, pending, known, 0)) != one
    assert layout(designer().design(DOG, MAJORITY, pending, known, 1)) != one


def test_a_page_without_room_is_refused_with_the_flags_that_mend_it() -> None:
    with pytest.raises(PublishError, match="--page-size"):
        designer(page_size=4, controls=4).design(DOG, MAJORITY, shas(3), answers(4), 0)


def test_picture_names_differ_by_page_and_cannot_be_computed_without_the_secret() -> None:
    (sha256,) = shas(1)
    names = {
        picture_name(SECRET, "token1", sha256),
        picture_name(SECRET, "token2", sha256),
        picture_name(b"x" * 32, "token1", sha256),
        picture_name(SECRET, "token1", shas(2)[1]),
    }
    assert len(names) == 4
    assert all(len(name) == 32 and name not in sha256 for name in names)


@pytest.fixture(scope="module")
def graph(wordnet_folder: object) -> Graph:
    from pathlib import Path

    assert isinstance(wordnet_folder, Path)
    return open_graph(wordnet_folder)


def test_categories_are_taken_for_each_other_that_are_near_and_neither_above_the_other(graph: Graph) -> None:
    names = (
        "dog.n.01",
        "whippet.n.01",
        "italian_greyhound.n.01",
        "greyhound.n.01",
        "saluki.n.01",
        "umbrella.n.01",
    )
    dog, whippet, italian, greyhound, saluki, umbrella = (graph.resolve(name).wnid for name in names)
    among = [dog, saluki, greyhound, umbrella, whippet, italian]
    assert confusable(graph, whippet, among) == [italian, saluki]
    assert confusable(graph, umbrella, among) == []


def test_a_concept_says_what_counts_and_what_does_not(graph: Graph) -> None:
    concept = concept_of(graph, DOG)
    assert (concept.name, concept.synonyms) == ("dog", ("domestic dog", "Canis familiaris"))
    assert concept.parents == ("canine", "domestic animal")
    assert concept.wikipedia_url == "https://en.wikipedia.org/wiki/Dog"
    assert 0 < len(concept.not_counting) <= 4
    assert "wolf" in concept.not_counting
    below = {word for wnid in graph.descendants(DOG) for word in graph[wnid].words}
    assert below.isdisjoint(concept.not_counting)


def test_no_concept_is_its_own_counterexample(graph: Graph) -> None:
    for wnid in sorted(graph.descendants("n03094503"))[:400]:
        concept = concept_of(graph, wnid)
        assert concept.name not in concept.not_counting
        assert set(concept.synonyms).isdisjoint(concept.not_counting)


def test_wikipedia_addresses_hold_any_lemma() -> None:
    assert wikipedia_url("great_white_shark") == "https://en.wikipedia.org/wiki/Great_white_shark"
    assert wikipedia_url("7-Up/x?y#z") == "https://en.wikipedia.org/wiki/7-Up%2Fx%3Fy%23z"


@pytest.mark.parametrize(("text", "cents"), [("0.15", 15), ("$20", 2000), ("1.1", 110), ("0", 0)])
def test_dollars_become_whole_cents(text: str, cents: int) -> None:
    assert cents_of(text) == cents


@pytest.mark.parametrize("text", ["", "ten", "0.155", "-1", "nan", "inf", "1,50"])
def test_anything_else_is_no_amount(text: str) -> None:
    with pytest.raises(click.BadParameter):
        cents_of(text)


def test_pages_of_sensitive_categories_and_of_those_below_them_warn(
    wordnet_folder: Path, tmp_path: Path
) -> None:
    stored = empty_project(tmp_path, wordnet={"folder": str(wordnet_folder)})

    def warns(wnid: str, *sensitive: str) -> bool:
        settings = replace(stored.settings, verification=VerificationSettings(sensitive=sensitive))
        project = Project(stored.folder, settings)
        page = PageMaker(project).question(wnid, ["a"])
        project.engine.dispose()
        return "Content warning" in page

    assert not warns(DOG)
    assert warns(DOG, DOG)
    assert warns(DOG, "dog.n.01")
    assert warns(DOG, "animal.n.01")
    assert not warns(DOG, "umbrella.n.01")
    with pytest.raises(UnknownSynset):
        warns(DOG, "n99999999")


def test_kinds_of_a_category_count_too_and_are_not_its_own_words() -> None:
    concept = concept_of(open_graph(), DOG)
    assert 1 <= len(concept.counting) <= 4
    assert set(concept.counting).isdisjoint({concept.name, *concept.synonyms, *concept.not_counting})
