"""`imagenet-builder publish-hits`."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation
    from imagenet_builder.cli.progress import Bars
    from imagenet_builder.project import Project
    from imagenet_builder.publish import PublishReport


def cents_of(dollars: str) -> int:
    """An amount of US dollars on the command line, in cents."""
    try:
        cents = Decimal(dollars.removeprefix("$")) * 100
    except InvalidOperation:
        raise click.BadParameter(f"{dollars!r} is not an amount of dollars, such as 0.15") from None
    if not cents.is_finite() or cents != cents.to_integral_value() or cents < 0:
        raise click.BadParameter(f"{dollars!r} is not a number of whole cents from 0 up")
    return int(cents)


@click.command("publish-hits")
@click.option("--sandbox", is_flag=True, help="On the project's own marketplace: play money.")
@click.option("--live", is_flag=True, help="On [marketplace] live_endpoint, for money.")
@click.option("--votes", type=click.IntRange(1), help="Workers a question.  [default: 3]")
@click.option(
    "--page-size", type=click.IntRange(1), help="Pictures a page, controls included.  [default: 48]"
)
@click.option("--controls", type=click.IntRange(0), help="Controls a page.  [default: 6]")
@click.option(
    "--reward",
    type=cents_of,
    metavar="USD",
    help="What a worker gets for a page.  [default: from the pay floor]",
)
@click.option(
    "--budget",
    type=cents_of,
    metavar="USD",
    help="Cap on all that is reserved and spent there, by earlier runs too; fees included.",
)
@click.option(
    "--rounds",
    is_flag=True,
    default=None,
    help="Ask for the next vote only where it can matter; run it again.",
)
@click.option("--target", type=float, help="In rounds: stop a question at this probability.  [default: 0.9]")
@click.option("--most-votes", type=click.IntRange(1), help="In rounds: stop a question here.  [default: 5]")
@click.option(
    "--mean-votes",
    type=float,
    help="In rounds, with dawid-skene: no more votes a question than this on average, the least sure first.",
)
@click.option("--category", "categories", multiple=True, metavar="WNID", help="Only these categories.")
@click.option("--again", is_flag=True, help="Also ask again about pictures that stayed undecided.")
@click.option("--dry-run", is_flag=True, help="Show what would be published, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(
    invocation: Invocation,
    sandbox: bool,
    live: bool,
    votes: int | None,
    page_size: int | None,
    controls: int | None,
    reward: int | None,
    budget: int | None,
    rounds: bool | None,
    target: float | None,
    most_votes: int | None,
    mean_votes: float | None,
    categories: tuple[str, ...],
    again: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish verification HITs for the pictures that have no verdict.

    What was asked in rounds (--rounds, or [verification] rounds) is asked for its next vote by every later run,
    where the verdict can still change.

    \b
    Example:
      imagenet-builder publish-hits --sandbox --dry-run
      imagenet-builder publish-hits --sandbox --votes 3 --budget 20
    """
    from imagenet_builder.cli.progress import shown_progress
    from imagenet_builder.config import override
    from imagenet_builder.publish import PublishRequest, publish

    if sandbox == live:
        raise click.UsageError("say where: either --sandbox (play money) or --live")
    project = dataclasses.replace(
        invocation.project,
        settings=override(
            invocation.project.settings,
            "verification",
            votes=votes,
            page_size=page_size,
            controls=controls,
            rounds=rounds,
            target=target,
            most_votes=most_votes,
            mean_votes=mean_votes,
        ),
    )
    request = PublishRequest(live, again, dry_run, categories, reward, budget)
    spends = request.live and not dry_run
    if spends:
        _require_terminal()
    with shown_progress("planning") as bars:
        confirm = functools.partial(_confirm_live, bars) if spends else None
        report = publish(project, request, confirm=confirm, progress=bars)
    if as_json:
        click.echo(json.dumps(_document(report), indent=2))
    else:
        _show(report, project)


def _require_terminal() -> None:
    from imagenet_builder.errors import PublishError

    if not sys.stdin.isatty():
        raise PublishError(
            "--live spends money and asks for the word LIVE, but standard input is not a terminal; "
            "run it in one, or use --sandbox"
        )


def _confirm_live(bars: Bars, plan: PublishReport) -> None:
    from imagenet_builder.errors import PublishError
    from imagenet_builder.publish import dollars

    spent = f"{dollars(plan.cost.total_cents)} at {plan.endpoint}"
    with bars.hidden():
        for line in _lines(plan):
            click.echo(line, err=True)
        # Bars that are not to go on are not drawn again.
        if click.prompt(f"Type LIVE to spend {spent}", default="", show_default=False, err=True) != "LIVE":
            raise PublishError("not confirmed: nothing was published")


