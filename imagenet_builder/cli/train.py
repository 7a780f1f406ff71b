"""`imagenet-builder train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imagenet_builder.train.recipe import ARCHITECTURES, RECIPES, SMALLEST_SIZE, TrainSettings

if TYPE_CHECKING:
    from imagenet_builder.train.metrics import Metrics

UNSET = "the recipe's"


@click.command("train")
@click.argument("release", metavar="RELEASE")
@click.option(
    "--arch", type=click.Choice(ARCHITECTURES), default="alexnet", show_default=True, help="The model."
)
@click.option(
    "--recipe", type=click.Choice(RECIPES), default="classic", show_default=True, help="How it learns."
)
@click.option("--epochs", type=click.IntRange(min=1), show_default=UNSET, help="Passes over the train split.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    show_default=f"{UNSET}, less for a small release",
    help="Pictures a step, all processes together.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    show_default=UNSET,
    help="The highest learning rate.",
)
@click.option(
    "--size", type=click.IntRange(min=SMALLEST_SIZE), default=224, show_default=True, help="Pixels a side."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    show_default="as many as it needs",
    help="Processes that prepare pictures.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."
)
@click.option(
    "--finetune",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Begin with these weights: a state dict, or another run's best.pt.",
)
@click.option(
    "--expect-top1",
    type=click.FloatRange(0, 1),
    help="Leave with code 3 if a smaller share of val is right at the first guess.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("run"),
    show_default=True,
    help="The folder of the run; an unfinished run in it goes on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print metrics.json.")
def command(release: str, out: Path, expect_top1: float | None, as_json: bool, **asked: Any) -> None:
    """Train a baseline on a release; leaves metrics.json, report.html and checkpoints.

    RELEASE is a folder or an address in a bucket, as `export` writes it in whatever format, or any folder in ILSVRC's
    layout.

    \b
    Examples:
      imagenet-builder train releases/first --arch resnet18 --out runs/first
      imagenet-builder train releases/demo --arch small --recipe modern --size 64 --epochs 30
      imagenet-builder train s3://datasets/first --arch resnet50 --out runs/first
      torchrun --no-python --nproc-per-node 4 imagenet-builder train releases/first
    """
    from imagenet_builder.cli.progress import shown_progress
    from imagenet_builder.errors import ShortOfRequest
    from imagenet_builder.train.compatibility import load_torchvision

    # Importing PyTorch takes seconds. Of torchrun's processes one speaks.
    with shown_progress("starting" if os.environ.get("RANK", "0") == "0" else None) as advance:
        load_torchvision()
        from imagenet_builder.train.baseline import train_release
        from imagenet_builder.train.distributed import share_from

        leads = share_from().leads
        metrics = train_release(
            release,
            out,
            TrainSettings(**asked),
            advance=advance if leads else lambda stage, done, total: None,
            say=(lambda line: click.echo(line, err=True)) if leads else lambda line: None,
        )
    if leads:
        click.echo(metrics.to_json(), nl=False) if as_json else _show(metrics, out)
    if expect_top1 is not None and metrics.top1 < expect_top1:
        raise ShortOfRequest(
            f"top-1 is {metrics.top1:.3f}, short of the {expect_top1:g} that was expected; see {out}"
        )


def _show(metrics: Metrics, out: Path) -> None:
    from imagenet_builder.cli.output import figures, plain_table

    console = figures()
    table = plain_table("", "error#", "chance#")
    table.add_row("top-1", f"{metrics.top1_error:.1%}", f"{metrics.chance_top1_error:.1%}")
    table.add_row("top-5", f"{metrics.top5_error:.1%}", f"{metrics.chance_top5_error:.1%}")
    console.print(table)
    console.print(f"classes  {metrics.classes:,}")
    console.print(
        f"pictures {metrics.pictures['train']:,} to learn from, {metrics.pictures['val']:,} measured on"
    )
    console.print(f"report   {out / 'report.html'}")
