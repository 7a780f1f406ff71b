"""Training recipes: how long, how fast and on what variations of the pictures a baseline learns.

Two are kept. `classic` is what the papers of the architectures themselves did: stochastic gradient descent with
momentum, a learning rate divided by ten in steps, random crops and mirror images (AlexNet: Krizhevsky et al. 2012;
ResNet: He et al. 2016, with the crops of Szegedy et al. 2015 that became the custom, and the warm-up and linear scaling
of the learning rate with the batch of Goyal et al. 2017). `modern` follows Wightman et al. 2021 in spirit: AdamW
(Loshchilov & Hutter 2019), cosine schedule (2017), label smoothing (Szegedy et al. 2016), TrivialAugment (Müller &
Hutter 2021), mixup (Zhang et al. 2018), and a moving average of the weights.

Nothing here imports torch: values in, values out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from imagenet_builder.errors import TrainingError

ARCHITECTURES = ("alexnet", "resnet18", "resnet34", "resnet50", "small")
RECIPES = ("classic", "modern")

SMALLEST_SIZE = 32

# A release of a few hundred pictures still deserves this many steps an epoch.
STEPS_AN_EPOCH = 16
SMALLEST_BATCH = 8
# Distortions made for runs of hundreds of epochs on a million pictures keep a few thousand from being learnt at all.
SMALL_RELEASE = 20_000
# Published weights need only a fraction of the learning rate that random ones need.
FINETUNING_FACTOR = 0.1


@dataclass(frozen=True)
class TrainSettings:
    """What a user asks of a training run; None leaves the choice to the recipe, the release and the machine.

    `size` is the side in pixels that pictures are trained at; `batch_size` counts all processes together; `finetune`
    is a file of weights to begin with. `device`: auto, cpu, cuda or cuda:N.
    """

    arch: str = "alexnet"
    recipe: str = "classic"
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    size: int = 224
    device: str = "auto"
    workers: int | None = None
    seed: int = 0
    finetune: Path | None = None


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a baseline learns, apart from its architecture and its seed.

    `learning_rate` is the peak for a batch of `reference_batch` pictures. `warmup` and `average_window` are fractions
    of the whole run: the first of it over which the learning rate rises from nothing, and the window of the moving
    average of the weights (0: none is kept). `crop_scale` bounds the share of a picture's area that a crop keeps;
    `mixup` is the parameter of the Beta distribution that mixed pictures are drawn with (0: none are mixed); `hue`
    bounds the turn of all hues, in half circles; `greyscale` is the share of pictures shown without colour.
    """

    name: str
    epochs: int
    batch_size: int
    optimiser: Literal["sgd", "adamw"]
    learning_rate: float
    reference_batch: int
    weight_decay: float
    decay_norms: bool
    schedule: Literal["step", "cosine"]
    warmup: float
    label_smoothing: float
    crop_scale: tuple[float, float]
    trivial_augment: bool
    mixup: float
    average_window: float
    hue: float = 0.0
    greyscale: float = 0.0
    momentum: float = 0.9


_ALEXNET_CLASSIC = Recipe(
    name="classic",
    epochs=90,
    batch_size=128,
    optimiser="sgd",
    learning_rate=0.01,
    reference_batch=128,
    weight_decay=5e-4,
    decay_norms=True,
    schedule="step",
    warmup=0.05,
    label_smoothing=0.0,
    crop_scale=(0.08, 1.0),
    trivial_augment=False,
    mixup=0.0,
    average_window=0.0,
)
_RESNET_CLASSIC = replace(
    _ALEXNET_CLASSIC, batch_size=256, learning_rate=0.1, reference_batch=256, weight_decay=1e-4
)
_RESNET_MODERN = Recipe(
    name="modern",
    epochs=100,
    batch_size=256,
    optimiser="adamw",
    learning_rate=2e-3,
    reference_batch=256,
    weight_decay=0.05,
    decay_norms=False,
    schedule="cosine",
    warmup=0.05,
    label_smoothing=0.1,
    crop_scale=(0.25, 1.0),
    trivial_augment=True,
    mixup=0.2,
    average_window=0.02,
)
# Without normalisation layers AlexNet diverges at a ResNet's learning rate.
_ALEXNET_MODERN = replace(_RESNET_MODERN, learning_rate=5e-4)


