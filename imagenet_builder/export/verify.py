"""Checks a release on disk, with nothing but the release: checksums, counts, hidden labels, no picture on two sides."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_builder.errors import ReleaseError
from imagenet_builder.records import Split
from imagenet_builder.train.sealed import sealed_name

from .documents import KIND, LAYOUT, MANIFEST_NAME, OWN_CHECKSUM, own_checksum
from .formats.ilsvrc import GROUND_TRUTH
from .leaks import SplitLeaks
from .provenance import IMAGES_NAME, OPEN_COLUMNS
from .published import FOLDERS, READERS, UNREADABLE, Shown
from .tree import SUMS_NAME

MOST_THREADS = 8
ROWS_AT_ONCE = 10_000

Progress = Callable[[int, int], None]


class Listed(NamedTuple):
    """What images.parquet says of a picture; label and class are None where they are hidden."""

    split: Split
    label: int | None
    sha256: str
    wnid: str | None


def one_line(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def verify_release(
    folder: Path, *, near_duplicates: bool = True, progress: Progress | None = None
) -> list[str]:
    """Check everything that a release says of itself; returns one line a problem, none for a sound release.

    Every file against SHA256SUMS, SHA256SUMS against the manifest and that against what it says of itself, files that
    nobody listed, folders with nothing in them, images.parquet against the
    manifest, the pictures of every format against images.parquet (the same bytes and labels, and none for hidden
    splits), the ground truth of val, and, decoding every picture, that no two splits hold the same picture or
    near-duplicates. Raises ReleaseError when `folder` is no release.
    """
    found = _problems(folder, near_duplicates, progress)
    # Anybody may have named what is told of: it stays on its line, and a terminal does nothing it says.
    return [one if one.isprintable() else repr(one)[1:-1] for one in found]


def _problems(folder: Path, near_duplicates: bool, progress: Progress | None) -> list[str]:
    manifest = read_manifest(folder)
    problems: list[str] = []
    if manifest.get(OWN_CHECKSUM) != own_checksum(manifest):
        problems.append(f"{MANIFEST_NAME} was changed")
    sums = _sums(folder, manifest, problems)
    problems += _unlisted(folder, sums)
    sound = set(_check_files(folder, sums, problems, progress))
    if IMAGES_NAME not in sums:
        problems.append(f"there is no {IMAGES_NAME}: nothing says what the pictures are")
    if IMAGES_NAME not in sound:
        return problems
    listed = _check_images(folder, manifest, sums, problems)
    formats = [name for name in manifest["settings"]["formats"] if name in READERS]
    if "ilsvrc" in formats:
        problems += _check_ground_truth(folder, listed, manifest)
    unsound = sums.keys() - sound
    lost = {PurePosixPath(path).name for path in unsound}
    readable = {path: sums[path] for path in sums if path in sound}
    waiting = SplitLeaks() if near_duplicates else None
    for name in formats:
        top = FOLDERS.get(name)
        if top and any(path.startswith(f"{top}/") and not path.endswith(".JPEG") for path in unsound):
            # Told already, and what a damaged shard holds is anybody's guess.
            continue
        # Every format holds the same pictures: decoding those of the first that can be read is enough.
        near, waiting = waiting, None
        problems += _check_format(name, READERS[name](folder, readable, manifest), listed, lost, near)
        if near is not None:
            problems += near.finish()
    return problems


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of the release in `folder`; raises ReleaseError when that is none."""
    path = folder / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ReleaseError(f"{folder} is not a release: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ReleaseError(f"{path} is damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise ReleaseError(f"{path} is not the manifest of a release")
    if manifest.get("layout") != LAYOUT:
        raise ReleaseError(
            f"{path} has layout {manifest.get('layout')}, this program knows {LAYOUT}: update it"
        )
    return manifest


def _sums(folder: Path, manifest: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    """Path → SHA-256, as SHA256SUMS lists them."""
    try:
        content = (folder / SUMS_NAME).read_bytes()
    except OSError as error:
        raise ReleaseError(f"{folder} is not a release: cannot read {SUMS_NAME}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != manifest["sha256sums"]:
        problems.append(f"{SUMS_NAME} is not the one that {MANIFEST_NAME} vouches for")
    sums: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        digest, separator, path = line.partition("  ")
        parts = PurePosixPath(path)
        if len(digest) != 64 or not separator or parts.is_absolute() or ".." in parts.parts:
            problems.append(f"{SUMS_NAME} line {number} is not a checksum and a path in the release")
        elif path in sums:
            problems.append(f"{SUMS_NAME} line {number} lists {path} again")
        else:
            sums[path] = digest
    return sums


def _unlisted(folder: Path, sums: Mapping[str, str]) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        if not folders and not names:
            # Readers take an empty folder for a class without pictures.
            yield f"{Path(parent).relative_to(folder).as_posix()} is an empty folder"
        for name in sorted(below for below in folders if Path(parent, below).is_symlink()):
            yield f"{Path(parent, name).relative_to(folder).as_posix()} is a link to a folder"
        for name in sorted(names):
            path = Path(parent, name).relative_to(folder).as_posix()
            if path not in sums and path not in {SUMS_NAME, MANIFEST_NAME}:
                yield f"{path} is not listed in {SUMS_NAME}"


def _check_files(
    folder: Path, sums: Mapping[str, str], problems: list[str], progress: Progress | None
) -> list[str]:
    """The listed files that are what their checksum says; the others go to `problems`."""
    sound: list[str] = []
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        found = pool.map(partial(_digest, folder), sums)
        for number, ((path, expected), digest) in enumerate(zip(sums.items(), found, strict=True), start=1):
            if digest == expected:
                sound.append(path)
            elif digest is not None:
                problems.append(f"{path} was changed")
            else:
                problems.append(f"{path} is {'a link' if (folder / path).is_symlink() else 'missing'}")
            if progress is not None:
                progress(number, len(sums))
    return sound


def _digest(folder: Path, path: str) -> str | None:
    target = folder / path
    if target.is_symlink() or not target.is_file():
        return None
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_images(
    folder: Path, manifest: Mapping[str, Any], sums: Mapping[str, str], problems: list[str]
) -> dict[str, Listed]:
    """File name → what images.parquet says of the picture; what contradicts itself or tells too much is a problem."""
    listed: dict[str, Listed] = {}
    try:
        for row in _rows(folder / IMAGES_NAME):
            one = Listed(Split(row["split"]), row["label"], row["sha256"], row["wnid"])
            if row["file"] in listed:
                problems.append(f"{IMAGES_NAME} lists {row['file']} again")
            listed[row["file"]] = one
            told = [name for name, value in row.items() if value is not None and name not in OPEN_COLUMNS]
            if one.split.hidden and told:
                problems.append(f"{IMAGES_NAME} tells the {told[0]} of {row['file']}, which is hidden")
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        problems.append(f"{IMAGES_NAME} is not the list of a release's pictures: {one_line(error)}")
        return {}
    problems += _check_counts(listed, manifest)
    problems += _check_same(listed)
    for split in sorted({one.split for one in listed.values() if one.split.hidden}):
        if sealed_name(split) not in sums:
            problems.append(f"there is no {sealed_name(split)}: the labels of {split} are lost")
    return listed


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    # A million rows as dictionaries would fill the memory of a small machine.
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            yield from batch.to_pylist()


def _check_counts(listed: Mapping[str, Listed], manifest: Mapping[str, Any]) -> Iterator[str]:
    found = Counter((one.split, one.wnid or "") for one in listed.values())
    expected: Counter[tuple[Split, str]] = Counter()
    for one in manifest["classes"]:
        for split in Split:
            expected[split, "" if split.hidden else one["wnid"]] += one[split]
    for split, wnid in sorted(found.keys() | expected.keys()):
        here, due = found[split, wnid], expected[split, wnid]
        if here != due:
            yield f"{' '.join([split, wnid]).strip()} has {here} pictures, the manifest says {due}"


def _check_same(listed: Mapping[str, Listed]) -> Iterator[str]:
    first: dict[str, str] = {}
    for file, one in listed.items():
        other = first.setdefault(one.sha256, file)
        if (listed[other].split, listed[other].label) != (one.split, one.label):
            yield f"{file} and {other} are the same picture"


def _check_format(
    name: str, shown: Iterable[Shown], listed: Mapping[str, Listed], lost: Set[str], near: SplitLeaks | None
) -> Iterator[str]:
    """One format's pictures against images.parquet: the same files, bytes and labels, and no label of hidden ones.

    Of the files in `lost` it is known already that they are missing or changed.
    """
    seen: set[str] = set()
    try:
        for one in shown:
            known = listed.get(one.file)
            if known is None:
                yield f"{name}: {one.file} is not in {IMAGES_NAME}"
            elif one.file in seen:
                yield f"{name}: {one.file} is there again"
            elif one.split is not known.split:
                yield f"{name}: {one.file} is in {one.split}, {IMAGES_NAME} says {known.split}"
            elif one.label != known.label:
                told = "tells a label that is hidden" if known.split.hidden else "has another label"
                yield f"{name}: {one.file} {told}"
            elif one.sha256 != known.sha256:
                yield f"{name}: {one.file} is not the picture that {IMAGES_NAME} lists"
            seen.add(one.file)
            if near is not None:
                near.add(one)
    except UNREADABLE as error:
        yield f"{name} cannot be read: {one_line(error)}"
        return
    if missing := sorted(listed.keys() - seen - lost):
        yield f"{name} lacks {len(missing)} of the pictures, {missing[0]} among them"


def _check_ground_truth(
    folder: Path, listed: Mapping[str, Listed], manifest: Mapping[str, Any]
) -> Iterator[str]:
    id_of = {one["wnid"]: one["ilsvrc_id"] for one in manifest["classes"]}
    val = sorted((file, one.wnid or "") for file, one in listed.items() if one.split is Split.VAL)
    expected = [str(id_of.get(wnid)) for _, wnid in val]
    try:
        lines = (folder / GROUND_TRUTH).read_text("ascii", "replace").splitlines()
    except OSError as error:
        yield f"{GROUND_TRUTH} cannot be read: {error.strerror}"
        return
    if lines != expected:
        yield f"{GROUND_TRUTH} does not say which classes the val pictures have"
