"""Splits: exact sizes, no cluster on two sides, and little change when the store grows."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_builder.export import split as splitting
from imagenet_builder.export.choose import Sizes, shared_clusters
from imagenet_builder.export.description import SPLITS
from imagenet_builder.export.split import keyed_ranks, ranking_key
from imagenet_builder.export.together import Makers, MakersFound
from imagenet_builder.records import Split

SIZES = Sizes(val=2, test=3, min_train=2, max_train=6)


def key_of(seed: int) -> bytes:
    return ranking_key(b"a project's secret", seed)


def sha(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def labels_of(pictures: dict[str, list[str]], cluster_of: dict[str, str]) -> dict[str, set[str]]:
    labels: dict[str, set[str]] = {}
    for wnid, shas in pictures.items():
        for sha256 in shas:
            labels.setdefault(cluster_of[sha256], set()).add(wnid)
    return labels


def random_store(seed: int) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Three classes over pictures in clusters of one to several, some of them accepted for two classes."""
    chance = random.Random(seed)
    cluster_of: dict[str, str] = {}
    pictures: dict[str, list[str]] = {"n1": [], "n2": [], "n3": []}
    for number in range(chance.randrange(24, 70)):
        joined = number > 0 and chance.random() < 0.15
        cluster_of[sha(number)] = cluster_of[sha(chance.randrange(number))] if joined else sha(number)
        for wnid in {f"n{number % 3 + 1}", *(["n2"] if chance.random() < 0.04 else [])}:
            pictures[wnid].append(sha(number))
    return pictures, cluster_of


def has_enough(store: tuple[dict[str, list[str]], dict[str, str]]) -> bool:
    pictures, cluster_of = store
    shared = shared_clusters(labels_of(pictures, cluster_of), pictures)
    return all(len({cluster_of[one] for one in shas} - shared) >= SIZES.needed for shas in pictures.values())


def stores() -> st.SearchStrategy[tuple[dict[str, list[str]], dict[str, str]]]:
    return st.integers(0, 2**32).map(random_store).filter(has_enough)


class Placement(NamedTuple):
    """One picture of a release: its class and its split."""

    split: Split
    wnid: str
    sha256: str


class Division(NamedTuple):
    """What `divide` says in columns, picture by picture."""

    placements: list[Placement]
    multi_label: int
    near_duplicates: int
    surplus: int
    held_back: int


def divide(
    pictures: dict[str, list[str]],
    cluster_of: dict[str, str],
    seed: int = 0,
    maker_of: dict[str, str] | None = None,
) -> Division:
    """`split.divide` by names instead of places."""
    shas = sorted(cluster_of)
    place_of = {sha256: place for place, sha256 in enumerate(shas)}
    clusters = {cluster: place_of[cluster] for cluster in cluster_of.values()}
    labels = labels_of(pictures, cluster_of)
    number_of = {maker: number for number, maker in enumerate(sorted(set((maker_of or {}).values())))}
    found = splitting.divide(
        {wnid: np.array([place_of[one] for one in own]) for wnid, own in pictures.items()},
        np.array([sha256.encode() for sha256 in shas]),
        np.array([clusters[cluster_of[sha256]] for sha256 in shas]),
        {clusters[cluster]: wnids for cluster, wnids in labels.items() if len(wnids) > 1},
        SIZES,
        key_of(seed),
        Makers(np.array([number_of[maker_of[one]] for one in shas]), {}) if maker_of is not None else None,
    )
    wnids = sorted(pictures)
    rows = zip(found.images.tolist(), found.labels.tolist(), found.splits.tolist(), strict=True)
    placements = [Placement(SPLITS[split], wnids[label], shas[image]) for image, label, split in rows]
    counts = (found.multi_label, found.near_duplicates, found.surplus, found.held_back)
    return Division(placements, *counts)


def divided(pictures: dict[str, list[str]], cluster_of: dict[str, str], seed: int = 0) -> Division:
    return divide(pictures, cluster_of, seed)


