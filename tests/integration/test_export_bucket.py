"""Releases written straight into a bucket, on each of two S3 servers, by several processes; and read from there."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import obstore
import pytest
import torch
from obstore.store import from_url

from imagenet_builder.cli import command_line, run
from imagenet_builder.errors import ReleaseError
from imagenet_builder.export import parts
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.release import export
from imagenet_builder.export.request import ExportRequest
from imagenet_builder.project import Project
from imagenet_builder.train import dataset
from imagenet_builder.train.baseline import train_release
from imagenet_builder.train.dataset import open_release
from imagenet_builder.train.recipe import TrainSettings
from imagenet_builder.train.scoring import read_truth, score
from imagenet_builder.train.transforms import validation_transform
from tests.export_parts import GOLDFISH, TENCH, UMBRELLA, project_with, some_pictures
from tests.s3_servers import S3Server, new_bucket, use_server

REQUEST = ExportRequest(
    Sizes(val=4, test=4, min_train=10, max_train=300),
    classes=3,
    formats=("webdataset", "parquet", "mds", "croissant"),
)
# Enough for several processes.
COUNTS = {TENCH: 180, GOLDFISH: 190, UMBRELLA: 180}


@pytest.fixture(params=["moto", "swift"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def address(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty address on the server, which this process and those that it starts use."""
    monkeypatch.setattr(parts, "PART_PICTURES", 100)
    return f"{new_bucket(s3_server, monkeypatch)}/first"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, wordnet_folder: Path) -> Project:
    return project_with(tmp_path_factory.mktemp("bucket") / "project", wordnet_folder, some_pictures(COUNTS))


def in_bucket(address: str) -> dict[str, bytes]:
    """Path → content of everything below an address."""
    store = from_url(address)
    return {
        one["path"]: bytes(obstore.get(store, one["path"]).bytes())
        for batch in obstore.list(store)
        for one in batch
    }


