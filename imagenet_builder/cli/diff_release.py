"""`imagenet-builder diff-release`."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.export.diff import Difference

CLASSES_SHOWN = 40


@click.command("diff-release")
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, picture by picture.")
def command(old: str, new: str, as_json: bool) -> None:
    """Tell what changed from the release OLD to the release NEW: settings, classes, pictures, sources.

    Both are folders or addresses in a bucket. It needs no project: anyone who has the releases can run it. Of test
    only numbers are told: its labels are secret.

    \b
    Example:
      imagenet-builder diff-release releases/first releases/second --json
    """
    from imagenet_builder.export.diff import FILES, difference, read_listing
    from imagenet_builder.export.fetched import on_disk

    with on_disk(old, FILES) as before, on_disk(new, FILES) as after:
        found = difference(read_listing(before), read_listing(after))
    if as_json:
        document = {"old": old, "new": new, **dataclasses.asdict(found)}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _show(found)


def _show(found: Difference) -> None:
    if found.empty:
        click.echo("nothing changed")
        return
    for name, (was, now) in found.settings.items():
        click.echo(f"setting {name}: {json.dumps(was)} → {json.dumps(now)}")
    lines = [f"+ {wnid} {name}" for wnid, name in found.classes_added]
    lines += [f"- {wnid} {name}" for wnid, name in found.classes_removed]
    for one in found.classes_changed:
        numbers = ", ".join(f"{split} {was} → {now}" for split, (was, now) in one.pictures.items())
        lines.append(f"  {one.wnid} {one.name}: {numbers}")
    for line in lines[:CLASSES_SHOWN]:
        click.echo(line)
    if len(lines) > CLASSES_SHOWN:
        click.echo(f"and {len(lines) - CLASSES_SHOWN} more classes (all of them with --json)")
    click.echo(
        f"classes: {len(found.classes_added)} added, {len(found.classes_removed)} removed, "
        f"{len(found.classes_changed)} with other numbers"
    )
    click.echo(
        f"pictures of train and val: {len(found.added)} added, {len(found.removed)} removed, {len(found.moved)} moved, "
        f"{len(found.encoded_anew)} encoded anew, {len(found.corrected)} with other sources or votes, "
        f"{found.renamed} renamed"
    )
    for (was, now), number in sorted(Counter((one.old[0], one.new[0]) for one in found.moved).items()):
        click.echo(f"  {was} → {now}: {number}")
    click.echo(f"test: {found.test_added} files added, {found.test_removed} removed")
    if found.test_labelled_before:
        click.echo(
            f"{found.test_labelled_before} files of the new test had their labels told in the old release"
        )