@settings(max_examples=150, deadline=None)
@given(stores(), st.integers(0, 2**63 - 1))
def test_sizes_are_exact_and_no_cluster_is_on_two_sides(
    store: tuple[dict[str, list[str]], dict[str, str]], seed: int
) -> None:
    pictures, cluster_of = store
    division = divided(pictures, cluster_of, seed)
    count = Counter((one.wnid, one.split) for one in division.placements)
    for wnid in pictures:
        assert count[wnid, Split.VAL] == SIZES.val
        assert count[wnid, Split.TEST] == SIZES.test
        assert SIZES.min_train <= count[wnid, Split.TRAIN] <= SIZES.max_train
    sides: dict[str, set[tuple[str, Split]]] = {}
    for one in division.placements:
        assert one.sha256 in pictures[one.wnid]
        sides.setdefault(cluster_of[one.sha256], set()).add((one.wnid, one.split))
    assert all(len(side) == 1 for side in sides.values())
    # In val and test every cluster is there once.
    held_out = [cluster_of[one.sha256] for one in division.placements if one.split is not Split.TRAIN]
    assert len(set(held_out)) == len(held_out)


@settings(max_examples=100, deadline=None)
@given(stores())
def test_every_picture_is_placed_once_or_counted_as_left_out(
    store: tuple[dict[str, list[str]], dict[str, str]],
) -> None:
    pictures, cluster_of = store
    division = divided(pictures, cluster_of)
    placed = [one.sha256 for one in division.placements]
    assert len(set(placed)) == len(placed)
    everything = {sha256 for shas in pictures.values() for sha256 in shas}
    left_out = division.multi_label + division.near_duplicates + division.surplus
    assert len(placed) + left_out == len(everything)


@settings(max_examples=150, deadline=None)
@given(stores(), st.integers(1000, 2000))
def test_one_new_picture_moves_at_most_two_others_and_none_from_test_to_val(
    store: tuple[dict[str, list[str]], dict[str, str]], number: int
) -> None:
    pictures, cluster_of = store
    before = {(one.wnid, one.sha256): one.split for one in divided(pictures, cluster_of).placements}
    pictures["n1"].append(sha(number))
    cluster_of[sha(number)] = sha(number)
    after = {(one.wnid, one.sha256): one.split for one in divided(pictures, cluster_of).placements}
    moved = [key for key, split in before.items() if after.get(key) is not split]
    # One gives up its place in val or test, and one its place in a full train split. Near-duplicates of a picture
    # that leaves val or test for train may come with it: they were in no split before.
    assert len(moved) <= 2 + sum(1 for key in after if key not in before)
    assert sum(before[key] is not Split.TRAIN for key in moved) <= 1
    assert not any({before[key], after.get(key)} == {Split.VAL, Split.TEST} for key in moved)
    assert all(key[0] == "n1" for key in moved)


@given(stores())
def test_the_order_of_pictures_does_not_matter(
    store: tuple[dict[str, list[str]], dict[str, str]],
) -> None:
    pictures, cluster_of = store
    reverse = {wnid: shas[::-1] for wnid, shas in reversed(pictures.items())}
    assert set(divided(pictures, cluster_of).placements) == set(divided(reverse, cluster_of).placements)


def test_another_seed_gives_another_split() -> None:
    pictures = {"n1": [sha(number) for number in range(40)]}
    cluster_of = {sha256: sha256 for sha256 in pictures["n1"]}
    val = {
        seed: {one.sha256 for one in divided(pictures, cluster_of, seed).placements if one.split is Split.VAL}
        for seed in range(4)
    }
    assert len({frozenset(chosen) for chosen in val.values()}) > 1


def test_a_cluster_of_two_classes_stays_out_of_every_split() -> None:
    pictures = {"n1": [sha(number) for number in range(10)], "n2": [sha(number) for number in range(10, 20)]}
    cluster_of = {sha(number): sha(number) for number in range(20)}
    cluster_of[sha(10)] = sha(0)
    division = divided(pictures, cluster_of)
    assert division.multi_label == 2
    assert not {sha(0), sha(10)} & {one.sha256 for one in division.placements}


def test_a_full_train_split_keeps_distinct_pictures_rather_than_near_duplicates() -> None:
    shas = [sha(number) for number in range(30)]
    # Twelve clusters: one has nineteen pictures, the others one each.
    cluster_of = {sha256: shas[0] if place < 19 else sha256 for place, sha256 in enumerate(shas)}
    train = [one.sha256 for one in divided({"n1": shas}, cluster_of).placements if one.split is Split.TRAIN]
    assert len(train) == SIZES.max_train
    assert len({cluster_of[sha256] for sha256 in train}) == SIZES.max_train


def test_too_few_clusters_are_a_defect_of_the_caller() -> None:
    shas = [sha(number) for number in range(6)]
    with pytest.raises(ValueError, match="n1 has 6"):
        divided({"n1": shas}, {sha256: sha256 for sha256 in shas})


