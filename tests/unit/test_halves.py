"""Pairs by keys of half the bits: all that brute force finds, each once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_builder import halves, hamming
from imagenet_builder.halves import MOST_DISTANCE, Marks, Values, pairs_between

Found = list[tuple[int, int]]


def found(asking: Values, known: Values, distance: int) -> Found:
    pairs = pairs_between(asking.copy(), known.copy(), distance)
    return [pair for left, right in pairs for pair in zip(left.tolist(), right.tolist(), strict=True)]


def by_brute_force(asking: Values, known: Values, distance: int) -> Found:
    near = np.bitwise_count(asking[:, None] ^ known[None, :]) <= distance
    one, other = np.nonzero(near)
    return sorted(set(zip(asking[one].tolist(), known[other].tolist(), strict=True)))


@st.composite
def related_values(draw: st.DrawFn) -> Values:
    """Values a few bits away from a few others, some of them several times."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3))
    values = []
    for _ in range(draw(st.integers(0, 12))):
        value = draw(st.sampled_from(centres))
        for bit in draw(st.lists(st.integers(0, 63), max_size=8)):
            value ^= 1 << bit
        values.append(value)
    return np.array(values, np.uint64)


@settings(max_examples=60, deadline=None)
@given(
    related_values(),
    related_values(),
    st.integers(0, MOST_DISTANCE),
    st.sampled_from([3, 1 << 15]),
    st.sampled_from([0, 100]),
)
def test_every_pair_within_the_distance_comes_once(
    asking: Values, known: Values, distance: int, chunk: int, few: int
) -> None:
    known = np.concatenate([known, asking[::2]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "CHUNK", chunk)
        patch.setattr(halves, "FEW_ASK", few)
        assert sorted(found(asking, known, distance)) == by_brute_force(asking, known, distance)


@pytest.mark.parametrize("few", [0, 2])
@pytest.mark.parametrize("distance", range(MOST_DISTANCE + 1))
def test_whichever_bits_differ_the_pair_is_found(
    distance: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halves, "FEW_ASK", few)
    source = np.random.default_rng(distance)
    one = source.integers(0, 2**64, 3_000, dtype=np.uint64)
    other = one.copy()
    for place in range(len(one)):
        for bit in source.choice(64, distance, replace=False).tolist():
            other[place] ^= np.uint64(1 << bit)
    expected = list(zip(one.tolist(), other.tolist(), strict=True))
    assert sorted(found(one[:1_000], other, distance)) == sorted(expected[:1_000])
    assert distance == 0 or found(one[:1_000], other, distance - 1) == []


def test_crowds_of_equal_and_near_values_are_told_once() -> None:
    source = np.random.default_rng(2)
    bits = np.uint64(1) << source.integers(0, 64, (3, 2_000), dtype=np.uint64)
    crowd = np.uint64(0x0123_4567_89AB_CDEF) ^ bits[0] ^ np.where(source.random(2_000) < 0.5, bits[1], 0)
    crowd = crowd.astype(np.uint64)
    assert sorted(found(crowd[:500], crowd, 4)) == by_brute_force(crowd[:500], crowd, 4)


def test_more_bits_than_the_halvings_cover_are_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 6"):
        found(np.zeros(1, np.uint64), np.zeros(1, np.uint64), MOST_DISTANCE + 1)


def test_no_marked_key_is_missed_and_few_others_seem_marked() -> None:
    source = np.random.default_rng(5)
    keys = source.integers(0, 2**32, (2, 50_000), dtype=np.uint64)
    marks = Marks(50_000)
    for factor in (0, 1):
        marks.mark([keys[0, :20_000], keys[0, 20_000:]], factor)
        assert marks.has(keys[0]).all()
        assert marks.has(keys[1]).mean() < 0.1
    marks.mark([keys[1]])
    assert marks.has(keys[0]).mean() < 0.1, "the set before is forgotten"