def _document(report: PublishReport) -> dict[str, Any]:
    return {
        **dataclasses.asdict(report),
        "total_cents": report.cost.total_cents,
        "cents_per_candidate": report.cents_per_candidate,
        "cents_per_accepted": report.cents_per_accepted,
        "most_cents_per_candidate": report.most_cents_per_candidate,
        "most_cents_per_accepted": report.most_cents_per_accepted,
    }


def _show(report: PublishReport, project: Project) -> None:
    if report.nothing:
        click.echo("nothing to publish: " + _why_nothing(report, project))
        return
    for line in _lines(report):
        click.echo(line)
    if report.dry_run:
        click.echo("dry run: nothing was changed")
    else:
        click.echo(f"published  {_counted(report.published, 'page')} on {report.endpoint}")


def _why_nothing(report: PublishReport, project: Project) -> str:
    from hits import database
    from imagenet_builder.publish import dollars
    from imagenet_builder.store.status import has_images

    if report.over_budget:
        committed = f"{dollars(report.committed_cents)} of {dollars(report.budget_cents or 0)}"
        return f"the budget pays for no page ({committed} are committed); {report.over_budget} pictures wait"
    if report.unshowable:
        return f"{report.unshowable} pictures that are pending cannot be shown"
    with database.reading(project.engine) as connection:
        if not has_images(connection):
            return "no picture is stored yet; fetch some with `imagenet-builder crawl`"
    return "every stored picture has a verdict or is being asked about (--again asks undecided ones again)"


def _lines(report: PublishReport) -> list[str]:
    from imagenet_builder.publish import dollars

    cost = report.cost
    lines = [
        f"pages      {cost.pages}" + (f", {report.resumed} of an earlier run" if report.resumed else ""),
        f"questions  {_asked(report)} in {_counted(report.categories, 'category', 'categories')}, "
        f"and {_counted(report.controls, 'control')}",
        f"votes      {_votes(report)}, {_counted(cost.assignments, 'assignment')}",
        f"reward     {_reward(report)}, {dollars(cost.reward_cents)} in all",
        f"fees       {dollars(cost.fees_cents)}",
        f"total      {dollars(cost.total_cents)}",
    ]
    lines += _worth(report)
    if report.budget_cents is not None:
        lines.append(
            f"budget     {dollars(report.budget_cents)}, {dollars(report.committed_cents)} of it committed before"
        )
    if report.balance_cents is not None:
        short = not report.published and report.balance_cents < cost.total_cents
        lines.append(
            f"balance    {dollars(report.balance_cents)}" + (" (too little for this)" if short else "")
        )
    if report.over_budget:
        lines.append(f"waiting    {report.over_budget} pictures, for lack of budget")
    if report.unshowable:
        lines.append(f"left out   {report.unshowable} pictures that cannot be shown")
    if not report.controls and report.questions:
        lines.append(
            "no controls: workers cannot be measured; make some with `imagenet-builder controls label`"
        )
    return lines


def _asked(report: PublishReport) -> str:
    if not report.asked_again:
        return str(report.questions)
    return f"{report.questions} new and {report.asked_again} for their next vote"


def _votes(report: PublishReport) -> str:
    if report.most_votes is None:
        return f"{report.votes} a question"
    mean = "" if report.mean_votes is None else f" and {report.mean_votes:g} on average"
    subset = f" ({report.subset_votes} on a first page of each category)" if report.subset_votes else ""
    return f"{report.votes} a question at first, at most {report.most_votes}{mean}{subset}"


def _reward(report: PublishReport) -> str:
    from imagenet_builder.publish import dollars

    average = report.cost.reward_cents / report.cost.assignments
    seconds = f"{report.seconds_per_picture:g} s a picture"
    measured = f"measured on {report.timed_pages} pages" if report.timed_pages else "by the settings"
    return f"{dollars(round(average))} a page on average ({seconds}, {measured})"


def _worth(report: PublishReport) -> list[str]:
    """What a candidate and an accepted picture cost, in cents and tenths; in rounds at first, and with all votes."""
    if report.cents_per_candidate is None or report.cents_per_accepted is None:
        return []
    going_by = f"going by {report.decided} verdicts" if report.decided else "if every other is right"
    expected = f"{report.expected_accepted:.0f} are expected, {going_by}"
    costs = f"{report.cents_per_candidate:.1f} cents a candidate, {report.cents_per_accepted:.1f} cents a picture "
    if report.most_votes is None:
        return [f"each       {costs}that is accepted: {expected}"]
    most = f"{report.most_cents_per_candidate:.1f} and {report.most_cents_per_accepted:.1f}"
    return [f"each       at first {costs}that is accepted; with all votes at most about {most}: {expected}"]


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
