"""`verify-release`: a sound release passes, and every kind of harm is named."""

from __future__ import annotations

import hashlib
import io
import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imagenet_builder.cli import run
from imagenet_builder.cli.verify_release import command
from imagenet_builder.errors import ReleaseError
from imagenet_builder.export import leaks
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.documents import OWN_CHECKSUM, own_checksum
from imagenet_builder.export.formats.ilsvrc import GROUND_TRUTH
from imagenet_builder.export.published import Shown
from imagenet_builder.export.release import export
from imagenet_builder.export.request import ExportRequest
from imagenet_builder.export.verify import verify_release
from imagenet_builder.records import Split
from tests.export_parts import GOLDFISH, TENCH, project_with, some_pictures, thawed


@pytest.fixture
def release(tmp_path: Path, wordnet_folder: Path) -> Path:
    project = project_with(tmp_path / "project", wordnet_folder, some_pictures({TENCH: 9, GOLDFISH: 9}))
    return thawed(export(project, ExportRequest(Sizes(2, 2, 3, 9), classes=2), tmp_path / "release").folder)


def first(release: Path, where: str) -> Path:
    return min((release / where).rglob("*.JPEG"))


def sign_again(release: Path) -> None:
    """What someone would do who changes a release and hides it: another list, new checksums, a manifest for them."""
    found = {path.name: path for path in release.rglob("*.JPEG")}
    table = pq.read_table(release / "images.parquet")
    labels = {row["wnid"]: row["label"] for row in table.to_pylist()}
    rows = table.to_pylist()
    for row in rows:
        path = found[row["file"]]
        row["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        if row["wnid"]:
            row["wnid"], row["label"] = path.parent.name, labels[path.parent.name]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), release / "images.parquet")
    lines = []
    for path in sorted(release.rglob("*")):
        if path.is_file() and path.name not in {"SHA256SUMS", "manifest.json"}:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{digest}  {path.relative_to(release).as_posix()}\n")
    (release / "SHA256SUMS").write_text("".join(lines))
    manifest = json.loads((release / "manifest.json").read_text())
    manifest["sha256sums"] = hashlib.sha256("".join(lines).encode()).hexdigest()
    manifest[OWN_CHECKSUM] = own_checksum(manifest)
    (release / "manifest.json").write_text(json.dumps(manifest))


def test_a_sound_release_has_no_problems(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command.main, str(release)) == 0
    digest = hashlib.sha256((release / "SHA256SUMS").read_bytes()).hexdigest()
    assert capsys.readouterr().out == f"{release} is sound, checksum {digest}\n"


def test_a_changed_file_is_named(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    victim = first(release, "train")
    victim.write_bytes(victim.read_bytes() + b" ")
    assert run(command.main, str(release)) == 1
    said = capsys.readouterr()
    assert said.out == f"{victim.relative_to(release)} was changed\n"
    assert "has 1 problem:" in said.err


def test_missing_extra_and_linked_files_are_named(release: Path) -> None:
    missing, linked = first(release, "train"), first(release, "val")
    missing.unlink()
    target = release.parent / "elsewhere.JPEG"
    linked.rename(target)
    linked.symlink_to(target)
    (release / "extra.txt").write_text("")
    (release / "more").symlink_to(release / "train")
    problems = verify_release(release)
    assert f"{missing.relative_to(release)} is missing" in problems
    assert f"{linked.relative_to(release)} is a link" in problems
    assert "extra.txt is not listed in SHA256SUMS" in problems
    assert "more is a link to a folder" in problems


def test_a_file_of_any_name_is_one_line(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(os.fsdecode(bytes(release / "train") + b"/bad\xff\x1b[2J\nname")).write_text("")
    for arguments in ([], ["--json"]):
        assert run(command.main, str(release), *arguments) == 1
        said = capsys.readouterr()
        assert "bad\\udcff\\x1b[2J\\nname is not listed" in said.out.replace("\\\\", "\\")
        assert len(said.err.splitlines()) == 1


def test_an_empty_folder_is_named_because_readers_take_it_for_a_class(release: Path) -> None:
    (release / "train" / "n00001740").mkdir()
    assert verify_release(release) == ["train/n00001740 is an empty folder"]


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        (None, "title", "another"),
        ("settings", "seed", 1),
        ("pictures", "train", 10**6),
        ("rules", "majority", 0),
    ],
)
def test_a_manifest_that_was_changed_is_told(
    release: Path, section: str | None, name: str, value: object
) -> None:
    path = release / "manifest.json"
    manifest = json.loads(path.read_text())
    (manifest if section is None else manifest[section])[name] = value
    path.write_text(json.dumps(manifest))
    assert verify_release(release) == ["manifest.json was changed"]