def test_ranks_are_the_same_on_every_machine_and_differ_by_purpose() -> None:
    # As BLAKE2b gives it, keyed with what BLAKE2b makes of the purpose.
    purpose = hashlib.blake2b(b"split", digest_size=32, key=key_of(7)).digest()
    rank = hashlib.blake2b(b"a", digest_size=16, key=purpose).digest()
    assert keyed_ranks(key_of(7), "split", [b"a", b"b", b"a"])[::2] == [rank, rank]
    assert (
        len(
            {
                *keyed_ranks(key_of(7), "split", [b"a"]),
                *keyed_ranks(key_of(8), "split", [b"a"]),
                *keyed_ranks(key_of(7), "order", [b"a"]),
            }
        )
        == 3
    )


def random_makers(pictures: dict[str, list[str]], cluster_of: dict[str, str], seed: int) -> dict[str, str]:
    """Makers as they are: many with one picture, some with several, here and there one with very many."""
    chance = random.Random(seed)
    number = chance.choice([1, 2, 5, 20, 200])
    of_cluster = {
        cluster: f"maker {min(int(chance.expovariate(3 / number)), number)}"
        for cluster in sorted(set(cluster_of.values()))
    }
    return {sha256: of_cluster[cluster_of[sha256]] for shas in pictures.values() for sha256 in shas}


def sides_of(division: Division, maker_of: dict[str, str]) -> dict[str, set[Split]]:
    sides: dict[str, set[Split]] = {}
    for one in division.placements:
        sides.setdefault(maker_of[one.sha256], set()).add(one.split)
    return sides


@settings(max_examples=200, deadline=None)
@given(stores(), st.integers(0, 2**32))
def test_whoever_made_the_pictures_sizes_are_exact_and_all_pictures_accounted_for(
    store: tuple[dict[str, list[str]], dict[str, str]], seed: int
) -> None:
    pictures, cluster_of = store
    maker_of = random_makers(pictures, cluster_of, seed)
    division = divide(pictures, cluster_of, 0, maker_of)
    count = Counter((one.wnid, one.split) for one in division.placements)
    for wnid in pictures:
        assert count[wnid, Split.VAL] == SIZES.val
        assert count[wnid, Split.TEST] == SIZES.test
        assert SIZES.min_train <= count[wnid, Split.TRAIN] <= SIZES.max_train
    clusters: dict[str, set[Split]] = {}
    for one in division.placements:
        clusters.setdefault(cluster_of[one.sha256], set()).add(one.split)
    assert all(len(found) == 1 for found in clusters.values())
    left_out = division.multi_label + division.near_duplicates + division.surplus + division.held_back
    everything = {sha256 for shas in pictures.values() for sha256 in shas}
    assert len(division.placements) + left_out == len(everything)


