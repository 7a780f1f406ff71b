"""Near-duplicate clusters against brute force, and their bounds."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagenet_builder import descriptors, duplicates, hamming, likeness, near_index, nearby
from imagenet_builder.descriptors import (
    BYTES,
    SAME,
    SIDE,
    WINDOWS,
    correlation,
    describe,
    fields_of,
    hashes_of,
    looks_of,
    mirrored_hashes,
    mirrored_looks,
    stack,
)
from imagenet_builder.duplicates import HASH_MASK, clustering, clusters
from imagenet_builder.hamming import pairs_between, pairs_within, spread
from imagenet_builder.likeness import LEAST_TEXTURE
from imagenet_builder.near_index import NearIndex

Grey = npt.NDArray[np.uint8]


def described(grey: Grey) -> tuple[int, bytes]:
    row = describe(fields_of(grey))
    return int(hashes_of(stack([row]))[0]), row


def names(count: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


def clusters_by_brute_force(
    hashes: dict[str, int], distance: int, descriptors: dict[str, bytes] | None = None
) -> dict[str, str]:
    """The definition itself: every pair is compared, and sets are merged until nothing changes."""
    group = {name: {name} for name in hashes}
    for one in hashes:
        for other in hashes:
            if group[one] is not group[other] and seen(one, other, hashes, distance, descriptors or {}):
                merged = group[one] | group[other]
                for member in merged:
                    group[member] = merged
    return {name: min(group[name]) for name in hashes}


def seen(first: str, second: str, hashes: dict[str, int], distance: int, told: dict[str, bytes]) -> bool:
    """Whether the first picture, or its mirror image, looks like the second or a window in it."""

    def near(one: int, other: int) -> bool:
        plain = any(not LEAST_TEXTURE <= bits.bit_count() <= 64 - LEAST_TEXTURE for bits in (one, other))
        return one == other or (not plain and (one ^ other).bit_count() <= distance)

    one = hashes[first] & HASH_MASK
    if first not in told or second not in told:
        return near(one, hashes[second] & HASH_MASK)
    row, other = stack([told[first]]), stack([told[second]])
    askers = [
        (one, looks_of(row)),
        (int(mirrored_hashes(np.array([one], np.uint64))[0]), mirrored_looks(looks_of(row))),
    ]
    return any(
        near(asked, int(hashes_of(other, window)[0]) if window else hashes[second] & HASH_MASK)
        and float(correlation(look, looks_of(other, window), window)[0]) >= SAME
        for asked, look in askers
        for window in range(len(WINDOWS))
    )


@st.composite
def related_hashes(draw: st.DrawFn) -> dict[str, int]:
    """Hashes a few flipped bits away from a few centres, so that both near and far pairs occur."""
    centres = draw(st.lists(st.integers(0, HASH_MASK), min_size=1, max_size=4))
    hashes = []
    for _ in range(draw(st.integers(0, 25))):
        value = draw(st.sampled_from(centres))
        for bit in draw(st.lists(st.integers(0, 63), max_size=9)):
            value ^= 1 << bit
        hashes.append(value if draw(st.booleans()) else value - (1 << 64) * (value >> 63))
    return dict(zip(names(len(hashes)), hashes, strict=True))


@settings(max_examples=150, deadline=None)
@given(related_hashes(), st.integers(0, 10))
def test_clusters_are_those_of_comparing_every_pair(hashes: dict[str, int], distance: int) -> None:
    assert clusters(hashes, distance) == clusters_by_brute_force(hashes, distance)


def textured(seed: int, width: int = 128, height: int = 96) -> Grey:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def changes(grey: Grey) -> list[Grey]:
    height, width = grey.shape
    bar = np.full((height // 8, width), 255, np.uint8)
    return [
        grey,
        grey[height // 12 :, : -width // 12],
        np.fliplr(grey),
        np.fliplr(grey)[height // 11 : -height // 11, width // 11 : -width // 11],
        np.concatenate([grey, bar]),
        np.full_like(grey, 128),
    ]


POOL = [described(changed) for seed in range(3) for changed in changes(textured(seed))]


@st.composite
def described_hashes(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, bytes]]:
    """Related pictures, flat ones among them, with a few bits of their hashes changed; some without descriptor."""
    hashes, descriptors = {}, {}
    for name in names(draw(st.integers(0, 14))):
        value, row = draw(st.sampled_from(POOL))
        for bit in draw(st.lists(st.integers(0, 63), max_size=5)):
            value ^= 1 << bit
        hashes[name] = value - (1 << 64) * (value >> 63) if draw(st.booleans()) else value
        if draw(st.integers(0, 4)):
            descriptors[name] = row
    return hashes, descriptors


@settings(max_examples=60, deadline=None)
@given(
    described_hashes(),
    st.integers(0, 6),
    st.sampled_from([1, 7, 50_000]),
    st.sampled_from([0, 10**6]),
    st.sampled_from([0, 1, 10]),
)
def test_pairs_are_confirmed_on_their_descriptors(
    pictures: tuple[dict[str, int], dict[str, bytes]], distance: int, at_once: int, indexed: int, own: int
) -> None:
    hashes, descriptors = pictures
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likeness, "HASHED_AT_ONCE", at_once)
        for bound in ("CONFIRMED", "PASSING", "COMPARED", "GATHERED", "LOCATED"):
            patch.setattr(nearby, f"{bound}_AT_ONCE", at_once)
        for bound in ("CONFIRMED", "PAIRS", "TESTED"):
            patch.setattr(duplicates, f"{bound}_AT_ONCE", at_once)
        patch.setattr(nearby, "INDEXED_AT_MOST", indexed)
        patch.setattr(nearby, "OWN_AT_MOST", own)
        found = clusters(hashes, distance, descriptors)
    assert found == clusters_by_brute_force(hashes, distance, descriptors)


@settings(max_examples=60, deadline=None)
@given(
    described_hashes(),
    st.sets(st.integers(0, 13)),
    st.sets(st.integers(0, 13)),
    st.integers(0, 6),
    st.sampled_from([1, 3, duplicates.CROWD]),
    st.sampled_from([0, nearby.INDEXED_AT_MOST]),
)
def test_clusters_after_additions_and_removals_are_those_from_scratch(
    pictures: tuple[dict[str, int], dict[str, bytes]],
    earlier: set[int],
    later: set[int],
    distance: int,
    crowd: int,
    indexed: int,
) -> None:
    def some(places: set[int]) -> tuple[dict[str, int], dict[str, bytes]]:
        chosen = {name for place, name in enumerate(pictures[0]) if place in places}
        hashes, descriptors = pictures
        return (
            {name: found for name, found in hashes.items() if name in chosen},
            {name: found for name, found in descriptors.items() if name in chosen},
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "CROWD", crowd)
        patch.setattr(nearby, "INDEXED_AT_MOST", indexed)
        before = clustering(*some(earlier), distance=distance)
        after = clustering(*some(later), before, distance=distance)
        scratch = clustering(*some(later), distance=distance)
    assert after.clusters() == scratch.clusters()
    assert (after.windows == scratch.windows).all()


def test_only_new_pictures_and_broken_clusters_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    original = descriptors.all_hashes_of

    def noticing(rows: npt.NDArray[np.int8]) -> npt.NDArray[np.uint64]:
        looked.append(len(rows))
        return original(rows)

    pictures = [described(textured(seed)) for seed in range(20)]
    keys = names(20)
    hashes = {name: value for name, (value, _) in zip(keys, pictures, strict=True)}
    rows = {name: row for name, (_, row) in zip(keys, pictures, strict=True)}
    before = clustering({name: hashes[name] for name in keys[:19]}, rows)
    monkeypatch.setattr(likeness, "all_hashes_of", noticing)
    indexed: list[int] = []

    class Counting(NearIndex):
        def __init__(self, values: npt.NDArray[np.uint64], distance: int, *, many_ask: bool) -> None:
            indexed.append(len(values))
            super().__init__(values, distance, many_ask=many_ask)

    monkeypatch.setattr(nearby, "NearIndex", Counting)
    found = clustering(hashes, rows, before).clusters()
    assert looked == [1]
    assert indexed == [2, len(WINDOWS)], (
        "the new picture and its mirror image ask; then it and its windows answer"
    )
    monkeypatch.undo()
    assert found == clusters(hashes, descriptors=rows)


@pytest.mark.parametrize("change", range(1, 5))
def test_crops_captions_and_mirror_images_are_found(change: int) -> None:
    found = 0
    for seed in range(30):
        original = textured(seed)
        pictures = dict(zip(names(2), map(described, (original, changes(original)[change])), strict=True))
        hashes = {name: value for name, (value, _) in pictures.items()}
        told = clusters(hashes, descriptors={name: row for name, (_, row) in pictures.items()})
        found += len(set(told.values())) == 1
    assert found >= 25


@settings(max_examples=60, deadline=None)
@given(related_hashes(), st.integers(0, 12))
def test_every_pair_within_the_distance_comes_once(hashes: dict[str, int], distance: int) -> None:
    values = np.unique(np.array([value & HASH_MASK for value in hashes.values()], np.uint64))
    asking, known = values[::2], values
    distances = np.bitwise_count(values[:, None] ^ values[None, :])
    for chunk in (3, 1 << 15):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hamming, "CHUNK", chunk)
            within = [pair for batch in pairs_within(values, distance) for pair in zip(*batch, strict=True)]
            between = [
                pair for batch in pairs_between(asking, known, distance) for pair in zip(*batch, strict=True)
            ]
        left, right = np.nonzero(np.triu(distances <= distance, 1))
        assert sorted(map(sorted, within)) == sorted(
            map(sorted, zip(values[left], values[right], strict=True))
        )
        left, right = np.nonzero(distances[::2] <= distance)
        assert sorted(between) == sorted(zip(asking[left], known[right], strict=True))


@settings(max_examples=60, deadline=None)
@given(related_hashes(), st.integers(0, 12))
def test_an_index_finds_every_value_near_one_that_is_asked_for_once(
    hashes: dict[str, int], distance: int
) -> None:
    values = np.array([value & HASH_MASK for value in hashes.values()], np.uint64)
    asked = values[::2] ^ np.uint64(1 << 17)
    expected = np.argwhere(np.bitwise_count(asked[:, None] ^ values[None, :]) <= distance)
    for many_ask, together in ((False, 0), (True, 0), (False, 2_048), (True, 2_048)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(near_index, "LOOKED_UP_TOGETHER", together)
            asker, place = NearIndex(values, distance, many_ask=many_ask).near(asked)
        assert np.stack([asker, place], axis=1).tolist() == expected.tolist()


@given(st.lists(st.integers(0, HASH_MASK), min_size=2, max_size=9))
def test_spreading_bits_keeps_all_distances(hashes: list[int]) -> None:
    values = np.array(hashes, np.uint64)
    moved = spread(values)
    assert (np.bitwise_count(moved[1:] ^ moved[:-1]) == np.bitwise_count(values[1:] ^ values[:-1])).all()
    assert len(set(spread(np.uint64(1) << np.arange(64, dtype=np.uint64)).tolist())) == 64


def faint(seed: int) -> np.ndarray:
    """A sky: clouds that hardly stand out, the same in every picture, and a small bird somewhere."""
    source = np.random.default_rng(seed)
    down, across = np.mgrid[0:96, 0:128]
    grey = 150.0 + 4 * np.sin(across / 9) + 3 * np.sin(down / 11 + across / 25)
    row, column = source.integers(8, 80), source.integers(8, 110)
    grey[row : row + 9, column : column + 14] = 20
    picture: np.ndarray = grey.clip(0, 255).astype(np.uint8)
    return picture


def test_pictures_of_little_texture_do_not_chain() -> None:
    pictures = [faint(seed) for seed in range(200)]
    copies = [np.asarray(Image.fromarray(grey).resize((90, 70)).resize((128, 96))) for grey in pictures]
    every = dict(zip(names(400), map(described, [*pictures, *copies]), strict=True))
    descriptors = {name: row for name, (_, row) in every.items()}
    told = clusters({name: value for name, (value, _) in every.items()}, descriptors=descriptors)
    assert max(Counter(told.values()).values()) <= 40
    pairs = zip(names(400)[:200], names(400)[200:], strict=True)
    assert sum(told[one] == told[other] for one, other in pairs) >= 190


def test_a_chain_of_many_is_cut_around_pictures_that_all_of_a_cluster_are_like() -> None:
    # A bird that moves on by a pixel from one picture to the next: each is like the next, none like all.
    sky = 150.0 + 4 * np.sin(np.arange(128) / 9)[None, :] + 3 * np.sin(np.arange(96) / 11)[:, None]
    pictures = []
    for column in range(100):
        grey = sky.copy()
        grey[40:49, 10 + column : 24 + column] = 20
        pictures.append(described(grey.astype(np.uint8)))
    hashes = dict(zip(names(100), (value for value, _ in pictures), strict=True))
    rows = dict(zip(names(100), (row for _, row in pictures), strict=True))
    found = clustering(hashes, rows)
    assert np.bincount(found.labels).max() >= 90, "as a chain they would be one"
    members: dict[str, list[str]] = {}
    for name, key in found.clusters().items():
        members.setdefault(key, []).append(name)
    assert max(map(len, members.values())) <= 40

    def like(one: str, other: str) -> bool:
        return any(seen(*pair, hashes, duplicates.NEAR, rows) for pair in ((one, other), (other, one)))

    for cluster in members.values():
        assert any(all(one == other or like(one, other) for other in cluster) for one in cluster)
    assert len(members) < 40


def test_a_crowd_of_copies_is_one_cluster() -> None:
    original = textured(1)
    faded = [original * (1 - fade / 200) + fade for fade in range(duplicates.CROWD + 10)]
    pictures = [described(one.astype(np.uint8)) for one in (*faded, *changes(original)[:5])]
    hashes = dict(zip(names(len(pictures)), (value for value, _ in pictures), strict=True))
    rows = dict(zip(names(len(pictures)), (row for _, row in pictures), strict=True))
    assert len(set(clusters(hashes, descriptors=rows).values())) == 1


def test_near_hashes_of_different_pictures_are_no_pair() -> None:
    rows = [described(textured(seed))[1] for seed in range(50)]
    hashes = {name: 0x0F0F_3C3C_A5A5_9696 ^ (1 << place) for place, name in enumerate(names(50))}
    assert len(set(clusters(hashes).values())) == 1
    assert len(set(clusters(hashes, descriptors=dict(zip(names(50), rows, strict=True))).values())) == 50


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_looks_forget_brightness_contrast_and_slope(seed: int) -> None:
    source = np.random.default_rng(seed)
    coarse = Image.fromarray(source.integers(60, 160, (8, 8), dtype=np.uint8))
    grey = np.asarray(coarse.resize((128, 96), Image.Resampling.BICUBIC), dtype=np.float64)
    slope = np.linspace(0, 40, 128)
    changed = (0.7 * grey + 20 + slope).clip(0, 255)
    looks = looks_of(stack([describe(fields_of(one.astype(np.uint8))) for one in (grey, changed)]))
    assert correlation(looks[:1], looks[1:])[0] > 0.99


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_mirrored_hashes_and_looks_are_those_of_the_mirrored_picture(seed: int) -> None:
    grey = textured(seed)
    rows = stack([described(grey)[1], described(np.fliplr(grey))[1]])
    looks = looks_of(rows)
    assert correlation(mirrored_looks(looks[:1]), looks[1:])[0] > 0.999
    hashes = hashes_of(rows)
    told, seen = int(mirrored_hashes(hashes[:1])[0]), int(hashes[1])
    assert (told ^ seen).bit_count() <= 3, "fields that are equally dark count as not darker"


def test_a_hash_does_not_depend_on_how_many_pictures_are_looked_at_together() -> None:
    rows = stack([described(textured(seed))[1] for seed in range(50)])
    for window in range(len(WINDOWS)):
        alone = [int(hashes_of(row[None, :], window)[0]) for row in rows]
        assert hashes_of(rows, window).tolist() == alone


def test_a_last_row_that_stands_for_a_part_of_eight_pixels_counts_as_such() -> None:
    whole = textured(5, 800, 800)
    sixth = whole[:641, :641]
    shown = np.asarray(Image.fromarray(sixth).reduce(8))
    assert shown.shape == (81, 81)
    exact = np.asarray(Image.fromarray(sixth.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BOX))
    told, naive = fields_of(shown, (641, 641)), fields_of(shown)
    assert np.abs(told - exact).mean() < np.abs(naive - exact).mean() / 2


def test_a_plain_slope_has_no_descriptor_to_compare() -> None:
    plain = np.tile(np.linspace(10, 240, 128).astype(np.uint8), (96, 1))
    assert described(plain)[1] == bytes(BYTES)
    first, second = names(2)
    found = clusters({first: 7, second: 7}, descriptors={first: bytes(BYTES), second: bytes(BYTES)})
    assert found[first] != found[second]


def test_long_chains_are_joined_as_short_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(4)
    centres = source.integers(0, 2**64, 6, dtype=np.uint64)
    values = centres[source.integers(0, 6, 400)]
    for _ in range(3):
        values = values ^ (np.uint64(1) << source.integers(0, 64, 400, dtype=np.uint64))
    hashes = dict(zip(names(400), values.tolist(), strict=True))
    monkeypatch.setattr(duplicates, "LONG_CHAIN", 10**9)
    expected = clusters(hashes)
    for longest in (1, 20, 60):
        monkeypatch.setattr(duplicates, "LONG_CHAIN", longest)
        assert clusters(hashes) == expected


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(names(30)), st.integers(-(2**63), 2**64 - 1)))
def test_a_key_is_the_smallest_member_of_its_own_cluster(hashes: dict[str, int]) -> None:
    found = clusters(hashes)
    assert found.keys() == hashes.keys()
    for name, key in found.items():
        assert key <= name
        assert found[key] == key


def test_joining_in_small_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(3)
    centre = source.getrandbits(64)
    hashes = {name: centre ^ (1 << source.randrange(64)) ^ (1 << source.randrange(64)) for name in names(300)}
    expected = clusters(hashes)
    monkeypatch.setattr(duplicates, "PAIRS_AT_ONCE", 3)
    assert clusters(hashes) == expected


def test_pictures_without_texture_match_only_when_equal() -> None:
    first, second, third, fourth = names(4)
    textured = 0x0F0F_3C3C_A5A5_9696
    found = clusters({first: 0, second: 1, third: 0, fourth: textured})
    assert found[first] == found[third]
    assert len({found[first], found[second], found[fourth]}) == 3


def test_a_distance_that_no_hash_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="distance"):
        clusters({"a": 1}, 63)
    with pytest.raises(ValueError, match="from 0 to 6"):
        clusters({"a": 1}, 7, {"a": bytes(BYTES)})


def test_a_hundred_thousand_pictures_and_a_burst_of_near_copies_are_clustered() -> None:
    source = np.random.default_rng(1)
    values = source.integers(0, 2**63, 100_000, dtype=np.uint64) * np.uint64(2)
    values[:3000] = values[0] ^ (np.uint64(1) << source.integers(0, 64, 3000, dtype=np.uint64))
    hashes = dict(zip(names(len(values)), values.tolist(), strict=True))
    found = clusters(hashes)
    burst = list(hashes)[:3000]
    assert {found[name] for name in burst} == {min(burst)}
    # Random 64-bit hashes lie within six bits of each other about once in 2e11 pairs.
    assert len(set(found.values())) > 96_990
