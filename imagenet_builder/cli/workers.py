"""`imagenet-builder workers`."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hits.quality import Estimate
    from imagenet_builder.cli import Invocation
    from imagenet_builder.excluded_workers import WorkerConduct
    from imagenet_builder.store.workers import StandingExclusion


@click.command("workers")
@click.option("--exclude", metavar="WORKER", help="Give a worker no more work.")
@click.option("--reason", default="", help="What the excluded worker is told.")
@click.option(
    "--readmit", metavar="WORKER", help="Take an exclusion back; no program excludes that worker again."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(
    invocation: Invocation, exclude: str | None, reason: str, readmit: str | None, as_json: bool
) -> None:
    """Show how far each worker can be trusted: the share of rightly answered pictures, with 95 % intervals.

    What is known of a picture comes from controls, and from all others where two or more agree (counting half).
    `aggregate` excludes by itself workers who are surely no better than guessing, too fast, always say the same, or
    hand in mostly pages that cannot be read. Excluded workers get no new pages and see why; what they did is paid.

    \b
    Example:
      imagenet-builder workers
      imagenet-builder workers --exclude A2QWERTY --reason "Please read the description first."
    """
    from hits import database
    from imagenet_builder import excluded_workers

    if reason and not exclude:
        raise click.UsageError("--reason belongs to --exclude")
    engine = invocation.project.engine
    now = datetime.now(UTC)
    if exclude:
        excluded_workers.exclude(engine, exclude, reason or "no reason was given", now)
    if readmit:
        excluded_workers.readmit(engine, readmit, now)
    if exclude or readmit:
        click.echo("the next aggregate tells the marketplace", err=True)
    with database.reading(engine) as connection:
        lines = excluded_workers.look_at_workers(connection)
    if as_json:
        click.echo(json.dumps([_document(line) for line in lines], indent=2))
    else:
        _show(lines)


def _document(line: WorkerConduct) -> dict[str, Any]:
    document = {"worker": line.worker.platform_worker_id, "endpoint": line.worker.endpoint}
    excluded = None
    if line.excluded is not None:
        excluded = {
            "reason": line.excluded.reason.value,
            "detail": line.excluded.detail,
            "since": line.excluded.decided_at.isoformat(),
            "unfounded": line.excluded.unfounded,
        }
    conduct = dataclasses.asdict(line.conduct)
    return {**document, **{name: conduct[name] for name in conduct if name != "worker"}, "excluded": excluded}


def _show(lines: list[WorkerConduct]) -> None:
    from imagenet_builder.cli.output import figures, plain_table

    table = plain_table(
        *("worker", "pages#", "votes#", "yes right#", "no right#", "known#", "s a picture#", "hasty#"),
        *("unreadable#", "repeats#", "same#", "excluded"),
        title=f"{len(lines)} workers",
    )
    for line in lines:
        conduct = line.conduct
        table.add_row(
            line.worker.platform_worker_id,
            str(conduct.pages),
            str(conduct.votes),
            _interval(conduct.yes),
            _interval(conduct.no),
            f"{conduct.balanced.evidence:.0f}",
            "–" if conduct.seconds is None else f"{conduct.seconds:.1f}",
            str(conduct.hasty_pages),
            str(conduct.unreadable_pages),
            str(conduct.repeats),
            f"{conduct.same_share:.0%}",
            "" if line.excluded is None else line.excluded.reason,
        )
    console = figures()
    console.print(table)
    for line in lines:
        if line.excluded is not None:
            console.print(f"{line.worker.platform_worker_id}  {_excluded(line.excluded)}")


def _excluded(exclusion: StandingExclusion) -> str:
    by_now = "; by all answers there is no reason any more" if exclusion.unfounded else ""
    return f"{exclusion.reason}: {exclusion.detail}{by_now}"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.mean:.0%} ({estimate.low:.0%}–{estimate.high:.0%})"
