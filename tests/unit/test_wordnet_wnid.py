"""Wnids: their form and their offsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordnet_synsets import UnknownSynset, is_wnid, offset_of, wnid_of


@given(st.integers(0, 99_999_999))
def test_every_offset_of_eight_digits_comes_back_from_its_wnid(offset: int) -> None:
    assert is_wnid(wnid_of(offset))
    assert offset_of(wnid_of(offset)) == offset


@pytest.mark.parametrize("offset", [-1, 100_000_000])
def test_an_offset_that_does_not_fit_is_refused(offset: int) -> None:
    with pytest.raises(ValueError, match="eight digits"):
        wnid_of(offset)


@pytest.mark.parametrize(
    "text",
    ["", "dog", "02084071", "n2084071", "n020840711", "N02084071", "v02084071", "n0208407१", "n02084071\n"],
)
def test_other_texts_are_no_wnids_and_the_error_shows_a_right_one(text: str) -> None:
    assert not is_wnid(text)
    with pytest.raises(UnknownSynset, match="n02084071"):
        offset_of(text)
