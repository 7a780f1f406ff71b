"""The graph on the real WordNet: look-up, relations, and the facts that ImageNet's releases rest on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordnet_synsets import Graph, UnknownSynset, list_wnids, official_ids

from .wordnet_nouns import DOG, ENTITY, nouns

PLACES = st.integers(0, 82_114)


@pytest.fixture(scope="module")
def graph(wordnet_folder: Path) -> Graph:
    return nouns(wordnet_folder)


@pytest.fixture(scope="module")
def wnids(graph: Graph) -> list[str]:
    return list(graph)


def test_the_graph_holds_all_nouns_in_ascending_order(graph: Graph, wnids: list[str]) -> None:
    assert len(graph) == len(set(wnids)) == 82_115
    assert wnids == sorted(wnids)
    assert [synset.wnid for synset in graph.synsets()] == wnids


def test_a_synset_shows_what_wordnet_says_of_it(graph: Graph) -> None:
    dog = graph[DOG]
    assert dog.name == "dog.n.01"
    assert dog.sense_key == "dog%1:05:00::"
    assert dog.lemmas == ("dog", "domestic_dog", "Canis_familiaris")
    assert dog.words == ("dog", "domestic dog", "Canis familiaris")
    assert dog.gloss.startswith("a member of the genus Canis (probably descended from the common wolf)")
    assert dog.gloss.endswith('occurs in many breeds; "the dog barked all night"')
    assert dog.definition.endswith("occurs in many breeds")
    assert dog.examples == ("the dog barked all night",)
    assert dog.hypernyms == ("n02083346", "n01317541")
    assert dog.parents == graph.parents(DOG)
    assert dog.children == graph.children(DOG)


@pytest.mark.parametrize(
    "query", ["domestic dog", "Domestic_Dog", "  DOMESTIC \t dog ", DOG, "dog.n.01", "Dog.n.1"]
)
def test_a_synset_is_found_by_word_name_and_wnid(graph: Graph, query: str) -> None:
    assert [synset.wnid for synset in graph.find(query)] == [DOG]


def test_a_word_finds_all_its_senses_in_order_and_resolves_to_the_first(graph: Graph) -> None:
    found = graph.find("crane")
    assert [graph.find(f"crane.n.{sense:02d}") for sense in range(1, len(found) + 1)] == [
        [one] for one in found
    ]
    assert len(found) == 5
    assert graph.resolve("crane") == found[0]
    assert {"n02012849", "n03126707"} < {synset.wnid for synset in found}


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("umbrela", "umbrella"),
        ("dogs", "did you mean dog,"),
        ("big red umbrella", "umbrella"),
        ("dog.n.08", "dog.n.01 to dog.n.07"),
        ("entity.n.02", "are entity.n.01"),
        ("dog.v.01", "only nouns"),
        ("umbrela.n.01", "umbrella"),
        ("n00000001", "no noun synset n00000001"),
        ("N02084071", "n and eight digits"),
        ("2084071", "n and eight digits"),
        ("zzyzzx", "another word"),
        ("", "give a word"),
        ("\x00\n", "no noun"),
        ("x" * 10_000, "no noun"),
        ("\ud800", "no noun"),
    ],
)
def test_an_unknown_query_is_refused_in_one_short_line_with_a_hint(
    graph: Graph, query: str, hint: str
) -> None:
    assert graph.find(query) == []
    with pytest.raises(UnknownSynset) as refused:
        graph.resolve(query)
    assert hint in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("wnid", ["n00000001", "n99999999", "n02084072", "dog", ""])
def test_every_method_refuses_an_unknown_wnid(graph: Graph, wnid: str) -> None:
    assert wnid not in graph
    relations = (
        graph.parents,
        graph.children,
        graph.ancestors,
        graph.descendants,
        graph.leaves,
        graph.subclasses,
    )
    for method in (graph.__getitem__, *relations, graph.is_leaf, graph.height, graph.depth):
        with pytest.raises(UnknownSynset):
            method(wnid)
    assert 2084071 not in graph


@given(place=PLACES)
def test_a_synset_is_resolved_by_its_own_name_and_found_by_each_of_its_lemmas(
    graph: Graph, wnids: list[str], place: int
) -> None:
    synset = graph[wnids[place]]
    assert graph.resolve(synset.name) == synset
    assert graph.resolve(synset.wnid) == synset
    assert all(synset in graph.find(lemma) for lemma in synset.words)


@settings(deadline=None, max_examples=50)
@given(place=PLACES, other=PLACES, choice=st.data())
def test_ancestors_and_descendants_are_each_others_inverse(
    graph: Graph, wnids: list[str], place: int, other: int, choice: st.DataObject
) -> None:
    wnid, below = wnids[place], wnids[other]
    assert (below in graph.descendants(wnid)) == (wnid in graph.ancestors(below))
    if above := sorted(graph.ancestors(wnid)):
        assert wnid in graph.descendants(choice.draw(st.sampled_from(above)))
    assert all(wnid in graph.children(parent) for parent in graph.parents(wnid))
    assert all(wnid in graph.parents(child) for child in graph.children(wnid))


@settings(deadline=None)
@given(place=PLACES)
def test_depth_and_height_follow_from_those_of_the_neighbours(
    graph: Graph, wnids: list[str], place: int
) -> None:
    wnid = wnids[place]
    above = graph.parents(wnid)
    assert graph.depth(wnid) == min((graph.depth(parent) + 1 for parent in above), default=0)
    longest = max((graph.depth(parent, longest=True) + 1 for parent in above), default=0)
    assert graph.depth(wnid, longest=True) == longest
    hyponyms = graph[wnid].hyponyms
    assert graph.height(wnid) == max((graph.height(child) + 1 for child in hyponyms), default=0)
    assert graph.is_leaf(wnid) == (not hyponyms)
    below = {wnid, *graph.subclasses(wnid)}
    assert graph.leaves(wnid) == {leaf for leaf in below if not graph[leaf].hyponyms}
    assert graph.subclasses(wnid) <= graph.descendants(wnid)


def test_all_nouns_hang_under_entity(graph: Graph, wnids: list[str]) -> None:
    assert graph.descendants(ENTITY) == set(wnids) - {ENTITY}
    assert graph.depth(ENTITY) == 0
    assert graph.height(ENTITY) == 19
    assert max(graph.depth(wnid, longest=True) for wnid in wnids) == 19


def test_instances_hang_below_a_leaf_without_giving_it_height(graph: Graph) -> None:
    volcano, etna = graph.resolve("volcano.n.02"), graph.resolve("etna.n.01")
    assert volcano.wnid == "n09472597"
    assert etna.wnid in graph.descendants(volcano.wnid)
    assert graph.is_leaf(volcano.wnid)
    assert graph.leaves(volcano.wnid) == {volcano.wnid}


def test_the_hyponyms_are_imagenets_published_relations(graph: Graph) -> None:
    # ImageNet's wordnet.is_a.txt has 75,850 lines, WordNet's hypernyms without its 8,577 instances.
    assert sum(len(synset.hyponyms) for synset in graph.synsets()) == 75_850
    assert sum(len(synset.instance_hyponyms) for synset in graph.synsets()) == 8_577


def test_the_2012_thousand_and_their_ancestors_form_the_challenges_tree(graph: Graph) -> None:
    thousand = set(list_wnids("ilsvrc2012"))
    assert len(thousand) == 1000
    assert all(wnid in graph for wnid in thousand)
    ancestors = set[str]().union(*map(graph.ancestors, thousand))
    assert len(ancestors) == 860
    assert not ancestors & thousand
    tree = ancestors | thousand
    assert sum(len(graph.parents(wnid)) > 1 for wnid in tree) == 75
    assert max(len(tree & set(graph.children(wnid))) for wnid in tree) == 29


def test_the_2012_list_gives_the_official_ids(graph: Graph) -> None:
    ids = official_ids()
    assert sorted(ids.values()) == list(range(1, 1001))
    assert list(ids) == list(list_wnids("ilsvrc2012"))
    assert (ids["n02119789"], ids["n01440764"], ids["n03255030"]) == (1, 449, 1000)
    assert graph["n01440764"].words == ("tench", "Tinca tinca")
