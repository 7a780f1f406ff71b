"""Trains a baseline on a release: opens it, trains, resumes, measures, and writes what was found."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from imagenet_builder.errors import TrainingError

from . import checkpoint
from .compatibility import load_torchvision
from .dataset import EpochSampler, Pictures, TrainingRelease, make_loader, open_release
from .distributed import Share, process_group, share_from
from .loop import GUESSES, Advance, Learner, Validation, run_epoch, validate
from .machine import choose_device, device_name, memory_errors, own_threads, worker_count
from .metrics import ClassMetrics, EpochMetrics, Metrics, read_metrics
from .models import build_model, finetuned_model, is_fine
from .recipe import Recipe, TrainSettings, recipe_for
from .report import write_report
from .transforms import training_transform, validation_transform

Say = Callable[[str], None]


@dataclass
class Run:
    """A training run under way: where it writes, what it learns from, and how far it is."""

    out: Path
    release: TrainingRelease
    settings: TrainSettings
    recipe: Recipe
    learner: Learner
    identity: dict[str, Any]
    history: list[EpochMetrics]

    @property
    def best(self) -> EpochMetrics:
        """The epoch with the highest top-1, the first of equals."""
        return max(self.history, key=lambda epoch: (epoch.top1, -epoch.epoch))


def train_release(
    release: str | Path,
    out: Path,
    settings: TrainSettings,
    *,
    advance: Advance = lambda stage, done, total: None,
    say: Say = lambda line: None,
) -> Metrics:
    """Train a baseline on the release and leave `metrics.json`, `report.html`, `checkpoint.pt`, `best.pt` in `out`.

    A run that was killed goes on after its last whole epoch and ends as it would have; a finished one is not trained
    again. Under torchrun every process calls this alike and the first one writes. `advance` hears (stage, done,
    total), `say` a line an epoch. Raises ReleaseError for what is not a release or holds a damaged picture,
    TrainingError for settings that do not fit, weights that do not fit, or a loss that is no longer a number.
    """
    share = share_from()
    device = choose_device(settings.device, share)
    with process_group(share, device), memory_errors(settings), own_threads(device, share):
        return _begin_or_go_on(open_release(release), out, settings, device, share, advance, say)


def _begin_or_go_on(
    release: TrainingRelease,
    out: Path,
    settings: TrainSettings,
    device: torch.device,
    share: Share,
    advance: Advance,
    say: Say,
) -> Metrics:
    recipe = recipe_for(settings, len(release.train), share.world)
    identity = _identity(release, settings, recipe)
    saved = checkpoint.load(out, identity)
    before = read_metrics(out) if saved is not None and len(saved["history"]) == recipe.epochs else None
    if before is not None:
        say(f"{out} holds this run, finished: nothing to do")
        return before
    run = _begin(release, out, settings, recipe, identity, device, share)
    if saved is not None:
        run.learner.restore(saved)
        run.history = [EpochMetrics(**epoch) for epoch in saved["history"]]
        say(f"going on after epoch {len(run.history)} of {recipe.epochs}")
    return _train(run, advance, say)


def _begin(
    release: TrainingRelease,
    out: Path,
    settings: TrainSettings,
    recipe: Recipe,
    identity: dict[str, Any],
    device: torch.device,
    share: Share,
) -> Run:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{out} cannot be made ({error.strerror}): choose another --out") from error
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    torch.manual_seed(settings.seed)
    learner = Learner(
        model=_first_model(settings, len(release.wnids)),
        recipe=recipe,
        classes=len(release.wnids),
        steps_an_epoch=len(release.train) // recipe.batch_size,
        device=device,
        share=share,
        seed=settings.seed,
    )
    return Run(out, release, settings, recipe, learner, identity, [])


def _first_model(settings: TrainSettings, classes: int) -> nn.Module:
    if settings.finetune is not None:
        return finetuned_model(settings.arch, classes, settings.size, settings.finetune)
    return build_model(settings.arch, classes, fine=is_fine(settings.size))


def _identity(release: TrainingRelease, settings: TrainSettings, recipe: Recipe) -> dict[str, Any]:
    """What makes a run this one and no other; another number of workers or processes may go on with it."""
    labels = "\n".join(f"{one.path.parent.name}/{one.path.name}" for one in (*release.train, *release.val))
    return {
        "release": release.digest or hashlib.sha256(labels.encode()).hexdigest(),
        "pictures": len(release.train) + len(release.val),
        "classes": len(release.wnids),
        "architecture": settings.arch,
        "size": settings.size,
        "seed": settings.seed,
        "finetune": str(settings.finetune) if settings.finetune else None,
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "recipe": {**asdict(recipe), "crop_scale": list(recipe.crop_scale)},
    }


def _train(run: Run, advance: Advance, say: Say) -> Metrics:
    learner, settings, recipe, share = run.learner, run.settings, run.recipe, run.learner.share
    transform = training_transform(recipe, settings.size)
    files = run.release.files
    train_pictures = Pictures(files, run.release.train, settings.size, transform, settings.seed)
    val_pictures = Pictures(
        files, run.release.val, settings.size, validation_transform(settings.size), settings.seed
    )
    workers = worker_count(settings, share, learner.device, train_pictures.held is not None)
    pin = learner.device.type == "cuda"
    sampler = EpochSampler(len(train_pictures), recipe.batch_size, settings.seed, share)
    own_batch = recipe.batch_size // share.world
    train = make_loader(train_pictures, sampler, own_batch, workers, pin)
    own_val = list(range(share.rank, len(val_pictures), share.world))
    val = make_loader(val_pictures, own_val, max(own_batch, 64), workers, pin)
    found: Validation | None = None
    for epoch in range(len(run.history), recipe.epochs):
        sampler.epoch = epoch
        measured, found = run_epoch(learner, train, val, epoch, advance)
        run.history.append(measured)
        if share.leads:
            _save(run)
        say(_line(measured, recipe.epochs))
    if found is None:
        # Killed between the last checkpoint and the report.
        found = validate(learner, val, advance)
    metrics = _metrics(run, found)
    if share.leads:
        write_report(run.out / "report.html", metrics, run.release, found)
        # metrics.json comes last: it says that everything else is there.
        checkpoint.write_whole(run.out / "metrics.json", metrics.to_json().encode())
    return metrics


def _save(run: Run) -> None:
    last = run.history[-1]
    if run.best is last:
        kept = {
            "model": run.learner.answering.state_dict(),
            "arch": run.settings.arch,
            "size": run.settings.size,
            "wnids": list(run.release.wnids),
            "epoch": last.epoch,
            "top1": last.top1,
        }
        checkpoint.save(run.out / checkpoint.BEST, kept)
    history = [asdict(epoch) for epoch in run.history]
    state = {**run.learner.state(), "identity": run.identity, "history": history}
    checkpoint.save(run.out / checkpoint.CHECKPOINT, state)


def _line(epoch: EpochMetrics, epochs: int) -> str:
    return (
        f"epoch {epoch.epoch}/{epochs}: loss {epoch.train_loss:.3f}, val loss {epoch.val_loss:.3f}, "
        f"top-1 {epoch.top1:.1%}, top-5 {epoch.top5:.1%}, {epoch.pictures_per_second:.0f} pictures/s"
    )


def _metrics(run: Run, found: Validation) -> Metrics:
    release, settings, learner = run.release, run.settings, run.learner
    classes = len(release.wnids)
    top1, top5 = found.accuracy(1), found.accuracy(GUESSES)
    return Metrics(
        arch=settings.arch,
        parameters=sum(weights.numel() for weights in learner.model.parameters()),
        recipe={**asdict(run.recipe), "crop_scale": list(run.recipe.crop_scale)},
        seed=settings.seed,
        size=settings.size,
        finetuned_from=settings.finetune.name if settings.finetune else None,
        release=release.name,
        release_digest=release.digest,
        classes=classes,
        pictures={"train": len(release.train), "val": len(release.val)},
        top1=top1,
        top5=top5,
        top1_error=1 - top1,
        top5_error=1 - top5,
        chance_top1_error=1 - 1 / classes,
        chance_top5_error=max(0.0, 1 - GUESSES / classes),
        best_epoch=run.best.epoch,
        best_top1=run.best.top1,
        epochs=tuple(run.history),
        per_class=_per_class(release, found),
        device=device_name(learner.device),
        processes=learner.share.world,
        versions=_versions(),
    )


def _per_class(release: TrainingRelease, found: Validation) -> tuple[ClassMetrics, ...]:
    right = found.guesses[:, 0] == found.truth
    rows = []
    for label, (wnid, words) in enumerate(zip(release.wnids, release.words, strict=True)):
        of_class = found.truth == label
        pictures = int(of_class.sum())
        rows.append(ClassMetrics(wnid, words, pictures, float(right[of_class].mean()) if pictures else 0.0))
    return tuple(rows)


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(load_torchvision().__version__),
    }
