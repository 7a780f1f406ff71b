"""The choice of categories, on the real WordNet."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordnet_synsets import (
    Graph,
    Reason,
    UnknownSynset,
    WordNetError,
    choose,
    list_names,
    list_wnids,
    names_in_file,
)

from .wordnet_nouns import DOG, ENTITY, PERSON, nouns

TENCH = "n01440764"


@pytest.fixture(scope="module")
def graph(wordnet_folder: Path) -> Graph:
    return nouns(wordnet_folder)


@pytest.fixture(scope="module")
def wnids(graph: Graph) -> list[str]:
    return list(graph)


def test_named_synsets_are_taken_in_their_order_and_once(graph: Graph) -> None:
    selection = choose(graph, named=[TENCH, "dog.n.01", "domestic dog", "tench"])
    assert selection.wnids == (TENCH, DOG)
    assert selection.left_out == ()


def test_a_guess_between_senses_is_told(graph: Graph) -> None:
    selection = choose(graph, named=["crane", "domestic dog"], under=["tench"])
    (guess,) = selection.guesses
    assert (guess.query, guess.taken.name) == ("crane", "crane.n.01")
    assert [other.name for other in guess.others[-2:]] == [one.name for one in graph.find("crane")[-2:]]
    assert selection.wnids[0] == guess.taken.wnid


def test_a_subtree_holds_its_top_and_all_kinds_below_it(graph: Graph) -> None:
    selection = choose(graph, under=["dog.n.01"])
    assert selection.wnids == tuple(sorted({DOG, *graph.descendants(DOG)}))
    assert len(selection.wnids) == 190
    leaves = choose(graph, under=["dog.n.01"], leaves=True)
    assert leaves.wnids == tuple(wnid for wnid in selection.wnids if graph.is_leaf(wnid))
    assert choose(graph, under=[TENCH], leaves=True).wnids == (TENCH,)


def test_particular_things_are_left_out_of_a_subtree_unless_named(graph: Graph) -> None:
    etna = graph.resolve("etna.n.01").wnid
    volcano = graph.resolve("volcano.n.02").wnid
    selection = choose(graph, under=[volcano])
    assert selection.wnids == (volcano,)
    assert {(one.wnid, one.reason) for one in selection.left_out} == {
        (wnid, Reason.INSTANCE) for wnid in graph.descendants(volcano)
    }
    named = choose(graph, named=[etna], under=[volcano])
    assert named.wnids == (etna, volcano)
    assert etna not in {one.wnid for one in named.left_out}


def test_persons_are_left_out_of_a_subtree_unless_named(graph: Graph) -> None:
    groom = "n10148035"
    persons = {PERSON, *graph.descendants(PERSON)}
    assert groom in persons
    organisms = choose(graph, under=["organism.n.01"])
    assert not persons & set(organisms.wnids)
    excluded = {one.wnid: one.under for one in organisms.left_out if one.reason is Reason.EXCLUDED}
    assert set(excluded) == {PERSON, *graph.subclasses(PERSON)}
    assert set(excluded.values()) == {PERSON}
    assert choose(graph, under=["person.n.01"]).wnids == ()
    assert choose(graph, named=[groom], under=["person.n.01"]).wnids == (groom,)


def test_the_users_own_exclusions_replace_the_default(graph: Graph) -> None:
    selection = choose(graph, under=["canine.n.02"], excluded=["dog.n.01", "wolf.n.01"])
    left_out = {one.wnid: one.under for one in selection.left_out}
    assert left_out[DOG] == DOG
    assert left_out[graph.resolve("whippet").wnid] == DOG
    assert left_out[graph.resolve("timber wolf").wnid] == graph.resolve("wolf.n.01").wnid
    assert graph.resolve("Vulpes vulpes").wnid in selection.wnids
    assert choose(graph, under=["bridegroom.n.01"], excluded=[]).wnids


def test_the_2012_thousand_is_taken_whole_with_its_three_persons(graph: Graph) -> None:
    thousand = list_wnids("ilsvrc2012")
    selection = choose(graph, named=thousand)
    assert selection.wnids == thousand
    assert selection.left_out == ()
    assert selection.guesses == ()
    persons = sorted(graph[wnid].name for wnid in thousand if PERSON in graph.ancestors(wnid))
    assert persons == ["ballplayer.n.01", "groom.n.01", "scuba_diver.n.01"]


def test_a_limit_takes_the_first_and_tells_the_rest(graph: Graph) -> None:
    whole = choose(graph, named=[TENCH], under=["dog.n.01"])
    selection = choose(graph, named=[TENCH], under=["dog.n.01"], limit=10)
    assert selection.wnids == whole.wnids[:10]
    assert [one.wnid for one in selection.left_out] == sorted(whole.wnids[10:])
    assert {one.reason for one in selection.left_out} == {Reason.LIMIT}
    assert choose(graph, named=[TENCH], limit=5).wnids == (TENCH,)


@pytest.mark.parametrize("argument", ["named", "under", "excluded"])
def test_an_unknown_synset_is_refused_wherever_it_is_given(graph: Graph, argument: str) -> None:
    with pytest.raises(UnknownSynset, match="umbrella"):
        choose(graph, **{argument: ["umbrela"]})  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30)
@given(
    named=st.lists(st.integers(0, 82_114), max_size=4),
    under=st.lists(st.integers(0, 82_114), max_size=2),
    leaves=st.booleans(),
    limit=st.none() | st.integers(1, 5),
)
def test_every_synset_asked_for_is_chosen_or_left_out_with_a_reason(
    graph: Graph, wnids: list[str], named: list[int], under: list[int], leaves: bool, limit: int | None
) -> None:
    names, tops = [wnids[place] for place in named], [wnids[place] for place in under]
    selection = choose(graph, named=names, under=tops, leaves=leaves, limit=limit)
    left_out = {one.wnid for one in selection.left_out}
    assert len(set(selection.wnids)) == len(selection.wnids)
    assert not left_out & set(selection.wnids)
    asked = set(names) | set(tops) | set[str]().union(*map(graph.descendants, tops))
    assert {*selection.wnids, *left_out} <= asked
    missing = asked - left_out - set(selection.wnids)
    assert not missing if not leaves else all(not graph.is_leaf(wnid) for wnid in missing)
    if limit is None:
        assert set(names) <= set(selection.wnids)
    again = choose(graph, named=names, under=tops, leaves=leaves, limit=limit)
    assert again == selection


def test_a_file_names_synsets_in_every_form(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(
        b"\xef\xbb\xbf# my list\r\nn01440764 tench, Tinca tinca\r\n\n"
        b"  dog.n.01  # the animal\nVulpes vulpes\nn02084071\t1\n"
    )
    names = names_in_file(graph, path)
    assert names == (TENCH, "dog.n.01", "Vulpes vulpes", DOG)
    assert choose(graph, named=names).wnids == (TENCH, DOG, "n02119022")


def test_a_file_with_wrong_lines_is_refused_by_the_first_ones_number(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("dog\n\numbrela\nn00000001\ncatt\n")
    with pytest.raises(UnknownSynset) as refused:
        names_in_file(graph, path)
    message = str(refused.value)
    assert f"{path}, line 3: " in message
    assert "did you mean umbrella?" in message
    assert message.endswith("(and 2 more lines)")


@pytest.mark.parametrize("content", [b"caf\xe9\n", None])
def test_a_file_that_cannot_be_read_is_refused_in_one_line(
    graph: Graph, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WordNetError, match=r"cannot read the list .*list\.txt"):
        names_in_file(graph, path)


def test_the_lists_are_known_by_name() -> None:
    assert list_names() == ("ilsvrc2012",)
    with pytest.raises(WordNetError, match="there is no list 'ilsvrc2010'; the lists are ilsvrc2012"):
        list_wnids("ilsvrc2010")


def test_everything_under_entity_but_persons_and_instances_can_be_chosen(graph: Graph) -> None:
    selection = choose(graph, under=[ENTITY])
    assert len(selection.wnids) + len(selection.left_out) == 82_115
