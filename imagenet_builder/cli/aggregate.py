"""`imagenet-builder aggregate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from imagenet_builder.aggregate import AggregateReport
    from imagenet_builder.cli import Invocation

REPORTED_SHOWN = 10


@click.command("aggregate")
@click.option("--rule", help="Decide by this rule, not by the one questions were published with.")
@click.option("--finalise", is_flag=True, help="Decide everything for good from the votes there are.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(invocation: Invocation, rule: str | None, finalise: bool, as_json: bool) -> None:
    """Collect assignments, pay workers, decide questions. Run it from cron as often as you like.

    A question without the votes that it needs stays undecided; `publish-hits --again` asks it again.
    Exit codes for cron: 0 done (also when nothing was new), 1 failed, 75 another run is at work.

    \b
    Example:
      imagenet-builder aggregate
      */10 * * * * imagenet-builder --project /srv/dataset --log-format json aggregate
    """
    from imagenet_builder.aggregate import aggregate
    from imagenet_builder.cli.progress import shown_progress
    from imagenet_builder.watching import watched

    project = invocation.project
    metrics = project.settings.verification.metrics
    with shown_progress("looking for what is new") as progress:
        report = watched(
            project.folder / metrics if metrics else None,
            lambda: aggregate(project, rule=rule, finalise=finalise, progress=progress),
        )
    if as_json:
        click.echo(json.dumps(_document(report), indent=2))
    else:
        for line in _lines(report):
            click.echo(line)
        if rule and not finalise and not report.verdicts_changed:
            click.echo(f"note        {rule} changed no verdict: final ones it decides only with --finalise")


def _document(report: AggregateReport) -> dict[str, Any]:
    import dataclasses

    # By hand where keys are enumerations: JSON knows only strings.
    document = {
        name: value
        for name, value in dataclasses.asdict(report).items()
        if name not in {"decisions", "collected"}
    }
    collected = dataclasses.asdict(report.collected)
    collected["votes"] = {answer.value: number for answer, number in report.collected.votes.items()}
    decisions = {decision.value: number for decision, number in report.decisions.items()}
    return {"collected": collected, "decisions": decisions, **document}


def _lines(report: AggregateReport) -> list[str]:
    from hits.model import Answer
    from imagenet_builder.publish import dollars

    collected = report.collected
    votes = ", ".join(f"{collected.votes[answer]} {answer}" for answer in Answer)
    verdicts = ", ".join(f"{number} {decision}" for decision, number in report.decisions.items())
    lines = [
        f"assignments {collected.assignments} collected, {collected.payments} paid "
        f"({dollars(collected.paid_cents)}; {dollars(report.spent_cents)} so far)",
        f"votes       {votes}",
    ]
    if collected.controls_shown:
        share = collected.controls_right / collected.controls_shown
        lines.append(
            f"controls    {collected.controls_right} of {collected.controls_shown} right ({share:.1%})"
        )
    lines.append(f"verdicts    {verdicts}; {report.provisional} may still change")
    lines.append(f"pages       {report.hits_open} open, {report.hits_closed} closed in this run")
    return lines + _oddities(report) + _reported(report)


def _oddities(report: AggregateReport) -> list[str]:
    from hits.model import Decision

    collected = report.collected
    # Undecided for good: nothing that is out can change it.
    left = 0 if report.provisional or report.hits_open else report.decisions[Decision.UNDECIDED]
    counted = [
        (collected.unreadable, "assignments that cannot be read", "they are paid"),
        (collected.unknown_pictures, "answers to pictures that are not on their page", "left aside"),
        (collected.missing_pictures, "pictures without an answer", "no vote"),
        (
            collected.repeated,
            "votes that do not count",
            "their workers had voted on the same question before",
        ),
        (collected.payments_refused, "payments that were refused", "the next run tries again"),
        (report.payments_given_up, "payments that were refused too often", "they are left to you"),
        (
            report.workers_excluded,
            "workers who get no more work from now on",
            "see `imagenet-builder workers`",
        ),
        (
            collected.lost_hits,
            "pages that their marketplace does not know",
            "see `imagenet-builder reconcile`",
        ),
        (
            collected.faulty_hits,
            "pages whose answers their marketplace could not tell",
            "the next run asks again",
        ),
        (
            collected.unlisted,
            "answered pages that their marketplace has but did not list",
            "the next run asks again",
        ),
        (left, "pictures that stayed undecided", "`publish-hits --again` asks about them once more"),
    ]
    return [f"note        {what}: {number} ({hint})" for number, what, hint in counted if number]


def _reported(report: AggregateReport) -> list[str]:
    lines = [
        f"reported    {one.sha256} as {one.wnid}: {', '.join(one.reasons)}"
        for one in report.reported[:REPORTED_SHOWN]
    ]
    more = len(report.reported) - REPORTED_SHOWN
    return [*lines, f"reported    and {more} more (--json lists all)"] if more > 0 else lines
