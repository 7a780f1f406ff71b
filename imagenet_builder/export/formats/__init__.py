"""The formats of a release: one module each, all of one shape."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.tree import Tree

AddPicture = Callable[[ReleasePicture, bytes], None]


class ReleaseFormat(Protocol):
    """Writes a release into a tree.

    Entering writes what needs no picture and gives a function that is then called with every picture of
    `release.pictures`, in their order, and its JPEG; leaving finishes, unless by an exception. Paths, and nothing
    else, keep formats apart that share a tree. Nothing that is written tells the class of a test picture. The same
    release and pictures give the same bytes.
    """

    def __call__(self, release: Release, tree: Tree) -> AbstractContextManager[AddPicture]: ...


# Those that write pictures; `croissant` describes what they wrote.
FORMATS = {
    "ilsvrc": "ilsvrc:write_ilsvrc",
    "ilsvrc-archives": "ilsvrc_archives:write_ilsvrc_archives",
    "kaggle": "kaggle:write_kaggle",
    "webdataset": "webdataset:write_webdataset",
    "parquet": "parquet:write_parquet",
    "mds": "mds:write_mds",
}


def find_format(name: str) -> ReleaseFormat:
    """The format called `name`; raises ReleaseError when there is none."""
    if name not in FORMATS:
        known = ", ".join([*FORMATS, "croissant"])
        raise ReleaseError(f"there is no format {name!r}; known are {known}")
    module, _, function = FORMATS[name].partition(":")
    found: ReleaseFormat = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    return found