def makers_with_few(seed: int) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Two classes of forty pictures, makers with one to three in either or both."""
    chance = random.Random(seed)
    shas = [sha(seed * 1000 + number) for number in range(80)]
    maker_of: dict[str, str] = {}
    waiting = shas.copy()
    chance.shuffle(waiting)
    while waiting:
        name = f"maker {len(waiting)}"
        maker_of.update((waiting.pop(), name) for _ in range(min(len(waiting), chance.randint(1, 3))))
    return {"n1": shas[:40], "n2": shas[40:]}, maker_of


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 2**63 - 1))
def test_where_makers_have_few_pictures_none_is_on_two_sides_even_across_classes(
    store: int, seed: int
) -> None:
    pictures, maker_of = makers_with_few(store)
    division = divide(pictures, {one: one for one in maker_of}, seed, maker_of)
    assert all(len(found) == 1 for found in sides_of(division, maker_of).values())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 1000))
def test_one_new_picture_by_somebody_new_changes_little_where_makers_have_few(
    store: int, number: int
) -> None:
    pictures, maker_of = makers_with_few(store)
    alone = {sha256: sha256 for sha256 in maker_of}
    before = {one.sha256: one.split for one in divide(pictures, alone, 0, maker_of).placements}
    new = sha(10**10 + number)
    pictures["n2"].append(new)
    division = divide(pictures, {**alone, new: new}, 0, {**maker_of, new: "somebody new"})
    after = {one.sha256: one.split for one in division.placements}
    held_out = [one for one, split in before.items() if split is not Split.TRAIN]
    assert sum(after.get(one) is not before[one] for one in held_out) <= 3
    assert all(after.get(one) is split for one, split in before.items() if one in pictures["n1"])


def test_a_prolific_maker_is_train_s_while_others_fill_val_and_test() -> None:
    shas = [sha(number) for number in range(30)]
    maker_of = {sha256: "prolific" if place < 20 else sha256 for place, sha256 in enumerate(shas)}
    division = divide({"n1": shas}, {one: one for one in shas}, 0, maker_of)
    assert sides_of(division, maker_of)["prolific"] == {Split.TRAIN}
    assert division.held_back == 0


def test_a_cluster_of_several_makers_goes_where_they_are_or_stays_out() -> None:
    shas = [sha(number) for number in range(60)]
    maker_of = {sha256: f"maker {place % 20}" for place, sha256 in enumerate(shas)}
    # Every maker has a picture that another one's is like: as one maker they would have to be divided.
    cluster_of = {sha256: sha256 for sha256 in shas}
    cluster_of |= {shas[place + 1]: shas[place] for place in range(0, 40, 2)}
    division = divide({"n1": shas}, cluster_of, 0, maker_of)
    assert all(len(found) == 1 for found in sides_of(division, maker_of).values())
    side = {maker: found.pop() for maker, found in sides_of(division, maker_of).items()}
    placed = {one.sha256 for one in division.placements}
    apart = 0
    for place in range(0, 40, 2):
        pair = shas[place : place + 2]
        if len({side.get(maker_of[one]) for one in pair}) > 1:
            assert placed.isdisjoint(pair)
            apart += 2
    assert apart > 0
    assert division.held_back >= apart


def test_a_single_maker_is_divided_as_if_there_were_none() -> None:
    shas = [sha(number) for number in range(30)]
    alone = {sha256: sha256 for sha256 in shas}
    division = divide({"n1": shas}, alone, 0, dict.fromkeys(shas, "only one"))
    assert division.held_back == 0
    assert set(division.placements) == set(divided({"n1": shas}, alone).placements)


def test_pictures_are_joined_by_author_and_page_and_near_duplicates_only_to_who_made_nothing_else() -> None:
    known = [
        ("a", "Ada  Example", None),
        ("b", None, "https://x.example/1"),
        ("c", "ada example", None),
        ("d", "Emmy", "https://x.example/1"),
        ("d", "Emmy", "https://x.example/2"),
        ("e", "Unknown author", None),
        ("f", "unknown", None),
        ("g", "Grace", None),
        ("g", "Linus", None),
        ("h", "linus", None),
        ("i", "Emmy", None),
        ("e", "Grace", None),
        # Of no picture that matters.
        ("", "Grace", "https://x.example/1"),
    ]

    def joined(rows: list[tuple[str, str | None, str | None]]) -> list[frozenset[int]]:
        made = MakersFound()
        for some in (rows[:4], rows[4:]):
            names, authors, pages = zip(*some, strict=True)
            made.take(np.array(["abcdefghi".find(name) if name else -1 for name in names]), authors, pages)
        # Two makers with other pictures are in the cluster of a and b, one without in that of f and h.
        first, others = made.makers(np.array([0, 0, 2, 3, 4, 5, 6, 5, 8]))
        return [frozenset([maker, *others.get(image, ())]) for image, maker in enumerate(first.tolist())]

    a, b, c, d, e, f, g, h, i = joined(known)
    assert a == c
    assert b == d == i
    # Grace has e and Linus h, and both have g; nobody else has f, which is like h.
    assert f == h
    assert e | h == g
    assert [len(one) for one in (a, b, e, f, g)] == [1, 1, 1, 1, 2]
    assert len(a | b | g) == 4
    assert joined(known[::-1]) == [a, b, c, d, e, f, g, h, i]


def test_every_author_and_page_on_several_sides_is_counted_however_they_are_joined() -> None:
    made = MakersFound()
    authors = ["Ada", "Ada", "Grace", "Linus", "Linus", "unknown", None, "Ada"]
    pages = ["1", "2", "3", "4", "4", "5", "5", "6"]
    made.take(np.array([0, 1, 2, 3, 4, 5, 6, -1]), authors, pages)
    train, val, test = (SPLITS.index(split) for split in (Split.TRAIN, Split.VAL, Split.TEST))
    assert made.divided(np.array([0, 1, 2, 3, 4]), np.array([train, train, val, test, test], np.uint8)) == 0
    # Ada; Linus and his page; page 5 is nobody's and on two sides.
    sides = np.array([train, val, val, train, test, val, test], np.uint8)
    assert made.divided(np.arange(7), sides) == 4
    # What stays out of the release is on no side.
    assert made.divided(np.array([0, 3]), np.array([train, test], np.uint8)) == 0
    assert MakersFound().divided(np.array([0, 1]), np.array([train, test], np.uint8)) == 0
