"""A release in parts that are written independently of one another, by as many processes as there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagenet_builder.records import Split

if TYPE_CHECKING:
    from .description import Release, ReleasePictures

# Also the pictures of a shard.
PART_PICTURES = 2_000
# What readers call the splits.
SPLIT_NAMES: Mapping[Split, str] = {
    Split.TRAIN: "train",
    Split.VAL: "validation",
    Split.TEST: "test",
    Split.REPLICATE: "replicate",
}


@dataclass(frozen=True, slots=True)
class Part:
    """The pictures of a split's part `number` of `count`; `places` are theirs among the pictures of the release."""

    split: Split
    number: int
    count: int
    places: range
    pictures: ReleasePictures


def part_lengths(release: Release) -> dict[Split, tuple[int, ...]]:
    """Pictures in every part of every split that has any, as equal as can be."""
    counts = {split: len(release.of_split(split)) for split in Split}
    return {
        split: tuple((counts[split] + parts - 1 - number) // parts for number in range(parts))
        for split in Split
        if counts[split]
        for parts in [-(-counts[split] // PART_PICTURES)]
    }


def dealt_parts(release: Release) -> Iterator[Part]:
    """Parts of about PART_PICTURES, to which the pictures of a split are dealt out in turn.

    Train comes class by class; dealt out, every shard holds pictures of every class, as readers need that shuffle
    whole shards and then only within a small buffer.
    """
    first = 0
    for split, lengths in part_lengths(release).items():
        end = first + sum(lengths)
        for number in range(len(lengths)):
            places = range(first + number, end, len(lengths))
            yield Part(
                split, number, len(lengths), places, release.pictures[places.start : end : len(lengths)]
            )
        first = end


def whole_splits(release: Release) -> Iterator[Part]:
    """A part for each split, with its pictures in the release's order."""
    first = 0
    for split, lengths in part_lengths(release).items():
        places = range(first, first + sum(lengths))
        yield Part(split, 0, 1, places, release.pictures[places.start : places.stop])
        first = places.stop
