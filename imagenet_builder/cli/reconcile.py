"""`imagenet-builder reconcile`."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation


@click.command("reconcile")
@click.option("--abandon", is_flag=True, help="Give up published pages that their marketplace does not know.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(invocation: Invocation, abandon: bool, as_json: bool) -> None:
    """Find HITs again after a crash, by the annotation that each carries.

    \b
    Example:
      imagenet-builder reconcile
    """
    from imagenet_builder.reconcile import reconcile

    report = reconcile(invocation.project, abandon=abandon)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report), indent=2))
        return
    click.echo(f"{report.found} intended pages were found again on the marketplace")
    if report.missing:
        click.echo(f"{report.missing} intended pages were never created; the next publish-hits creates them")
    click.echo(f"{report.published - report.unknown} of {report.published} published pages are known there")
    if report.abandoned:
        click.echo(f"{report.abandoned} unknown pages were given up: their pictures can be published again")
    elif report.unknown:
        click.echo(f"{report.unknown} are not known there; --abandon gives them up")
    if report.foreign:
        click.echo(
            f"{report.foreign} pages there are not in this store: another project's, or published after the backup "
            "that the store was restored from"
        )
