"""Checks a release on disk, with nothing but the release: checksums, counts, and that no picture is on two sides."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from imagenet_builder.duplicates import clusters
from imagenet_builder.errors import ReleaseError
from imagenet_builder.records import Rejected, Split

from .documents import KIND, LAYOUT, MANIFEST_NAME
from .formats.ilsvrc import DEVKIT, UNLABELLED
from .tree import SUMS_NAME

MOST_THREADS = 8
# Splits were decided on the hashes of the original files. A picture that was encoded anew may differ by a bit or two
# from that, so pairs right at the limit prove nothing; these do.
SURELY_NEAR = 4
SURELY_SAME = 0.9
GROUND_TRUTH = f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt"

Progress = Callable[[int, int], None]


def verify_release(
    folder: Path, *, near_duplicates: bool = True, progress: Progress | None = None
) -> list[str]:
    """Check everything that a release says of itself; returns one line a problem, none for a sound release.

    Every file against SHA256SUMS, SHA256SUMS against the manifest, files that nobody listed, pictures a class and
    split against the manifest, the ground truth of val, and, decoding every picture, that no two splits hold the same
    picture or near-duplicates. Raises ReleaseError when `folder` is no release.
    """
    manifest = read_manifest(folder)
    problems: list[str] = []
    sums = _sums(folder, manifest, problems)
    problems += _unlisted(folder, sums)
    sound = _check_files(folder, sums, problems, progress)
    if "ilsvrc" in manifest["settings"]["formats"]:
        problems += _check_counts(sums, manifest)
        problems += _check_ground_truth(folder, sums, manifest)
        problems += _check_leaks(folder, {path: sums[path] for path in sound}, near_duplicates)
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
        for name in sorted([*names, *(below for below in folders if Path(parent, below).is_symlink())]):
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
            else:
                problems.append(f"{path} is missing" if digest is None else f"{path} was changed")
            if progress is not None:
                progress(number, len(sums))
    return sound


def _digest(folder: Path, path: str) -> str | None:
    target = folder / path
    if target.is_symlink() or not target.is_file():
        return None
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _split_of(path: str) -> tuple[Split, str] | None:
    """Split and class of a picture in the ILSVRC tree (test has no class), None for other files."""
    parts = PurePosixPath(path).parts
    if len(parts) == 3 and parts[0] in {Split.TRAIN, Split.VAL}:
        return Split(parts[0]), parts[1]
    if len(parts) == 2 and parts[0] == UNLABELLED:
        return Split.TEST, ""
    return None


def _check_counts(sums: Mapping[str, str], manifest: Mapping[str, Any]) -> Iterator[str]:
    found = Counter(place for place in map(_split_of, sums) if place is not None)
    expected: Counter[tuple[Split, str]] = Counter()
    for one in manifest["classes"]:
        expected[Split.TRAIN, one["wnid"]] += one["train"]
        expected[Split.VAL, one["wnid"]] += one["val"]
        expected[Split.TEST, ""] += one["test"]
    for split, wnid in sorted(found.keys() | expected.keys()):
        here, due = found[split, wnid], expected[split, wnid]
        if here != due:
            yield f"{' '.join([split, wnid]).strip()} has {here} pictures, the manifest says {due}"


def _check_ground_truth(folder: Path, sums: Mapping[str, str], manifest: Mapping[str, Any]) -> Iterator[str]:
    id_of = {one["wnid"]: one["ilsvrc_id"] for one in manifest["classes"]}
    val = sorted(
        (PurePosixPath(path).name, place[1])
        for path, place in ((path, _split_of(path)) for path in sums)
        if place is not None and place[0] is Split.VAL
    )
    expected = [str(id_of.get(wnid)) for _, wnid in val]
    try:
        lines = (folder / GROUND_TRUTH).read_text("ascii", "replace").splitlines()
    except OSError as error:
        yield f"{GROUND_TRUTH} cannot be read: {error.strerror}"
        return
    if lines != expected:
        yield f"{GROUND_TRUTH} does not say which classes the val pictures have"


def _check_leaks(folder: Path, sums: Mapping[str, str], near_duplicates: bool) -> Iterator[str]:
    place_of = {path: place for path in sums if (place := _split_of(path)) is not None}
    first: dict[str, str] = {}
    for path, (split, wnid) in place_of.items():
        other = first.setdefault(sums[path], path)
        if place_of[other] != (split, wnid):
            yield f"{path} and {other} are the same picture"
    if near_duplicates:
        yield from _check_near_duplicates(folder, place_of)


def _check_near_duplicates(folder: Path, place_of: Mapping[str, tuple[Split, str]]) -> Iterator[str]:
    from imagenet_builder.crawl.inspect import Limits, inspect

    anything = Limits(min_side=1, max_pixels=2**62, max_side=2**31, max_aspect=2.0**31, blank=0.0)
    hashes: dict[str, int] = {}
    descriptors: dict[str, bytes] = {}
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda path: inspect((folder / path).read_bytes(), anything), place_of)
        for path, inspected in zip(place_of, found, strict=True):
            if isinstance(inspected, Rejected):
                yield f"{path} is not a whole picture: {inspected.detail or inspected.reason}"
            else:
                hashes[path], descriptors[path] = inspected.perceptual_hash, inspected.descriptor
    sides: dict[str, dict[Split, str]] = {}
    for path, cluster in clusters(hashes, SURELY_NEAR, descriptors, same=SURELY_SAME).items():
        sides.setdefault(cluster, {}).setdefault(place_of[path][0], path)
    for across in sides.values():
        if len(across) > 1:
            yield f"{' and '.join(sorted(across.values()))} are near-duplicates in different splits"
