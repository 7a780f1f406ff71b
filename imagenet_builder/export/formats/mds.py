"""MosaicML's streaming format, in `mds/{train,val,test}/`: `index.json` and shards, as `MDSWriter` 0.13 writes them.

A shard is: number of samples, the offset of every sample and of the end (32 bits each, little-endian), the columns as
JSON, then the samples, each with the sizes of its fields of variable length before them. The columns `x` and `y` are
those of `streaming.vision.StreamingImageNet`; `file` is the picture's name; `y` is -1 in test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import AddPicture
from imagenet_builder.export.shards import interleaved_lengths, interleaved_shards
from imagenet_builder.export.tree import Tree
from imagenet_builder.records import Split

FOLDER = "mds"
BUFFER = 1 << 16
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


@contextmanager
def write_mds(release: Release, tree: Tree) -> Iterator[AddPicture]:
    """Write the shards; see `ReleaseFormat`. Raises ReleaseError for a shard that its 32-bit offsets cannot reach."""
    lengths = interleaved_lengths(release)
    sizes: dict[tuple[Split, int], int] = {}

    @contextmanager
    def shard(split: Split, number: int) -> Iterator[AddPicture]:
        path = f"{FOLDER}/{split}/{_shard_name(number)}"
        with tree.open(path, BUFFER) as file:
            offsets = [UINT32.itemsize * (lengths[split][number] + 2) + len(COLUMNS)]
            # The offsets are known when everything is written.
            file.write(bytes(offsets[0] - len(COLUMNS)) + COLUMNS)

            def add(picture: ReleasePicture, content: bytes) -> None:
                sample = _sample(picture.file_name, content, release.label_of(picture))
                offsets.append(offsets[-1] + len(sample))
                file.write(sample)

            yield add
            if offsets[-1] > LARGEST_SHARD:
                raise ReleaseError(f"the pictures are too large for {path}: reduce them with --resize")
            file.seek(0)
            file.write(np.array([lengths[split][number], *offsets], UINT32).tobytes())
            sizes[split, number] = offsets[-1]

    with interleaved_shards(release, shard) as add:
        yield add
    for split in lengths:
        shards = [
            _shard(number, length, sizes[split, number]) for number, length in enumerate(lengths[split])
        ]
        index = json.dumps({"shards": shards, "version": 2}, sort_keys=True)
        tree.write(f"{FOLDER}/{split}/index.json", index.encode("ascii"))


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


def _sample(file_name: str, content: bytes, label: int) -> bytes:
    name = file_name.encode()
    return b"".join(
        [
            np.array([len(name), len(content)], UINT32).tobytes(),
            name,
            content,
            np.array(label, INT64).tobytes(),
        ]
    )


def _shard(number: int, length: int, size: int) -> dict[str, Any]:
    written = {"basename": _shard_name(number), "bytes": size, "hashes": {}}
    return {"samples": length, "raw_data": written, "zip_data": None, **SETTINGS}
