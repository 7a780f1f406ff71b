"""Pictures in shards: how many a split has, and which picture goes into which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

from imagenet_builder.records import Split

from .description import Release, ReleasePicture
from .formats import AddPicture

SHARD_PICTURES = 2_000
# Interleaved shards of a split are all open at once.
MOST_SHARDS = 400
# What readers call the splits.
SPLIT_NAMES: Mapping[Split, str] = {
    Split.TRAIN: "train",
    Split.VAL: "validation",
    Split.TEST: "test",
    Split.REPLICATE: "replicate",
}

OpenShard = Callable[[Split, int], AbstractContextManager[AddPicture]]


def interleaved_lengths(release: Release) -> dict[Split, tuple[int, ...]]:
    """Pictures in every shard of every split that has any, for `interleaved_shards`: as equal as can be."""
    return {
        split: tuple((count + shards - 1 - number) // shards for number in range(shards))
        for split, count in _counts(release).items()
        for shards in [min(-(-count // SHARD_PICTURES), MOST_SHARDS)]
    }


def consecutive_lengths(release: Release) -> dict[Split, tuple[int, ...]]:
    """Pictures in every shard of every split that has any, for `consecutive_shards`: all but the last are full."""
    return {
        split: (*[SHARD_PICTURES] * ((count - 1) // SHARD_PICTURES), (count - 1) % SHARD_PICTURES + 1)
        for split, count in _counts(release).items()
    }


def _counts(release: Release) -> dict[Split, int]:
    counts = Counter(picture.split for picture in release.pictures)
    return {split: counts[split] for split in Split if counts[split]}


@contextmanager
def interleaved_shards(release: Release, open_shard: OpenShard) -> Iterator[AddPicture]:
    """Deal the pictures of a split out to its shards in turn.

    Train comes class by class; dealt out, every shard holds pictures of every class, as readers need that shuffle
    whole shards and then only within a small buffer. `open_shard` opens a split's shard for the pictures given to it.
    """
    lengths = interleaved_lengths(release)
    with ExitStack() as stack:
        current: Split | None = None
        adders: list[AddPicture] = []
        turn = 0

        def add(picture: ReleasePicture, content: bytes) -> None:
            nonlocal current, turn
            if picture.split is not current:
                stack.close()
                current, turn = picture.split, 0
                adders[:] = (
                    stack.enter_context(open_shard(picture.split, number))
                    for number in range(len(lengths[picture.split]))
                )
            adders[turn](picture, content)
            turn = (turn + 1) % len(adders)

        yield add


@contextmanager
def consecutive_shards(release: Release, open_shard: OpenShard) -> Iterator[AddPicture]:
    """Fill one shard of a split after the other, with one open at a time; see `interleaved_shards`."""
    with ExitStack() as stack:
        current: tuple[Split, int] | None = None
        written: Counter[Split] = Counter()
        adders: list[AddPicture] = []

        def add(picture: ReleasePicture, content: bytes) -> None:
            nonlocal current
            place = picture.split, written[picture.split] // SHARD_PICTURES
            if place != current:
                stack.close()
                current = place
                adders[:] = [stack.enter_context(open_shard(*place))]
            adders[0](picture, content)
            written[picture.split] += 1

        yield add
