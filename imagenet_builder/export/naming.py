"""The order of a release's pictures and the numbers in their file names. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from imagenet_builder.records import Split
from wordnet_synsets.select import official_ids, official_val_sequence

from .description import SPLITS, ReleasePictures
from .split import Division, Rows, keyed_ranks

# Twelve hexadecimal digits: two pictures of a class practically never share them, and any reader's integer holds them.
NUMBER_DIGITS = 12
HELD_OUT = (Split.VAL, Split.TEST, Split.REPLICATE)


def named_pictures(
    wnids: Sequence[str], images: npt.NDArray[np.bytes_], division: Division, key: bytes
) -> tuple[ReleasePictures, Rows]:
    """The pictures in release order, and their places in `images`.

    A train picture keeps its number in every release; the others are shuffled. `wnids` are the classes, sorted;
    `images` (sorted) and `key` those of `divide`.
    """
    in_train = np.flatnonzero(division.splits == SPLITS.index(Split.TRAIN))
    shas = images[division.images]
    train = in_train[np.lexsort((division.images[in_train], division.labels[in_train]))]
    orders, numbers = [train], [_train_numbers(shas[train], division.labels[train])]
    for split in HELD_OUT:
        order = np.flatnonzero(division.splits == SPLITS.index(split))
        ranks = keyed_ranks(key, f"order of {split}", shas[order].tolist())
        order = order[sorted(range(len(ranks)), key=ranks.__getitem__)]
        if split is Split.VAL:
            order = order[_official_order([wnids[label] for label in division.labels[order].tolist()])]
        orders.append(order)
        numbers.append(np.arange(1, len(order) + 1))
    order = np.concatenate(orders)
    splits, labels = division.splits[order], division.labels[order]
    pictures = ReleasePictures(wnids, splits, labels, shas[order], np.concatenate(numbers))
    return pictures, division.images[order]


def _train_numbers(shas: npt.NDArray[np.bytes_], labels: npt.NDArray[np.int32]) -> Rows:
    """The first digits of each SHA-256, or the next number that is free in its class; both are in order."""
    letters = shas.view(np.uint8).reshape(-1, shas.itemsize)[:, :NUMBER_DIGITS].astype(np.int64)
    digits = np.where(letters >= ord("a"), letters - ord("a") + 10, letters - ord("0"))
    numbers: Rows = digits @ 16 ** np.arange(NUMBER_DIGITS - 1, -1, -1)
    starts = np.flatnonzero(np.diff(labels)) + 1
    for first, end in pairwise([0, *starts.tolist(), len(shas)]):
        # In ascending order a number that is taken is followed by taken ones only, up to the last that was given.
        steps = np.arange(end - first)
        numbers[first:end] = np.maximum.accumulate(numbers[first:end] - steps) + steps
    return numbers


def _official_order(wnids: Sequence[str]) -> Sequence[int]:
    """Places in the challenge's own sequence of classes, where val has its 50 pictures of each of its thousand classes;
    else as they are.

    TensorFlow Datasets labels val by a list of its own, by file-name rank: only so does it read every label right.
    """
    sequence = official_val_sequence()
    ids = official_ids()
    of_class: dict[int, list[int]] = {}
    for place, wnid in enumerate(wnids):
        of_class.setdefault(ids.get(wnid, 0), []).append(place)
    if {class_id: len(of_one) for class_id, of_one in of_class.items()} != Counter(sequence):
        return range(len(wnids))
    waiting: dict[int, Iterator[int]] = {class_id: iter(of_one) for class_id, of_one in of_class.items()}
    return [next(waiting[class_id]) for class_id in sequence]
