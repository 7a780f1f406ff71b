"""`export --classes 1000`, run for real on the classes of ILSVRC-2012 with a few tiny pictures each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from imagenet_builder.cli import command_line, run
from tests.export_parts import project_with, some_pictures, tree_of
from wordnet_synsets.select import list_wnids, official_ids

SCALARS = ("ILSVRC2012_ID", "WNID", "num_children", "wordnet_height", "num_train_images")
FLAGS = ["--classes", "1000", "--val", "1", "--test", "1", "--min-train", "2"]


@pytest.mark.timeout(600)
def test_a_thousand_classes_are_exported_with_official_ids_and_hierarchy_twice_the_same(
    tmp_path: Path, wordnet_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thousand = list_wnids("ilsvrc2012")
    project = project_with(tmp_path / "project", wordnet_folder, some_pictures(dict.fromkeys(thousand, 6)))
    out = tmp_path / "release"
    assert run(command_line.main, "--project", str(project.folder), "export", *FLAGS, "--out", str(out)) == 0
    assert "1000 classes\ntrain 4000, val 1000, test 1000 pictures" in capsys.readouterr().out

    manifest = json.loads((out / "manifest.json").read_text())
    assert {one["wnid"]: one["ilsvrc_id"] for one in manifest["classes"]} == dict(official_ids())
    assert [one["wnid"] for one in manifest["classes"]] == sorted(thousand)
    for split, count in (("train", 4), ("val", 1)):
        folders = sorted(path.name for path in (out / split).iterdir())
        assert folders == sorted(thousand)
        assert all(len(list((out / split / wnid).iterdir())) == count for wnid in folders)
    assert len(list((out / "unlabelled").iterdir())) == 1000

    devkit = out / "ILSVRC2012_devkit_t12"
    for squeeze in (False, True):
        synsets = loadmat(devkit / "data/meta.mat", squeeze_me=squeeze)["synsets"].reshape(-1)
        assert len(synsets) == 1860
        column = {name: [np.asarray(one[name]).item() for one in synsets] for name in SCALARS}
        assert column["ILSVRC2012_ID"] == list(range(1, 1861))
        assert (column["WNID"][0], column["WNID"][1000]) == ("n02119789", "n00001740")
        assert column["wordnet_height"][1000] == 19
        assert sum(column["num_train_images"]) == 4000
        assert max(column["num_children"]) == 29
    truth = (devkit / "data/ILSVRC2012_validation_ground_truth.txt").read_text().splitlines()
    val = sorted((path.name, path.parent.name) for path in (out / "val").rglob("*.JPEG"))
    assert truth == [str(official_ids()[wnid]) for _, wnid in val]

    again = tmp_path / "again"
    exporting = ["export", "--list", "ilsvrc2012", *FLAGS[2:], "--out", str(again)]
    assert run(command_line.main, "--project", str(project.folder), *exporting) == 0
    first, second = tree_of(out), tree_of(again)
    assert first.keys() == second.keys()
    # The two were asked for in different words, which the manifest repeats; everything else is equal.
    assert [path for path in first if first[path] != second[path]] == ["manifest.json"]
    shutil.rmtree(again)
