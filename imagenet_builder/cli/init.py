"""`imagenet-builder init`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def command(folder: Path) -> None:
    """Make FOLDER (default: here) a project: settings, a store and a place for images.

    \b
    Example:
      imagenet-builder init my-dataset
    """
    from imagenet_builder.initialise import initialise

    project = initialise(folder)
    click.echo(f"made a project in {project.folder}")
    click.echo("next: set [project] contact in imagenet-builder.toml, then `synsets select`", err=True)
