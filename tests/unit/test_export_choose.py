"""The choice of classes: sound for every graph and store, and explained for every category that is left out."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.antichain import best_of_size, largest_antichain
from imagenet_builder.export.choose import (
    Choice,
    Sizes,
    Why,
    choose_best,
    choose_named,
    shared_clusters,
)

SIZES = Sizes(val=1, test=1, min_train=2, max_train=5)


class Store:
    """A random world: categories in a random hierarchy, clusters accepted for one or several of them."""

    def __init__(self, parents: list[list[int]], memberships: list[list[int]]) -> None:
        wnids = [f"n{number:08d}" for number in range(len(parents))]
        self.above: dict[str, set[str]] = {}
        for number, wnid in enumerate(wnids):
            direct = [wnids[parent % number] for parent in parents[number]] if number else []
            self.above[wnid] = set(direct).union(*(self.above[parent] for parent in direct))
        self.clusters: dict[str, set[str]] = {wnid: set() for wnid in wnids}
        self.labels: dict[str, set[str]] = {}
        for number, members in enumerate(memberships):
            self.labels[f"c{number}"] = {wnids[member % len(wnids)] for member in members}
            for wnid in self.labels[f"c{number}"]:
                self.clusters[wnid].add(f"c{number}")

    def ancestors(self, wnid: str) -> Collection[str]:
        return self.above[wnid]

    def best(self, count: int) -> Choice:
        return choose_best(self.clusters, self.labels, self.ancestors, SIZES, count)


@st.composite
def stores(draw: st.DrawFn) -> Store:
    count = draw(st.integers(1, 8))
    parents = draw(st.lists(st.lists(st.integers(0, 99), max_size=2), min_size=count, max_size=count))
    memberships = draw(
        st.lists(st.lists(st.integers(0, count - 1), min_size=1, max_size=3), min_size=0, max_size=70)
    )
    return Store(parents, memberships)


def own(store: Store, choice: Choice, wnid: str) -> int:
    return len(store.clusters[wnid] - shared_clusters(store.labels, choice.wnids))


@settings(max_examples=300, deadline=None)
@given(stores(), st.integers(1, 9))
def test_every_chosen_class_has_enough_pictures_of_its_own_and_is_no_other_s_ancestor(
    store: Store, count: int
) -> None:
    choice = store.best(count)
    assert len(choice.wnids) <= count
    assert list(choice.wnids) == sorted(set(choice.wnids))
    for wnid in choice.wnids:
        assert own(store, choice, wnid) >= SIZES.needed
        assert not store.above[wnid] & set(choice.wnids)


@settings(max_examples=300, deadline=None)
@given(stores(), st.integers(1, 9))
def test_every_category_is_chosen_or_left_out_for_a_true_reason(store: Store, count: int) -> None:
    choice = store.best(count)
    left_out = {one.wnid: one for one in choice.left_out}
    assert sorted([*choice.wnids, *left_out]) == sorted(store.clusters)
    for one in choice.left_out:
        if one.why is Why.TOO_FEW:
            assert one.pictures == len(store.clusters[one.wnid]) < SIZES.needed
        elif one.why is Why.SHARED:
            assert one.pictures < SIZES.needed <= len(store.clusters[one.wnid])
        elif one.why is Why.ANCESTOR:
            assert one.below is not None
            assert one.wnid in store.above[one.below]
            assert len(store.clusters[one.below]) >= SIZES.needed
        elif one.why is Why.DESCENDANT:
            assert one.above is not None
            assert one.above in store.above[one.wnid]
            assert len(store.clusters[one.above]) >= SIZES.needed
        else:
            assert len(choice.wnids) == count


def brute_force(store: Store, qualified: list[str]) -> tuple[int, int]:
    """Members and usable pictures of the best set of which none is an ancestor of another, of all sets there are."""
    best = (0, 0)
    for size in range(len(qualified) + 1):
        for members in combinations(qualified, size):
            if not any(store.above[wnid] & set(members) for wnid in members):
                best = max(best, (size, sum(min(len(store.clusters[wnid]), SIZES.most) for wnid in members)))
    return best


@settings(max_examples=300, deadline=None)
@given(stores())
def test_without_shared_pictures_no_other_choice_has_more_classes_or_more_pictures(store: Store) -> None:
    qualified = [wnid for wnid, own in store.clusters.items() if len(own) >= SIZES.needed]
    choice = choose_best(store.clusters, {}, store.ancestors, SIZES, len(store.clusters))
    pictures = sum(min(len(store.clusters[wnid]), SIZES.most) for wnid in choice.wnids)
    assert (len(choice.wnids), pictures) == brute_force(store, qualified)


@st.composite
def weighted_hierarchies(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, set[str]]]:
    weights = draw(st.lists(st.integers(1, 9), min_size=1, max_size=9))
    parents = draw(
        st.lists(st.lists(st.integers(0, 99), max_size=3), min_size=len(weights), max_size=len(weights))
    )
    above = Store(parents, []).above
    return dict(zip(sorted(above), weights, strict=True)), above


@settings(max_examples=400, deadline=None)
@given(weighted_hierarchies())
def test_the_antichain_is_the_one_that_trying_all_sets_finds(
    hierarchy: tuple[dict[str, int], dict[str, set[str]]],
) -> None:
    weights, above = hierarchy
    found = largest_antichain(weights, above.__getitem__)
    assert not any(above[name] & found for name in found)
    best = max(
        (len(members), sum(weights[name] for name in members))
        for size in range(len(weights) + 1)
        for members in combinations(weights, size)
        if not any(above[name] & set(members) for name in members)
    )
    assert (len(found), sum(weights[name] for name in found)) == best
    assert largest_antichain(dict(reversed(weights.items())), above.__getitem__) == found


@settings(max_examples=600, deadline=None)
@given(weighted_hierarchies(), st.integers(1, 9))
def test_the_choice_of_so_many_is_the_heaviest_that_trying_all_finds(
    hierarchy: tuple[dict[str, int], dict[str, set[str]]], count: int
) -> None:
    weights, above = hierarchy
    count = min(count, len(largest_antichain(weights, above.__getitem__)))
    heaviest = max(
        sum(weights[name] for name in members)
        for members in combinations(weights, count)
        if not any(above[name] & set(members) for name in members)
    )
    found, bound = best_of_size(weights, above.__getitem__, count)
    assert len(found) == count
    assert not any(above[name] & found for name in found)
    assert sum(weights[name] for name in found) == heaviest <= bound
    assert best_of_size(dict(reversed(weights.items())), above.__getitem__, count) == (found, bound)


def test_the_richest_classes_are_taken_even_where_their_kinds_would_be_more() -> None:
    clusters = world(animal=7, dog=4, cat=6)
    one = choose_best(clusters, {}, ABOVE.__getitem__, SIZES, 1)
    assert (one.wnids, one.usable, one.most) == (("animal",), 7, 7)
    assert [(left.wnid, left.why, left.above) for left in one.left_out] == [
        ("cat", Why.DESCENDANT, "animal"),
        ("dog", Why.DESCENDANT, "animal"),
    ]
    both = choose_best(clusters, {}, ABOVE.__getitem__, SIZES, 2)
    assert (both.wnids, both.usable, both.most) == (("cat", "dog"), 10, 10)
    assert [(left.wnid, left.why, left.below) for left in both.left_out] == [("animal", Why.ANCESTOR, "cat")]


def test_among_equals_the_more_specific_category_is_taken() -> None:
    above: dict[str, set[str]] = {"a": set(), "b": {"a"}, "c": {"a", "b"}}
    assert largest_antichain({"a": 3, "b": 3, "c": 3}, above.__getitem__) == {"c"}
    assert largest_antichain({"a": 3, "b": 4, "c": 3}, above.__getitem__) == {"b"}
    assert largest_antichain({}, above.__getitem__) == frozenset()


def test_weights_that_would_overflow_are_refused() -> None:
    with pytest.raises(ValueError, match="less than 2³⁰"):
        largest_antichain({"a": 2**30, "b": 2**30}, {"a": set[str](), "b": {"a"}}.__getitem__)


@given(stores(), st.integers(1, 9))
def test_the_order_in_which_the_store_answers_does_not_matter(store: Store, count: int) -> None:
    choice = store.best(count)
    store.clusters = dict(reversed(store.clusters.items()))
    store.labels = dict(reversed(store.labels.items()))
    assert store.best(count) == choice


def world(**pictures: int) -> dict[str, set[str]]:
    return {wnid: {f"{wnid}-{number}" for number in range(count)} for wnid, count in pictures.items()}


ABOVE: dict[str, set[str]] = {"dog": {"animal"}, "cat": {"animal"}, "animal": set(), "cup": set()}


def test_the_specific_classes_are_taken_and_the_general_one_explained() -> None:
    clusters = world(animal=50, dog=4, cat=9, cup=3)
    choice = choose_best(clusters, {}, ABOVE.__getitem__, SIZES, 10)
    assert choice.wnids == ("cat", "dog")
    assert [(one.wnid, one.why, one.below) for one in choice.left_out] == [
        ("animal", Why.ANCESTOR, "cat"),
        ("cup", Why.TOO_FEW, None),
    ]


def test_a_richer_class_is_taken_before_a_poorer_one_below_it_which_is_explained() -> None:
    choice = choose_best(world(animal=50, dog=4), {}, ABOVE.__getitem__, SIZES, 10)
    assert choice.wnids == ("animal",)
    assert [(one.wnid, one.why, one.above) for one in choice.left_out] == [("dog", Why.DESCENDANT, "animal")]


def test_the_general_class_is_taken_where_no_specific_one_qualifies() -> None:
    assert choose_best(world(animal=50, dog=3, cat=3), {}, ABOVE.__getitem__, SIZES, 10).wnids == ("animal",)


def test_classes_with_more_pictures_come_first_but_no_more_than_can_be_used() -> None:
    clusters = world(dog=7, cat=300, cup=5)
    assert choose_best(clusters, {}, ABOVE.__getitem__, SIZES, 2).wnids == ("cat", "dog")
    # Beyond val + test + max-train more pictures are no reason: then the name decides.
    assert choose_best(world(dog=7, cup=700, cat=70), {}, ABOVE.__getitem__, SIZES, 2).wnids == ("cat", "cup")


def test_of_two_classes_that_share_their_pictures_the_poorer_yields_and_the_other_keeps_all() -> None:
    clusters = world(dog=4, cat=2)
    clusters["cat"] |= {"dog-0", "dog-1"}
    labels = {"dog-0": {"dog", "cat"}, "dog-1": {"dog", "cat"}}
    choice = choose_best(clusters, labels, ABOVE.__getitem__, SIZES, 2)
    assert choice.wnids == ("dog",)
    assert choice.left_out[0].why is Why.SHARED
    assert choice.left_out[0].pictures == 2


def test_a_list_is_taken_exactly_and_others_are_not_looked_at() -> None:
    clusters = world(animal=50, dog=4, cat=9, cup=30)
    assert choose_named(clusters, {}, ABOVE.__getitem__, SIZES, ["dog", "cat"]) == Choice(("cat", "dog"), ())


def test_a_listed_category_without_pictures_or_unknown_to_the_store_is_left_out() -> None:
    above = {**ABOVE, "unicorn": {"animal"}}
    choice = choose_named(world(dog=4, cat=3), {}, above.__getitem__, SIZES, ["unicorn", "dog", "cat"])
    assert choice.wnids == ("dog",)
    assert [(one.wnid, one.why, one.pictures) for one in choice.left_out] == [
        ("cat", Why.TOO_FEW, 3),
        ("unicorn", Why.TOO_FEW, 0),
    ]


def test_a_list_with_a_class_and_its_ancestor_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"dog.*animal"):
        choose_named(world(animal=50, dog=50), {}, ABOVE.__getitem__, SIZES, ["animal", "dog"])
