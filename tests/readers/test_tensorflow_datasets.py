"""TensorFlow Datasets' `imagenet2012` on the archives. Its labels of val are a list packaged with it, by file-name
rank: they are those of the official val alone, so here only train's labels are compared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["CUDA_VISIBLE_DEVICES"] = ""
tfds = pytest.importorskip("tensorflow_datasets", reason="make test-readers-tensorflow installs it")

from .conftest import Releases  # noqa: E402  (after the skip)

pytestmark = pytest.mark.readers


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
