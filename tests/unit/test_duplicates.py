"""Near-duplicate clusters against brute force, and their bounds."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagenet_builder import duplicates
from imagenet_builder.crawl.inspect import difference_hash
from imagenet_builder.descriptors import (
    BYTES,
    SAME,
    correlation,
    describe,
    mirrored,
    mirrored_hashes,
    stack,
)
from imagenet_builder.duplicates import HASH_MASK, LEAST_TEXTURE, clusters


def names(count: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


def clusters_by_brute_force(
    hashes: dict[str, int], distance: int, descriptors: dict[str, bytes] | None = None
) -> dict[str, str]:
    """The definition itself: every pair is compared, and sets are merged until nothing changes."""
    told = descriptors or {}

    def confirmed(one: str, other: str) -> bool:
        if one not in told or other not in told:
            return True
        rows = [np.frombuffer(told[name], np.int8).astype(float) for name in (one, other)]
        lengths = np.linalg.norm(rows[0]) * np.linalg.norm(rows[1])
        return bool(lengths and rows[0] @ rows[1] / lengths >= SAME)

    def near(first: str, second: str) -> bool:
        one, other = hashes[first] & HASH_MASK, hashes[second] & HASH_MASK
        if not confirmed(first, second):
            return False
        if one == other:
            return True
        plain = any(not LEAST_TEXTURE <= bits.bit_count() <= 64 - LEAST_TEXTURE for bits in (one, other))
        return not plain and (one ^ other).bit_count() <= distance

    group = {name: {name} for name in hashes}
    for one in hashes:
        for other in hashes:
            if group[one] is not group[other] and near(one, other):
                merged = group[one] | group[other]
                for member in merged:
                    group[member] = merged
    return {name: min(group[name]) for name in hashes}


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


@st.composite
def described_hashes(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, bytes]]:
    """Related hashes, and for most of them a descriptor that is one of few, sometimes flat or a little changed."""
    hashes = draw(related_hashes())
    source = np.random.default_rng(draw(st.integers(0, 1000)))
    kinds = [bytes(BYTES), *(source.integers(-127, 128, BYTES, dtype=np.int8).tobytes() for _ in range(3))]
    descriptors = {}
    for name in hashes:
        kind = draw(st.integers(-1, 3))
        if kind >= 0:
            row = bytearray(kinds[kind])
            if draw(st.booleans()) and kind:
                row[:40] = bytes(40)
            descriptors[name] = bytes(row)
    return hashes, descriptors


@settings(max_examples=150, deadline=None)
@given(described_hashes(), st.integers(0, 10), st.sampled_from([1, 7, 50_000]))
def test_pairs_are_confirmed_on_their_descriptors(
    described: tuple[dict[str, int], dict[str, bytes]], distance: int, at_once: int
) -> None:
    hashes, descriptors = described
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "CONFIRMED_AT_ONCE", at_once)
        patch.setattr(duplicates, "PAIRS_AT_ONCE", at_once)
        found = clusters(hashes, distance, descriptors)
    assert found == clusters_by_brute_force(hashes, distance, descriptors)


def faint(seed: int) -> np.ndarray:
    """A sky: clouds that hardly stand out, the same in every picture, and a small bird somewhere."""
    source = np.random.default_rng(seed)
    down, across = np.mgrid[0:96, 0:128]
    grey = 150.0 + 4 * np.sin(across / 9) + 3 * np.sin(down / 11 + across / 25)
    row, column = source.integers(8, 80), source.integers(8, 110)
    grey[row : row + 9, column : column + 14] = 20
    return grey.clip(0, 255).astype(np.uint8)


def test_pictures_of_little_texture_do_not_chain() -> None:
    pictures = [faint(seed) for seed in range(60)]
    copies = [np.asarray(Image.fromarray(grey).resize((90, 70)).resize((128, 96))) for grey in pictures]
    every = dict(zip(names(120), [*pictures, *copies], strict=True))
    hashes = {name: difference_hash(grey) for name, grey in every.items()}
    descriptors = {name: describe(grey) for name, grey in every.items()}
    by_hash = Counter(clusters(hashes).values())
    confirmed = clusters(hashes, descriptors=descriptors)
    assert max(by_hash.values()) > 40, "the hash alone takes different skies for one"
    assert max(Counter(confirmed.values()).values()) <= 8
    pairs = zip(names(120)[:60], names(120)[60:], strict=True)
    assert sum(confirmed[one] == confirmed[other] for one, other in pairs) >= 55


@given(st.integers(0, 2**32))
def test_a_descriptor_forgets_brightness_contrast_and_slope(seed: int) -> None:
    source = np.random.default_rng(seed)
    coarse = Image.fromarray(source.integers(60, 160, (8, 8), dtype=np.uint8))
    grey = np.asarray(coarse.resize((128, 96), Image.Resampling.BICUBIC), dtype=np.float64)
    slope = np.linspace(0, 40, 128)
    changed = (0.7 * grey + 20 + slope).clip(0, 255)
    rows = stack([describe(grey.astype(np.uint8)), describe(changed.astype(np.uint8))])
    assert correlation(rows[:1], rows[1:])[0] > 0.99


@given(st.integers(0, 2**32))
def test_mirrored_hashes_and_descriptors_are_those_of_the_mirrored_picture(seed: int) -> None:
    source = np.random.default_rng(seed)
    coarse = Image.fromarray(source.integers(0, 256, (9, 12), dtype=np.uint8))
    grey = np.asarray(coarse.resize((144, 96), Image.Resampling.BICUBIC))
    rows = stack([describe(grey), describe(np.fliplr(grey))])
    assert correlation(mirrored(rows[:1]), rows[1:])[0] > 0.999
    hashes = np.array([difference_hash(grey) & HASH_MASK], np.uint64)
    told, seen = int(mirrored_hashes(hashes)[0]), difference_hash(np.fliplr(grey)) & HASH_MASK
    assert (told ^ seen).bit_count() <= 6, "fields that are equally dark count as not darker"


def test_a_plain_slope_has_no_descriptor_to_compare() -> None:
    plain = np.tile(np.linspace(10, 240, 128).astype(np.uint8), (96, 1))
    assert describe(plain) == bytes(BYTES)
    first, second = names(2)
    found = clusters({first: 7, second: 7}, descriptors={first: bytes(BYTES), second: bytes(BYTES)})
    assert found[first] != found[second]


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
