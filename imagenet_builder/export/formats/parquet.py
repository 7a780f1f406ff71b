"""Parquet as Hugging Face's `datasets` writes pictures: `data/SPLIT-0000i-of-0000N.parquet`, columns image and label.

The schema's metadata holds the features (Image, ClassLabel). In test the label is -1. pyarrow writes its version into
every file: the same version gives the same bytes, and the manifest names it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import AddPicture
from imagenet_builder.export.shards import SPLIT_NAMES, consecutive_lengths, consecutive_shards
from imagenet_builder.export.tree import Tree
from imagenet_builder.records import Split

FOLDER = "data"
# What a reader has to hold to look at one picture.
GROUP_PICTURES, GROUP_BYTES = 100, 64 << 20
# JPEG does not compress any further.
STORED: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_statistics": ["label"]}


@contextmanager
def write_parquet(release: Release, tree: Tree) -> Iterator[AddPicture]:
    """Write the files; see `ReleaseFormat`."""
    lengths, schema = consecutive_lengths(release), _schema(release)

    @contextmanager
    def shard(split: Split, number: int) -> Iterator[AddPicture]:
        path = f"{FOLDER}/{shard_name(split, number, len(lengths[split]))}"
        with tree.open(path) as file, pq.ParquetWriter(file, schema, **STORED) as writer:
            groups = _Groups(release, writer, schema)
            yield groups.add
            groups.end()

    with consecutive_shards(release, shard) as add:
        yield add


def shard_name(split: Split, number: int, count: int) -> str:
    """The file name of a shard, numbered from 0 to `count` - 1."""
    return f"{SPLIT_NAMES[split]}-{number:05d}-of-{count:05d}.parquet"


def label_names(release: Release) -> list[str]:
    """The words of every class by label; where WordNet has the same words twice (crane, maillot), with the wnid."""
    joined = {one.wnid: ", ".join(one.words) for one in release.classes}
    number = Counter(joined.values())
    return [words if number[words] == 1 else f"{words} ({wnid})" for wnid, words in joined.items()]


def _schema(release: Release) -> pa.Schema:
    features = {
        "image": {"_type": "Image"},
        "label": {"names": label_names(release), "_type": "ClassLabel"},
    }
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([("image", picture), ("label", pa.int64())], metadata)


class _Groups:
    """Writes one file, row group by row group."""

    def __init__(self, release: Release, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._release = release
        self._writer = writer
        self._schema = schema
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, picture: ReleasePicture, content: bytes) -> None:
        shown = {"bytes": content, "path": picture.file_name}
        self._waiting.append({"image": shown, "label": self._release.label_of(picture)})
        self._bytes += len(content)
        if len(self._waiting) == GROUP_PICTURES or self._bytes >= GROUP_BYTES:
            self.end()

    def end(self) -> None:
        """End the row group."""
        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting, self._bytes = [], 0
