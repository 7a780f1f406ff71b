"""Trains a model epoch by epoch and measures it on val."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from imagenet_builder.errors import ReleaseError, TrainingError

from .compatibility import load_torchvision
from .dataset import Batch, Unreadable, mixed_seed
from .distributed import Share, gathered, share_buffers, summed
from .evaluate import IntArray, flat_error
from .metrics import EpochMetrics
from .recipe import Recipe, average_decay, learning_rate_factor

# Means and deviations of ImageNet's channels, which published weights expect.
CHANNEL_MEANS = (0.485, 0.456, 0.406)
CHANNEL_DEVIATIONS = (0.229, 0.224, 0.225)
GUESSES = 5
# Reading the loss makes a GPU wait; a diverged run may run on for so many steps.
CHECK_EVERY = 50

Advance = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Validation:
    """What a model says of val: labels (n,), its guesses (n, at most 5) best first, and the first's probability (n,).

    Row i belongs to picture `index[i]` of the split. `loss` is the mean cross-entropy in nats.
    """

    loss: float
    index: IntArray
    truth: IntArray
    guesses: IntArray
    confidence: np.ndarray[Any, np.dtype[np.float64]]

    def accuracy(self, guesses: int) -> float:
        """The share of pictures that the first so many guesses hold, in [0, 1]."""
        return 1 - flat_error(self.truth, self.guesses, guesses)


@dataclass
class Learner:
    """A model in training, with everything that a checkpoint must bring back."""

    model: nn.Module
    recipe: Recipe
    classes: int
    steps_an_epoch: int
    device: torch.device
    share: Share
    seed: int
    optimiser: torch.optim.Optimizer = field(init=False)
    average: AveragedModel | None = field(init=False, default=None)
    trained: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        self.model.to(self.device, memory_format=torch.channels_last)
        self.optimiser = make_optimiser(self.model, self.recipe)
        decay = average_decay(self.recipe, self.steps)
        if decay > 0:
            averaging = get_ema_multi_avg_fn(decay)
            self.average = AveragedModel(self.model, multi_avg_fn=averaging, use_buffers=True)
        self.trained = self.model
        if self.share.world > 1:
            on = [self.device.index] if self.device.type == "cuda" else None
            self.trained = DistributedDataParallel(self.model, device_ids=on)

    @property
    def steps(self) -> int:
        """How many steps the whole run has."""
        return self.steps_an_epoch * self.recipe.epochs

    @property
    def answering(self) -> nn.Module:
        """The model that is measured and kept: the moving average where the recipe has one."""
        return cast(nn.Module, self.average.module) if self.average is not None else self.model

    def state(self) -> dict[str, Any]:
        """Everything a checkpoint needs to go on from here."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state again."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def as_input(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 pictures (N, 3, H, W) as the float input that models expect, on this device."""
        means, deviations = (
            torch.tensor(channel, device=self.device).view(1, 3, 1, 1)
            for channel in (CHANNEL_MEANS, CHANNEL_DEVIATIONS)
        )
        moved = pixels.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        return (moved / 255.0 - means) / deviations

    def precision(self) -> torch.autocast:
        """bfloat16 where a GPU has it; full precision on a CPU."""
        fast = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=fast)


def make_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; biases and norms are left out of weight decay where the recipe says so."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": recipe.weight_decay if recipe.decay_norms else 0.0},
    ]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)


def train_epoch(
    learner: Learner, loader: DataLoader[Batch], epoch: int, advance: Advance
) -> tuple[float, int]:
    """Train on every batch of `loader`, in epoch `epoch` (from 0); returns the mean loss and the pictures seen.

    Raises TrainingError when the loss is no longer a number, ReleaseError for a picture that cannot be decoded.
    """
    # Dropout and mixing draw from the global generator: what they draw follows from the epoch, also after a restart.
    torch.manual_seed(mixed_seed(learner.seed, epoch, learner.share.rank))
    mix = _mixing(learner)
    measure = nn.CrossEntropyLoss(label_smoothing=learner.recipe.label_smoothing)
    learner.trained.train()
    total = torch.zeros(2, dtype=torch.float64, device=learner.device)
    for number, batch in enumerate(loader):
        pixels, labels = readable(batch)
        labels = labels.to(learner.device, non_blocking=True)
        inputs, targets = mix(learner.as_input(pixels), labels)
        step = epoch * learner.steps_an_epoch + number
        _set_learning_rate(learner, step)
        with learner.precision():
            loss = measure(learner.trained(inputs), targets)
        learner.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        learner.optimiser.step()
        if learner.average is not None:
            learner.average.update_parameters(learner.model)
        total += torch.stack(
            [loss.detach() * len(labels), torch.tensor(float(len(labels)), device=loss.device)]
        )
        if (number + 1) % CHECK_EVERY == 0 or number + 1 == learner.steps_an_epoch:
            _check_loss(total, epoch, learner.recipe)
        advance("training", step + 1, learner.steps)
    loss_sum, pictures = summed(total).tolist()
    return loss_sum / pictures, int(pictures)


def _mixing(learner: Learner) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    if learner.recipe.mixup <= 0:
        return lambda pixels, labels: (pixels, labels)
    load_torchvision()
    from torchvision.transforms import v2

    mixing = v2.MixUp(alpha=learner.recipe.mixup, num_classes=learner.classes)
    return cast("Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]", mixing)


def _set_learning_rate(learner: Learner, step: int) -> None:
    rate = learner.recipe.learning_rate * learning_rate_factor(learner.recipe, step, learner.steps)
    for group in learner.optimiser.param_groups:
        group["lr"] = rate


def _check_loss(total: torch.Tensor, epoch: int, recipe: Recipe) -> None:
    # Every process must come to the same conclusion, or the others would wait for one that has left.
    if not torch.isfinite(summed(total)).all():
        raise TrainingError(
            f"training diverged in epoch {epoch + 1}: the loss is not a number any more; "
            f"start again with a lower --learning-rate (it was {recipe.learning_rate:.2g})"
        )


def readable(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch's pictures and labels; raises ReleaseError if one could not be decoded."""
    if isinstance(batch, Unreadable):
        raise ReleaseError(batch.reason)
    return batch


def validate(learner: Learner, loader: DataLoader[Batch], advance: Advance) -> Validation:
    """Measure the learner on `loader`, which draws this process's part of val in order; the result covers all of it."""
    share_buffers(learner.answering)
    model = learner.answering.eval()
    losses: list[float] = []
    truths, guesses, confidences = [], [], []
    for number, batch in enumerate(loader):
        pixels, labels = readable(batch)
        with torch.inference_mode(), learner.precision():
            scores = model(learner.as_input(pixels))
        probabilities = scores.float().softmax(dim=1).cpu()
        best = probabilities.topk(min(GUESSES, learner.classes), dim=1)
        losses.append(float(nn.functional.cross_entropy(scores.float().cpu(), labels, reduction="sum")))
        truths.append(labels.numpy())
        guesses.append(best.indices.numpy())
        confidences.append(best.values[:, 0].double().numpy())
        advance("validation", number + 1, len(loader))
    sampler = cast("list[int]", loader.sampler)
    return _joined(sampler, losses, truths, guesses, confidences, learner.classes)


def _joined(
    index: list[int],
    losses: list[float],
    truths: list[IntArray],
    guesses: list[IntArray],
    confidences: list[Any],
    classes: int,
) -> Validation:
    """One Validation out of the parts of all processes, in the order of the split."""
    width = min(GUESSES, classes)
    own = (
        sum(losses),
        np.asarray(index, dtype=np.int64),
        np.concatenate([np.empty(0, np.int64), *truths]),
        np.concatenate([np.empty((0, width), np.int64), *guesses]),
        np.concatenate([np.empty(0), *confidences]),
    )
    parts = gathered(own)
    order = np.argsort(np.concatenate([part[1] for part in parts]))
    return Validation(
        loss=sum(part[0] for part in parts) / len(order),
        index=np.concatenate([part[1] for part in parts])[order],
        truth=np.concatenate([part[2] for part in parts])[order],
        guesses=np.concatenate([part[3] for part in parts])[order],
        confidence=np.concatenate([part[4] for part in parts])[order],
    )


def run_epoch(
    learner: Learner, train: DataLoader[Batch], val: DataLoader[Batch], epoch: int, advance: Advance
) -> tuple[EpochMetrics, Validation]:
    """Train for epoch `epoch` (from 0), then measure."""
    started = time.monotonic()
    loss, pictures = train_epoch(learner, train, epoch, advance)
    seconds = time.monotonic() - started
    found = validate(learner, val, advance)
    metrics = EpochMetrics(
        epoch=epoch + 1,
        train_loss=loss,
        val_loss=found.loss,
        top1=found.accuracy(1),
        top5=found.accuracy(GUESSES),
        learning_rate=learner.optimiser.param_groups[0]["lr"],
        pictures=pictures,
        seconds=seconds,
        pictures_per_second=pictures / seconds,
    )
    return metrics, found
