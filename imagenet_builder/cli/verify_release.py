"""`imagenet-builder verify-release`."""

from __future__ import annotations

import json
from functools import partial

import click


@click.command("verify-release")
@click.argument("release", metavar="RELEASE")
@click.option("--skip-near-duplicates", is_flag=True, help="Do not decode the pictures: faster by far.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(release: str, skip_near_duplicates: bool, as_json: bool) -> None:
    """Check every checksum and count of a release, and that no picture is on two sides of a split.

    RELEASE is a folder, or an address in a bucket, which is fetched into the temporary folder. It needs no project:
    anyone who has the release can run it. Compare the checksum that it prints with the one that `export` printed and
    that the makers made known: it vouches for every file.

    \b
    Example:
      imagenet-builder verify-release releases/first
    """
    from imagenet_builder.cli.progress import shown_progress
    from imagenet_builder.errors import ReleaseError
    from imagenet_builder.export.fetched import on_disk
    from imagenet_builder.export.leaks import ON_TWO_SIDES
    from imagenet_builder.export.verify import read_manifest, verify_release

    with on_disk(release) as folder, shown_progress() as advance:
        problems = verify_release(
            folder, near_duplicates=not skip_near_duplicates, progress=partial(advance, "files")
        )
        digest = read_manifest(folder)["sha256sums"]
    if as_json:
        found = {"release": release, "checksum": digest, "problems": problems}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(problem)
    if problems:
        many = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        if all(problem.endswith(ON_TWO_SIDES) for problem in problems):
            remedy = "its files are as they were written; tell its makers, or leave out one picture of each"
        else:
            remedy = "get it again from where it came from"
        raise ReleaseError(f"{release} has {many}: {remedy}")
    if not as_json:
        click.echo(f"{release} is sound, checksum {digest}")
