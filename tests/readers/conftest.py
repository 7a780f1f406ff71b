"""A release in every format, exported by the program's own environment; the readers' has nothing of the program."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parents[2]
BUILDER_PYTHON = os.environ.get("BUILDER_PYTHON", str(ROOT / ".venv" / "bin" / "python"))

# Nothing may be fetched: what a reader needs is in the release.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # Its wheels are built for CUDA; beside a CPU-only torch two of its operators must be declared.
    LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


@dataclass(frozen=True)
class Shown:
    """What the store knows of a picture: `label` is its class's place among the sorted wnids, -1 in test."""

    wnid: str
    split: str
    label: int
    sha256: str


@dataclass(frozen=True)
class Releases:
    """The exported folders by name (see make_release.RELEASES), and the truth by file name."""

    folder: Path
    truth: dict[str, Shown]

    def __getitem__(self, name: str) -> Path:
        return self.folder / name

    def of(self, *splits: str) -> dict[str, int]:
        """File name → label, of some splits."""
        return {name: shown.label for name, shown in self.truth.items() if shown.split in splits}

    def pixels(self, split: str) -> list[tuple[str, int]]:
        """(digest of the decoded pixels, label) of a split, sorted: for readers that give no file names."""
        folder = self["tree"]
        names = {path.name: path for path in folder.rglob("*.JPEG")}
        return sorted((pixels_of(Image.open(names[name])), label) for name, label in self.of(split).items())


def pixels_of(picture: Image.Image) -> str:
    """A digest of a picture's decoded pixels."""
    return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()


def sorted_pixels(rows: Iterable[tuple[Image.Image, int]]) -> list[tuple[str, int]]:
    """(digest of the decoded pixels, label) of what a reader gave, sorted."""
    return sorted((pixels_of(picture), int(label)) for picture, label in rows)


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """Everything that make_release exports."""
    folder = tmp_path_factory.mktemp("releases")
    done = subprocess.run(
        [BUILDER_PYTHON, "-m", "tests.readers.make_release", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    truth = json.loads((folder / "truth.json").read_text())
    return Releases(folder, {name: Shown(**shown) for name, shown in truth.items()})


@pytest.fixture
def copied(releases: Releases, tmp_path: Path) -> Releases:
    """The same in a folder of the test's own, for readers that write beside what they read."""
    shutil.copytree(releases.folder, tmp_path / "releases", ignore=shutil.ignore_patterns("project"))
    return Releases(tmp_path / "releases", releases.truth)
