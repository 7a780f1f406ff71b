"""`imagenet-builder evaluate-serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation


@click.command("evaluate-serve")
@click.argument("release", metavar="RELEASE")
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Opens the labels: the file that export named, or the project's secret.key.",
)
@click.option(
    "--split",
    type=click.Choice(["test", "replicate"]),
    default="test",
    show_default=True,
    help="What is guessed at.",
)
@click.option(
    "--board",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default="RELEASE-SPLIT.leaderboard.sqlite3; here, for a release in a bucket",
    help="The store of teams and submissions.",
)
@click.option("--invite", metavar="TEAM", help="Let a team hand in: print its token, and serve nothing.")
@click.option(
    "--guesses", type=click.IntRange(1, 5), default=5, show_default=True, help="The error that ranks."
)
@click.option(
    "--per-day", type=click.IntRange(1), default=2, show_default=True, help="Submissions of a team in 24 h."
)
@click.option(
    "--step",
    type=click.FloatRange(0.0001, 1),
    show_default="1/√pictures",
    help="What an error must fall by to be told, and is rounded to.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8720, show_default=True, help="The port.")
@click.pass_obj
def command(
    invocation: Invocation,
    release: str,
    key_file: Path,
    split: str,
    board: Path | None,
    invite: str | None,
    guesses: int,
    per_day: int,
    step: float | None,
    host: str,
    port: int,
) -> None:
    """Serve a page on which invited teams hand in guesses at a hidden split, and a leaderboard of them.

    The split cannot be fitted through it: submissions are few, and an error is told in steps. Put a TLS proxy before
    it on the internet. It needs no project.

    \b
    Example:
      imagenet-builder evaluate-serve releases/first --key test-keys/first-1a2b3c4d5e6f-test.key --invite "Team A"
      imagenet-builder evaluate-serve releases/first --key test-keys/first-1a2b3c4d5e6f-test.key
    """
    from datetime import UTC, datetime

    from imagenet_builder.cli.serving import listen, serve_until_stopped
    from imagenet_builder.leaderboard.board import Rules, is_invited, open_board, usual_step
    from imagenet_builder.leaderboard.board import invite as invite_team
    from imagenet_builder.leaderboard.site import Leaderboard, create_app
    from imagenet_builder.train.scoring import read_title, read_truth, release_digest

    truth, title = read_truth(release, split, key_file), read_title(release)
    place = board or _beside(release, split)
    engine = open_board(place, release_digest(release), split)
    if invite is not None:
        if is_invited(engine, invite):
            click.echo(f"{invite} had a token, which no longer works: this is the new one", err=True)
        click.echo(invite_team(engine, invite, datetime.now(UTC)))
        return
    rules = Rules(guesses, per_day, step or usual_step(len(truth.files)))
    listener = listen(host, port)
    click.echo(f"leaderboard on http://{host}:{listener.getsockname()[1]}/, kept in {place}", err=True)
    app = create_app(Leaderboard(title, truth, engine, rules))
    serve_until_stopped(app, listener, verbose=invocation.verbose)


def _beside(release: str, split: str) -> Path:
    folder = Path(release.rpartition("/")[2] if "://" in release else release).absolute()
    return folder.with_name(f"{folder.name}-{split}.leaderboard.sqlite3")
