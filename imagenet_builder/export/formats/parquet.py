"""Parquet as Hugging Face's `datasets` writes pictures: `data/SPLIT-0000i-of-0000N.parquet`, columns image and label.

The schema's metadata holds the features (Image, ClassLabel). In test the label is -1. pyarrow writes its version into
every file: the same version gives the same bytes, and the manifest names it.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import Plain
from imagenet_builder.export.parts import SPLIT_NAMES, Part
from imagenet_builder.export.tree import Tree
from imagenet_builder.records import Split
from imagenet_builder.train.listing import told_apart

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

FOLDER = "data"
# What a reader has to hold to look at one picture.
GROUP_PICTURES, GROUP_BYTES = 100, 64 << 20
# In front of every value that is stored plainly, and how much of a picture is compared.
LENGTH_BYTES, KNOWN_BY = 4, 256
# JPEG does not compress any further; stored plainly, a picture can also be read without reading its row group.
STORED: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_statistics": ["label"]}


class Parquet(Plain):
    """The files; see `ReleaseFormat`."""

    def shard(self, part: Part) -> str:
        """See `ReleaseFormat`."""
        return f"{FOLDER}/{shard_name(part.split, part.number, part.count)}"

    @contextmanager
    def part(self, release: Release, part: Part, tree: Tree) -> Iterator[_Groups]:
        """See `ReleaseFormat`."""
        schema = _schema(release)
        with tree.open(self.shard(part)) as file:
            sink = _Sink(file)
            with pq.ParquetWriter(sink, schema, **STORED) as writer:
                groups = _Groups(release, sink, writer, schema)
                yield groups
                groups.end()


def shard_name(split: Split, number: int, count: int) -> str:
    """The file name of a shard, numbered from 0 to `count` - 1."""
    return f"{SPLIT_NAMES[split]}-{number:05d}-of-{count:05d}.parquet"


def label_names(release: Release) -> list[str]:
    """The words of every class by label, each another."""
    classes = release.classes
    return list(told_apart((one.wnid for one in classes), (", ".join(one.words) for one in classes)))


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

    def __init__(self, release: Release, sink: _Sink, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._release = release
        self._sink = sink
        self._writer = writer
        self._schema = schema
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0
        self.offsets: list[int] = []

    def add(self, picture: ReleasePicture, content: bytes) -> None:
        """Take a picture; it is written with the rest of its row group."""
        shown = {"bytes": content, "path": picture.file_name}
        self._waiting.append({"image": shown, "label": self._release.label_of(picture)})
        self._bytes += len(content)
        if len(self._waiting) == GROUP_PICTURES or self._bytes >= GROUP_BYTES:
            self.end()

    def end(self) -> None:
        """End the row group."""
        if self._waiting:
            contents = [row["image"]["bytes"] for row in self._waiting]
            with self._sink.looking_for(contents) as offsets:
                self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
            self.offsets += offsets
        self._waiting, self._bytes = [], 0


class _Sink(io.RawIOBase):
    """Passes on what is written, and finds pictures in it: Parquet has no place to ask where a value begins."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._wanted: deque[bytes] = deque()
        self._found: list[int] = []

    @contextmanager
    def looking_for(self, contents: Sequence[bytes]) -> Iterator[list[int]]:
        """Look for contents in what is written in the context; the offset of each is added to the list."""
        self._wanted, self._found = deque(contents), []
        yield self._found

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, content: Buffer, /) -> int:
        page, starts, at = bytes(content), self._file.tell(), 0
        while self._wanted and (at := page.find(_stored(self._wanted[0]), at)) >= 0:
            picture = self._wanted.popleft()
            self._found.append(starts + at + LENGTH_BYTES)
            at += LENGTH_BYTES + len(picture)
        self._file.write(page)
        return len(page)


def _stored(content: bytes) -> bytes:
    """How a picture begins in a page: its length, then itself. So much of it is enough to know it by, because the
    next is looked for behind the last."""
    return len(content).to_bytes(LENGTH_BYTES, "little") + content[:KNOWN_BY]
