"""`imagenet-builder controls`: questions whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation


@click.group("controls")
def command() -> None:
    """Make questions whose answer is known: they measure workers.

    \b
    Example:
      imagenet-builder controls label
      imagenet-builder controls import known.csv
    """


@command.command("import")
@click.argument("table", type=click.Path(path_type=Path), metavar="KNOWN.csv")
@click.pass_obj
def import_(invocation: Invocation, table: Path) -> None:
    """Make controls of pictures that you know: rows of picture,category,answer.

    A picture is its SHA-256 or a file, from the folder of the table; the project must have it (`crawl --source folder`
    takes pictures that you have). A category is a wnid, a name or a word; the answer is yes or no. A question that the
    crowd was asked makes no control.

    \b
    Example:
      imagenet-builder controls import known.csv
    """
    from imagenet_builder.controls import REQUESTER, record_controls
    from imagenet_builder.known_pictures import read_known
    from imagenet_builder.reconcile import utc_now

    project = invocation.project
    report = record_controls(project.engine, read_known(table, project.graph), REQUESTER, utc_now())
    click.echo(f"{report.recorded} controls made")
    if report.left:
        click.echo(f"note: {report.left} questions were left, the crowd was asked them", err=True)


@command.command("label")
@click.option("--category", "wnids", multiple=True, metavar="WNID", help="Only these categories.")
@click.option(
    "--pictures", "shown", type=click.IntRange(1, 200), default=24, show_default=True, help="Pictures a page."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Where to listen.  [default: any port]"
)
@click.pass_obj
def label(invocation: Invocation, wnids: tuple[str, ...], shown: int, port: int) -> None:
    """Show stored pictures in a browser on this machine; say of some whether they show their category.

    \b
    Example:
      imagenet-builder controls label --category n02084071
    """
    from hits import database
    from imagenet_builder.cli.serving import listen, serve_until_stopped
    from imagenet_builder.errors import PublishError
    from imagenet_builder.labelling import LabellingSite
    from imagenet_builder.store import categories

    project = invocation.project
    with database.reading(project.engine) as connection:
        known = [category.wnid for category in categories.selected(connection)]
    unknown = [wnid for wnid in wnids if wnid not in known]
    if unknown or not known:
        raise PublishError(
            f"{unknown[0]} is no category of this project; see `imagenet-builder synsets selected`"
            if unknown
            else "this project has no categories; choose some with `imagenet-builder synsets select`"
        )
    site = LabellingSite(project, [wnid for wnid in known if not wnids or wnid in wnids], shown)
    listener = listen("127.0.0.1", port)
    click.echo(
        f"open http://127.0.0.1:{listener.getsockname()[1]}{site.base}/ and stop with Ctrl-C", err=True
    )
    serve_until_stopped(site.create_app(), listener, verbose=invocation.verbose)
    click.echo(f"{site.recorded} controls made")
