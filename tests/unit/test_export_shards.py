"""Formats in shards and lists: what is written, read back with nothing of the program's own."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from imagenet_builder.export import parts
from imagenet_builder.export.description import Release, ReleaseClass, ReleasePicture, ReleasePictures
from imagenet_builder.export.formats.mds import COLUMNS
from imagenet_builder.export.formats.parquet import label_names
from imagenet_builder.records import Split
from tests.export_parts import write_format

WNIDS = ("n01440764", "n02012849", "n03126707")
# "crane" is a bird and a machine.
WORDS = (("tench", "Tinca tinca"), ("crane",), ("crane",))
COUNTS = {Split.TRAIN: 7, Split.VAL: 2, Split.TEST: 3}


def a_release() -> Release:
    classes = tuple(
        ReleaseClass(wnid, index, index + 1, "x.n.01", words, "a thing", 7, 2, 3)
        for index, (wnid, words) in enumerate(zip(WNIDS, WORDS, strict=True))
    )
    pictures: list[ReleasePicture] = []
    for split, count in COUNTS.items():
        for number in range(3 * count):
            wnid = WNIDS[number // count if split is Split.TRAIN else number % 3]
            place = number if split is Split.TRAIN else number + 1
            pictures.append(ReleasePicture(split, wnid, f"{len(pictures):064x}", place))
    return Release("little", classes, (), ReleasePictures.of(WNIDS, pictures))


RELEASE = a_release()
CONTENTS = {one.file_name: f"bytes {one.file_name}".encode() * 3 for one in RELEASE.pictures}
TRUTH = {one.file_name: RELEASE.label_of(one) for one in RELEASE.pictures}


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The release in the format that the test is parametrised with, at most four pictures a shard."""
    monkeypatch.setattr(parts, "PART_PICTURES", 4)
    write_format(request.param, RELEASE, CONTENTS, tmp_path / "release")
    return tmp_path / "release"


def test_the_label_of_a_test_picture_is_minus_one() -> None:
    assert {one.split: RELEASE.label_of(one) for one in RELEASE.pictures if one.wnid == WNIDS[2]} == {
        Split.TRAIN: 2,
        Split.VAL: 2,
        Split.TEST: -1,
    }