def test_other_checksums_than_the_manifest_s_are_told(release: Path) -> None:
    sums = release / "SHA256SUMS"
    sums.write_text(sums.read_text() + f"{'0' * 64}  ../outside\nnonsense\n{'0' * 64}  /etc/passwd\n")
    problems = verify_release(release)
    assert "SHA256SUMS is not the one that manifest.json vouches for" in problems
    assert sum("is not a checksum and a path in the release" in problem for problem in problems) == 3


def test_a_picture_on_two_sides_is_a_leak_even_if_all_is_signed_again(release: Path) -> None:
    train, val = first(release, f"train/{TENCH}"), first(release, f"val/{TENCH}")
    val.write_bytes(train.read_bytes())
    sign_again(release)
    assert verify_release(release, near_duplicates=False) == [
        f"{val.name} and {train.name} are the same picture"
    ]


def test_a_near_duplicate_on_two_sides_is_a_leak_of_its_makers(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = first(release, f"train/{TENCH}"), first(release, "unlabelled")
    written = io.BytesIO()
    Image.open(train).save(written, "JPEG", quality=40)
    test.write_bytes(written.getvalue())
    sign_again(release)
    assert verify_release(release, near_duplicates=False) == []
    assert verify_release(release) == [
        f"{test.name} and {train.name} are near-duplicates in different splits"
    ]
    assert run(command.main, str(release)) == 1
    assert "has 1 problem: its files are as they were written; tell its makers" in capsys.readouterr().err
    first(release, "val").write_bytes(b"x")
    assert run(command.main, str(release)) == 1
    assert "has 2 problems: get it again from where it came from" in capsys.readouterr().err


def test_what_the_export_may_cut_of_a_long_chain_of_bare_pictures_is_no_leak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(count: int) -> list[str]:
        near = leaks.SplitLeaks()
        for place in range(count):
            # Each bird is a little further than the one before: surely like it, and in the other split.
            content = bird(40 + 4 * place)
            split = (Split.TRAIN, Split.VAL)[place % 2]
            near.add(Shown(f"{place:03}.JPEG", split, 0, str(place), partial(bytes, content)))
        return list(near.finish())

    assert len(told(80)) == 0
    assert told(6) == ["000.JPEG and 001.JPEG are near-duplicates in different splits"]
    monkeypatch.setattr(leaks, "CROWD", 10**6)
    assert told(80) != []


def bird(left: int) -> bytes:
    """A dark bird so far from the left of a sky of 512 pixels."""
    sky = 150.0 + 4 * np.sin(np.arange(512) / 36)[None, :] + 3 * np.sin(np.arange(384) / 44)[:, None]
    sky[160:196, left : left + 56] = 20
    file = io.BytesIO()
    Image.fromarray(sky.astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def test_moved_pictures_and_wrong_ground_truth_are_told(release: Path) -> None:
    moved = first(release, f"train/{TENCH}")
    moved.rename(release / "train" / GOLDFISH / moved.name)
    truth = release / GROUND_TRUTH
    truth.write_text("".join(reversed(truth.read_text().splitlines(keepends=True))) + "1\n")
    sign_again(release)
    assert verify_release(release) == [
        f"train {TENCH} has 4 pictures, the manifest says 5",
        f"train {GOLDFISH} has 6 pictures, the manifest says 5",
        f"{GROUND_TRUTH} does not say which classes the val pictures have",
    ]


def test_a_picture_that_cannot_be_decoded_is_named(release: Path) -> None:
    victim = first(release, "val")
    victim.write_bytes(victim.read_bytes()[:300])
    sign_again(release)
    assert [problem for problem in verify_release(release) if "is not a whole picture" in problem]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "is not a release"),
        ("{", "is damaged"),
        ("[]", "not the manifest"),
        ('{"kind": "x"}', "not the manifest"),
    ],
)
def test_what_is_no_release_is_refused(tmp_path: Path, content: str | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ReleaseError, match=complaint):
        verify_release(tmp_path)
