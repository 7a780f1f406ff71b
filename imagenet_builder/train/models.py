"""Architectures of the baselines: torchvision's own, with a finer stem for small pictures.

At 224 pixels they are torchvision's models as they come. Their first layers are made for that: a ResNet's 7×7 stride-2
layer and AlexNet's 11×11 stride-4 layer see little in 64 pixels. For pictures of at most 96 pixels a ResNet therefore
begins with a 3×3 stride-2 layer (its pooling stays: without it the same network costs four times as much, more than a
CPU can give), and AlexNet with a 5×5 stride-2 layer and fully connected layers of 512, as it has less to connect.

`small` is for CPUs: a ResNet of ten layers, one block a stage, at half the width. On some hundred drawings of 64 pixels
it learns as much an epoch as a ResNet-18 does, in a sixth of the time.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from imagenet_builder.errors import TrainingError

from .checkpoint import NOT_SAVED
from .compatibility import load_torchvision
from .recipe import ARCHITECTURES

LARGEST_FINE_SIZE = 96
FINE_ALEXNET_WIDTH = 512
FINE_ALEXNET_POOLED = 3
SMALL_WIDTHS = (32, 64, 128, 256)


def head_of(arch: str) -> str:
    """The name of the last layer, the only one whose shape depends on the number of classes."""
    return "classifier.6" if arch == "alexnet" else "fc"


def build_model(arch: str, classes: int, *, fine: bool) -> nn.Module:
    """An untrained model that maps float pictures (N, 3, H, W) to scores (N, classes); `fine`: for small pictures.

    The weights come from torch's global generator. Raises TrainingError for an unknown architecture.
    """
    if arch not in ARCHITECTURES:
        raise TrainingError(f"no architecture {arch!r}: choose one of {', '.join(ARCHITECTURES)}")
    load_torchvision()
    from torchvision import models

    if arch == "small":
        return _small_model(classes, fine)
    model: nn.Module = models.get_model(arch, num_classes=classes)
    if fine and arch == "alexnet":
        _refine_alexnet(model, classes)
    elif fine:
        stem = nn.Conv2d(3, 64, kernel_size=3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        model.conv1 = stem
    return model


def _small_model(classes: int, fine: bool) -> nn.Module:
    from torchvision.models.resnet import BasicBlock

    width, kernel = SMALL_WIDTHS[0], 3 if fine else 7
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, width, kernel, stride=2, padding=kernel // 2, bias=False),
        bn1=nn.BatchNorm2d(width),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
    for stage, wider in enumerate(SMALL_WIDTHS, start=1):
        shortcut = None
        if wider != width:
            shortcut = nn.Sequential(nn.Conv2d(width, wider, 1, stride=2, bias=False), nn.BatchNorm2d(wider))
        layers[f"layer{stage}"] = BasicBlock(width, wider, 1 if shortcut is None else 2, shortcut)
        width = wider
    layers.update(avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(width, classes))
    model = nn.Sequential(layers)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return model


def is_fine(size: int) -> bool:
    """Whether pictures of `size` pixels are small enough for the finer stem."""
    return size <= LARGEST_FINE_SIZE


def _refine_alexnet(model: nn.Module, classes: int) -> None:
    features, width = model.get_submodule("features"), FINE_ALEXNET_WIDTH
    assert isinstance(features, nn.Sequential)
    features[0] = nn.Conv2d(3, 64, kernel_size=5, stride=2, padding=2)
    model.avgpool = nn.AdaptiveAvgPool2d(FINE_ALEXNET_POOLED)
    model.classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * FINE_ALEXNET_POOLED**2, width),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(width, width),
        nn.ReLU(inplace=True),
        nn.Linear(width, classes),
    )


def finetuned_model(arch: str, classes: int, size: int, weights: Path) -> nn.Module:
    """A model that begins with the weights in a file: a state dict, or the `best.pt` of an earlier run.

    The last layer is kept when it has `classes` outputs and left untrained otherwise. The stem is whichever the
    weights were made with. Raises TrainingError if the file is not such a file or belongs to another architecture.
    """
    state = _read_weights(weights)
    for fine in sorted((True, False), key=lambda choice: choice != is_fine(size)):
        model = build_model(arch, classes, fine=fine)
        own, head = model.state_dict(), head_of(arch)
        fitting = {
            name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape
        }
        if all(name in fitting or name.startswith(f"{head}.") for name in own):
            model.load_state_dict(fitting, strict=False)
            return model
    raise TrainingError(
        f"{weights} does not hold weights of {arch}: name the architecture that it was saved from"
    )


def _read_weights(weights: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"no weights at {weights}: give a state dict saved by torch") from error
    except NOT_SAVED as error:
        raise TrainingError(f"{weights} is not a state dict saved by torch: it cannot be read") from error
    state = state.get("model", state) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise TrainingError(f"{weights} holds no state dict: give one saved by torch, or a run's best.pt")
    return state
