"""The first test of pairs: it lets through all that the second confirms, and few others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from imagenet_builder import coarse
from imagenet_builder.coarse import FirstTest
from imagenet_builder.descriptors import (
    BYTES,
    SAME,
    WINDOWS,
    correlation,
    describe,
    fields_of,
    hashes_of,
    looks_of,
    mirrored_looks,
    stack,
)
from imagenet_builder.likeness import SIDES, Pictures, Places, confirmed

COUNT = 12


def grey(seed: int) -> npt.NDArray[np.uint8]:
    """A picture with structure at several scales."""
    source = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(source.normal(0, 20, (side, side))).resize((128, 128), Image.Resampling.BICUBIC)
        )
        for side in (3, 6, 12, 24)
    ]
    found: npt.NDArray[np.uint8] = np.clip(128 + np.sum(layers, axis=0), 0, 255).astype(np.uint8)
    return found


def pictures(*, without: int = 0, flat: int = 0) -> Pictures:
    """Pictures, then changed copies: mirrored, cropped or with noise. Some are without descriptor, some are flat."""
    originals = [grey(seed) for seed in range(COUNT)]
    noise = np.random.default_rng(3).normal(0, 8, (128, 128))
    changes = (
        lambda one: np.fliplr(one),
        lambda one: one[12:, 12:],
        lambda one: (one + noise).clip(0, 255).astype(np.uint8),
    )
    changed = [changes[place % 3](one) for place, one in enumerate(originals)]
    rows = [describe(fields_of(one)) for one in (*originals, *changed)]
    for place in range(flat):
        rows[place] = bytes(BYTES)
    names = [f"{number:02}" for number in range(len(rows))]
    descriptors = dict(zip(names[without:], rows[without:], strict=True))
    return Pictures(names, hashes_of(stack(rows)), descriptors)


def every_pair(count: int) -> tuple[Places, Places]:
    """The codes of all askers with all answers, in no order."""
    one, other = np.divmod(np.arange(count * SIDES * count * len(WINDOWS)), count * len(WINDOWS))
    order = np.random.default_rng(1).permutation(len(one))
    return one[order], other[order]


@pytest.mark.parametrize("at_once", [5, coarse.READ_AT_ONCE])
def test_all_that_is_confirmed_is_likely_and_few_others_are(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coarse, "READ_AT_ONCE", at_once)
    compared = pictures()
    test = FirstTest(compared)
    one, other = every_pair(2 * COUNT)
    for same in (SAME, 0.6):
        sure = confirmed(compared, one, other, same)
        assert sure.sum() > 2 * COUNT
        assert test.likely(one, other, same)[sure].all()
    unlike = one // SIDES % COUNT != other // len(WINDOWS) % COUNT
    assert test.likely(one[unlike], other[unlike], SAME).mean() < 0.01


def test_no_pair_correlates_by_more_than_the_test_admits() -> None:
    compared = pictures()
    test = FirstTest(compared)
    one, other = every_pair(2 * COUNT)
    for code, answer in zip(one[:400].tolist(), other[:400].tolist(), strict=True):
        asker, mirror = divmod(code, SIDES)
        place, window = divmod(answer, len(WINDOWS))
        look = looks_of(compared.rows(np.array([asker])))
        there = looks_of(compared.rows(np.array([place])), window)
        # As in the whole: what only makes a window's correlation 0 is left out.
        found = float(correlation(mirrored_looks(look) if mirror else look, there)[0])
        assert test.likely(np.array([code]), np.array([answer]), found).all()


def test_pictures_without_descriptors_are_left_to_the_second_test_and_flat_ones_are_like_none() -> None:
    compared = pictures(without=5, flat=9)
    one, other = every_pair(2 * COUNT)
    sure = confirmed(compared, one, other, SAME)
    maybe = FirstTest(compared).likely(one, other, SAME)
    assert maybe[sure].all()
    asker, answer = one // SIDES, other // len(WINDOWS)
    assert maybe[(asker < 5) | (answer < 5)].all()
    assert not maybe[(asker >= 5) & (asker < 9) & (answer >= 9)].any()
