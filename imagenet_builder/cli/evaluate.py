"""`imagenet-builder evaluate`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.train.scoring import Scores


@click.command("evaluate")
@click.argument("release", metavar="RELEASE")
@click.argument("predictions", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--split",
    type=click.Choice(["val", "test", "replicate"]),
    default="val",
    show_default=True,
    help="What was guessed at.",
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Opens the labels of test: the file that export named, or the project's secret.key.",
)
@click.option(
    "--boxes",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where things are, as in LOC_val_solution.csv: guesses then have boxes too.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    release: str, predictions: Path, split: str, key_file: Path | None, boxes: Path | None, as_json: bool
) -> None:
    """Score PREDICTIONS against a release, as the ILSVRC devkit does.

    A line a picture, in the order of file names, with up to five ILSVRC2012_IDs, the best first; 0 stands for no
    guess. With --boxes a guess is five numbers: id, xmin, ymin, xmax, ymax. RELEASE is a folder or an address in a
    bucket. It needs no project.

    \b
    Example:
      imagenet-builder evaluate releases/first guesses.txt
      imagenet-builder evaluate releases/first guesses.txt --split test --key test-keys/first-1a2b3c4d5e6f-test.key
    """
    from imagenet_builder.train.scoring import read_submission, read_truth, score

    truth = read_truth(release, split, key_file)
    found = score(truth, read_submission(predictions), str(predictions), boxes)
    if as_json:
        click.echo(json.dumps({"release": str(release), **dataclasses.asdict(found)}, indent=2))
    else:
        _show(found)


def _show(found: Scores) -> None:
    from imagenet_builder.cli.output import figures, plain_table

    columns = {
        "flat error": found.flat,
        "hierarchical error": found.hierarchical,
        "localization error": found.localization,
    }
    present = {name: errors for name, errors in columns.items() if errors is not None}
    table = plain_table("guesses#", *(f"{name}#" for name in present))
    for number in range(len(found.flat)):
        table.add_row(str(number + 1), *(f"{errors[number]:.6f}" for errors in present.values()))
    click.echo(f"{found.split}: {found.pictures} pictures")
    figures().print(table)
