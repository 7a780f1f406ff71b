"""`imagenet-builder verify-release`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click


@click.command("verify-release")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--skip-near-duplicates", is_flag=True, help="Do not decode the pictures: faster by far.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(folder: Path, skip_near_duplicates: bool, as_json: bool) -> None:
    """Check every checksum and count of a release, and that no picture is on two sides of a split.

    It needs no project: anyone who has the release can run it.

    \b
    Example:
      imagenet-builder verify-release releases/first
    """
    from imagenet_builder.cli.progress import shown_progress
    from imagenet_builder.errors import ReleaseError
    from imagenet_builder.export.verify import verify_release

    with shown_progress() as advance:
        problems = verify_release(
            folder, near_duplicates=not skip_near_duplicates, progress=partial(advance, "files")
        )
    if as_json:
        click.echo(json.dumps({"release": str(folder), "problems": problems}, indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(problem)
    if problems:
        raise ReleaseError(f"{folder} has {len(problems)} problems: get it again from where it came from")
    if not as_json:
        click.echo(f"{folder} is sound")
