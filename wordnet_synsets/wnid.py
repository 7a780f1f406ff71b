"""Wnids, ImageNet's names of WordNet 3.0's noun synsets: `n` and the eight-digit offset in `data.noun`."""

from __future__ import annotations

import re

from .errors import UnknownSynset

_WNID = re.compile(r"n[0-9]{8}")


def is_wnid(text: str) -> bool:
    """Say whether `text` has the form of a wnid; the synset need not exist."""
    return _WNID.fullmatch(text) is not None


def offset_of(wnid: str) -> int:
    """The byte offset in `data.noun` that a wnid names.

    Raises UnknownSynset when the text has not the form of a wnid.
    """
    if not is_wnid(wnid):
        raise UnknownSynset(f"{wnid!r} is not a wnid: that is n and eight digits, as in n02084071")
    return int(wnid[1:])


def wnid_of(offset: int) -> str:
    """The wnid of a byte offset in `data.noun`; raises ValueError when it has more than eight digits."""
    if not 0 <= offset <= 99_999_999:
        raise ValueError(f"offset {offset} does not fit a wnid's eight digits")
    return f"n{offset:08d}"
