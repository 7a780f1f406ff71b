"""`imagenet-builder marketplace masters`, `backup`, `restore`, `erase`: what its operator decides and owes people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def backup(invocation: Invocation, file: Path) -> None:
    """Write a copy of the marketplace's store to FILE, while it runs. It holds keys: keep it private.

    \b
    Example:
      imagenet-builder marketplace backup marketplace-2026-11-21.backup
    """
    from hits.backup import back_up
    from imagenet_builder import own_marketplace

    back_up(own_marketplace.open_marketplace(invocation.project), file)
    click.echo(f"written to {file}", err=True)


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def restore(invocation: Invocation, file: Path, yes: bool) -> None:
    """Put the copy in FILE in the place of the marketplace's store. What came since the copy is lost.

    \b
    Example:
      imagenet-builder marketplace restore marketplace-2026-11-21.backup
    """
    from hits.backup import restore as put_back
    from imagenet_builder import own_marketplace

    if not yes:
        click.confirm(f"Replace everything on the marketplace by {file}?", abort=True)
    put_back(own_marketplace.open_marketplace(invocation.project), file)
    click.echo(f"restored from {file}", err=True)


@click.command("erase")
@click.argument("worker")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def erase(invocation: Invocation, worker: str, yes: bool) -> None:
    """Erase what tells who WORKER (a name or worker id) is. The answers stay, under a number alone.

    \b
    Example:
      imagenet-builder marketplace erase ada
    """
    from hits.marketplace import erasure
    from hits.marketplace.settings import utc_now
    from imagenet_builder import own_marketplace

    engine = own_marketplace.open_marketplace(invocation.project)
    worker_id = erasure.find_worker(engine, worker)
    if not yes:
        click.confirm(f"Erase {worker} for good?", abort=True)
    erasure.erase(engine, worker_id, utc_now())
    click.echo(f"{worker_id} is all that is left of that worker", err=True)


@click.command("masters", short_help="Make workers Masters, and list all who are.")
@click.argument("names", nargs=-1, metavar="[WORKER]...")
@click.option("--remove", is_flag=True, help="They are Masters no longer.")
@click.pass_obj
def masters(invocation: Invocation, names: tuple[str, ...], remove: bool) -> None:
    """Make workers (names or worker ids) Masters, and list all who are. HITs can ask for Masters, at 5 % more.

    \b
    Example:
      imagenet-builder marketplace masters ada ben
    """
    from hits.marketplace import erasure, people
    from hits.marketplace.settings import utc_now
    from imagenet_builder import own_marketplace

    if remove and not names:
        raise click.UsageError("say whose mastership ends")
    engine = own_marketplace.open_marketplace(invocation.project)
    for worker_id in [erasure.find_worker(engine, name) for name in names]:
        people.name_master(engine, worker_id, None if remove else utc_now())
    for worker in people.list_workers(engine):
        if worker.master:
            click.echo(f"{worker.worker_id}  {worker.pseudonym}")