def in_folder(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_bucket_gets_the_same_files_as_a_folder(project: Project, address: str, tmp_path: Path) -> None:
    report = export(project, REQUEST, address, processes=2)
    assert report.place == address
    found = in_bucket(address)
    assert found == in_folder(export(project, REQUEST, tmp_path / "folder").folder)
    assert hashlib.sha256(found["SHA256SUMS"]).hexdigest() == report.digest
    assert json.loads(found["manifest.json"])["sha256sums"] == report.digest
    assert sum(path.endswith(".tar") for path in found) == 8
    # Nothing is left of the run.
    assert not list((project.folder / ".exports").iterdir())


def test_an_address_with_something_in_it_is_refused_and_left_alone(project: Project, address: str) -> None:
    store = from_url(address)
    obstore.put(store, "notes/mine.txt", b"mine")
    with pytest.raises(ReleaseError, match="holds something already"):
        export(project, REQUEST, address)
    assert in_bucket(address) == {"notes/mine.txt": b"mine"}
    obstore.delete(store, "notes/mine.txt")
    export(project, REQUEST, address)
    with pytest.raises(ReleaseError, match="holds something already"):
        export(project, REQUEST, address)


KILLED = """
import os, signal, sys
from pathlib import Path
from imagenet_builder.export import parts
from imagenet_builder.project import find_project
from imagenet_builder.export.release import export
from tests.integration.test_export_bucket import REQUEST

def kill(done, total):
    if done >= 300:
        os.kill(os.getpid(), signal.SIGKILL)

parts.PART_PICTURES = 100
if __name__ == "__main__":
    export(find_project(Path(sys.argv[1])), REQUEST, sys.argv[2], processes=2, progress=kill)
"""


def kill_export(project: Project, address: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(project.folder), address],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_killed_export_leaves_no_manifest_and_is_gone_on_with(
    project: Project, address: str, tmp_path: Path
) -> None:
    kill_export(project, address)
    left = in_bucket(address)
    assert any(path.endswith(".tar") for path in left)
    assert "manifest.json" not in left
    lost = next(path for path in sorted(left) if path.endswith(".mds"))
    obstore.delete(from_url(address), lost)
    report = export(project, REQUEST, address)
    # Three parts of at least two whole shards; what is gone is written again.
    assert report.reused >= 6
    assert in_bucket(address) == in_folder(export(project, REQUEST, tmp_path / "folder").folder)


@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
def test_another_release_takes_the_place_of_one_that_was_killed(
    project: Project, address: str, tmp_path: Path
) -> None:
    kill_export(project, address)
    other = replace(REQUEST, seed=1, formats=("mds",))
    assert export(project, other, address).reused == 0
    assert in_bucket(address) == in_folder(export(project, other, tmp_path / "folder").folder)


@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
def test_another_project_does_not_touch_what_one_left_unfinished(
    project: Project, address: str, tmp_path: Path, wordnet_folder: Path
) -> None:
    kill_export(project, address)
    before = in_bucket(address)
    stranger = project_with(tmp_path / "stranger", wordnet_folder, some_pictures(COUNTS))
    with pytest.raises(ReleaseError, match="holds something already"):
        export(stranger, REQUEST, address)
    assert in_bucket(address) == before


def test_wrong_keys_are_one_line(
    project: Project, swift_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{new_bucket(swift_server, monkeypatch)}/first"
    use_server(swift_server, monkeypatch, secret="wrong")
    with pytest.raises(ReleaseError, match="check the address, the keys and the network") as error:
        export(project, REQUEST, address)
    assert len(str(error.value).splitlines()) == 1


SMALL = TrainSettings(arch="small", size=32, epochs=1, batch_size=64, seed=1, device="cpu", workers=0)


@pytest.mark.parametrize("format_name", ["webdataset", "parquet", "mds", "ilsvrc"])
def test_training_reads_a_release_from_the_bucket_as_from_a_folder(
    project: Project, moto_server: S3Server, format_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_PICTURES", 100)
    address = f"{new_bucket(moto_server, monkeypatch)}/first"
    request = replace(REQUEST, formats=(format_name,))
    export(project, request, address)
    tree = open_release(export(project, replace(REQUEST, formats=("ilsvrc",)), tmp_path / "tree").folder)
    remote = open_release(address)
    assert (remote.wnids, remote.words) == (tree.wnids, tree.words)
    for ours, theirs in ((remote.train, tree.train), (remote.val, tree.val)):
        known = {(one.path.parent.name, one.path.name, one.label): one.path.read_bytes() for one in theirs}
        assert {(one.path.parent.name, one.path.name, one.label): remote.source(one) for one in ours} == known
    if format_name != "mds":
        return
    metrics = train_release(address, tmp_path / "run", SMALL)
    assert metrics.release == "first"
    assert metrics.pictures == {"train": 526, "val": 12}


def test_pictures_of_a_bucket_reach_processes_of_the_loader(
    project: Project, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{new_bucket(moto_server, monkeypatch)}/first"
    export(project, replace(REQUEST, formats=("webdataset",)), address)
    monkeypatch.setattr(dataset, "HELD_IN_MEMORY_BYTES", 0)
    release = open_release(address)
    pictures = dataset.Pictures(release.files, release.val, 32, validation_transform(32), seed=1)
    # The client of this process is in use before the others start.
    assert release.source(release.val[0])
    loader = dataset.make_loader(pictures, list(range(len(pictures))), 4, workers=2, pin=False)
    batches = list(loader)
    assert [len(labels) for _, labels in batches] == [4, 4, 4]
    assert torch.cat([labels for _, labels in batches]).tolist() == [one.label for one in release.val]


def test_a_submission_is_scored_from_the_bucket(
    project: Project, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = export(project, REQUEST, address)
    guesses = tmp_path / "guesses.txt"
    guesses.write_text("1 2\n" * 12)
    local = export(project, REQUEST, tmp_path / "folder").folder
    scores = [
        score(read_truth(place, split, key), guesses.read_text(), "guesses")
        for place in (address, local)
        for split, key in (("val", None), ("test", report.test_keys[0]))
    ]
    assert scores[:2] == scores[2:]
    assert scores[0].flat[0] == pytest.approx(2 / 3)
    assert scores[0].hierarchical is not None
    done = subprocess.run(
        [sys.executable, "-m", "imagenet_builder", "evaluate", address, str(guesses), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["release"] == address


def test_what_is_no_release_in_the_bucket_is_one_line(address: str) -> None:
    for read in (open_release, read_truth_of_val):
        with pytest.raises(ReleaseError, match=f"^{address} is not a release: there is no") as error:
            read(address)
        assert len(str(error.value).splitlines()) == 1


def read_truth_of_val(address: str) -> None:
    read_truth(address, "val")


def test_a_shard_that_is_cut_off_is_named(project: Project, address: str) -> None:
    export(project, replace(REQUEST, formats=("mds",)), address)
    obstore.put(from_url(address), "mds/val/shard.00000.mds", b"cut off")
    release = open_release(address)
    with pytest.raises(ReleaseError, match=r"mds/val/shard\.00000\.mds"):
        release.source(release.val[0])


def test_a_release_in_the_bucket_is_checked_and_compared_as_a_folder_is(
    project: Project, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(project, REQUEST, address)
    export(project, replace(REQUEST, seed=1, formats=("mds",)), tmp_path / "other")
    assert run(command_line.main, "verify-release", address) == 0
    assert capsys.readouterr().out.startswith(f"{address} is sound, checksum ")
    assert run(command_line.main, "diff-release", address, str(tmp_path / "other")) == 0
    assert "setting seed: 0 → 1" in capsys.readouterr().out
    obstore.put(from_url(address), "mds/val/shard.00000.mds", b"something else")
    assert run(command_line.main, "verify-release", address, "--skip-near-duplicates") == 1
    said = capsys.readouterr()
    assert "mds/val/shard.00000.mds was changed" in said.out
    assert said.err.startswith(f"Error: {address} has 1 problem:")
    obstore.put(from_url(address), "manifest.json", b"damaged")
    for arguments in (["verify-release", address], ["diff-release", str(tmp_path / "other"), address]):
        assert run(command_line.main, *arguments) == 1
        assert capsys.readouterr().err.startswith(f"Error: {address}/manifest.json is damaged")
    obstore.delete(from_url(address), "manifest.json")
    assert run(command_line.main, "verify-release", address) == 1
    assert capsys.readouterr().err == f"Error: {address} is not a release: there is no manifest.json\n"
