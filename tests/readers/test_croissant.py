"""mlcroissant validates and loads croissant.json, over Parquet and over the ILSVRC tree, offline."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import mlcroissant
import pyarrow.parquet as pq
import pytest

from .conftest import Releases, sorted_pixels

pytestmark = pytest.mark.readers
UNKNOWN_TO_THE_STORE = {
    "http://mlcommons.org/croissant/citeAs",
    "https://schema.org/datePublished",
    "https://schema.org/version",
}


def dataset(folder: Path) -> mlcroissant.Dataset:
    return mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))


@pytest.mark.parametrize("name", ["everything", "parquet", "tree"])
def test_it_is_valid_croissant_1_1_and_lacks_only_what_nobody_told_the_store(
    releases: Releases, name: str
) -> None:
    command = [str(Path(sys.executable).with_name("mlcroissant")), "validate", "--jsonld"]
    done = subprocess.run(
        [*command, str(releases[name] / "croissant.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    logging.getLogger("absl").setLevel(logging.ERROR)
    metadata = dataset(releases[name]).metadata
    assert "http://mlcommons.org/croissant/1.1" in json.dumps(metadata.to_json())
    assert not metadata.ctx.issues.errors
    assert len(metadata.ctx.issues.warnings) == len(UNKNOWN_TO_THE_STORE)
    for warning in metadata.ctx.issues.warnings:
        assert any(name in warning for name in UNKNOWN_TO_THE_STORE), warning
    assert metadata.annotations_per_item == "3 votes"
    assert len(metadata.data_annotation_protocol) == 2
    assert len(metadata.data_biases) == 1
    # mlcroissant misspells this one (TimeFrame); the vocabulary's own spelling is written.
    assert (
        len(json.loads((releases[name] / "croissant.json").read_text())["rai:dataCollectionTimeframe"]) == 2
    )


@pytest.mark.parametrize("name", ["everything", "parquet"])
def test_the_parquet_pictures_load_with_their_labels(releases: Releases, name: str) -> None:
    rows = list(dataset(releases[name]).records("pictures"))
    for split, ours in (("train", "train"), ("validation", "val"), ("test", "test")):
        found = [row for row in rows if row["pictures/split"] == split.encode()]
        pictures = ((row["pictures/image"], row["pictures/label"]) for row in found)
        assert sorted_pixels(pictures) == releases.pixels(ours)


def test_the_tree_s_pictures_load_with_their_wnids(releases: Releases) -> None:
    loaded = dataset(releases["tree"])
    label_of = {row["classes/wnid"]: row["classes/label"] for row in loaded.records("classes")}
    rows = list(loaded.records("pictures"))
    for split in ("train", "val"):
        found = [row for row in rows if row["pictures/split"] == split.encode()]
        pictures = ((row["pictures/image"], label_of[row["pictures/wnid"].decode()]) for row in found)
        assert sorted_pixels(pictures) == releases.pixels(split)
    assert len(rows) == len(releases.of("train", "val"))


def test_the_origins_are_the_rows_of_images_parquet(releases: Releases) -> None:
    rows = list(dataset(releases["tree"]).records("origins"))
    written = pq.read_table(releases["tree"] / "images.parquet").to_pylist()
    assert [row["origins/file"].decode() for row in rows] == [row["file"] for row in written]
    for row, expected in zip(rows, written, strict=True):
        author = row["origins/author"]
        assert (author.decode() if isinstance(author, bytes) else None) == expected["author"]
    assert {row["split"] for row in written if row["author"] is None} == {"test"}
