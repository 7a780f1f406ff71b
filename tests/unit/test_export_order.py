"""The order of a release's pictures, by which their files are named."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from imagenet_builder.export.plan import _named
from imagenet_builder.export.split import Placement
from imagenet_builder.records import Split
from wordnet_synsets.select import list_wnids, official_ids, official_val_sequence


def placements(split: Split, each: int) -> list[Placement]:
    return [
        Placement(split, wnid, hashlib.sha256(f"{wnid} {number}".encode()).hexdigest())
        for wnid in list_wnids("ilsvrc2012")
        for number in range(each)
    ]


def test_val_of_the_thousand_has_the_challenge_s_own_sequence_of_classes() -> None:
    sequence = official_val_sequence()
    # The first lines of ILSVRC2012_validation_ground_truth.txt.
    assert sequence[:8] == (490, 361, 171, 822, 297, 482, 13, 704)
    assert Counter(sequence) == dict.fromkeys(range(1, 1001), 50)
    named = list(_named(placements(Split.VAL, 50), b"three"))
    ids = official_ids()
    assert [ids[one.wnid] for one in named] == list(sequence)
    assert [one.name for one in named] == [f"ILSVRC2012_val_{number:08d}" for number in range(1, 50_001)]
    assert len({one.sha256 for one in named}) == 50_000
    # Which of a class's pictures comes first is the seed's to say.
    other = list(_named(placements(Split.VAL, 50), b"four"))
    assert [one.wnid for one in other] == [one.wnid for one in named]
    assert [one.sha256 for one in other] != [one.sha256 for one in named]


@pytest.mark.parametrize(("split", "each"), [(Split.VAL, 49), (Split.TEST, 50), (Split.REPLICATE, 50)])
def test_any_other_split_is_shuffled(split: Split, each: int) -> None:
    named = list(_named(placements(split, each), b"three"))
    ids = [official_ids()[one.wnid] for one in named]
    assert ids != sorted(ids)
    assert ids != list(official_val_sequence())[: len(ids)]
