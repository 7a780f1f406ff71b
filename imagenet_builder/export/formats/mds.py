"""MosaicML's streaming format, in `mds/{train,val,test}/`: `index.json` and shards, as `MDSWriter` 0.13 writes them.

A shard is: number of samples, the offset of every sample and of the end (32 bits each, little-endian), the columns as
JSON, then the samples, each with the sizes of its fields of variable length before them. The columns `x` and `y` are
those of `streaming.vision.StreamingImageNet`; `file` is the picture's name; `y` is -1 in test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np

from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import Plain
from imagenet_builder.export.parts import Part, part_lengths
from imagenet_builder.export.tree import Listed, Tree

FOLDER = "mds"
UINT32, INT64 = np.dtype("<u4"), np.dtype("<i8")
LARGEST_SHARD = 2**32 - 1
SETTINGS: dict[str, Any] = {
    "version": 2,
    "format": "mds",
    "compression": None,
    "hashes": [],
    "size_limit": None,
    "column_names": ["file", "x", "y"],
    "column_encodings": ["str", "jpeg", "int"],
    "column_sizes": [None, None, INT64.itemsize],
}
COLUMNS = json.dumps(SETTINGS, sort_keys=True).encode("ascii")


class Mds(Plain):
    """The shards; see `ReleaseFormat`. Raises ReleaseError for a shard that its 32-bit offsets cannot reach."""

    def shard(self, part: Part) -> str:
        """See `ReleaseFormat`."""
        return f"{FOLDER}/{part.split}/{_shard_name(part.number)}"

    @contextmanager
    def part(self, release: Release, part: Part, tree: Tree) -> Iterator[_Samples]:
        """See `ReleaseFormat`."""
        path = self.shard(part)
        with tree.open(path) as file:
            samples = _Samples(release, file, UINT32.itemsize * (len(part.pictures) + 2) + len(COLUMNS))
            yield samples
            if samples.ends[-1] > LARGEST_SHARD:
                raise ReleaseError(f"the pictures are too large for {path}: reduce them with --resize")
            # Where the samples are is known when all are written.
            file.seek(0)
            file.write(np.array([len(part.pictures), *samples.ends], UINT32).tobytes())

    def finish(self, release: Release, tree: Tree, shards: Mapping[str, Listed]) -> None:
        """See `ReleaseFormat`."""
        for split, lengths in part_lengths(release).items():
            listed = [
                _shard(number, length, shards[f"{FOLDER}/{split}/{_shard_name(number)}"].size)
                for number, length in enumerate(lengths)
            ]
            index = json.dumps({"shards": listed, "version": 2}, sort_keys=True)
            tree.write(f"{FOLDER}/{split}/index.json", index.encode("ascii"))


class _Samples:
    """Writes one shard; `ends` has where the first sample begins, and where each ends."""

    def __init__(self, release: Release, file: BinaryIO, begins: int) -> None:
        self._release, self._file = release, file
        self.ends = [begins]
        self.offsets: list[int] = []
        file.write(bytes(begins - len(COLUMNS)) + COLUMNS)

    def add(self, picture: ReleasePicture, content: bytes) -> None:
        name = picture.file_name.encode()
        head = np.array([len(name), len(content)], UINT32).tobytes() + name
        label = np.array(self._release.label_of(picture), INT64).tobytes()
        self._file.writelines([head, content, label])
        self.offsets.append(self.ends[-1] + len(head))
        self.ends.append(self.offsets[-1] + len(content) + INT64.itemsize)


def samples(shard: bytes) -> Iterator[tuple[str, bytes, int]]:
    """File name, JPEG and label of every sample in a shard that this module wrote."""
    (count,) = np.frombuffer(shard, UINT32, 1)
    offsets = np.frombuffer(shard, UINT32, int(count) + 1, UINT32.itemsize).tolist()
    for start, end in pairwise(offsets):
        name_size, size = np.frombuffer(shard, UINT32, 2, start).tolist()
        name_at = start + 2 * UINT32.itemsize
        picture_at = name_at + name_size
        (label,) = np.frombuffer(shard, INT64, 1, end - INT64.itemsize).tolist()
        yield shard[name_at:picture_at].decode(), shard[picture_at : picture_at + size], label


def _shard_name(number: int) -> str:
    return f"shard.{number:05d}.mds"


def _shard(number: int, length: int, size: int) -> dict[str, Any]:
    written = {"basename": _shard_name(number), "bytes": size, "hashes": {}}
    return {"samples": length, "raw_data": written, "zip_data": None, **SETTINGS}
