"""`imagenet-builder marketplace`: the self-hosted marketplace of this project."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imagenet_builder.cli.marketplace_care import backup, erase, masters, restore
from imagenet_builder.cli.marketplace_panels import study

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation

REGION = "us-east-1"


@click.group("marketplace")
def command() -> None:
    """Run the self-hosted marketplace, which speaks the MTurk Requester API.

    \b
    Example:
      imagenet-builder marketplace serve
      imagenet-builder marketplace invite anna ben
    """


for _part in (study, masters, backup, restore, erase):
    command.add_command(_part)


@command.command("serve", short_help="Serve worker site, Requester API and HIT pictures.")
@click.option("--host", help="The address to listen on.  [default: that of [marketplace] endpoint]")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="The port.  [default: that of [marketplace] endpoint]"
)
@click.pass_obj
def serve(invocation: Invocation, host: str | None, port: int | None) -> None:
    """Serve the worker site, the Requester API and this project's HIT pictures.

    \b
    Example:
      imagenet-builder marketplace serve
    """
    from imagenet_builder import own_marketplace
    from imagenet_builder.cli.serving import listen, serve_until_stopped
    from imagenet_builder.project import KEYS_NAME

    project = invocation.project
    default_host, default_port = own_marketplace.listening_address(project)
    app = own_marketplace.create_app(project)
    # With another port alone nobody would find it: invitations, pictures and publish-hits go by the endpoint.
    listener = listen(
        host or default_host, port or default_port, "set [marketplace] endpoint to another port"
    )
    settings = project.settings.marketplace
    click.echo(f"listening on {host or default_host}, port {port or default_port}", err=True)
    click.echo(
        f"workers go to {settings.public_url}, their pages are framed from {settings.frame_url}", err=True
    )
    click.echo(
        f"requests go to {settings.endpoint}, signed with the keys in {project.folder / KEYS_NAME}", err=True
    )
    click.echo("invite workers with `imagenet-builder marketplace invite NAME`; stop with Ctrl-C", err=True)
    serve_until_stopped(app, listener, verbose=invocation.verbose)


@command.command("invite")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--count", type=click.IntRange(1), help="Invite so many with names made up for them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def invite(invocation: Invocation, names: tuple[str, ...], count: int | None, as_json: bool) -> None:
    """Print a sign-in link for each worker. A link is a key: send it to that person only.

    Inviting a name again makes a new link for the same worker; the old one stops working. Who is written as
    "Name <address>" gets it by e-mail, through [marketplace] mail_server or as a file in mail_folder.

    \b
    Example:
      imagenet-builder marketplace invite anna "ben <ben@example.org>"
      imagenet-builder marketplace invite --count 10
    """
    from imagenet_builder import own_marketplace

    if not names and not count:
        raise click.UsageError("name the workers, or say how many with --count")
    invited = own_marketplace.invite(invocation.project, names, more=count or 0)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(worker) for worker in invited], indent=2))
        return
    for worker in invited:
        click.echo(f"{worker.name}  {'sent by e-mail' if worker.mailed else worker.url}")


@command.command("workers")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def workers(invocation: Invocation, as_json: bool) -> None:
    """List the workers of the marketplace and what they have done.

    \b
    Example:
      imagenet-builder marketplace workers
    """
    from imagenet_builder import own_marketplace
    from imagenet_builder.cli.output import figures, plain_table

    found = own_marketplace.workers(invocation.project)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(worker) for worker in found], indent=2, default=str))
        return
    if not found:
        click.echo("no workers yet; invite some with `imagenet-builder marketplace invite NAME`", err=True)
        return
    table = plain_table("worker", "name", "consented", "waiting#", "approved#", "rejected#", "earned#")
    for worker in found:
        table.add_row(
            worker.worker_id,
            worker.pseudonym,
            f"{worker.consented_at:%Y-%m-%d}" if worker.consented_at else "not yet",
            str(worker.submitted),
            str(worker.approved),
            str(worker.rejected),
            f"${worker.earned_cents / 100:.2f}",
        )
    figures().print(table)


@command.command("keys", short_help="Print shell lines that point boto3 at it.")
@click.pass_obj
def keys(invocation: Invocation) -> None:
    """Print shell lines that point any program's boto3.client("mturk") at the marketplace.

    \b
    Example:
      eval "$(imagenet-builder marketplace keys)"
    """
    from imagenet_builder import own_marketplace

    known = own_marketplace.keys_to_export(invocation.project)
    for name, value in (
        ("AWS_ACCESS_KEY_ID", known.access_key),
        ("AWS_SECRET_ACCESS_KEY", known.secret_key),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ENDPOINT_URL_MTURK", known.endpoint),
    ):
        click.echo(f"export {name}={shlex.quote(value)}")


@command.command("console", short_help="Print a link that opens the requester console.")
@click.pass_obj
def console(invocation: Invocation) -> None:
    """Print a link that opens the requester console: HITs, progress, workers, ledger, results as CSV.

    The link works once, within an hour. The marketplace must be running.

    \b
    Example:
      imagenet-builder marketplace console
    """
    from imagenet_builder import own_marketplace

    click.echo(own_marketplace.console_link(invocation.project))


@command.command("layout")
@click.argument("page", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--name", help="What to call it.  [default: the file's name]")
@click.option(
    "--height", type=click.IntRange(0, 99_999), default=0, help="Of its frame, in pixels.  [default: its own]"
)
@click.pass_obj
def layout(invocation: Invocation, page: Path, name: str | None, height: int) -> None:
    """Make a HIT layout of an HTML page and print its HITLayoutId. `${name}` in it is a parameter.

    \b
    Example:
      imagenet-builder marketplace layout umbrellas.html
    """
    from imagenet_builder import own_marketplace

    click.echo(own_marketplace.make_layout(invocation.project, page, name or page.stem, height))


@command.command("simulate", short_help="Let simulated workers answer every open page.")
@click.option(
    "--workers", "number", type=click.IntRange(1), default=6, show_default=True, help="How many workers."
)
@click.option(
    "--profile",
    default="careful,careful,hurried",
    show_default=True,
    help="Kinds of worker, in turn: careful, hurried, confused-by-siblings, random, always-yes.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help='JSON lines {"sha256": …, "wnid": …, "truth": true}, or false, or "sibling": what is in the pictures.',
)
@click.option(
    "--assumed-yield",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="The share of right pictures among those whose truth is not given.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of what they answer.")
@click.option("--max-pages", type=click.IntRange(1), help="Stop after so many pages.")
@click.option(
    "--arrivals",
    type=click.FloatRange(0, min_open=True),
    help="How many of them come in an hour, at random times.  [default: all at once]",
)
@click.option(
    "--pace",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Take their time: 1 as long as people, 0.1 a tenth of it, 0 none.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def simulate(
    invocation: Invocation,
    number: int,
    profile: str,
    truth: Path | None,
    assumed_yield: float,
    seed: int,
    max_pages: int | None,
    arrivals: float | None,
    pace: float,
    as_json: bool,
) -> None:
    """Let simulated workers sign in and answer every open page, over HTTP. The marketplace must be running.

    Their votes are made up: for trying a project out, never for a dataset.

    \b
    Example:
      imagenet-builder marketplace simulate --workers 50 --profile careful,confused-by-siblings,always-yes
    """
    from imagenet_builder.cli.progress import shown_wait
    from imagenet_builder.simulating import read_truths, simulate_workers

    with shown_wait(f"{number} workers come") as say:
        report = simulate_workers(
            invocation.project,
            workers=number,
            profiles=[name.strip() for name in profile.split(",") if name.strip()],
            truths=read_truths(truth) if truth else None,
            assumed_yield=assumed_yield,
            seed=seed,
            max_pages=max_pages,
            arrivals_an_hour=arrivals,
            pace=pace,
            progress=lambda pages: say(f"{pages} pages answered"),
        )
    answers = {answer.value: count for answer, count in report.answers.items()}
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(report), "answers": answers}, indent=2))
        return
    click.echo(f"pages    {report.pages}, by worker {', '.join(map(str, report.pages_by_worker))}")
    click.echo(f"answers  {', '.join(f'{count} {answer}' for answer, count in answers.items())}")
    click.echo(
        f"people   would work {report.worked_seconds / 3600:.2f} hours in all, "
        f"{report.span_seconds / 3600:.2f} from the first arrival to the last page"
    )