def choose_recipe(name: str, arch: str) -> Recipe:
    """The recipe of this name for this architecture; raises TrainingError naming the choices for unknown ones."""
    if arch not in ARCHITECTURES:
        raise TrainingError(f"no architecture {arch!r}: choose one of {', '.join(ARCHITECTURES)}")
    if name not in RECIPES:
        raise TrainingError(f"no recipe {name!r}: choose one of {', '.join(RECIPES)}")
    if name == "classic":
        return _ALEXNET_CLASSIC if arch == "alexnet" else _RESNET_CLASSIC
    return _ALEXNET_MODERN if arch == "alexnet" else _RESNET_MODERN


def recipe_for(settings: TrainSettings, pictures: int, processes: int = 1) -> Recipe:
    """The recipe that these settings mean for a training split of so many pictures, with all its numbers settled.

    A batch size that was not asked for shrinks with a small release, so that an epoch has at least sixteen steps. The
    learning rate then follows the batch: linearly for SGD (Goyal et al. 2017), with the square root for AdamW
    (Malladi et al. 2022); one that was asked for is used as it is. Raises TrainingError for what cannot be trained.
    """
    recipe = choose_recipe(settings.recipe, settings.arch)
    if recipe.name == "modern" and pictures < SMALL_RELEASE:
        recipe = _gentler(recipe)
    batch_size = settings.batch_size
    if batch_size is None:
        fitting = 2 ** int(math.log2(max(1, pictures // STEPS_AN_EPOCH)))
        batch_size = min(recipe.batch_size, max(SMALLEST_BATCH, fitting)) // processes * processes
    epochs = recipe.epochs if settings.epochs is None else settings.epochs
    _check(settings, epochs, min(batch_size, pictures), processes)
    batch_size = min(batch_size, pictures // processes * processes)
    rate = settings.learning_rate
    if rate is None:
        ratio = batch_size / recipe.reference_batch
        rate = recipe.learning_rate * (ratio if recipe.optimiser == "sgd" else math.sqrt(ratio))
        rate *= FINETUNING_FACTOR if settings.finetune is not None else 1.0
    return replace(
        recipe, epochs=epochs, batch_size=batch_size, learning_rate=rate, reference_batch=batch_size
    )


def _gentler(recipe: Recipe) -> Recipe:
    # Colour is the first thing that a model learns by heart from forty pictures a class, so it is varied freely.
    return replace(recipe, trivial_augment=False, mixup=0.0, crop_scale=(0.35, 1.0), hue=0.5, greyscale=0.2)


def _check(settings: TrainSettings, epochs: int, batch_size: int, processes: int) -> None:
    if epochs < 1:
        raise TrainingError(f"{epochs} epochs are none: ask for at least 1")
    if settings.size < SMALLEST_SIZE:
        raise TrainingError(
            f"pictures of {settings.size} pixels are too small: ask for at least {SMALLEST_SIZE}"
        )
    if settings.learning_rate is not None and not settings.learning_rate > 0:
        raise TrainingError(
            f"a learning rate of {settings.learning_rate} teaches nothing: it must be above 0"
        )
    if batch_size < 2 * processes:
        raise TrainingError(
            f"a batch of {batch_size} pictures for {processes} processes: each needs at least 2, for their mean and "
            "deviation; give a larger --batch-size, or a release with more pictures"
        )
    if settings.batch_size is not None and settings.batch_size % processes:
        raise TrainingError(
            f"a batch of {settings.batch_size} cannot be shared by {processes} processes alike"
        )


def learning_rate_factor(recipe: Recipe, step: int, steps: int) -> float:
    """What to multiply the peak learning rate by at `step` (from 0) of `steps`: in (0, 1]."""
    warmup_steps = math.ceil(recipe.warmup * steps)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = step / steps
    if recipe.schedule == "step":
        return float(0.1 ** int(3 * progress))
    fraction = (step - warmup_steps) / max(1, steps - warmup_steps)
    return max(1e-3, 0.5 * (1 + math.cos(math.pi * fraction)))


def average_decay(recipe: Recipe, steps: int) -> float:
    """The decay a step of the weights' moving average, for a run of `steps`; 0 when no average is kept."""
    if recipe.average_window <= 0:
        return 0.0
    return 1 - 1 / max(2.0, recipe.average_window * steps)
