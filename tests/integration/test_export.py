"""Releases from a real store: written whole or not at all, read by the readers that they are for."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
import stat
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from PIL import Image
from scipy.io import loadmat

from hits import database
from imagenet_builder.cli import command_line, run
from imagenet_builder.errors import ImageStoreError, ReleaseError
from imagenet_builder.export.choose import Sizes, Why
from imagenet_builder.export.formats import FORMATS
from imagenet_builder.export.release import export
from imagenet_builder.export.request import ExportRequest, TooFewClasses
from imagenet_builder.export.verify import verify_release
from imagenet_builder.project import Project
from imagenet_builder.records import Rights, Split
from imagenet_builder.store import tables
from imagenet_builder.train.sealed import open_sealed
from tests.export_parts import (
    FISH,
    GOLDFISH,
    TENCH,
    UMBRELLA,
    Verified,
    add_verified,
    picture,
    project_with,
    some_pictures,
    tree_of,
)

SIZES = Sizes(val=2, test=2, min_train=3, max_train=20)
THREE = ExportRequest(SIZES, classes=3)
EVERY_FORMAT = (*FORMATS, "croissant")
COUNTS = {TENCH: 7, GOLDFISH: 9, UMBRELLA: 8}


@pytest.fixture
def project(tmp_path: Path, wordnet_folder: Path) -> Project:
    """Three classes with enough pictures, and fish, which is an ancestor of two of them."""
    return project_with(tmp_path / "project", wordnet_folder, some_pictures({**COUNTS, FISH: 8}))


def placed(project: Project) -> dict[str, tuple[str, Split]]:
    """SHA-256 of the image → file name and split, of the only release."""
    with database.reading(project.engine) as connection:
        rows = connection.execute(sa.select(tables.release_images)).all()
    return {row.sha256: (row.file_name, Split(row.split)) for row in rows}


def listed(folder: Path) -> list[dict[str, Any]]:
    """What images.parquet says of train and val."""
    rows = pq.read_table(folder / "images.parquet").to_pylist()
    return [row for row in rows if not Split(row["split"]).hidden]


def leftovers(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir() if out.name in path.name)


def test_torchvision_loads_the_release_unmodified_with_the_right_labels(
    project: Project, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from imagenet_builder.train.compatibility import load_torchvision

    report = export(project, THREE, tmp_path / "release")
    torchvision = load_torchvision()
    rows = {row["file"]: row for row in listed(report.folder)}
    for split, count in (("train", 24 - 12), ("val", 6)):
        reader = torchvision.datasets.ImageNet(report.folder, split)
        assert len(reader) == count
        assert reader.wnids == sorted(COUNTS)
        assert reader.classes == [("tench", "Tinca tinca"), ("goldfish", "Carassius auratus"), ("umbrella",)]
        for path, label in reader.imgs:
            assert rows[Path(path).name]["wnid"] == reader.wnids[label]
        shown, _ = reader[0]
        assert shown.size == (72, 64)
        plain = torchvision.datasets.ImageFolder(report.folder / split)
        assert plain.class_to_idx == {wnid: index for index, wnid in enumerate(sorted(COUNTS))}
        assert plain.targets == reader.targets


def test_the_manifest_the_checksums_and_the_report_agree(project: Project, tmp_path: Path) -> None:
    report = export(project, THREE, tmp_path / "release")
    manifest = json.loads((report.folder / "manifest.json").read_text())
    assert manifest["sha256sums"] == report.digest
    assert {one["wnid"]: (one["train"], one["val"], one["test"]) for one in manifest["classes"]} == {
        wnid: (count - 4, 2, 2) for wnid, count in COUNTS.items()
    }
    assert manifest["rules"] == {"majority": 24}
    assert [(one.wnid, one.why) for one in report.left_out] == [(FISH, Why.ANCESTOR)]
    assert manifest["left_out"] == [
        {"wnid": FISH, "why": "ancestor of a class", "pictures": 8, "below": TENCH, "above": None}
    ]
    assert not report.short
    assert verify_release(report.folder) == []
    # Nobody changes a file by mistake.
    assert {path.stat().st_mode & 0o222 for path in report.folder.rglob("*") if path.is_file()} == {0}


def test_pictures_are_one_file_in_two_trees_only_on_request(project: Project, tmp_path: Path) -> None:
    request = ExportRequest(SIZES, classes=3, formats=("ilsvrc", "kaggle"))
    copied = export(project, request, tmp_path / "copied").folder
    linked = export(project, request, tmp_path / "linked", hard_links=True).folder
    assert {path.stat().st_nlink for path in copied.rglob("*") if path.is_file()} == {1}
    assert {path.stat().st_nlink for path in linked.rglob("*.JPEG")} == {2}
    # Nobody who changes a release changes the store.
    assert {path.stat().st_nlink for path in (project.folder / "images").rglob("*") if path.is_file()} == {1}
    assert tree_of(linked) == tree_of(copied)
    assert verify_release(linked) == []


def test_the_same_store_request_and_seed_give_the_same_bytes(project: Project, tmp_path: Path) -> None:
    request = ExportRequest(SIZES, classes=3, formats=EVERY_FORMAT)
    export(project, request, tmp_path / "one")
    export(project, request, tmp_path / "elsewhere" / "other")
    assert tree_of(tmp_path / "one") == tree_of(tmp_path / "elsewhere" / "other")
    export(project, ExportRequest(SIZES, classes=3, seed=1), tmp_path / "seeded")
    sums = [(tmp_path / name / "SHA256SUMS").read_text() for name in ("one", "seeded")]
    assert sums[0] != sums[1]


def test_the_release_is_recorded_on_both_engines(
    store_url: str, tmp_path: Path, wordnet_folder: Path
) -> None:
    project = project_with(
        tmp_path / "project", wordnet_folder, some_pictures(COUNTS), store={"url": store_url}
    )
    report = export(project, THREE, tmp_path / "release")
    with database.reading(project.engine) as connection:
        recorded = connection.execute(sa.select(tables.releases)).one()
    assert (recorded.name, recorded.digest, recorded.classes) == ("release", report.digest, 3)
    assert recorded.settings["sizes"]["val"] == 2
    splits = [split for _, split in placed(project).values()]
    assert {split: splits.count(split) for split in Split} == {
        Split.TRAIN: 12,
        Split.VAL: 6,
        Split.TEST: 6,
        Split.REPLICATE: 0,
    }


def test_the_archives_hold_the_tree(project: Project, tmp_path: Path) -> None:
    request = ExportRequest(SIZES, classes=3, formats=("ilsvrc", "ilsvrc-archives"))
    folder = export(project, request, tmp_path / "release").folder
    files = {path.name: path.read_bytes() for path in folder.rglob("*.JPEG")}
    found: dict[str, bytes] = {}

    def collect(archive: tarfile.TarFile) -> None:
        for member in archive:
            assert (member.mtime, member.uid, member.isfile()) == (1_577_836_800, 0, True)
            extracted = archive.extractfile(member)
            assert extracted is not None
            content = extracted.read()
            if member.name.endswith(".tar"):
                with tarfile.open(fileobj=io.BytesIO(content)) as inner:
                    assert {Path(name).stem.partition("_")[0] for name in inner.getnames()} == {
                        member.name[:9]
                    }
                    collect(inner)
            else:
                found[member.name] = content

    for split in (Split.TRAIN, Split.VAL, Split.TEST):
        with tarfile.open(folder / "archives" / f"ILSVRC2012_img_{split}.tar") as archive:
            collect(archive)
    assert found == files
    with tarfile.open(folder / "archives" / "ILSVRC2012_devkit_t12.tar.gz") as archive:
        for member in archive:
            extracted = archive.extractfile(member)
            assert extracted is not None
            assert extracted.read() == (folder / member.name).read_bytes()


def test_nothing_in_the_release_tells_what_a_test_picture_shows(tmp_path: Path, wordnet_folder: Path) -> None:
    verified = [
        Verified(
            one.wnid,
            one.content,
            title=f"title-{number}-",
            rights=Rights("by", "4.0", None, f"Author {number}"),
        )
        for number, one in enumerate(some_pictures(COUNTS))
    ]
    project = project_with(tmp_path / "project", wordnet_folder, verified)
    report = export(project, THREE, tmp_path / "release")
    with database.reading(project.engine) as connection:
        rows = connection.execute(
            sa.select(tables.release_images, tables.candidates.c.title, tables.candidates.c.url)
            .join(tables.candidates, tables.candidates.c.sha256 == tables.release_images.c.sha256)
            .where(tables.release_images.c.split == Split.TEST)
        ).all()
    assert len(rows) == 6
    everything = [
        path.read_bytes()
        for path in report.folder.rglob("*")
        if path.is_file() and path.parent.name != "unlabelled"
    ]
    for row in rows:
        for secret in (row.title, row.url, row.sha256, row.file_name):
            # SHA256SUMS and images.parquet name the files, and their own checksums stand there too.
            hits = [content for content in everything if secret.encode() in content]
            assert len(hits) <= (2 if secret in {row.file_name, row.sha256} else 0), secret
    (key_file,) = report.test_keys
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    for key in (key_file, project.folder / "secret.key"):
        sealed = {row["file"]: (row["wnid"], row["title"]) for row in open_sealed(report.folder, "test", key)}
        assert sealed == {row.file_name: (row.wnid, row.title) for row in rows}
    attribution = (report.folder / "attribution.txt").read_text()
    for number in range(24):
        assert f"Author {number}, CC BY 4.0" in attribution


def test_no_format_tells_where_a_test_picture_came_from(tmp_path: Path, wordnet_folder: Path) -> None:
    verified = [
        Verified(one.wnid, one.content, title=f"title-{number}-")
        for number, one in enumerate(some_pictures(COUNTS))
    ]
    project = project_with(tmp_path / "project", wordnet_folder, verified)
    folder = export(
        project, ExportRequest(SIZES, classes=3, formats=EVERY_FORMAT), tmp_path / "release"
    ).folder
    with database.reading(project.engine) as connection:
        secrets = connection.execute(
            sa.select(tables.candidates.c.title, tables.candidates.c.url)
            .join(tables.release_images, tables.candidates.c.sha256 == tables.release_images.c.sha256)
            .where(tables.release_images.c.split == Split.TEST)
        ).all()
    assert len(secrets) == 6
    everything = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for secret in (text for row in secrets for text in row):
        assert not [path for path, content in everything.items() if secret.encode() in content], secret
    assert verify_release(folder) == []


def test_the_manifest_names_the_library_that_the_bytes_depend_on(project: Project, tmp_path: Path) -> None:
    manifest = json.loads((export(project, THREE, tmp_path / "one").folder / "manifest.json").read_text())
    assert manifest["libraries"] == {"pyarrow": version("pyarrow")}


def test_a_place_that_is_taken_is_refused_and_left_alone(project: Project, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("do not lose")
    (tmp_path / "file").write_text("")
    for out in (taken, tmp_path / "file"):
        with pytest.raises(ReleaseError, match="exists already"):
            export(project, THREE, out)
    assert [path.name for path in taken.iterdir()] == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    assert verify_release(export(project, THREE, tmp_path / "empty").folder) == []


def test_too_few_classes_write_nothing_and_say_what_is_missing(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "release"
    flags = ["--classes", "4", "--val", "2", "--test", "2", "--min-train", "4", "--out", str(out)]
    code = run(command_line.main, "--project", str(project.folder), "export", *flags)
    said = capsys.readouterr()
    assert code == 3
    assert "2 of 4 classes qualify with 8 distinct accepted pictures each; nothing was written" in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert "synsets select" not in said.err
    rows = [line.split() for line in said.out.splitlines()]
    assert [TENCH, "tench.n.01", "7", "8", "1", "0"] in rows
    assert not leftovers(out)
    with pytest.raises(TooFewClasses) as raised:
        export(project, ExportRequest(Sizes(2, 2, 4, 9), classes=4), out)
    assert [(one.wnid, one.pictures, one.missing) for one in raised.value.shortfalls] == [(TENCH, 7, 1)]


@pytest.mark.parametrize(("asked", "more"), [({"classes": 6}, 2), ({"class_list": "ilsvrc2012"}, 997)])
def test_classes_that_the_project_does_not_have_are_told(
    project: Project, tmp_path: Path, asked: dict[str, Any], more: int
) -> None:
    with pytest.raises(
        TooFewClasses, match=f": select {more} more categories with `imagenet-builder synsets"
    ):
        export(project, ExportRequest(SIZES, **asked), tmp_path / "release")
    assert not leftovers(tmp_path / "release")


def test_fewer_classes_are_written_when_that_is_allowed_and_the_exit_code_says_so(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "release"
    flags = ["--classes", "4", "--val", "2", "--test", "2", "--min-train", "4", "--allow-fewer", "--json"]
    code = run(command_line.main, "--project", str(project.folder), "export", *flags, "--out", str(out))
    said = capsys.readouterr()
    assert code == 3
    assert "has 2 of 4 classes" in said.err
    document = json.loads(said.out)
    assert (document["short"], document["wnids"]) == (True, [GOLDFISH, UMBRELLA])
    assert verify_release(out) == []


def test_no_class_at_all_writes_nothing_even_if_fewer_are_allowed(project: Project, tmp_path: Path) -> None:
    request = ExportRequest(Sizes(50, 100, 100, 1300), classes=3, allow_fewer=True)
    with pytest.raises(TooFewClasses, match="0 of 3 classes qualify"):
        export(project, request, tmp_path / "release")
    assert not leftovers(tmp_path / "release")


def test_a_list_gives_exactly_its_classes(project: Project, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("umbrella  # by word\nn01440764 tench\n")
    report = export(project, ExportRequest(SIZES, class_list=str(names)), tmp_path / "release")
    assert report.wnids == (TENCH, UMBRELLA)
    names.write_text("tench\nfish.n.01\n")
    with pytest.raises(ReleaseError, match="ancestor"):
        export(project, ExportRequest(SIZES, class_list=str(names)), tmp_path / "other")
    with pytest.raises(ReleaseError, match="lists 1000 classes, not 12"):
        export(project, ExportRequest(SIZES, classes=12, class_list="ilsvrc2012"), tmp_path / "other")
    with pytest.raises(ReleaseError, match="no file, and no list"):
        export(project, ExportRequest(SIZES, class_list="ilsvrc2013"), tmp_path / "other")


def test_only_final_acceptances_are_exported_and_provisional_ones_are_told(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    unsettled = [
        Verified(TENCH, picture(500), final=False),
        Verified(TENCH, picture(501), decision="rejected"),
        Verified(TENCH, picture(502), decision="undecided"),
    ]
    add_verified(project, unsettled)
    flags = ["--classes", "3", "--val", "2", "--test", "2", "--min-train", "3"]
    with caplog.at_level(logging.INFO):
        code = run(
            command_line.main,
            *("--project", str(project.folder), "export", *flags, "--out", str(tmp_path / "release")),
        )
    assert code == 0
    assert "1 accepted verdicts are provisional" in capsys.readouterr().err + caplog.text
    assert sum(row["wnid"] == TENCH for row in listed(tmp_path / "release")) == COUNTS[TENCH] - 2
    with pytest.raises(
        TooFewClasses, match=r"`imagenet-builder aggregate` for the 1 provisional .*--finalise"
    ):
        export(project, ExportRequest(SIZES, classes=99), tmp_path / "other")


def test_pictures_of_two_classes_and_near_duplicates_are_kept_apart(project: Project, tmp_path: Path) -> None:
    twice = picture(600)
    again = picture(600, quality=60)
    add_verified(
        project,
        [
            Verified(TENCH, twice),
            Verified(UMBRELLA, again),
            *(Verified(GOLDFISH, picture(3 + 7, quality=quality)) for quality in (60, 70)),
        ],
    )
    report = export(project, THREE, tmp_path / "release")
    assert report.counts.multi_label == 2
    with database.reading(project.engine) as connection:
        question, verdict = tables.questions, tables.verdicts
        accepted = sa.select(sa.func.count(question.c.sha256.distinct())).select_from(
            question.join(verdict, verdict.c.question_id == question.c.id)
        )
        of_these = sa.and_(verdict.c.decision == "accepted", question.c.wnid.in_(report.wnids))
        assert report.counts.accepted == connection.scalar(accepted.where(of_these))
    where = placed(project)
    assert not {row["image_sha256"] for row in listed(report.folder)} - where.keys()
    assert verify_release(report.folder) == []
    names = [path.read_bytes() for path in report.folder.rglob("*.JPEG")]
    assert twice not in names
    assert again not in names


def test_one_author_s_pictures_are_on_one_side_unless_that_is_switched_off(
    tmp_path: Path, wordnet_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verified = [
        Verified(one.wnid, one.content, rights=Rights("by", "4.0", None, f"Author {number // 2}"))
        for number, one in enumerate(some_pictures({TENCH: 20, GOLDFISH: 21, UMBRELLA: 19}))
    ]
    project = project_with(tmp_path / "project", wordnet_folder, verified)
    author_of = {hashlib.sha256(one.content).hexdigest(): one.rights.author for one in verified}

    def divided_authors(out: Path) -> int:
        sides: dict[str | None, set[Split]] = {}
        with database.reading(project.engine) as connection:
            release_id = connection.scalar(
                sa.select(tables.releases.c.id).where(tables.releases.c.name == out.name)
            )
            rows = connection.execute(
                sa.select(tables.release_images).where(tables.release_images.c.release_id == release_id)
            ).all()
        for row in rows:
            sides.setdefault(author_of[row.sha256], set()).add(Split(row.split))
        return sum(len(found) > 1 for found in sides.values())

    together = export(project, THREE, tmp_path / "together")
    assert together.counts.divided_authors == divided_authors(together.folder) == 0
    assert "are on one side." in (together.folder / "README.md").read_text()
    flags = ["--classes", "3", "--val", "2", "--test", "2", "--min-train", "3", "--divide-authors"]
    out = tmp_path / "apart"
    code = run(command_line.main, "--project", str(project.folder), "export", *flags, "--out", str(out))
    assert code == 0, capsys.readouterr().err
    assert divided_authors(out) > 0
    assert "may be on several sides" in (out / "README.md").read_text()


@pytest.mark.parametrize(("authors", "divided"), [(2, True), (3, False)])
def test_authors_who_copied_one_picture_are_kept_apart_and_who_is_on_several_sides_is_counted(
    tmp_path: Path, wordnet_folder: Path, capsys: pytest.CaptureFixture[str], authors: int, divided: bool
) -> None:
    rights = [Rights("by", "4.0", None, f"Author {number}") for number in range(authors)]
    verified = [
        Verified(one.wnid, one.content, rights=rights[number % authors])
        for number, one in enumerate(some_pictures({TENCH: 21, GOLDFISH: 21, UMBRELLA: 21}))
    ]
    copies = [
        Verified(TENCH, picture(0, quality=70 + number), rights=one) for number, one in enumerate(rights)
    ]
    project = project_with(tmp_path / "project", wordnet_folder, [*verified, *copies])
    report = export(project, THREE, tmp_path / "release")
    flags = ["--classes", "3", "--val", "2", "--test", "2", "--min-train", "3", "--max-train", "20"]
    again = tmp_path / "again"
    assert (
        run(command_line.main, "--project", str(project.folder), "export", *flags, "--out", str(again)) == 0
    )
    said = capsys.readouterr().out
    assert f"{report.counts.held_back} whose authors are in val or test" in said
    assert ("(--divide-authors keeps them)" in said) == (report.counts.held_back > 0)
    sides: dict[str, set[str]] = {}
    for row in [*listed(report.folder), *open_sealed(report.folder, "test", report.test_keys[0])]:
        sides.setdefault(row["author"], set()).add(row["split"])
    several = sum(len(found) > 1 for found in sides.values())
    assert (report.counts.divided_authors, several > 0) == (several, divided)
    told = f"but for {several} without whom" if divided else "pictures are on one side."
    assert told in (report.folder / "README.md").read_text()


def test_only_admitted_licences_are_exported(tmp_path: Path, wordnet_folder: Path) -> None:
    verified = some_pictures(COUNTS)
    closed = [
        Verified(one.wnid, one.content, rights=Rights("by-nc", "2.0", None, "Someone strict"))
        for one in some_pictures({TENCH: 3}, start=700)
    ]
    project = project_with(tmp_path / "project", wordnet_folder, [*verified, *closed])
    request = ExportRequest(SIZES, classes=3, licences=("cc0", "by"))
    report = export(project, request, tmp_path / "release")
    assert {row["licence"] for row in listed(report.folder)} == {"by"}
    assert "Someone strict" not in (report.folder / "attribution.txt").read_text()
    with pytest.raises(TooFewClasses, match="more pictures, name more licences than cc0, lower --val"):
        export(project, ExportRequest(SIZES, classes=3, licences=("cc0",)), tmp_path / "none")


def test_pictures_are_upright_jpeg_without_metadata_and_encoded_only_once(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "A private person"
    turned, drawn = io.BytesIO(), Image.open(io.BytesIO(picture(800)))
    drawn.save(turned, "JPEG", exif=exif)
    graphics = io.BytesIO()
    Image.open(io.BytesIO(picture(801))).convert("P").save(graphics, "PNG")
    odd = [Verified(TENCH, turned.getvalue()), Verified(TENCH, graphics.getvalue())]
    project = project_with(tmp_path / "project", wordnet_folder, [*some_pictures(COUNTS), *odd])
    report = export(project, THREE, tmp_path / "release")
    for path in report.folder.rglob("*.JPEG"):
        content = path.read_bytes()
        assert b"A private person" not in content
        with Image.open(io.BytesIO(content)) as opened:
            assert (opened.format, opened.mode) == ("JPEG", "RGB")
            assert not opened.getexif()
    sizes = {Image.open(path).size for path in report.folder.rglob("*.JPEG")}
    assert sizes == {(72, 64), (64, 72)}
    with database.reading(project.engine) as connection:
        made = connection.execute(sa.select(tables.renditions)).all()
    assert len(made) == 2
    # The second export takes what the first one kept: the rendition's own bytes, whatever they are.
    kept = project.folder / "images"
    for row in made:
        path = kept / row.rendition_sha256[:2] / row.rendition_sha256
        assert path.is_file()
        original = kept / row.sha256[:2] / row.sha256
        original.unlink()
    again = export(project, THREE, tmp_path / "again")
    assert again.digest == report.digest


def test_resized_pictures_have_the_size_that_was_asked_for(project: Project, tmp_path: Path) -> None:
    report = export(project, ExportRequest(SIZES, classes=3, resize=32), tmp_path / "release")
    assert {Image.open(path).size for path in report.folder.rglob("*.JPEG")} == {(36, 32)}
    assert {(row["width"], row["height"]) for row in listed(report.folder)} == {(36, 32)}


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_picture_that_is_gone_or_changed_stops_the_export_and_nothing_is_left(
    project: Project, tmp_path: Path, harm: str
) -> None:
    for path in (project.folder / "images").rglob("*"):
        if path.is_file() and harm == "missing":
            path.unlink()
        elif path.is_file():
            path.write_bytes(b"other bytes")
    out = tmp_path / "release"
    with pytest.raises(ImageStoreError, match=harm):
        export(project, THREE, out)
    assert not leftovers(out)
    with database.reading(project.engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.releases)) == 0


def test_a_second_export_at_the_same_time_is_turned_away(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with database.exclusive_lock(project.engine, "export"):
        code = run(
            command_line.main,
            *("--project", str(project.folder), "export", "--classes", "3", "--out", str(tmp_path / "out")),
        )
    assert code == 75
    assert "another export is running" in capsys.readouterr().err


def test_names_and_titles_in_any_script_are_written_as_they_are(tmp_path: Path, wordnet_folder: Path) -> None:
    odd = Rights("by-sa", "4.0", None, 'Zoë "Ж" 猫,\nline two')
    verified = [
        Verified(one.wnid, one.content, rights=odd, title="=2+2; “Fisch”\n次の行")
        for one in some_pictures(COUNTS)
    ]
    project = project_with(tmp_path / "project", wordnet_folder, verified, project={"name": "Наборы $данных"})
    folder = export(project, THREE, tmp_path / "выпуск").folder
    assert {row["author"] for row in listed(folder)} == {odd.author}
    assert 'by Zoë "Ж" 猫, line two, CC BY-SA 4.0' in (folder / "attribution.txt").read_text("utf-8")
    assert "# Наборы $данных" in (folder / "README.md").read_text("utf-8")
    assert verify_release(folder) == []


def test_the_makers_folders_are_in_no_file_of_a_release(project: Project, tmp_path: Path) -> None:
    own = {"source": "folder", "url": sa.literal("file:///home/ada/").concat(tables.candidates.c.url)}
    with database.writing(project.engine) as connection:
        connection.execute(tables.candidates.update().values(page_url=None, **own))
    folder = export(project, THREE, tmp_path / "out").folder
    assert {row["url"] for row in listed(folder)} == {None}
    assert 'picture" by Ada Example, CC BY 4.0\n' in (folder / "attribution.txt").read_text("utf-8")
    for path in folder.rglob("*"):
        assert path.is_dir() or b"home/ada" not in path.read_bytes(), path
    assert verify_release(folder) == []


CRANE, LIFTING_CRANE = "n02012849", "n03126707"


def without_gloss(wordnet_folder: Path, copy: Path, wnid: str) -> Path:
    """A copy of WordNet in which one noun has no gloss, every line at its byte."""
    shutil.copytree(
        wordnet_folder, copy, ignore=lambda folder, names: [*{*names} - {"data.noun", "index.noun"}]
    )
    nouns = (wordnet_folder / "data.noun").read_bytes()
    line = nouns[int(wnid[1:]) :].partition(b"\n")[0]
    head, bar, gloss = line.partition(b" | ")
    (copy / "data.noun").unlink()
    (copy / "data.noun").write_bytes(nouns.replace(line, head + bar + b" " * len(gloss)))
    return copy


def test_classes_of_one_name_are_kept_apart_in_every_format_and_one_may_lack_a_gloss(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    folder = without_gloss(wordnet_folder, tmp_path / "wordnet", CRANE)
    project = project_with(tmp_path / "project", folder, some_pictures({CRANE: 8, LIFTING_CRANE: 9}))
    release = export(project, ExportRequest(SIZES, classes=2, formats=EVERY_FORMAT), tmp_path / "out").folder
    assert verify_release(release) == []
    kit = loadmat(release / "ILSVRC2012_devkit_t12/data/meta.mat", squeeze_me=True)["synsets"]
    leaves = [(one["WNID"], one["words"], len(one["gloss"]) > 0) for one in kit[:2]]
    assert leaves == [(CRANE, "crane", False), (LIFTING_CRANE, "crane", True)]
    assert (
        release / "kaggle/LOC_synset_mapping.txt"
    ).read_text() == f"{CRANE} crane\n{LIFTING_CRANE} crane\n"
    shard = pq.read_schema(next((release / "data").glob("train-*.parquet")))
    assert json.loads(shard.metadata[b"huggingface"])["info"]["features"]["label"]["names"] == [
        f"crane ({CRANE})",
        f"crane ({LIFTING_CRANE})",
    ]
    document = json.loads((release / "croissant.json").read_text())
    (classes,) = [one["data"] for one in document["recordSet"] if one["@id"] == "classes"]
    assert [(one["classes/wnid"], bool(one["classes/gloss"])) for one in classes] == [
        (CRANE, False),
        (LIFTING_CRANE, True),
    ]


def test_the_ground_truth_is_in_the_order_of_file_names(project: Project, tmp_path: Path) -> None:
    folder = export(project, THREE, tmp_path / "release").folder
    lines = (
        (folder / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt")
        .read_text()
        .splitlines()
    )
    val = sorted((path.name, path.parent.name) for path in (folder / "val").rglob("*.JPEG"))
    ids = {TENCH: "1", GOLDFISH: "2", UMBRELLA: "3"}
    assert lines == [ids[wnid] for _, wnid in val]
    assert [name for name, _ in val] == [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 7)]
    # Shuffled: not one class after the other.
    assert lines != sorted(lines)


@pytest.mark.parametrize(
    ("out", "says"),
    [
        (
            "/proc/release",
            "cannot write the release /proc/release: No such file or directory; .* write to /proc",
        ),
        ("x" * 250, "cannot write the release .*xx: File name too long; give a shorter --out"),
        ("file/release", "/file is a file, and no folder for .*/file/release: give another --out"),
        ("file/in/release", "/file is a file, and no folder for .*/file/in/release: give another --out"),
        ("/", "/ is no name for a release: give another --out"),
        ("new/..", "/new/.. is no name for a release: give another --out"),
        ("two\nlines", r"the name 'two\\nlines' is not one line of text: give another --out"),
        ("V\udcf6gel", "the name of .*/V�gel is not UTF-8, as a release's must be: give another --out"),
    ],
)
def test_a_folder_that_cannot_be_written_is_told_in_one_line(
    project: Project, tmp_path: Path, out: str, says: str
) -> None:
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ReleaseError, match=says) as refused:
        export(project, THREE, tmp_path / out)
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before
