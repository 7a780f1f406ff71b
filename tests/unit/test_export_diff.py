"""`diff-release`: every kind of change is told, and nothing where nothing changed."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.cli import run
from imagenet_builder.cli.diff_release import command
from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.diff import (
    ClassChange,
    Corrected,
    Listing,
    Moved,
    difference,
    read_listing,
)
from imagenet_builder.export.documents import LAYOUT
from imagenet_builder.records import Split


def listing(*pictures: str, test: frozenset[str] = frozenset(), **settings: object) -> Listing:
    """A release; a picture is `image split wnid`, and its file in the release has the checksum `file-image`."""
    rows = {}
    for one in pictures:
        image, split, wnid = one.split()
        rows[image] = {
            "file": f"{wnid}_{image}.JPEG",
            "split": split,
            "wnid": wnid,
            "sha256": f"file-{image}",
            "image_sha256": image,
            "author": "Ada",
            "licence": "by",
        }
    classes = [
        {
            "wnid": wnid,
            "name": f"name of {wnid}",
            **{
                split: sum((row["split"], row["wnid"]) == (split, wnid) for row in rows.values())
                for split in Split
            },
        }
        for wnid in sorted({row["wnid"] for row in rows.values()})
    ]
    return Listing({"settings": {"seed": 0, **settings}, "classes": classes}, rows, test)


OLD = listing("a train n1", "b train n1", "c val n1", "d train n2", test=frozenset(["file-t", "file-u"]))


def test_a_release_does_not_differ_from_itself() -> None:
    assert difference(OLD, OLD).empty
    assert difference(OLD, copy.deepcopy(OLD)).empty


def test_settings_classes_and_numbers_are_told() -> None:
    new = listing("a train n1", "c val n1", "e train n3", seed=1)
    found = difference(OLD, new)
    assert found.settings == {"seed": (0, 1)}
    assert found.classes_added == (("n3", "name of n3"),)
    assert found.classes_removed == (("n2", "name of n2"),)
    assert found.classes_changed == (ClassChange("n1", "name of n1", {"train": (2, 1)}),)
    assert (found.added, found.removed) == (("e",), ("b", "d"))
    assert not found.empty


def test_moves_corrections_and_new_bytes_are_told_once_each() -> None:
    new = listing("a val n1", "b train n1", "c val n1", "d train n1", test=OLD.test)
    rows = {image: dict(row) for image, row in new.rows.items()}
    rows["b"] |= {"sha256": "other", "author": "Grace"}
    rows["c"]["file"] = "another name"
    found = difference(OLD, Listing(new.manifest, rows, new.test))
    assert found.moved == (
        Moved("a", ("train", "n1"), ("val", "n1")),
        Moved("d", ("train", "n2"), ("train", "n1")),
    )
    assert found.encoded_anew == ("b",)
    assert found.corrected == (Corrected("b", {"author": ("Ada", "Grace")}),)
    assert found.renamed == 1
    assert (found.added, found.removed) == ((), ())


def test_of_test_only_numbers_are_told_and_labels_that_were_told_before() -> None:
    new = listing("a train n1", "b train n1", "d train n2", test=frozenset(["file-u", "file-c", "file-x"]))
    found = difference(OLD, new)
    assert (found.test_added, found.test_removed, found.test_labelled_before) == (2, 1, 1)


releases = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.sampled_from(["train", "val"]), st.sampled_from(["n1", "n2"]))
).map(lambda chosen: listing(*(f"{image} {split} {wnid}" for image, (split, wnid) in chosen.items())))


@given(releases, releases)
def test_there_and_back_is_the_same_difference_reversed(old: Listing, new: Listing) -> None:
    there, back = difference(old, new), difference(new, old)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert there.classes_added == back.classes_removed
    assert [(one.image, one.old, one.new) for one in there.moved] == [
        (one.image, one.new, one.old) for one in back.moved
    ]
    assert there.empty == (old == new)
    # What was there, without what went, with what came, is what is there now.
    assert set(new.rows) == set(old.rows) - set(there.removed) | set(there.added)


def write_release(folder: Path, images: list[dict[str, str]] | None) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(
        json.dumps(
            {
                "kind": "imagenet-builder release",
                "layout": LAYOUT,
                "settings": {"formats": ["ilsvrc"]},
                "classes": [],
            }
        )
    )
    if images is None:
        (folder / "images.parquet").write_bytes(b"PAR1 no more")
    else:
        pq.write_table(pa.Table.from_pylist(images), folder / "images.parquet")
    return folder


def test_hidden_files_alone_count_as_test(tmp_path: Path) -> None:
    splits = ("train", "test", "replicate")
    rows = [{"split": split, "sha256": split, "image_sha256": f"image of {split}"} for split in splits]
    found = read_listing(write_release(tmp_path / "release", rows))
    assert found.test == {"test", "replicate"}
    assert found.rows.keys() == {"image of train"}


@pytest.mark.parametrize("images", [None, [{"file": "x", "split": "train"}]])
def test_a_damaged_list_is_told_in_one_line(tmp_path: Path, images: list[dict[str, str]] | None) -> None:
    with pytest.raises(ReleaseError, match="not the list"):
        read_listing(write_release(tmp_path / "release", images))


def test_a_missing_list_or_release_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = write_release(tmp_path / "release", None)
    (release / "images.parquet").unlink()
    assert run(command.main, str(release), str(release)) == 1
    assert "cannot read the release" in capsys.readouterr().err
    assert run(command.main, str(tmp_path / "nothing"), str(release)) == 1
    assert "is not a release" in capsys.readouterr().err
