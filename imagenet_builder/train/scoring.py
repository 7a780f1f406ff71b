"""Scores a submission against a release, with nothing but that and, for hidden splits, its key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_builder.errors import ReleaseError, TrainingError

from .evaluate import IntArray, flat_errors, parse_predictions
from .files import ReleaseFiles, open_files
from .hierarchical import Hierarchy, hierarchical_errors, read_hierarchy
from .localization import localization_errors, parse_boxed_predictions, read_boxes
from .sealed import open_sealed

GUESSES = 5
OPEN_SPLITS, HIDDEN_SPLITS = ("val",), ("test", "replicate")
MANIFEST_NAME, IMAGES_NAME = "manifest.json", "images.parquet"
Row = TypeVar("Row")
# A folder, an address in a bucket, or files that are open.
Release = str | Path | ReleaseFiles


@dataclass(frozen=True, slots=True)
class Truth:
    """What a split shows: file names in order, the class id of each (n,), the wnid of every id, and the hierarchy."""

    split: str
    files: tuple[str, ...]
    class_ids: IntArray
    id_of: Mapping[str, int]
    hierarchy: Hierarchy | None


@dataclass(frozen=True, slots=True)
class Scores:
    """Errors of one guess, two … five: shares in [0, 1], and levels of WordNet for `hierarchical`.

    `hierarchical` is None where the release has no meta.mat, `localization` where no boxes were given.
    """

    split: str
    pictures: int
    flat: tuple[float, ...]
    hierarchical: tuple[float, ...] | None
    localization: tuple[float, ...] | None


def read_truth(release: Release, split: str, key_file: Path | None = None) -> Truth:
    """The truth of a split; hidden ones need the key that `export` wrote, or the project's own.

    Raises ReleaseError for what is no release or has no such split, and where the key is missing or wrong.
    """
    release = open_files(release)
    id_of = _class_ids(release)
    if split in HIDDEN_SPLITS:
        if key_file is None:
            raise ReleaseError(
                f"the labels of {split} are sealed: give --key FILE, which the makers of it keep"
            )
        labelled = [(row["file"], int(row["ilsvrc_id"])) for row in open_sealed(release, split, key_file)]
    else:
        labelled = _listed(release, split)
    if not labelled:
        raise ReleaseError(f"{release.name} has no pictures in {split}")
    labelled.sort()
    class_ids = np.array([class_id for _, class_id in labelled], np.int64)
    return Truth(split, tuple(file for file, _ in labelled), class_ids, id_of, read_hierarchy(release))


def read_submission(path: Path) -> str:
    """The text of a submission file; raises TrainingError when it cannot be read or is not ASCII."""
    try:
        return submission_text(path.read_bytes(), str(path))
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}") from error


def submission_text(content: bytes, name: str) -> str:
    """A submission's bytes as text; raises TrainingError, naming `name`, where they are not ASCII."""
    try:
        return content.decode("ascii").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise TrainingError(
            f"{name}, line {line}: a byte {content[error.start]:#04x} is not of plain text; "
            "lines of class ids, digits and blanks alone, are wanted"
        ) from error


def score(truth: Truth, submission: str, name: str, boxes: Path | None = None) -> Scores:
    """Score a submission's text; with `boxes` (where things are, as in Kaggle's solution files) also its boxes.

    Raises TrainingError, naming `name`, for blank lines, other words than ids, and not a line for every picture.
    """
    if boxes is None:
        rows = _parsed(truth, submission, name, parse_predictions)
        return _scores(truth, rows, None)
    guesses = _parsed(truth, submission, name, parse_boxed_predictions)
    places = _places(truth, boxes)
    localization = localization_errors(truth.class_ids.tolist(), places, guesses, GUESSES)
    return _scores(truth, [[guess.class_id for guess in row] for row in guesses], localization)


def _scores(truth: Truth, rows: Sequence[Sequence[int]], localization: tuple[float, ...] | None) -> Scores:
    hierarchical = None
    if truth.hierarchy is not None:
        hierarchical = hierarchical_errors(truth.hierarchy, truth.class_ids, rows, GUESSES)
    flat = flat_errors(truth.class_ids, rows, GUESSES)
    return Scores(truth.split, len(truth.files), flat, hierarchical, localization)


def _parsed(
    truth: Truth, submission: str, name: str, parse: Callable[[list[str], str], list[Row]]
) -> list[Row]:
    if not submission.strip():
        raise TrainingError(
            f"{name} is empty: a line is wanted for each of {truth.split}'s {len(truth.files)} pictures"
        )
    # Only what ends a line for the devkit does: not form feeds and the like, as str.splitlines has it.
    rows = parse(submission.removesuffix("\n").split("\n"), name)
    if len(rows) != len(truth.files):
        lines = "1 line" if len(rows) == 1 else f"{len(rows)} lines"
        raise TrainingError(
            f"{name} has {lines}, {truth.split} has {len(truth.files)} pictures: the counts must agree"
        )
    return rows


def _places(truth: Truth, boxes: Path) -> list[Any]:
    known = read_boxes(boxes, truth.id_of)
    places = []
    for file, class_id in zip(truth.files, truth.class_ids.tolist(), strict=True):
        found = known.get(Path(file).stem, {}).get(class_id)
        if not found:
            raise TrainingError(f"{boxes} says nothing of where {file} shows its class")
        places.append(found)
    return places


def read_title(release: Release) -> str:
    """What a release calls itself; raises ReleaseError for what is none."""
    return str(_manifest(open_files(release))["title"])


def release_digest(release: Release) -> str:
    """The SHA-256 of a release's manifest, which vouches for everything in it."""
    return sha256(open_files(release).read(MANIFEST_NAME)).hexdigest()


def _class_ids(release: ReleaseFiles) -> dict[str, int]:
    return {one["wnid"]: one["ilsvrc_id"] for one in _manifest(release)["classes"]}


def _manifest(release: ReleaseFiles) -> dict[str, Any]:
    try:
        manifest = json.loads(release.read(MANIFEST_NAME))
        if not {"title", "classes"} <= manifest.keys():
            raise ValueError("it says nothing of classes")
        return dict(manifest)
    except FileNotFoundError as error:
        raise ReleaseError(f"{release.name} is not a release: there is no {MANIFEST_NAME}") from error
    except (ValueError, AttributeError) as error:
        raise ReleaseError(f"{release.name}/{MANIFEST_NAME} is not the manifest of a release") from error


def _listed(release: ReleaseFiles, split: str) -> list[tuple[str, int]]:
    try:
        content = pa.BufferReader(release.read(IMAGES_NAME))
        table = pq.read_table(content, columns=["file", "ilsvrc_id"], filters=[("split", "=", split)])
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ReleaseError(
            f"{release.name}/{IMAGES_NAME} is not the list of a release's pictures: {reason}"
        ) from error
    return list(zip(table["file"].to_pylist(), table["ilsvrc_id"].to_pylist(), strict=True))
