"""torchvision, timm, webdataset and mosaicml-streaming, each as its users call it."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm.data
import torchvision
import webdataset
from PIL import Image

from .conftest import Releases, sorted_pixels

pytestmark = pytest.mark.readers


@pytest.mark.parametrize("split", ["train", "val"])
def test_torchvision_reads_the_ilsvrc_tree(releases: Releases, split: str) -> None:
    for name in ("everything", "tree"):
        loaded = torchvision.datasets.ImageNet(releases[name], split)
        assert {Path(path).name: label for path, label in loaded.imgs} == releases.of(split)


def test_torchvision_and_timm_read_kaggle_s_train_folder(releases: Releases) -> None:
    folder = releases["everything"] / "kaggle/ILSVRC/Data/CLS-LOC/train"
    loaded = torchvision.datasets.ImageFolder(folder)
    assert {Path(path).name: label for path, label in loaded.imgs} == releases.of("train")
    by_timm = timm.data.create_dataset("", root=str(folder))
    assert sorted_pixels(by_timm) == releases.pixels("train")


@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("validation", "val")])
def test_timm_reads_the_folder_the_parquet_and_the_tars(
    copied: Releases, split: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = timm.data.create_dataset("", root=str(copied["tree"] / name))
    assert sorted_pixels(folder) == copied.pixels(name)
    tars = timm.data.create_dataset(
        "wds/", root=str(copied["everything"] / "webdataset"), split=split, is_training=False, batch_size=4
    )
    assert sorted_pixels(tars) == copied.pixels(name)
    assert len(tars) == len(copied.of(name))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = timm.data.create_dataset(
        f"hfds/{copied['parquet']}", root=str(tmp_path / "cache"), split=split, is_training=False
    )
    assert sorted_pixels(rows) == copied.pixels(name)


def test_timm_reads_the_raw_train_archive(releases: Releases) -> None:
    archive = releases["everything"] / "archives/ILSVRC2012_img_train.tar"
    loaded = timm.data.create_dataset("", root=str(archive))
    assert sorted_pixels(loaded) == releases.pixels("train")


@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("validation", "val"), ("test", "test")])
def test_webdataset_reads_its_tars(releases: Releases, split: str, name: str) -> None:
    shards = sorted(str(path) for path in (releases["everything"] / "webdataset").glob(f"{split}-*.tar"))
    raw = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert {f"{one['__key__']}.JPEG": int(one["cls"]) for one in raw} == releases.of(name)
    decoded = webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("jpg", "cls", "json")
    rows = [(picture, label, described) for picture, label, described in decoded]
    assert sorted_pixels((picture, label) for picture, label, _ in rows) == releases.pixels(name)
    assert all(described["label"] == label for _, label, described in rows)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_streaming_imagenet_reads_the_shards(copied: Releases, split: str) -> None:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory
    from streaming.vision import StreamingImageNet

    clean_stale_shared_memory()
    folder = copied["everything"] / "mds"
    raw = StreamingDataset(local=str(folder / split), batch_size=1, num_canonical_nodes=1)
    assert {one["file"]: one["y"] for one in raw} == copied.of(split)
    assert sorted_pixels((one["x"], one["y"]) for one in raw) == copied.pixels(split)
    del raw
    clean_stale_shared_memory()
    vision = StreamingImageNet(local=str(folder), split=split, batch_size=1, num_canonical_nodes=1)
    assert sorted(label for _, label in vision) == sorted(copied.of(split).values())
    assert vision[0][0].shape == (3, 64, 72)


def test_our_shard_is_the_one_that_mdswriter_writes(releases: Releases, tmp_path: Path) -> None:
    from streaming import MDSWriter

    tree = {path.name: path for path in releases["tree"].rglob("*.JPEG")}
    columns = {"file": "str", "x": "jpeg", "y": "int"}
    for split in ("train", "val", "test"):
        out = tmp_path / split
        with MDSWriter(out=str(out), columns=columns, size_limit=None) as writer:
            for name, label in in_release_order(releases.of(split)):
                writer.write({"file": name, "x": Image.open(tree[name]), "y": label})
        ours = releases["everything"] / "mds" / split
        for name in ("shard.00000.mds", "index.json"):
            assert (ours / name).read_bytes() == (out / name).read_bytes()


def in_release_order(labels: dict[str, int]) -> list[tuple[str, int]]:
    """Train by class and number, val and test by name."""

    def rank(entry: tuple[str, int]) -> tuple[str, int]:
        stem = entry[0].removesuffix(".JPEG")
        prefix, _, number = stem.rpartition("_")
        return prefix, int(number)

    return sorted(labels.items(), key=rank)


def test_pictures_are_what_pillow_opens(releases: Releases) -> None:
    for path in releases["everything"].joinpath("kaggle/ILSVRC/Data/CLS-LOC/test").iterdir():
        with Image.open(path) as picture:
            assert picture.format == "JPEG"
