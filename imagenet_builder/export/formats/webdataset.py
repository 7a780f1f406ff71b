"""WebDataset: tars in `webdataset/` whose members `NAME.jpg`, `NAME.cls`, `NAME.json` are one picture.

Every split has the same members with the same keys, because Hugging Face's reader takes the columns from the first; in
test the label is -1 and the wnid empty. `_info.json` is what timm reads beside the tars.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import Plain
from imagenet_builder.export.parts import SPLIT_NAMES, Part, part_lengths
from imagenet_builder.export.tar import tar_member, write_tar_end
from imagenet_builder.export.tree import Tree
from imagenet_builder.records import Split

FOLDER = "webdataset"


class WebDataset(Plain):
    """The shards; see `ReleaseFormat`."""

    def begin(self, release: Release, tree: Tree) -> None:
        """See `ReleaseFormat`."""
        tree.write(f"{FOLDER}/_info.json", _shard_list(release))

    def shard(self, part: Part) -> str:
        """See `ReleaseFormat`."""
        return f"{FOLDER}/{shard_name(part.split, part.number)}"

    @contextmanager
    def part(self, release: Release, part: Part, tree: Tree) -> Iterator[_Shard]:
        """See `ReleaseFormat`."""
        with tree.open(self.shard(part)) as file:
            yield _Shard(release, file)
            write_tar_end(file)


class _Shard:
    def __init__(self, release: Release, file: BinaryIO) -> None:
        self._release, self._file = release, file
        self.offsets: list[int] = []

    def add(self, picture: ReleasePicture, content: bytes) -> None:
        label = self._release.label_of(picture)
        described = {"file": picture.file_name, "label": label, "wnid": picture.wnid if label >= 0 else ""}
        members = {
            "cls": str(label).encode("ascii"),
            "jpg": content,
            "json": json.dumps(described).encode("ascii"),
        }
        before = self._file.tell()
        pieces: list[bytes] = []
        for ending, member in members.items():
            header, *rest = tar_member(f"{picture.name}.{ending}", member)
            if ending == "jpg":
                self.offsets.append(before + sum(map(len, pieces)) + len(header))
            pieces += [header, *rest]
        self._file.writelines(pieces)


def shard_name(split: Split, number: int) -> str:
    """The file name of a shard, numbered from 0."""
    return f"{SPLIT_NAMES[split]}-{number:06d}.tar"


def _shard_list(release: Release) -> bytes:
    splits = {
        SPLIT_NAMES[split]: {
            "name": SPLIT_NAMES[split],
            "filenames": [shard_name(split, number) for number in range(len(lengths))],
            "shard_lengths": list(lengths),
            "num_samples": sum(lengths),
        }
        for split, lengths in part_lengths(release).items()
    }
    return (json.dumps({"splits": splits}, indent=1) + "\n").encode()
