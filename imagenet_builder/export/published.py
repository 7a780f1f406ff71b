"""What each format of a release shows of its pictures, read back from disk: file, split, label and bytes."""

from __future__ import annotations

import csv
import io
import json
import struct
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_builder.records import Split

from .formats import ilsvrc, ilsvrc_archives, kaggle, mds, parquet, webdataset
from .parts import SPLIT_NAMES

Sums = Mapping[str, str]
# What reading a damaged file may raise.
UNREADABLE = (
    OSError,
    KeyError,
    ValueError,
    IndexError,
    TypeError,
    struct.error,
    tarfile.TarError,
    pa.ArrowException,
)
SPLIT_OF = {name: split for split, name in SPLIT_NAMES.items()}
HIDDEN_LABEL = -1


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as a format shows it; `label` is None where it tells none. `read` gives the JPEG."""

    file: str
    split: Split
    label: int | None
    sha256: str
    read: Callable[[], bytes]


def _in_memory(file: str, split: Split, label: int | None, content: bytes) -> Shown:
    return Shown(file, split, label, sha256(content).hexdigest(), lambda: content)


def _label(number: int) -> int | None:
    return None if number == HIDDEN_LABEL else number


def _labels(manifest: Mapping[str, Any]) -> dict[str, int]:
    return {one["wnid"]: one["index"] for one in manifest["classes"]}


def _files(folder: Path, sums: Sums, top: str) -> Iterator[tuple[tuple[str, ...], str, Callable[[], bytes]]]:
    """The parts of the paths below `top` that end in .JPEG, their checksums and contents."""
    for path, digest in sums.items():
        pure = PurePosixPath(path)
        if pure.suffix == ".JPEG" and pure.is_relative_to(top):
            yield pure.relative_to(top).parts, digest, partial(Path.read_bytes, folder / path)


def read_ilsvrc(folder: Path, sums: Sums, manifest: Mapping[str, Any]) -> Iterator[Shown]:
    """The tree; a class folder is a label."""
    labels = _labels(manifest)
    split_of = {str(Split.TRAIN): Split.TRAIN, str(Split.VAL): Split.VAL}
    split_of |= {name: split for split, name in ilsvrc.UNLABELLED.items()}
    for parts, digest, read in _files(folder, sums, "."):
        if parts[0] in split_of:
            label = labels[parts[1]] if len(parts) == 3 else None
            yield Shown(parts[-1], split_of[parts[0]], label, digest, read)


def read_kaggle(folder: Path, sums: Sums, manifest: Mapping[str, Any]) -> Iterator[Shown]:
    """Kaggle's layout; labels are those of the LOC_*_solution.csv and of train's folders."""
    labels = _labels(manifest)
    told: dict[str, int] = {}
    for path in sorted((folder / kaggle.FOLDER).glob("LOC_*_solution.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            told.update(
                (row["ImageId"], labels[row["PredictionString"].split()[0]]) for row in csv.DictReader(file)
            )
    for parts, digest, read in _files(folder, sums, kaggle.PICTURES):
        label = told.get(PurePosixPath(parts[-1]).stem)
        if len(parts) == 3 and label != labels[parts[1]]:
            raise ValueError(f"{'/'.join(parts)} is not in the folder of its class")
        yield Shown(parts[-1], Split(parts[0]), label, digest, read)


def read_archives(folder: Path, sums: Sums, manifest: Mapping[str, Any]) -> Iterator[Shown]:
    """The three archives; a class is a tar in that of train."""
    labels = _labels(manifest)
    # Of val they tell no label: that is in the devkit, a line a picture.
    index_of = {str(one["ilsvrc_id"]): one["index"] for one in manifest["classes"]}
    truth = iter(_ground_truth(folder))
    for split in Split:
        path = folder / ilsvrc_archives.archive_path(split)
        if not path.exists():
            continue
        with tarfile.open(path) as archive:
            for member in archive:
                content = _content(archive, member)
                if split is Split.TRAIN:
                    label = labels[PurePosixPath(member.name).stem]
                    yield from _class_archive(content, label)
                else:
                    known = index_of[next(truth, "a line that is missing")] if split is Split.VAL else None
                    yield _in_memory(member.name, split, known, content)


def _ground_truth(folder: Path) -> list[str]:
    kit = folder / ilsvrc_archives.FOLDER / f"{ilsvrc.DEVKIT}.tar.gz"
    with tarfile.open(kit) as archive:
        return _content(archive, archive.getmember(ilsvrc.GROUND_TRUTH)).decode("ascii").split()


def _class_archive(content: bytes, label: int) -> Iterator[Shown]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            yield _in_memory(member.name, Split.TRAIN, label, _content(archive, member))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is no file")
    return file.read()


def read_webdataset(folder: Path, sums: Sums, manifest: Mapping[str, Any]) -> Iterator[Shown]:
    """The shards; a sample is NAME.cls, NAME.jpg, NAME.json, in this order, and both tell the label."""
    labels = _labels(manifest) | {"": HIDDEN_LABEL}
    for path in _below(sums, webdataset.FOLDER, ".tar"):
        with tarfile.open(folder / path) as archive:
            members = iter(archive)
            for first in members:
                number = int(_content(archive, first))
                picture, described = next(members, None), next(members, None)
                if picture is None or described is None:
                    raise ValueError(f"{path} ends within a sample")
                content, told = _content(archive, picture), json.loads(_content(archive, described))
                if not number == told["label"] == labels[told["wnid"]]:
                    raise ValueError(f"{told['file']} has several labels")
                split = SPLIT_OF[PurePosixPath(path).name.rpartition("-")[0]]
                yield _in_memory(told["file"], split, _label(number), content)


def read_parquet(folder: Path, sums: Sums, manifest: Mapping[str, Any]) -> Iterator[Shown]:
    """The columns image and label."""
    for path in _below(sums, parquet.FOLDER, ".parquet"):
        split = SPLIT_OF[PurePosixPath(path).name.partition("-")[0]]
        with pq.ParquetFile(folder / path) as file:
            for batch in file.iter_batches(batch_size=parquet.GROUP_PICTURES):
                for row in batch.to_pylist():
                    yield _in_memory(row["image"]["path"], split, _label(row["label"]), row["image"]["bytes"])


def read_mds(folder: Path, sums: Sums, manifest: Mapping[str, Any]) -> Iterator[Shown]:
    """The columns file, x and y of the shards that every index.json names."""
    for path in _below(sums, mds.FOLDER, "index.json"):
        place = PurePosixPath(path).parent
        for shard in json.loads((folder / path).read_bytes())["shards"]:
            content = (folder / place / shard["raw_data"]["basename"]).read_bytes()
            for name, picture, label in mds.samples(content):
                yield _in_memory(name, Split(place.name), _label(label), picture)


def _below(sums: Sums, top: str, ending: str) -> list[str]:
    return sorted(path for path in sums if path.startswith(f"{top}/") and path.endswith(ending))


# Where the formats stand that keep many pictures, or their labels, in one file.
FOLDERS: Mapping[str, str] = {
    "ilsvrc-archives": ilsvrc_archives.FOLDER,
    "kaggle": kaggle.FOLDER,
    "webdataset": webdataset.FOLDER,
    "parquet": parquet.FOLDER,
    "mds": mds.FOLDER,
}
Reader = Callable[[Path, Sums, Mapping[str, Any]], Iterator[Shown]]
READERS: Mapping[str, Reader] = {
    "ilsvrc": read_ilsvrc,
    "ilsvrc-archives": read_archives,
    "kaggle": read_kaggle,
    "webdataset": read_webdataset,
    "parquet": read_parquet,
    "mds": read_mds,
}
