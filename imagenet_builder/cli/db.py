"""`imagenet-builder db`: migrations of the builder's store and the marketplace's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import sqlalchemy as sa

    from imagenet_builder.cli import Invocation

which_store = click.option(
    "--store",
    "choice",
    type=click.Choice(["builder", "marketplace", "all"]),
    default="all",
    show_default=True,
    help="Which store.",
)


@click.group("db")
def command() -> None:
    """Migrate the stores.

    \b
    Example:
      imagenet-builder db upgrade
    """


@command.command("upgrade", short_help="Migrate up to this program's schema.")
@which_store
@click.option("--revision", default="head", show_default=True, help="Where to stop.")
@click.pass_obj
def upgrade(invocation: Invocation, choice: str, revision: str) -> None:
    """Migrate up to this program's schema, making a store where there is none.

    \b
    Example:
      imagenet-builder db upgrade
    """
    from hits import database

    for name, engine, package in _stores(invocation, choice):
        before = database.current_revision(engine)
        database.upgrade(engine, package, revision)
        click.echo(f"{name}: {before or 'empty'} → {database.current_revision(engine)}")


@command.command("downgrade")
@click.argument("revision")
@click.option(
    "--store", "choice", type=click.Choice(["builder", "marketplace"]), required=True, help="Which store."
)
@click.confirmation_option(prompt="A downgrade can drop tables and all that they hold. Go on?")
@click.pass_obj
def downgrade(invocation: Invocation, choice: str, revision: str) -> None:
    """Migrate down to REVISION (`base`: an empty store). Back up first.

    \b
    Example:
      imagenet-builder db downgrade base --store marketplace
    """
    from hits import database

    for name, engine, package in _stores(invocation, choice):
        before = database.current_revision(engine)
        database.downgrade(engine, package, revision)
        click.echo(f"{name}: {before or 'empty'} → {database.current_revision(engine) or 'empty'}")


@command.command("current")
@which_store
@click.pass_obj
def current(invocation: Invocation, choice: str) -> None:
    """Print each store's schema, and this program's.

    \b
    Example:
      imagenet-builder db current
    """
    from hits import database

    for name, engine, package in _stores(invocation, choice):
        head = database.head_revision(package)
        found = database.current_revision(engine)
        click.echo(
            f"{name}: {found or 'empty'}{' (head)' if found == head else f'; this program needs {head}'}"
        )


def _stores(invocation: Invocation, choice: str) -> Iterator[tuple[str, sa.Engine, str]]:
    from hits import database
    from imagenet_builder.store.engine import MIGRATIONS

    project = invocation.project
    places = {
        "builder": (project.settings.store.url, MIGRATIONS),
        "marketplace": (project.settings.marketplace.store, "hits.marketplace.migrations"),
    }
    for name, (setting, package) in places.items():
        if choice in {name, "all"}:
            yield name, database.open_engine(project.store_url(setting)), package
