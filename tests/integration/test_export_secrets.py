"""What is published of test tells no label: whoever permutes the labels of test gets the same release to the byte."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.description import ReleasePictures
from imagenet_builder.export.documents import OWN_CHECKSUM, own_checksum
from imagenet_builder.export.formats import FORMATS
from imagenet_builder.export.plan import Plan, plan_release
from imagenet_builder.export.provenance import shuffled
from imagenet_builder.export.release import export, write_release
from imagenet_builder.export.request import ExportRequest
from imagenet_builder.export.tar import tar_end
from imagenet_builder.export.target import FolderTarget
from imagenet_builder.export.verify import verify_release
from imagenet_builder.project import Project
from imagenet_builder.records import Rights, Split
from imagenet_builder.store import tables
from imagenet_builder.train.sealed import open_sealed
from tests.export_parts import (
    GOLDFISH,
    TENCH,
    UMBRELLA,
    Verified,
    picture,
    project_with,
    some_pictures,
    thawed,
)
from tests.integration.test_export_verify import sign_again

EVERY_FORMAT = (*FORMATS, "croissant")
REQUEST = ExportRequest(
    Sizes(val=2, test=4, min_train=3, max_train=20, replicate=3), classes=3, formats=EVERY_FORMAT
)
COUNTS = {TENCH: 12, GOLDFISH: 13, UMBRELLA: 12}


@pytest.fixture
def project(tmp_path: Path, wordnet_folder: Path) -> Project:
    verified = [
        Verified(
            one.wnid,
            one.content,
            title=f"{one.wnid} title {number}",
            rights=Rights("by", "4.0", None, f"Author {number}"),
        )
        for number, one in enumerate(some_pictures(COUNTS))
    ]
    return project_with(tmp_path / "project", wordnet_folder, verified)


def written(project: Project, plan: Plan, folder: Path) -> dict[str, bytes]:
    """Write a decided release; path → content."""
    target = FolderTarget(folder)
    target.publish(write_release(project, plan, REQUEST, target).manifest)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def with_permuted_labels(project: Project, plan: Plan, split: Split, seed: int) -> Plan:
    """The same store and plan, but that the pictures of a split show what others of it did, by all rows."""
    hidden = plan.release.of_split(split)
    wnids = [one.wnid for one in hidden]
    random.Random(seed).shuffle(wnids)
    assert wnids != [one.wnid for one in hidden]
    new = {one.sha256: wnid for one, wnid in zip(hidden, wnids, strict=True)}
    with database.writing(project.engine) as connection:
        for table in (tables.questions, tables.candidates):
            for sha256, wnid in new.items():
                connection.execute(table.update().where(table.c.sha256 == sha256).values(wnid=wnid))
        # Source, title and author go with the label.
        old = {one.sha256: one.wnid for one in hidden}
        for sha256 in new:
            moved = tables.candidates.c.title
            connection.execute(
                tables.candidates.update()
                .where(tables.candidates.c.sha256 == sha256)
                .values(title=sa.func.replace(moved, old[sha256], new[sha256]))
            )
    pictures = ReleasePictures.of(
        plan.release.pictures.wnids,
        [
            one._replace(wnid=new.get(one.sha256, one.wnid)) if one.split is split else one
            for one in plan.release.pictures
        ],
    )
    return dataclasses.replace(plan, release=dataclasses.replace(plan.release, pictures=pictures))


@pytest.mark.parametrize("split", [Split.TEST, Split.REPLICATE])
def test_permuted_labels_of_test_change_nothing_but_the_sealed_file(
    project: Project, tmp_path: Path, split: Split
) -> None:
    plan = plan_release(project, REQUEST)
    before = written(project, plan, tmp_path / "before")
    after = written(project, with_permuted_labels(project, plan, split, seed=1), tmp_path / "after")
    changed = {path for path in before if before[path] != after.get(path)}
    assert before.keys() == after.keys()
    # The two that follow from the sealed file: they hold its checksum.
    assert changed == {f"{split}.sealed", "SHA256SUMS", "manifest.json"}
    sealed = f"{split}.sealed"
    assert len(before[sealed]) == len(after[sealed])
    old, new = (
        {line for line in files["SHA256SUMS"].splitlines() if not line.endswith(sealed.encode())}
        for files in (before, after)
    )
    assert old == new


def test_the_key_opens_the_labels_and_nothing_else_does(project: Project, tmp_path: Path) -> None:
    report = export(project, REQUEST, tmp_path / "release")
    test_key, replicate_key = report.test_keys
    with database.reading(project.engine) as connection:
        rows = connection.execute(sa.select(tables.release_images)).all()
    truth = {row.file_name: row.wnid for row in rows if row.split == "test"}
    opened = open_sealed(report.folder, "test", test_key)
    assert {row["file"]: row["wnid"] for row in opened} == truth
    assert [row["file"] for row in opened] == sorted(truth)
    assert all(row["wnid"] in row["title"] and row["url"] and row["yes"] == "3" for row in opened)
    with pytest.raises(ReleaseError, match="does not open"):
        open_sealed(report.folder, "test", replicate_key)
    other = tmp_path / "other.key"
    other.write_text("00" * 32)
    with pytest.raises(ReleaseError, match="does not open"):
        open_sealed(report.folder, "test", other)
    other.write_text("rubbish")
    with pytest.raises(ReleaseError, match="is no key"):
        open_sealed(report.folder, "test", other)
    with pytest.raises(ReleaseError, match="cannot read the key"):
        open_sealed(report.folder, "test", tmp_path / "nothing.key")
    damaged = thawed(report.folder) / "test.sealed"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    with pytest.raises(ReleaseError, match="does not open"):
        open_sealed(report.folder, "test", test_key)


def test_the_published_seed_tells_nothing_of_who_is_in_test(project: Project, tmp_path: Path) -> None:
    """Test is the end of every class by rank: who could compute ranks would know which classes a picture is not of."""
    plan = plan_release(project, REQUEST)
    again = plan_release(Project(project.folder, project.settings), REQUEST)
    assert again.release.pictures == plan.release.pictures
    (project.folder / "secret.key").unlink()
    other = plan_release(Project(project.folder, project.settings), REQUEST)
    assert other.release.pictures != plan.release.pictures
    tests = [{one.sha256 for one in made.release.of_split(Split.TEST)} for made in (plan, other)]
    assert tests[0] != tests[1]


def test_two_projects_seal_the_same_release_under_different_keys(project: Project, tmp_path: Path) -> None:
    plan = plan_release(project, REQUEST)
    one = written(project, plan, tmp_path / "one")
    (project.folder / "secret.key").unlink()
    other = written(Project(project.folder, project.settings), plan, tmp_path / "other")
    assert one["test.sealed"] != other["test.sealed"]
    # The order of credits is the key's as well.
    assert one["attribution.txt"] != other["attribution.txt"]
    assert sorted(one["attribution.txt"].splitlines()) == sorted(other["attribution.txt"].splitlines())


def test_credits_stand_once_each_and_not_in_an_order_that_anybody_could_know() -> None:
    lines = {f"Author {number}\n".encode() for number in range(40)}
    mark = "ab" * 32
    assert set(shuffled(lines, b"k" * 32, mark)) == lines
    assert shuffled(lines, b"k" * 32, mark) == shuffled(lines, b"k" * 32, mark)
    assert shuffled(lines, b"k" * 32, mark) != sorted(lines)
    assert shuffled(lines, b"l" * 32, mark) != shuffled(lines, b"k" * 32, mark)


def test_images_parquet_says_everything_of_val_and_only_the_file_of_test(
    project: Project, tmp_path: Path
) -> None:
    folder = export(project, REQUEST, tmp_path / "release").folder
    rows = pq.read_table(folder / "images.parquet").to_pylist()
    assert len(rows) == sum(COUNTS.values())
    for row in rows:
        told = {name for name, value in row.items() if value is not None}
        if row["split"] in {"test", "replicate"}:
            assert told == {"file", "split", "sha256", "width", "height", "bytes", "shard", "offset"}
        else:
            assert told.issuperset(
                {"source", "url", "page", "title", "author", "licence", "licence_version", "retrieved"}
            )
            assert told.issuperset({"yes", "probability", "rule", "image_sha256", "wnid", "label"})
    assert "images.parquet" in (folder / "SHA256SUMS").read_text()
    assert "test.sealed" in (folder / "SHA256SUMS").read_text()


def test_a_replicate_is_a_disjoint_test_with_its_own_labels_sealed(project: Project, tmp_path: Path) -> None:
    folder = export(project, REQUEST, tmp_path / "release").folder
    assert len(list((folder / "unlabelled").iterdir())) == 12
    assert len(list((folder / "unlabelled-replicate").iterdir())) == 9
    assert verify_release(folder) == []
    assert "| replicate | 9 |" in (folder / "README.md").read_text()
    without = dataclasses.replace(REQUEST, sizes=dataclasses.replace(REQUEST.sizes, replicate=0))
    plain = export(project, without, tmp_path / "plain").folder
    # Val and test are what they were without it: it is taken out of train.
    for split in ("val", "unlabelled"):
        one, other = (
            {path.relative_to(root): path.read_bytes() for path in (root / split).rglob("*.JPEG")}
            for root in (folder, plain)
        )
        assert one == other
    assert not (plain / "replicate.sealed").exists()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_is_checked_against_the_list(project: Project, tmp_path: Path, name: str) -> None:
    """Another release's files in the place of one format's: every format is read, not only the tree."""
    request = dataclasses.replace(REQUEST, formats=tuple(dict.fromkeys(["ilsvrc", name])))
    release = export(project, request, tmp_path / "release").folder
    assert verify_release(release, near_duplicates=False) == []
    seeded = export(project, dataclasses.replace(request, seed=1), tmp_path / "seeded").folder
    places = {"ilsvrc": "val", "ilsvrc-archives": "archives", "parquet": "data"}
    place = places.get(name, name)
    shutil.rmtree(release / place)
    shutil.copytree(seeded / place, release / place)
    if name != "ilsvrc":
        sign_again(thawed(release))
    problems = verify_release(release, near_duplicates=False)
    assert [problem for problem in problems if problem.startswith((f"{name}:", f"{name} ", f"{place}/"))]


def test_a_label_of_test_in_the_list_or_in_a_format_is_a_leak(project: Project, tmp_path: Path) -> None:
    release = export(
        project, dataclasses.replace(REQUEST, formats=("ilsvrc", "parquet")), tmp_path / "release"
    ).folder
    table = pq.read_table(thawed(release) / "images.parquet")
    rows = table.to_pylist()
    told = next(row for row in rows if row["split"] == "test")
    told["author"] = "Somebody who draws umbrellas"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), release / "images.parquet")
    shard = release / "data" / "test-00000-of-00001.parquet"
    pictures = pq.read_table(shard)
    first = pictures["image"][0].as_py()["path"]
    labels = pa.array([0, *pictures["label"].to_pylist()[1:]], pa.int64())
    pq.write_table(pictures.set_column(1, "label", labels), shard)
    sign_again(release)
    assert verify_release(release, near_duplicates=False) == [
        f"images.parquet tells the author of {told['file']}, which is hidden",
        f"parquet: {first} tells a label that is hidden",
    ]


def test_a_shard_that_is_cut_off_or_a_list_that_is_gone_is_told(project: Project, tmp_path: Path) -> None:
    request = dataclasses.replace(REQUEST, formats=("webdataset", "ilsvrc"))
    release = thawed(export(project, request, tmp_path / "release").folder)
    shard = next((release / "webdataset").glob("train-*.tar"))
    content = shard.read_bytes()
    with tarfile.open(shard) as archive:
        last = archive.getmembers()[-1]
    shard.write_bytes(content[: last.offset] + tar_end(last.offset))
    damaged = verify_release(release)
    assert damaged == [f"{shard.relative_to(release)} was changed"]
    sign_again(release)
    assert [problem for problem in verify_release(release) if "ends within a sample" in problem]
    (release / "images.parquet").unlink()
    sums = (release / "SHA256SUMS").read_text().splitlines(keepends=True)
    content = "".join(line for line in sums if "images.parquet" not in line).encode()
    (release / "SHA256SUMS").write_bytes(content)
    manifest = json.loads((release / "manifest.json").read_text())
    manifest["sha256sums"] = hashlib.sha256(content).hexdigest()
    manifest[OWN_CHECKSUM] = own_checksum(manifest)
    (release / "manifest.json").write_text(json.dumps(manifest))
    assert verify_release(release) == ["there is no images.parquet: nothing says what the pictures are"]


def test_near_duplicates_never_cross_into_the_replicate(tmp_path: Path, wordnet_folder: Path) -> None:
    verified = [
        Verified(wnid, picture(100 * place + number, quality=quality))
        for place, wnid in enumerate(COUNTS)
        for number in range(14)
        for quality in (85, 60)
    ]
    project = project_with(tmp_path / "project", wordnet_folder, verified)
    report = export(project, dataclasses.replace(REQUEST, formats=("ilsvrc",)), tmp_path / "release")
    assert report.counts.replicate == 9
    assert verify_release(report.folder) == []
