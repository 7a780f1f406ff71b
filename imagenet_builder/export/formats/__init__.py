"""The formats of a release: one module each, all of one shape."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.parts import Part
from imagenet_builder.export.tree import Listed, Tree


class PartWriter(Protocol):
    """Takes the pictures of a part, in their order, with their JPEGs.

    Where they all stand in one file as they are, `offsets` says where in it each begins, once the part is written.
    """

    offsets: Sequence[int]

    def add(self, picture: ReleasePicture, content: bytes) -> None:
        """Write a picture."""


class ReleaseFormat(Protocol):
    """Writes a release part by part.

    `begin` and `finish` see the whole release; `part` may run in another process, where `release` has no pictures, and
    several parts are written at once. A format that is `in_order` has one file a split, for which its parts are whole
    splits. Paths, and nothing else, keep formats apart that share a tree. Nothing that is written tells the class of a
    hidden picture. The same release and pictures give the same bytes.
    """

    in_order: bool

    def begin(self, release: Release, tree: Tree) -> None:
        """Write what needs no picture."""

    def part(self, release: Release, part: Part, tree: Tree) -> AbstractContextManager[PartWriter]:
        """Write a part; it is finished on leaving, unless by an exception."""

    def shard(self, part: Part) -> str | None:
        """The path of the file that all of a part's pictures stand in as they are, if that is so."""

    def finish(self, release: Release, tree: Tree, shards: Mapping[str, Listed]) -> None:
        """Write what tells of all parts; `shards` has their large files by path."""


class Plain:
    """What formats share that write each picture as a file, or need nothing but parts."""

    in_order = False

    def begin(self, release: Release, tree: Tree) -> None:
        """See `ReleaseFormat`."""

    def shard(self, part: Part) -> str | None:
        """See `ReleaseFormat`."""
        return None

    def finish(self, release: Release, tree: Tree, shards: Mapping[str, Listed]) -> None:
        """See `ReleaseFormat`."""


class PictureFiles:
    """Writes each picture as a file, at the path that `path_of` gives; see `PartWriter`."""

    offsets: Sequence[int] = ()

    def __init__(self, tree: Tree, path_of: Callable[[ReleasePicture], str]) -> None:
        self._tree, self._path_of = tree, path_of

    def add(self, picture: ReleasePicture, content: bytes) -> None:
        """See `PartWriter`."""
        self._tree.write(self._path_of(picture), content)


# Those that write pictures; `croissant` describes what they wrote.
FORMATS = {
    "ilsvrc": "ilsvrc:Ilsvrc",
    "ilsvrc-archives": "ilsvrc_archives:IlsvrcArchives",
    "kaggle": "kaggle:Kaggle",
    "webdataset": "webdataset:WebDataset",
    "parquet": "parquet:Parquet",
    "mds": "mds:Mds",
}


def find_format(name: str) -> ReleaseFormat:
    """The format called `name`; raises ReleaseError when there is none."""
    if name not in FORMATS:
        known = ", ".join([*FORMATS, "croissant"])
        raise ReleaseError(f"there is no format {name!r}; known are {known}")
    module, _, kind = FORMATS[name].partition(":")
    found: ReleaseFormat = getattr(importlib.import_module(f"{__name__}.{module}"), kind)()
    return found
