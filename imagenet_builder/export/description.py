"""A release as formats see it: classes, hierarchy and pictures, all decided before the first byte is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from imagenet_builder.records import Split


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


@dataclass(frozen=True, slots=True)
class ReleasePicture:
    """A picture: `name` is its file name without the ending, `sha256` that of the image in the store."""

    split: Split
    wnid: str
    sha256: str
    name: str

    @property
    def file_name(self) -> str:
        """ILSVRC's file name; names of all splits but train tell nothing of the class."""
        return f"{self.name}.JPEG"


@dataclass(frozen=True)
class Release:
    """A release. Classes stand by wnid, nodes by ILSVRC2012_ID; pictures: train by class and number, then
    val, test, replicate."""

    title: str
    classes: tuple[ReleaseClass, ...]
    nodes: tuple[Node, ...]
    pictures: tuple[ReleasePicture, ...]

    @cached_property
    def class_of(self) -> Mapping[str, ReleaseClass]:
        """Wnid → class."""
        return {one.wnid: one for one in self.classes}

    def label_of(self, picture: ReleasePicture) -> int:
        """What may be said of a picture's class: its `index`, and for hidden splits -1."""
        return -1 if picture.split.hidden else self.class_of[picture.wnid].index

    def of_split(self, split: Split) -> tuple[ReleasePicture, ...]:
        """The pictures of one split, in release order."""
        return tuple(picture for picture in self.pictures if picture.split is split)
