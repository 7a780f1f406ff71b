"""The built wheel in a clean environment: everything that a user's machine needs is in it."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy of what git tracks: a build must not see what lies about in a working tree.
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=folder / "source")
    return next(folder.glob("*.whl"))


def test_every_package_of_the_tree_is_in_the_metadata() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    listed = set(settings["options"]["packages"].split())
    homes = {
        "migrations/builder": "imagenet_builder.migrations",
        "migrations/marketplace": "hits.marketplace.migrations",
    }
    found = set()
    for top in ("wordnet_synsets", "hits", "imagenet_builder", *homes):
        for init in (ROOT / top).rglob("__init__.py"):
            relative = init.parent.relative_to(ROOT).as_posix()
            for folder, package in homes.items():
                relative = relative.replace(folder, package)
            found.add(relative.replace("/", "."))
    assert found == listed


def test_the_wheel_puts_no_stray_top_level_package_into_an_environment(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "hits",
        "imagenet_builder",
        "wordnet_synsets",
    }


def test_the_wheel_makes_a_project_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    binaries = tmp_path / "env" / "bin"
    constraints = ROOT / "constraints.txt"
    run(binaries / "python", "-m", "pip", "install", "--quiet", "-c", constraints, wheel, cwd=tmp_path)
    run(binaries / "imagenet-builder", "init", "made", cwd=tmp_path)
    assert "0001 (head)" in run(
        binaries / "imagenet-builder", "db", "current", "--store", "builder", cwd=tmp_path / "made"
    )
    run(binaries / "imagenet-builder", "db", "upgrade", cwd=tmp_path / "made")
    current = run(binaries / "imagenet-builder", "db", "current", cwd=tmp_path / "made")
    assert current.count("(head)") == 2
    # Training is an extra: without it the command says what to install.
    (tmp_path / "release").mkdir()
    done = subprocess.run(
        [binaries / "imagenet-builder", "train", tmp_path / "release"],
        capture_output=True,
        text=True,
        cwd=tmp_path / "made",
        check=False,
    )
    assert done.returncode == 1
    assert "imagenet-builder[train]" in done.stderr
