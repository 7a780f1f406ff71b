"""`imagenet-builder controls`: questions whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Collection

    from imagenet_builder.cli import Invocation
    from imagenet_builder.project import Project


@click.group("controls")
def command() -> None:
    """Make questions whose answer is known: they measure workers.

    \b
    Example:
      imagenet-builder controls label
      imagenet-builder controls import known.csv
      imagenet-builder controls test
    """


@command.command("import", short_help="Make controls of a table of pictures that you know.")
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
    report = record_controls(project.engine, read_known(table, project), REQUESTER, utc_now())
    click.echo(f"{report.recorded} controls made")
    if report.left:
        click.echo(f"note: {report.left} questions were left, the crowd was asked them", err=True)


@command.command("test", short_help="Make an entrance test of controls.")
@click.option("--category", "wnids", multiple=True, metavar="WNID", help="Only these categories.")
@click.option(
    "--pictures",
    "count",
    type=click.IntRange(4, 100),
    default=12,
    show_default=True,
    help="Pictures of the test, half of which show their category.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to write.  [default: the project]",
)
@click.pass_obj
def test(invocation: Invocation, wnids: tuple[str, ...], count: int, out: Path | None) -> None:
    """Make an entrance test of controls: who passes it may take the project's pages.

    It is written as entrance-test.xml and entrance-answers.xml, which nothing changes later: people keep what they
    passed. `[verification] entrance_test` and `entrance_answers` name them.

    \b
    Example:
      imagenet-builder controls test --pictures 12
    """
    from imagenet_builder.entrance_form import choose_known, make_test, write_test

    project = invocation.project
    known = choose_known(project, chosen_categories(project, wnids), count)
    paths = write_test(out or project.folder, *make_test(project, known))
    click.echo(f"{len(known)} pictures: {' and '.join(str(path) for path in paths)}")


@command.command("label", short_help="Make controls of stored pictures in your browser.")
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
    from imagenet_builder.cli.serving import listen, serve_until_stopped
    from imagenet_builder.labelling import LabellingSite

    project = invocation.project
    site = LabellingSite(project, chosen_categories(project, wnids), shown)
    listener = listen("127.0.0.1", port)
    click.echo(
        f"open http://127.0.0.1:{listener.getsockname()[1]}{site.base}/ and stop with Ctrl-C", err=True
    )
    serve_until_stopped(site.create_app(), listener, verbose=invocation.verbose)
    click.echo(f"{site.recorded} controls made")


def chosen_categories(project: Project, wnids: Collection[str]) -> list[str]:
    """The categories of `project`, or those of them that are named. Raises PublishError for others, and for none."""
    from hits import database
    from imagenet_builder.errors import PublishError
    from imagenet_builder.store import categories

    with database.reading(project.engine) as connection:
        known = [category.wnid for category in categories.selected(connection)]
    unknown = [wnid for wnid in wnids if wnid not in known]
    if unknown or not known:
        raise PublishError(
            f"{unknown[0]} is no category of this project; see `imagenet-builder synsets selected`"
            if unknown
            else "this project has no categories; choose some with `imagenet-builder synsets select`"
        )
    return [wnid for wnid in known if not wnids or wnid in wnids]