@pytest.mark.parametrize("pictures", [1, 3, 4, 5, 8, 9, 399])
def test_parts_hold_every_picture_once_and_never_differ_by_more_than_one(
    pictures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_PICTURES", 4)
    train = [ReleasePicture(Split.TRAIN, WNIDS[0], f"{number:064x}", number) for number in range(pictures)]
    val = [ReleasePicture(Split.VAL, WNIDS[0], f"{number:064x}", number) for number in range(6)]
    release = Release("two splits", RELEASE.classes, (), ReleasePictures.of(WNIDS, train + val))
    lengths = parts.part_lengths(release)
    assert lengths.keys() == {Split.TRAIN, Split.VAL}
    assert sum(lengths[Split.TRAIN]) == pictures
    assert max(lengths[Split.TRAIN]) - min(lengths[Split.TRAIN]) <= 1
    assert max(lengths[Split.TRAIN]) <= 4
    dealt = list(parts.dealt_parts(release))
    for part in dealt:
        assert [release.pictures[place] for place in part.places] == list(part.pictures)
        assert len(part.pictures) == lengths[part.split][part.number]
        assert {one.split for one in part.pictures} == {part.split}
    assert sorted(place for part in dealt for place in part.places) == list(range(pictures + 6))
    whole = list(parts.whole_splits(release))
    assert [list(part.pictures) for part in whole] == [train, val]


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


@pytest.mark.parametrize("folder", ["webdataset"], indirect=True)
def test_webdataset_has_the_same_members_in_every_split_and_mixes_the_classes(folder: Path) -> None:
    splits = json.loads((folder / "webdataset/_info.json").read_text())["splits"]
    assert list(splits) == ["train", "validation", "test"]
    found: dict[str, int] = {}
    for name, told in splits.items():
        assert told["name"] == name
        for filename, length in zip(told["filenames"], told["shard_lengths"], strict=True):
            with tarfile.open(folder / "webdataset" / filename) as archive:
                contents = {member: read_member(archive, member) for member in archive.getnames()}
            keys = list(dict.fromkeys(key.partition(".")[0] for key in contents))
            assert len(keys) == length
            assert list(contents) == [f"{key}.{end}" for key in keys for end in ("cls", "jpg", "json")]
            for key in keys:
                described = json.loads(contents[f"{key}.json"])
                assert described["file"] == f"{key}.JPEG"
                assert described["label"] == int(contents[f"{key}.cls"])
                assert described["wnid"] == ("" if name == "test" else WNIDS[described["label"]])
                assert contents[f"{key}.jpg"] == CONTENTS[described["file"]]
                found[described["file"]] = described["label"]
            if name == "train":
                classes = Counter(key.partition("_")[0] for key in keys)
                assert len(classes) == 3, "every shard holds every class"
        assert sum(told["shard_lengths"]) == told["num_samples"]
    assert found == TRUTH


@pytest.mark.parametrize("folder", ["mds"], indirect=True)
def test_mds_offsets_lead_to_the_samples(folder: Path) -> None:
    found: dict[str, int] = {}
    for split, count in COUNTS.items():
        index = json.loads((folder / "mds" / split / "index.json").read_text())
        assert index["version"] == 2
        assert sum(one["samples"] for one in index["shards"]) == 3 * count
        for one in index["shards"]:
            content = (folder / "mds" / split / one["raw_data"]["basename"]).read_bytes()
            assert len(content) == one["raw_data"]["bytes"]
            number, *offsets = struct.unpack_from(f"<{one['samples'] + 2}I", content)
            assert number == one["samples"]
            assert content[4 * (number + 2) : offsets[0]] == COLUMNS
            assert offsets[-1] == len(content)
            for start, end in pairwise(offsets):
                sample = io.BytesIO(content[start:end])
                name_size, size = struct.unpack("<2I", sample.read(8))
                name = sample.read(name_size).decode()
                assert sample.read(size) == CONTENTS[name]
                (found[name],) = struct.unpack("<q", sample.read())
    assert found == TRUTH


@pytest.mark.parametrize("folder", ["kaggle"], indirect=True)
def test_kaggle_has_the_lists_of_the_competition(folder: Path) -> None:
    sets = folder / "kaggle/ILSVRC/ImageSets/CLS-LOC"
    assert (sets / "train_cls.txt").read_text().splitlines()[:2] == [
        "n01440764/n01440764_0 1",
        "n01440764/n01440764_1 2",
    ]
    assert (sets / "val.txt").read_text().splitlines()[-1] == "ILSVRC2012_val_00000006 6"
    assert (sets / "test.txt").read_text().splitlines()[0] == "ILSVRC2012_test_00000001 1"
    assert (folder / "kaggle/LOC_synset_mapping.txt").read_text().splitlines() == [
        "n01440764 tench, Tinca tinca",
        "n02012849 crane",
        "n03126707 crane",
    ]
    val = (folder / "kaggle/LOC_val_solution.csv").read_text().splitlines()
    assert val[:2] == ["ImageId,PredictionString", "ILSVRC2012_val_00000001,n01440764"]
    guesses = (folder / "kaggle/LOC_sample_submission.csv").read_text().splitlines()[1:]
    assert len(guesses) == 9
    assert len({guess.partition(",")[2] for guess in guesses}) == 1
    pictures = folder / "kaggle/ILSVRC/Data/CLS-LOC"
    found = {path.name: path.read_bytes() for path in pictures.rglob("*.JPEG")}
    assert found == CONTENTS
    assert len(list((pictures / "test").iterdir())) == 9


def test_class_names_are_unique_where_wordnet_has_the_same_words_twice() -> None:
    assert label_names(RELEASE) == ["tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)"]


@pytest.mark.parametrize("folder", ["parquet"], indirect=True)
def test_parquet_holds_the_pictures_the_labels_and_the_features(folder: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    assert sorted(path.name for path in (folder / "data").iterdir()) == [
        *(f"test-{number:05d}-of-00003.parquet" for number in range(3)),
        *(f"train-{number:05d}-of-00006.parquet" for number in range(6)),
        *(f"validation-{number:05d}-of-00002.parquet" for number in range(2)),
    ]
    found = {}
    for path in (folder / "data").iterdir():
        table = pq.read_table(path)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert features["label"]["names"] == label_names(RELEASE)
        for row in table.to_pylist():
            assert row["image"]["bytes"] == CONTENTS[row["image"]["path"]]
            found[row["image"]["path"]] = row["label"]
    assert found == TRUTH
