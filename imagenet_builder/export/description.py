"""A release as formats see it: classes, hierarchy and pictures, all decided before the first byte is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from imagenet_builder.records import Split

# By their places, as columns have them.
SPLITS = tuple(Split)
SHA256_LETTERS = "S64"
# Rows that are objects at the same time.
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class ReleaseClass:
    """A class. `index` (from 0) is its place among the sorted wnids, which frameworks use as the label;
    `ilsvrc_id` (from 1) is its ILSVRC2012_ID. `words` have spaces. `train` … `replicate` count pictures.
    """

    wnid: str
    index: int
    ilsvrc_id: int
    name: str
    words: tuple[str, ...]
    gloss: str
    train: int
    val: int
    test: int
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """A synset of the release's hierarchy, as in the devkit's meta.mat; `children` are ILSVRC2012_IDs."""

    ilsvrc_id: int
    wnid: str
    words: str
    gloss: str
    children: tuple[int, ...]
    wordnet_height: int
    train: int


class ReleasePicture(NamedTuple):
    """A picture: `sha256` is that of the image in the store, `number` the one in its file name."""

    split: Split
    wnid: str
    sha256: str
    number: int

    @property
    def name(self) -> str:
        """ILSVRC's file name without the ending; names of all splits but train tell nothing of the class."""
        if self.split is Split.TRAIN:
            return f"{self.wnid}_{self.number}"
        return f"ILSVRC2012_{self.split}_{self.number:08d}"

    @property
    def file_name(self) -> str:
        """ILSVRC's file name."""
        return f"{self.name}.JPEG"


class ReleasePictures(Sequence[ReleasePicture]):
    """Pictures in columns, a row each: a release may have millions.

    `wnids` are the release's classes; `splits` has places in SPLITS, in ascending order, `labels` places in `wnids`,
    `images` SHA-256 as hexadecimal bytes, `numbers` those in file names.
    """

    def __init__(
        self,
        wnids: Sequence[str],
        splits: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int32],
        images: npt.NDArray[np.bytes_],
        numbers: npt.NDArray[np.int64],
    ) -> None:
        self.wnids = tuple(wnids)
        self.splits, self.labels, self.images, self.numbers = splits, labels, images, numbers

    @classmethod
    def of(cls, wnids: Sequence[str], pictures: Iterable[ReleasePicture] = ()) -> ReleasePictures:
        """These pictures, in their order, which must be that of a release."""
        some = tuple(pictures)
        place_of = {wnid: place for place, wnid in enumerate(wnids)}
        return cls(
            wnids,
            np.array([SPLITS.index(one.split) for one in some], np.uint8),
            np.array([place_of[one.wnid] for one in some], np.int32),
            np.array([one.sha256.encode("ascii") for one in some], SHA256_LETTERS),
            np.array([one.number for one in some], np.int64),
        )

    def __len__(self) -> int:
        return len(self.splits)

    @overload
    def __getitem__(self, place: int) -> ReleasePicture: ...
    @overload
    def __getitem__(self, place: slice) -> ReleasePictures: ...

    def __getitem__(self, place: int | slice) -> ReleasePicture | ReleasePictures:
        if isinstance(place, slice):
            return ReleasePictures(self.wnids, *(column[place] for column in self._columns()))
        split, label, image, number = (column[place] for column in self._columns())
        return ReleasePicture(SPLITS[split], self.wnids[label], image.decode("ascii"), int(number))

    def __iter__(self) -> Iterator[ReleasePicture]:
        for start in range(0, len(self), ROWS_AT_ONCE):
            splits, labels, images, numbers = (
                column[start : start + ROWS_AT_ONCE] for column in self._columns()
            )
            yield from map(
                ReleasePicture,
                map(SPLITS.__getitem__, splits.tolist()),
                map(self.wnids.__getitem__, labels.tolist()),
                images.astype(np.str_).tolist(),
                numbers.tolist(),
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReleasePictures):
            return NotImplemented
        return self.wnids == other.wnids and all(map(np.array_equal, self._columns(), other._columns()))

    __hash__ = None  # type: ignore[assignment]

    def of_split(self, split: Split) -> ReleasePictures:
        """The pictures of one split."""
        place = SPLITS.index(split)
        first, end = np.searchsorted(self.splits, [place, place + 1]).tolist()
        return self[first:end]

    def _columns(self) -> tuple[npt.NDArray[Any], ...]:
        return self.splits, self.labels, self.images, self.numbers


@dataclass(frozen=True)
class Release:
    """A release. Classes stand by wnid, nodes by ILSVRC2012_ID; pictures: train by class and number, then
    val, test, replicate."""

    title: str
    classes: tuple[ReleaseClass, ...]
    nodes: tuple[Node, ...]
    pictures: ReleasePictures

    @cached_property
    def class_of(self) -> Mapping[str, ReleaseClass]:
        """Wnid → class."""
        return {one.wnid: one for one in self.classes}

    def label_of(self, picture: ReleasePicture) -> int:
        """What may be said of a picture's class: its `index`, and for hidden splits -1."""
        return -1 if picture.split.hidden else self.class_of[picture.wnid].index

    def of_split(self, split: Split) -> ReleasePictures:
        """The pictures of one split, in release order."""
        return self.pictures.of_split(split)
