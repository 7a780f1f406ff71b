"""The pictures of a release as its own images.parquet lists them: each is a piece of a shard, or a file of a tree."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from imagenet_builder.errors import ReleaseError

from .files import ReleaseFiles

MANIFEST_NAME, IMAGES_NAME = "manifest.json", "images.parquet"
SPLITS = ("train", "val")
COLUMNS = ("file", "split", "wnid", "label", "bytes", "shard", "offset")
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Piece:
    """`size` bytes of a file of a release, from `offset`."""

    file: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ListedPicture:
    """A picture: the name that it has in ILSVRC's tree, its label, and where it stands."""

    path: str
    label: int
    piece: Piece


@dataclass(frozen=True)
class Listing:
    """What a release tells of train and val: classes in the order of labels, pictures by split; `digest` is the
    SHA-256 of its manifest."""

    wnids: tuple[str, ...]
    words: tuple[str, ...]
    pictures: Mapping[str, tuple[ListedPicture, ...]]
    digest: str


def told_apart(wnids: Iterable[str], words: Iterable[str]) -> tuple[str, ...]:
    """The words of every class; where WordNet has the same words twice (crane, maillot), with the wnid."""
    named = list(zip(wnids, words, strict=True))
    number = Counter(one for _, one in named)
    return tuple(one if number[one] == 1 else f"{one} ({wnid})" for wnid, one in named)


def has_list(files: ReleaseFiles) -> bool:
    """Whether it calls itself a release."""
    try:
        files.read(MANIFEST_NAME)
    except FileNotFoundError:
        return False
    return True


def read_list(files: ReleaseFiles) -> Listing:
    """Read the lists of a release; raises ReleaseError for what is none, or has its pictures in archives alone."""
    try:
        content = files.read(MANIFEST_NAME)
        manifest = json.loads(content)
        classes = manifest["classes"]
        in_tree = "ilsvrc" in manifest["settings"]["formats"]
        wnids = tuple(one["wnid"] for one in classes)
        words = told_apart(wnids, (", ".join(one["words"]) for one in classes))
        listed = pq.ParquetFile(pa.BufferReader(files.read(IMAGES_NAME)))
        pictures = {split: tuple(_pictures(files, listed, split, in_tree)) for split in SPLITS}
    except FileNotFoundError as error:
        raise ReleaseError(f"{files.name} is not a release: there is no {error.filename}") from error
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ReleaseError(f"{files.name} cannot be read as a release ({reason})") from error
    return Listing(wnids, words, pictures, sha256(content).hexdigest())


def _pictures(
    files: ReleaseFiles, listed: pq.ParquetFile, split: str, in_tree: bool
) -> Iterator[ListedPicture]:
    for batch in listed.iter_batches(ROWS_AT_ONCE, columns=list(COLUMNS)):
        columns = batch.filter(pa.compute.equal(batch["split"], split)).to_pydict()
        for file, wnid, label, size, shard, offset in zip(
            *(columns[name] for name in COLUMNS if name != "split"), strict=True
        ):
            path = f"{split}/{wnid}/{file}"
            if shard is not None:
                yield ListedPicture(path, label, Piece(shard, offset, size))
            elif in_tree:
                yield ListedPicture(path, label, Piece(path, 0, size))
            else:
                raise ReleaseError(
                    f"{files.name} has no pictures that can be read one by one: export it with --format webdataset, "
                    "mds, parquet or ilsvrc"
                )


def read_piece(files: ReleaseFiles, piece: Piece) -> bytes:
    """The bytes of a piece; raises ReleaseError when they are not there."""
    try:
        content = files.read_range(piece.file, piece.offset, piece.size)
    except FileNotFoundError as error:
        raise ReleaseError(
            f"{files.name} lacks {piece.file}: the release is damaged; run `imagenet-builder verify-release`"
        ) from error
    if len(content) != piece.size:
        raise ReleaseError(
            f"{piece.file} of {files.name} is cut off: the release is damaged; run `imagenet-builder verify-release`"
        )
    return content
