"""How pictures are varied for training and cut for validation: torchvision's transforms over uint8 tensors."""

from __future__ import annotations

from typing import Any, cast

from .compatibility import load_torchvision
from .dataset import Transform
from .recipe import Recipe

# The custom since Krizhevsky et al. 2012: a 224 pixel centre of a picture whose shorter side is 256.
VALIDATION_SCALE = 256 / 224
JITTER = 0.4


def training_transform(recipe: Recipe, size: int) -> Transform:
    """uint8 (3, H, W) → uint8 (3, size, size), varied at random by torch's global generator as the recipe says."""
    load_torchvision()
    from torchvision.transforms import v2

    steps: list[Any] = [
        v2.RandomResizedCrop(size, scale=recipe.crop_scale, antialias=True),
        v2.RandomHorizontalFlip(),
    ]
    if recipe.trivial_augment:
        steps.append(v2.TrivialAugmentWide())
    if recipe.hue > 0:
        steps.append(v2.ColorJitter(JITTER, JITTER, JITTER, recipe.hue))
    if recipe.greyscale > 0:
        steps.append(v2.RandomGrayscale(recipe.greyscale))
    return cast(Transform, v2.Compose(steps))


def validation_transform(size: int) -> Transform:
    """uint8 (3, H, W) → uint8 (3, size, size): the centre, the same every time."""
    load_torchvision()
    from torchvision.transforms import v2

    return cast(
        Transform,
        v2.Compose([v2.Resize(round(size * VALIDATION_SCALE), antialias=True), v2.CenterCrop(size)]),
    )
