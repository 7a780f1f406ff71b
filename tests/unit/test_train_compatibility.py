"""torchvision's import beside a torch that its compiled half was not built for."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch")


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_models_transforms_and_datasets_work_after_loading() -> None:
    code = """
from imagenet_builder.train.compatibility import load_torchvision
torchvision = load_torchvision()
import torch
from torchvision import datasets, models
from torchvision.transforms import v2
scores = models.get_model("resnet18", num_classes=3).eval()(torch.zeros(1, 3, 64, 64))
assert scores.shape == (1, 3)
crop = v2.RandomResizedCrop(8, antialias=True)(torch.zeros(3, 20, 30, dtype=torch.uint8))
assert crop.shape == (3, 8, 8)
assert datasets.ImageNet is not None
assert load_torchvision() is torchvision
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_operators_are_declared_exactly_where_the_plain_import_fails() -> None:
    code = """
try:
    import torchvision
    works = True
except RuntimeError as error:
    assert "does not exist" in str(error), error
    works = False
from imagenet_builder.train import compatibility
compatibility.load_torchvision()
declared = compatibility.declared_operators.cache_info().currsize == 1
assert declared == (not works), (declared, works)
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_nothing_is_declared_twice() -> None:
    code = """
import torch
library = torch.library.Library("torchvision", "FRAGMENT")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from imagenet_builder.train.compatibility import declared_operators
assert declared_operators()[1] == ()
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_a_missing_torch_is_one_line_that_says_how_to_install_it() -> None:
    code = """
import sys
sys.modules["torch"] = None
from imagenet_builder.cli import command_line, run
sys.exit(run(command_line.main, "train", "somewhere"))
"""
    done = run_python(code)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("Error: training needs PyTorch")
    assert "pip install 'imagenet-builder[train]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
