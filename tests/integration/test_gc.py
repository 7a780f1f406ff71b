"""`gc` and `doctor --deep`: what no row names is swept, what a row names never is, what is lost is told."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hits import database
from hits.errors import LockHeld
from imagenet_builder.cli import command_line
from imagenet_builder.cli import run as run_command
from imagenet_builder.doctor import State, examine
from imagenet_builder.gc import Sweep, compare, sweep
from imagenet_builder.project import Project
from imagenet_builder.store import tables
from tests.builder_store import NOW, empty_project

LATER = timedelta(hours=2)


def later() -> datetime:
    return datetime.now(UTC) + LATER


@pytest.fixture
def project(tmp_path: Path, store_url: str) -> Project:
    return empty_project(tmp_path / "project", store={"url": store_url})


def add_image(project: Project, content: bytes) -> str:
    sha256 = project.images.put(content)
    with database.writing(project.engine) as connection:
        connection.execute(
            tables.images.insert(),
            {
                "sha256": sha256, "format": "jpeg", "mode": "RGB", "width": 1, "height": 1,
                "byte_count": len(content), "orientation": 1, "perceptual_hash": 0, "stored_at": NOW,
            },
        )  # fmt: skip
    return sha256


def add_rendition(project: Project, sha256: str, content: bytes) -> str:
    made = project.images.put(content)
    with database.writing(project.engine) as connection:
        connection.execute(
            tables.renditions.insert(),
            {
                "sha256": sha256, "purpose": "thumbnail-300", "rendition_sha256": made, "width": 1, "height": 1,
                "byte_count": len(content), "made_at": NOW,
            },
        )  # fmt: skip
    return made


def leave(project: Project, sha256: str) -> Path:
    """What a write that was killed leaves."""
    path = project.folder / "images" / sha256[:2] / f"{sha256}#7"
    path.write_bytes(b"half")
    return path


def test_only_what_no_row_names_is_swept_and_only_when_told(project: Project) -> None:
    kept = {add_image(project, b"image %d" % number) for number in range(30)}
    kept.add(add_rendition(project, min(kept), b"thumbnail"))
    orphans = {project.images.put(b"orphan %d" % number) for number in range(5)}
    leftover = leave(project, min(kept))
    names: list[str] = []
    shown = sweep(project.engine, project.images, delete=False, now=later(), listener=names.append)
    assert shown == Sweep(5, 40, 1, 4, 0, False)
    assert {name.split()[0] for name in names} == {*orphans, leftover.name}
    assert set(project.images) == kept | orphans
    assert leftover.exists()
    assert sweep(project.engine, project.images, delete=True, now=later()) == Sweep(5, 40, 1, 4, 0, True)
    assert set(project.images) == kept
    assert not leftover.exists()
    assert sweep(project.engine, project.images, delete=True, now=later()) == Sweep(0, 0, 0, 0, 0, True)


def test_young_bytes_are_left_alone_because_their_row_may_be_on_its_way(project: Project) -> None:
    kept = add_image(project, b"image")
    orphan, leftover = project.images.put(b"orphan"), leave(project, kept)
    swept = sweep(project.engine, project.images, delete=True, now=datetime.now(UTC))
    assert (swept.orphans, swept.leftovers, swept.young) == (0, 0, 1)
    assert project.images.exists(orphan)
    assert leftover.exists()


@pytest.mark.parametrize("lock", ["crawl", "export"])
def test_nothing_is_swept_while_something_runs_that_writes(project: Project, lock: str) -> None:
    orphan = project.images.put(b"orphan")
    with database.exclusive_lock(project.engine, lock):
        assert sweep(project.engine, project.images, delete=False, now=later()).orphans == 1
        with pytest.raises(LockHeld):
            sweep(project.engine, project.images, delete=True, now=later())
    assert project.images.exists(orphan)


def test_the_command_shows_and_with_delete_sweeps(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan = project.images.put(b"orphan")
    arguments = ("--project", str(project.folder), "gc", "--older-than", "0")
    assert run_command(command_line.main, *arguments) == 0
    assert "found 1 files without a row (6 bytes)" in capsys.readouterr().out
    assert project.images.exists(orphan)
    assert run_command(command_line.main, *arguments, "--delete") == 0
    assert not project.images.exists(orphan)


def test_lost_and_damaged_bytes_are_told_apart(project: Project) -> None:
    whole, missing, damaged, cut = (add_image(project, b"image %d" % number) for number in range(4))
    thumbnail = add_rendition(project, whole, b"thumbnail")
    project.images.put(b"orphan")
    project.images.delete(missing)
    project.images.delete(thumbnail)
    for sha256, content in ((damaged, b"imagE 2"), (cut, b"")):
        path = project.folder / "images" / sha256[:2] / sha256
        path.write_bytes(content)
    found = compare(project.engine, project.images)
    assert sorted(found.lost) == sorted(
        [(missing, "is missing"), (damaged, "is damaged"), (cut, "is damaged")]
    )
    assert found.lost_renditions == [(thumbnail, "is missing")]
    assert (found.images, found.renditions, found.orphans) == (1, 0, 1)
    findings = {finding.part: finding for finding in examine(project, deep=True)}
    assert findings["bytes"].state is State.BROKEN
    assert "3 images are lost" in findings["bytes"].found
    assert findings["renditions"].state is State.MISSING
    assert "gc" in findings["orphans"].remedy
    assert "bytes" not in {finding.part for finding in examine(project)}


def test_a_store_in_order_is_good(project: Project) -> None:
    add_rendition(project, add_image(project, b"image"), b"thumbnail")
    [finding] = [finding for finding in examine(project, deep=True) if finding.part == "bytes"]
    assert (finding.state, finding.found) == (State.GOOD, "1 images and 1 renditions have their bytes")


def test_a_leftover_is_only_what_has_the_name_of_one(project: Project) -> None:
    sha256 = add_image(project, b"image")
    folder = leave(project, sha256).parent
    for name in ("notes#1", f"{sha256}#x", f"{sha256[:-1]}#1"):
        (folder / name).write_bytes(b"mine")
    old = datetime.now(UTC).timestamp() - 90_000
    for path in folder.iterdir():
        os.utime(path, (old, old))
    assert [leftover.path.name for leftover in project.images.leftovers()] == [f"{sha256}#7"]
