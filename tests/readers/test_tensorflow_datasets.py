"""TensorFlow Datasets' `imagenet2012` on the archives. Its labels of val are a list packaged with it, by file-name
rank: they are those of the official val, whose sequence a release of the whole thousand takes over."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import BUILDER_PYTHON, ROOT, Releases

os.environ["CUDA_VISIBLE_DEVICES"] = ""
import tensorflow_datasets as tfds

pytestmark = pytest.mark.readers


def test_its_list_of_val_labels_is_the_sequence_that_a_release_of_the_thousand_has() -> None:
    lists = Path(__file__).parents[2] / "wordnet_synsets" / "lists"
    rows = (line.split("\t") for line in (lists / "ilsvrc2012.tsv").read_text().splitlines()[1:])
    wnid_of = {int(number): wnid for number, wnid in rows}
    packed = (lists / "ilsvrc2012_val.ids").read_bytes()
    theirs = Path(tfds.__file__).parent / "datasets" / "imagenet2012" / "validation_labels.txt"
    assert theirs.read_text().split() == [wnid_of[one] for one in struct.unpack(">50000H", packed)]


@pytest.mark.timeout(900)
def test_every_label_of_the_thousand_s_val_is_read_right(tmp_path: Path) -> None:
    making = [BUILDER_PYTHON, "-m", "tests.readers.make_thousand", str(tmp_path)]
    subprocess.run(making, cwd=ROOT, check=True)
    archives = tmp_path / "release" / "archives"
    builder = tfds.builder("imagenet2012", data_dir=str(tmp_path / "prepared"))
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(archives)))
    name_of = builder.info.features["label"].int2str
    found: dict[str, Any] = {}
    for split, count in (("validation", 50_000), ("train", 1_000)):
        undecoded = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
        rows = list(tfds.as_numpy(undecoded))
        assert len(rows) == count
        found |= {row["file_name"].decode(): name_of(int(row["label"])) for row in rows}
    assert found == json.loads((tmp_path / "truth.json").read_text())


def test_imagenet2012_is_prepared_from_the_archives(releases: Releases, tmp_path: Path) -> None:
    builder = tfds.builder("imagenet2012", data_dir=str(tmp_path))
    archives = releases["everything"] / "archives"
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(archives)))
    name_of = builder.info.features["label"].int2str
    found = {
        row["file_name"].decode(): name_of(int(row["label"]))
        for row in tfds.as_numpy(builder.as_dataset(split="train"))
    }
    assert found == {name: releases.truth[name].wnid for name in releases.of("train")}
    for split, ours in (("validation", "val"), ("test", "test")):
        rows = list(tfds.as_numpy(builder.as_dataset(split=split)))
        assert {row["file_name"].decode() for row in rows} == set(releases.of(ours))
        if ours == "test":
            assert {int(row["label"]) for row in rows} == {-1}
