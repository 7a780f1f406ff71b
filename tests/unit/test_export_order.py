"""The order of a release's pictures, by which their files are named."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from imagenet_builder.export.description import SPLITS, ReleasePictures
from imagenet_builder.export.naming import named_pictures
from imagenet_builder.export.split import Division
from imagenet_builder.records import Split
from wordnet_synsets.select import list_wnids, official_ids, official_val_sequence

WNIDS = tuple(sorted(list_wnids("ilsvrc2012")))


def named(split: Split, each: int, key: bytes) -> ReleasePictures:
    """The thousand with so many pictures each, all in one split."""
    labels = np.arange(len(WNIDS), dtype=np.int32).repeat(each)
    numbers = np.arange(len(labels)) % each
    shas = [sha(f"{WNIDS[label]} {number}") for label, number in zip(labels, numbers, strict=True)]
    return division_named(shas, labels, [split] * len(labels), key)


def sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).hexdigest().encode()


def division_named(
    shas: list[bytes], labels: npt.NDArray[np.int32], splits: list[Split], key: bytes = b"three"
) -> ReleasePictures:
    places = np.array([SPLITS.index(split) for split in splits], np.uint8)
    images = np.array(sorted(shas), "S64")
    division = Division(np.searchsorted(images, shas), labels, places, 0, 0, 0, 0)
    pictures, found = named_pictures(WNIDS, images, division, key)
    assert images[found].tolist() == pictures.images.tolist()
    return pictures


def test_val_of_the_thousand_has_the_challenge_s_own_sequence_of_classes() -> None:
    sequence = official_val_sequence()
    # The first lines of ILSVRC2012_validation_ground_truth.txt.
    assert sequence[:8] == (490, 361, 171, 822, 297, 482, 13, 704)
    assert Counter(sequence) == dict.fromkeys(range(1, 1001), 50)
    val = named(Split.VAL, 50, b"three")
    ids = official_ids()
    assert [ids[one.wnid] for one in val] == list(sequence)
    assert [one.name for one in val] == [f"ILSVRC2012_val_{number:08d}" for number in range(1, 50_001)]
    assert len({one.sha256 for one in val}) == 50_000
    # Which of a class's pictures comes first is the seed's to say.
    other = named(Split.VAL, 50, b"four")
    assert [one.wnid for one in other] == [one.wnid for one in val]
    assert [one.sha256 for one in other] != [one.sha256 for one in val]


@pytest.mark.parametrize(("split", "each"), [(Split.VAL, 49), (Split.TEST, 50), (Split.REPLICATE, 50)])
def test_any_other_split_is_shuffled(split: Split, each: int) -> None:
    ids = [official_ids()[one.wnid] for one in named(split, each, b"three")]
    assert ids != sorted(ids)
    assert ids != list(official_val_sequence())[: len(ids)]


def test_pictures_whose_hashes_begin_alike_get_the_next_free_numbers_of_their_class() -> None:
    begin = [b"00000000000a", b"00000000000a", b"00000000000a", b"00000000000b", b"0000000000ff"]
    shas = [start + b"%052d" % number for number, start in enumerate(begin)]
    # The same in two classes: the one does not push the other's numbers.
    twice = [*shas, *(sha256[:-1] + b"9" for sha256 in shas)]
    labels = np.array([0, 1], np.int32).repeat(len(shas))
    named = division_named(twice, labels, [Split.TRAIN] * len(twice))
    assert [one.number for one in named] == [10, 11, 12, 13, 255] * 2
    assert [one.name for one in named][:2] == [f"{WNIDS[0]}_10", f"{WNIDS[0]}_11"]
