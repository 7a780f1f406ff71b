"""`imagenet-builder marketplace study`: studies of a panel that sends people to this project's marketplace."""

from __future__ import annotations

import dataclasses
import json
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation


def _cents(_context: click.Context, parameter: click.Parameter, amount: str) -> int:
    """An amount of US dollars, as cents."""
    try:
        cents = Decimal(amount) * 100
        fits = cents == cents.to_integral_value(ROUND_HALF_UP) and 0 <= cents <= 10_000_000
    except InvalidOperation:
        fits = False
    if not fits:
        raise click.BadParameter(f"{amount!r} is no amount of dollars and cents", param=parameter)
    return int(cents)


@click.group("study")
def study() -> None:
    """Have the pages answered by people of a panel (Prolific).

    \b
    Example:
      imagenet-builder marketplace study add 66f0c0ffee --code C1A2B3 --pages 5 --reward 4.00 --fee 1.72 --minutes 30
    """


@study.command("add", short_help="Make a study and print its address for the panel.")
@click.argument("study_id")
@click.option("--code", required=True, help="The completion code that the panel made.")
@click.option("--pages", type=click.IntRange(1, 1000), required=True, help="Pages in one paid submission.")
@click.option(
    "--reward",
    callback=_cents,
    metavar="USD",
    required=True,
    help="What the panel pays a person, in dollars.",
)
@click.option(
    "--fee", callback=_cents, metavar="USD", required=True, help="What the panel charges on top, in dollars."
)
@click.option("--minutes", type=click.IntRange(1, 10_000), required=True, help="Time for one submission.")
@click.pass_obj
def add(
    invocation: Invocation, study_id: str, code: str, pages: int, reward: int, fee: int, minutes: int
) -> None:
    """Make a study and print the address to enter as its URL at the panel.

    The panel fills PROLIFIC_PID, STUDY_ID and SESSION_ID in. Each submission is charged to this project's
    balance with reward and fee when it starts, and given back if it is returned or times out.

    \b
    Example:
      imagenet-builder marketplace study add 66f0c0ffee --code C1A2B3 --pages 5 --reward 4.00 --fee 1.72 --minutes 30
    """
    from imagenet_builder import panel_studies

    click.echo(panel_studies.add(invocation.project, study_id, code, pages, reward, fee, 60 * minutes))


@study.command("list", short_help="Show submissions and what the panel was paid.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def list_studies(invocation: Invocation, as_json: bool) -> None:
    """Show each study's submissions and what the panel was paid.

    \b
    Example:
      imagenet-builder marketplace study list
    """
    from imagenet_builder import panel_studies
    from imagenet_builder.cli.output import figures, plain_table

    found = panel_studies.reports(invocation.project)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(report) for report in found], indent=2))
        return
    table = plain_table("study", "pages#", "started#", "completed#", "returned#", "timed out#", "paid#")
    for report in found:
        states = [
            str(report.sessions.get(name, 0)) for name in ("Started", "Completed", "Returned", "TimedOut")
        ]
        paid = f"${report.paid_cents / 100:.2f}"
        table.add_row(report.study.study_id, str(report.study.pages), *states, paid)
    figures().print(table)


@study.command("reconcile", short_help="Compare submissions with the panel's export.")
@click.argument("submissions", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.pass_obj
def reconcile(invocation: Invocation, submissions: Path) -> None:
    """End the submissions that the panel's export says were returned or timed out, and name contradictions.

    \b
    Example:
      imagenet-builder marketplace study reconcile prolific_export.csv
    """
    from imagenet_builder import panel_studies

    ended, differences = panel_studies.reconcile(invocation.project, submissions)
    click.echo(f"{ended} ended")
    for difference in differences:
        click.echo(
            f"{difference.session_id}: {difference.at_panel} at the panel, {difference.here} here: look at it",
            err=True,
        )
    if differences:
        raise click.exceptions.Exit(3)
