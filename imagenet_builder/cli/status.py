"""`imagenet-builder status`."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation
    from imagenet_builder.store.status import Status


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(invocation: Invocation, as_json: bool) -> None:
    """Show where the project stands: categories, candidates, votes, spending.

    \b
    Example:
      imagenet-builder status
    """
    from hits import database
    from imagenet_builder.store.status import read_status

    with database.reading(invocation.project.engine) as connection:
        status = read_status(connection)
    if as_json:
        document = dataclasses.asdict(status)
        document["outcomes"] = [
            {"state": state, "reason": reason or None, "count": number}
            for (state, reason), number in status.outcomes.items()
        ]
        click.echo(json.dumps(document, indent=2))
        return
    _show(status)


def _show(status: Status) -> None:
    from imagenet_builder.cli.output import figures, plain_table

    console = figures()
    columns = (
        "pending",
        "stored",
        "rejected",
        "failed",
        "open",
        "accepted",
        "refused",
        "undecided",
        "controls",
    )
    heads = (*(f"{column}#" for column in columns), "alpha#")
    table = plain_table("wnid", "name", *heads, title=f"{len(status.categories)} categories")
    for category in status.categories:
        numbers = [str(getattr(category, column)) for column in columns]
        table.add_row(category.wnid, category.name, *numbers, _alpha(category.alpha))
    console.print(table)
    if not status.categories:
        console.print("next: choose categories with `imagenet-builder synsets select`")
    console.print(f"images      {status.images} ({status.image_bytes / 1e6:.1f} MB)")
    console.print(f"HITs        {_listed(status.hits)}")
    console.print(
        f"votes       {_listed(status.votes)}, on controls too, "
        f"by {status.workers} workers ({status.excluded} excluded)"
    )
    console.print(f"assignments {status.assignments} collected, {status.approved} approved")
    console.print(
        f"money       ${status.spent_cents / 100:.2f} spent of ${status.promised_cents / 100:.2f} promised"
    )
    if status.controls_shown:
        share = status.controls_right / status.controls_shown
        console.print(f"controls    {status.controls_right} of {status.controls_shown} right ({share:.1%})")
    if status.agreement is not None:
        console.print(
            f"agreement   {status.agreement:.1%} of pairs of votes; Krippendorff's alpha {_alpha(status.alpha)}"
        )
    if status.releases:
        console.print(f"releases    {', '.join(status.releases)}")


def _alpha(alpha: float | None) -> str:
    return "–" if alpha is None else f"{alpha:.2f}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in counts.items()) or "none"
