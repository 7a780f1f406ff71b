"""Search phrases of synsets, on the real WordNet."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordnet_synsets import Graph, Phrase, UnknownSynset, phrases

from .wordnet_nouns import DOG, nouns


@pytest.fixture(scope="module")
def graph(wordnet_folder: Path) -> Graph:
    return nouns(wordnet_folder)


@pytest.fixture(scope="module")
def wnids(graph: Graph) -> list[str]:
    return list(graph)


def words_of(graph: Graph, name: str) -> list[str]:
    return [phrase.words for phrase in phrases(graph, graph.resolve(name).wnid)]


def test_the_papers_own_example_comes_out(graph: Graph) -> None:
    assert words_of(graph, "whippet") == ["whippet", "whippet greyhound", "whippet dog"]


def test_every_lemma_is_repeated_with_the_parents_words(graph: Graph) -> None:
    assert words_of(graph, "traffic_light.n.01") == [
        "traffic light",
        "traffic signal",
        "stoplight",
        "traffic light visual signal",
        "traffic light signal",
        "traffic signal visual signal",
        "stoplight visual signal",
        "stoplight signal",
    ]


def test_a_parents_word_counts_only_as_a_whole_word_of_the_gloss(graph: Graph) -> None:
    # Above the kit fox, of the "southwestern United States", stands whole.n.02, also "unit".
    assert graph.resolve("whole.n.02").wnid in graph.ancestors(graph.resolve("kit_fox.n.01").wnid)
    assert "unit" in graph.resolve("whole.n.02").words
    assert "United States" in graph.resolve("kit_fox.n.01").gloss
    assert words_of(graph, "kit_fox.n.01") == ["kit fox", "Vulpes macrotis", "Vulpes macrotis fox"]


def test_a_parents_word_that_the_lemma_already_holds_is_not_said_twice(graph: Graph) -> None:
    words = words_of(graph, "kit_fox.n.02")
    assert "Vulpes velox fox" in words
    assert not {"kit fox fox", "prairie fox fox"} & set(words)


def test_translations_follow_with_their_language(graph: Graph) -> None:
    made = phrases(graph, DOG, {"es": ["perro", "Perro", "can_doméstico"], "nl": ["hond"], "en": ["DOG"]})
    assert made[-3:] == (Phrase("perro", "es"), Phrase("can doméstico", "es"), Phrase("hond", "nl"))
    assert made[:3] == (Phrase("dog"), Phrase("domestic dog"), Phrase("Canis familiaris"))
    assert made[:-3] == phrases(graph, DOG)


def test_the_same_word_in_two_languages_is_two_phrases(graph: Graph) -> None:
    made = phrases(graph, DOG, {"xx": ["dog"]})
    assert Phrase("dog", "en") in made
    assert Phrase("dog", "xx") in made


def test_an_unknown_synset_is_refused(graph: Graph) -> None:
    with pytest.raises(UnknownSynset):
        phrases(graph, "n00000001")


@given(place=st.integers(0, 82_114))
def test_phrases_begin_with_the_lemmas_are_unique_and_plain(
    graph: Graph, wnids: list[str], place: int
) -> None:
    synset = graph[wnids[place]]
    made = phrases(graph, synset.wnid)
    assert made == phrases(graph, synset.wnid)
    assert made[0] == Phrase(synset.words[0], "en")
    assert {word.casefold() for word in synset.words} <= {phrase.words.casefold() for phrase in made}
    assert len({phrase.words.casefold() for phrase in made}) == len(made)
    assert all("_" not in phrase.words and phrase.words == phrase.words.strip() for phrase in made)
    for phrase in made:
        assert any(phrase.words.startswith(word) for word in synset.words)
