"""`imagenet-builder doctor`."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation


@click.command("doctor")
@click.option("--deep", is_flag=True, help="Compare store and bytes too: every image is read.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(invocation: Invocation, deep: bool, as_json: bool) -> int:
    """Check WordNet, store, images, marketplace, torch and disk, and say how to mend each.

    Leaves with 1 if a part that every run needs is broken.

    \b
    Example:
      imagenet-builder doctor
      imagenet-builder doctor --deep
    """
    from rich.text import Text

    from imagenet_builder.cli.output import figures, plain_table
    from imagenet_builder.cli.progress import shown_wait
    from imagenet_builder.doctor import State, examine

    findings = []
    with shown_wait("looking at WordNet") as say:
        for finding in examine(invocation.project, deep=deep):
            findings.append(finding)
            say(f"{finding.part}: {finding.state}; looking on")
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        colours = {State.GOOD: "green", State.MISSING: "yellow", State.BROKEN: "red"}
        table = plain_table("part", "state", "found", "to mend it")
        for finding in findings:
            state = Text(finding.state, style=colours[finding.state])
            table.add_row(finding.part, state, finding.found, finding.remedy)
        figures().print(table)
    return int(any(finding.state is State.BROKEN for finding in findings))
