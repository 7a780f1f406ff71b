"""WordNet's files: parsed when right, refused in one line when they are another version's or damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wordnet_synsets import WrongWordNet
from wordnet_synsets.wndb import parse

from .wordnet_nouns import noun_lines


@pytest.fixture(scope="module")
def noun_text(wordnet_folder: Path) -> bytes:
    return (wordnet_folder / "data.noun").read_bytes()


@pytest.fixture(scope="module")
def index_text(wordnet_folder: Path) -> bytes:
    return (wordnet_folder / "index.noun").read_bytes()


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(text: bytes) -> bytes:
        assert old in text
        return text.replace(old, new, 1)

    return change


def with_the_last_synset_moved(text: bytes) -> bytes:
    """A file that is right in itself but has one offset that WordNet 3.0 has not."""
    before, last, _ = text.rpartition(text.split(b"\n")[-2])
    assert before[-3:] == b"  \n"
    before = before[:-3] + b" x  \n"
    return before + b"%08d" % len(before) + last[8:] + b"\n"


Damage = tuple[Callable[[bytes], bytes], str]  # what is done to the file, what is told of it

DAMAGES: dict[str, Damage] = {
    "another version": (
        replaced(b"WordNet 3.0 Copyright", b"WordNet 3.1 Copyright"),
        "is WordNet 3.1, but only 3.0",
    ),
    "one byte more in the licence": (replaced(b"LICENSEE", b"LICENSEES"), "line 30 is not at the byte"),
    "lines ended as on Windows": (lambda text: text.replace(b"\n", b"\r\n"), "line 30 is not at the byte"),
    "cut within a line": (lambda text: text[:9_000_000], "the last line is cut"),
    "cut after a line": (lambda text: text[: text.rindex(b"\n", 0, -1) + 1], "82,114 noun synsets"),
    "empty": (lambda text: b"", "n00001740 is not entity"),
    "only a licence": (lambda text: text[: text.index(b"\n0") + 1], "n00001740 is not entity"),
    "no gloss": (replaced(b" | that which", b" / that which"), "line 30 is no noun synset"),
    "not a noun": (replaced(b"00001740 03 n 01", b"00001740 03 v 01"), "line 30 is no noun synset"),
    "too few pointers": (replaced(b"entity 0 003 ~", b"entity 0 004 ~"), "line 30 is no noun synset"),
    "no number": (replaced(b"entity 0 003 ~", b"entity 0 0x3 ~"), "line 30 is no noun synset"),
    "a circle": (replaced(b"entity 0 003 ~ 00001930", b"entity 0 003 @ 00001930"), "in a circle"),
    "a stray pointer": (
        replaced(b"entity 0 003 ~ 00001930", b"entity 0 003 @ 00001931"),
        "00001931 that is not",
    ),
    "bytes that are no text": (replaced(b"| that which", b"| th\xff\xfe which"), "no UTF-8 text at byte"),
    "another lemma at a landmark": (replaced(b" dog 0 domestic", b" dig 0 domestic"), "n02084071 is not dog"),
    "one other offset": (with_the_last_synset_moved, "some of its wnids are not ImageNet's"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_data_noun_is_refused_in_one_line(noun_text: bytes, index_text: bytes, damage: str) -> None:
    change, told = DAMAGES[damage]
    assert change(noun_text) != noun_text
    with pytest.raises(WrongWordNet) as refused:
        parse(change(noun_text), index_text, "the folder X")
    message = str(refused.value)
    assert told in message
    assert "the folder X" in message
    assert "--wordnet" in message
    assert "\n" not in message


def test_a_sound_database_of_other_nouns_is_not_wordnet() -> None:
    with pytest.raises(WrongWordNet, match="other is not WordNet"):
        parse(noun_lines(("dog", "an animal"), ("cat", "another")), b"", "other")


INDEX_DAMAGES: dict[str, Damage] = {
    "cut": (lambda text: text[:-5], "the last line is cut"),
    "empty": (lambda text: b"", "does not fit data.noun"),
    "a word missing": (replaced(b"\nentity n 1", b"\nentitty n 1"), "does not fit data.noun"),
    "a stray synset": (replaced(b" 00001740  \n", b" 00001741  \n"), "names a synset that is not there"),
    "a wrong count": (replaced(b"\nentity n 1", b"\nentity n 2"), "is no entry"),
    "no count": (replaced(b"\nentity n 1", b"\nentity n"), "is no entry"),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGES)
def test_a_damaged_index_noun_is_refused_in_one_line(
    noun_text: bytes, index_text: bytes, damage: str
) -> None:
    change, told = INDEX_DAMAGES[damage]
    with pytest.raises(WrongWordNet) as refused:
        parse(noun_text, change(index_text), "the folder X")
    assert told in str(refused.value)
    assert "index.noun in the folder X" in str(refused.value)
    assert "\n" not in str(refused.value)
