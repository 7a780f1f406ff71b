"""WebDataset: tars in `webdataset/` whose members `NAME.jpg`, `NAME.cls`, `NAME.json` are one picture.

Every split has the same members with the same keys, because Hugging Face's reader takes the columns from the first; in
test the label is -1 and the wnid empty. `_info.json` is what timm reads beside the tars.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import AddPicture
from imagenet_builder.export.shards import SPLIT_NAMES, interleaved_lengths, interleaved_shards
from imagenet_builder.export.tar import tar_member, write_tar_end
from imagenet_builder.export.tree import Tree
from imagenet_builder.records import Split

FOLDER = "webdataset"
# Up to 400 shards are open at once.
BUFFER = 1 << 16


@contextmanager
def write_webdataset(release: Release, tree: Tree) -> Iterator[AddPicture]:
    """Write the shards; see `ReleaseFormat`."""
    tree.write(f"{FOLDER}/_info.json", _shard_list(release))

    @contextmanager
    def shard(split: Split, number: int) -> Iterator[AddPicture]:
        with tree.open(f"{FOLDER}/{shard_name(split, number)}", BUFFER) as file:
            yield lambda picture, content: file.writelines(_members(release, picture, content))
            write_tar_end(file)

    with interleaved_shards(release, shard) as add:
        yield add


def shard_name(split: Split, number: int) -> str:
    """The file name of a shard, numbered from 0."""
    return f"{SPLIT_NAMES[split]}-{number:06d}.tar"


def _members(release: Release, picture: ReleasePicture, content: bytes) -> Iterator[bytes]:
    label = release.label_of(picture)
    known = picture.wnid if label >= 0 else ""
    described = {"file": picture.file_name, "label": label, "wnid": known}
    yield from tar_member(f"{picture.name}.cls", str(label).encode("ascii"))
    yield from tar_member(f"{picture.name}.jpg", content)
    yield from tar_member(f"{picture.name}.json", json.dumps(described).encode("ascii"))


def _shard_list(release: Release) -> bytes:
    splits = {
        SPLIT_NAMES[split]: {
            "name": SPLIT_NAMES[split],
            "filenames": [shard_name(split, number) for number in range(len(lengths))],
            "shard_lengths": list(lengths),
            "num_samples": sum(lengths),
        }
        for split, lengths in interleaved_lengths(release).items()
    }
    return (json.dumps({"splits": splits}, indent=1) + "\n").encode()
