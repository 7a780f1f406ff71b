"""Hugging Face's `datasets`: `load_dataset(FOLDER)` alone, offline, on Parquet, WebDataset and the ILSVRC tree."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from .conftest import Releases, sorted_pixels

pytestmark = pytest.mark.readers
SPLIT_OF = {"train": "train", "validation": "val", "test": "test"}


@pytest.mark.parametrize("name", ["everything", "parquet"])
def test_parquet_has_features_pictures_and_labels(releases: Releases, name: str, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(releases[name]), cache_dir=str(tmp_path))
    assert set(loaded) == set(SPLIT_OF)
    for split, rows in loaded.items():
        assert isinstance(rows.features["image"], datasets.Image)
        names = rows.features["label"].names
        assert names[0] == "tench, Tinca tinca"
        assert names[1:3] == ["crane (n02012849)", "crane (n03126707)"]
        assert sorted_pixels((row["image"], row["label"]) for row in rows) == releases.pixels(SPLIT_OF[split])
        undecoded = rows.cast_column("image", datasets.Image(decode=False))
        assert {row["image"]["path"]: row["label"] for row in undecoded} == releases.of(SPLIT_OF[split])


def test_parquet_streams(releases: Releases, tmp_path: Path) -> None:
    streamed = datasets.load_dataset(
        str(releases["parquet"]), split="validation", streaming=True, cache_dir=str(tmp_path)
    )
    assert sorted_pixels((row["image"], row["label"]) for row in streamed) == releases.pixels("val")


def test_webdataset_keeps_the_labels_of_every_split(releases: Releases, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(releases["webdataset"]), cache_dir=str(tmp_path))
    assert set(loaded) == set(SPLIT_OF)
    for split, rows in loaded.items():
        assert {row["json"]["file"]: row["cls"] for row in rows} == releases.of(SPLIT_OF[split])
        assert sorted_pixels((row["jpg"], row["cls"]) for row in rows) == releases.pixels(SPLIT_OF[split])
        for row in rows:
            wnid = releases.truth[row["json"]["file"]].wnid
            assert row["json"]["wnid"] == ("" if split == "test" else wnid)


def test_the_ilsvrc_tree_is_an_imagefolder_with_labels(releases: Releases, tmp_path: Path) -> None:
    wnids = sorted({shown.wnid for shown in releases.truth.values()})
    by_card = datasets.load_dataset(str(releases["tree"]), cache_dir=str(tmp_path))
    by_name = datasets.load_dataset("imagefolder", data_dir=str(releases["tree"]), cache_dir=str(tmp_path))
    for loaded in (by_card, by_name):
        for split in ("train", "validation"):
            assert loaded[split].features["label"].names == wnids
            pictures = ((row["image"], row["label"]) for row in loaded[split])
            assert sorted_pixels(pictures) == releases.pixels(SPLIT_OF[split])
    assert set(by_card) == {"train", "validation"}
