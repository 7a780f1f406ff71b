"""`imagenet-builder pictures`: the server of HIT pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation


@click.group("pictures")
def command() -> None:
    """Serve only the pictures of HITs.

    \b
    Example:
      imagenet-builder pictures serve --port 8701
    """


@command.command("serve", short_help="Serve them, apart from the marketplace.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8701, show_default=True, help="The port.")
@click.pass_obj
def serve(invocation: Invocation, host: str, port: int) -> None:
    """Serve HIT pictures, for deployments that split them from the marketplace.

    [marketplace] pictures_url must lead here.

    \b
    Example:
      imagenet-builder pictures serve --port 8701
    """
    from aiohttp import web

    from imagenet_builder import pictures
    from imagenet_builder.cli.serving import listen, serve_until_stopped

    app = web.Application()
    app.add_subapp("/pictures/", pictures.create_app(invocation.project))
    settings = invocation.project.settings.marketplace
    click.echo(f"pictures on http://{host}:{port}/pictures/, expected at {settings.pictures_url}", err=True)
    serve_until_stopped(app, listen(host, port), verbose=invocation.verbose)
