"""What a training run found out, as values and as the run's metrics.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch, counted from 1. Losses are means a picture in nats; `top1`, `top5` are shares of val that were right.

    `pictures` were trained on in `seconds`, which leave validation out.
    """

    epoch: int
    train_loss: float
    val_loss: float
    top1: float
    top5: float
    learning_rate: float
    pictures: int
    seconds: float
    pictures_per_second: float


@dataclass(frozen=True)
class ClassMetrics:
    """One class: how many pictures of it val has, and which share of them was right at the first guess."""

    wnid: str
    words: str
    pictures: int
    top1: float


@dataclass(frozen=True)
class Metrics:
    """A whole run. Accuracies and errors are shares in [0, 1] of val, by the weights after the last epoch.

    `chance_top1_error` is 1 - 1/N for N classes, `chance_top5_error` 1 - 5/N (0 for five classes or fewer).
    """

    arch: str
    parameters: int
    recipe: dict[str, Any]
    seed: int
    size: int
    finetuned_from: str | None
    release: str
    release_digest: str | None
    classes: int
    pictures: dict[str, int]
    top1: float
    top5: float
    top1_error: float
    top5_error: float
    chance_top1_error: float
    chance_top5_error: float
    best_epoch: int
    best_top1: float
    epochs: tuple[EpochMetrics, ...]
    per_class: tuple[ClassMetrics, ...]
    device: str
    processes: int
    versions: dict[str, str]

    def to_json(self) -> str:
        """The content of metrics.json."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def metrics_from(document: Mapping[str, Any]) -> Metrics:
    """The metrics in a parsed metrics.json; raises TypeError or KeyError for another document."""
    fields = dict(document)
    fields["epochs"] = tuple(EpochMetrics(**epoch) for epoch in fields["epochs"])
    fields["per_class"] = tuple(ClassMetrics(**one) for one in fields["per_class"])
    return Metrics(**fields)


def read_metrics(run: Path) -> Metrics | None:
    """The metrics of a finished run; None when its folder holds none that this version reads."""
    try:
        return metrics_from(json.loads((run / "metrics.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
