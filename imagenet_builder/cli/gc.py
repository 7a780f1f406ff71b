"""`imagenet-builder gc`."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation

logger = logging.getLogger(__name__)


@click.command("gc")
@click.option("--delete", is_flag=True, help="Delete what is found; without it, it is only shown.")
@click.option(
    "--older-than",
    "hours",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="HOURS",
    help="Leave younger files alone: a run may be about to name them.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(invocation: Invocation, delete: bool, hours: float, as_json: bool) -> None:
    """Find image bytes that no row names, and what killed writes left behind; --delete sweeps them.

    Bytes that a row names are never touched.

    \b
    Examples:
      imagenet-builder gc
      imagenet-builder gc --delete
    """
    from datetime import UTC, datetime, timedelta

    from imagenet_builder.gc import sweep

    project = invocation.project
    found = sweep(
        project.engine,
        project.images,
        delete=delete,
        now=datetime.now(UTC),
        safe_age=timedelta(hours=hours),
        listener=logger.info,
    )
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
        return
    verb = "deleted" if delete else "found"
    click.echo(f"{verb} {found.orphans:,} files without a row ({found.orphan_bytes:,} bytes)")
    click.echo(f"{verb} {found.leftovers:,} files of killed writes ({found.leftover_bytes:,} bytes)")
    if found.young:
        click.echo(f"left alone: {found.young:,} without a row, younger than {hours:g} h")
    if not delete and (found.orphans or found.leftovers):
        click.echo("nothing is deleted yet: `imagenet-builder gc --delete` does it")
