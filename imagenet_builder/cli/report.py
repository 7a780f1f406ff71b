"""`imagenet-builder report`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation


@click.command("report")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="Where the report is written.",
)
@click.option(
    "--run", type=click.Path(path_type=Path, file_okay=False), help="A training run whose curves are shown."
)
@click.pass_obj
def command(invocation: Invocation, out: Path, run: Path | None) -> None:
    """Write one self-contained HTML file: figures, sample pictures with their verdicts, curves.

    \b
    Example:
      imagenet-builder report --run runs/first --out report.html
    """
    from imagenet_builder.report import write_report

    written = write_report(invocation.project, out, now=datetime.now(UTC), run=run)
    click.echo(written)
