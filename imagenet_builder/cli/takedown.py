"""`imagenet-builder takedown`."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation
    from imagenet_builder.takedown import Takedown

SHOWN = 20


@click.command("takedown")
@click.argument("target", metavar="[SHA256|URL]", required=False)
@click.option("--author", metavar="NAME", help="All pictures of this author, now and later.")
@click.option("--reason", required=True, metavar="TEXT", help="Why: all that is kept of them.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(
    invocation: Invocation, target: str | None, author: str | None, reason: str, dry_run: bool, as_json: bool
) -> None:
    """Remove a picture, what an address gave, or all pictures of an author, and keep them out.

    Their bytes are deleted, with near-duplicates, mirror images and crops, and open HITs that show them expire; later
    releases are without them, and later crawls refuse them. Releases that are published already stay as they are:
    export a new one.

    \b
    Examples:
      imagenet-builder takedown https://commons.wikimedia.org/wiki/File:Tench.jpg --reason "asked by its author"
      imagenet-builder takedown --author "Ada Example" --reason "letter of 3 May" --dry-run
    """
    from imagenet_builder.takedown import parse_author, parse_target, take_down

    if (target is None) == (author is None):
        raise click.UsageError("give a SHA-256 or an address, or --author with a name")
    wanted = parse_author(author) if author is not None else parse_target(target or "")
    found = take_down(invocation.project, wanted, reason, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
    else:
        _show(found)


def _show(found: Takedown) -> None:
    verb = "taken down" if found.done else "to be taken down"
    near = set(found.near_duplicates)
    everything = [*found.images, *found.near_duplicates]
    for sha256 in everything[:SHOWN]:
        click.echo(f"{sha256}{'  near-duplicate' if sha256 in near else ''}")
    if len(everything) > SHOWN:
        click.echo(f"and {len(everything) - SHOWN:,} more (all of them with --json)")
    if found.images or found.candidates:
        click.echo(f"{verb}: {len(found.images):,} pictures, {len(near):,} near-duplicates of them")
        click.echo(f"addresses that are not fetched again: {found.candidates:,}")
    else:
        click.echo(
            f"the store knows nothing of it; later crawls {'keep' if found.done else 'will keep'} it out"
        )
    if found.pages or found.unreached:
        click.echo(f"pages of questions that nobody gets any more: {found.pages:,}")
    if found.unreached:
        click.echo(
            f"pages that are still offered: {found.unreached:,}; start the marketplace and run it again"
        )
    if found.releases:
        click.echo(f"releases that hold them: {', '.join(found.releases)}; export a new one")
    if not found.done:
        click.echo("nothing was done yet: leave --dry-run out")
