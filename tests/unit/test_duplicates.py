"""Near-duplicate clusters against brute force, and their bounds."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_builder import duplicates
from imagenet_builder.duplicates import HASH_MASK, LEAST_TEXTURE, clusters


def names(count: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


def clusters_by_brute_force(hashes: dict[str, int], distance: int) -> dict[str, str]:
    """The definition itself: every pair is compared, and sets are merged until nothing changes."""

    def near(one: int, other: int) -> bool:
        one, other = one & HASH_MASK, other & HASH_MASK
        if one == other:
            return True
        plain = any(not LEAST_TEXTURE <= bits.bit_count() <= 64 - LEAST_TEXTURE for bits in (one, other))
        return not plain and (one ^ other).bit_count() <= distance

    group = {name: {name} for name in hashes}
    for one in hashes:
        for other in hashes:
            if group[one] is not group[other] and near(hashes[one], hashes[other]):
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
