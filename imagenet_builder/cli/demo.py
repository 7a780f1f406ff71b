"""`imagenet-builder demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.demo.rehearsal import DemoResult


@click.command("demo")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-project"))
@click.option(
    "--classes", type=click.IntRange(2, 18), default=12, show_default=True, help="How many synsets."
)
@click.option(
    "--per-category", type=click.IntRange(20), default=110, show_default=True, help="Candidates looked for."
)
@click.option(
    "--epochs", type=click.IntRange(1), default=20, show_default=True, help="Epochs of the baseline."
)
@click.option(
    "--seed", type=click.IntRange(0), default=7, show_default=True, help="Seed of everything drawn."
)
def command(folder: Path, classes: int, per_category: int, epochs: int, seed: int) -> None:
    """Go the whole way, offline, in minutes: from WordNet synsets to a trained baseline.

    Draws its own picture site, crawls it, has simulated workers vote through the worker site, exports a
    release and trains on it. FOLDER (default: demo-project) stays: an ordinary project, to look around in.

    \b
    Example:
      imagenet-builder demo my-demo
    """
    from imagenet_builder.demo.rehearsal import DemoPlan, rehearse

    plan = DemoPlan(classes=classes, per_category=per_category, epochs=epochs, seed=seed)
    _summarise(rehearse(folder, plan, click.echo))


def _summarise(result: DemoResult) -> None:
    from imagenet_builder.cli.output import figures, plain_table
    from imagenet_builder.demo.rehearsal import percent

    status, score, metrics = result.status, result.score, result.metrics
    table = plain_table("what", "came of it", title="The whole way")
    table.add_row("candidates", f"{sum(status.outcomes.values())} for {len(status.categories)} categories")
    for (state, reason), count in status.outcomes.items():
        table.add_row("", f"{count} {state}{': ' if reason else ''}{reason}")
    votes = ", ".join(f"{count} {answer}" for answer, count in status.votes.items())
    table.add_row("votes", f"{sum(status.votes.values())} by {status.workers} simulated workers: {votes}")
    table.add_row("controls", f"{status.controls_right} of {status.controls_shown} answered rightly")
    table.add_row("cost", f"${status.spent_cents / 100:.2f} of play money, fees included")
    table.add_row(
        "verdicts",
        f"{score.accepted_right + score.accepted_wrong} accepted, "
        f"{score.rejected_right + score.rejected_wrong} rejected, {score.undecided} undecided",
    )
    table.add_row("precision", f"{percent(score.precision)} of the accepted show it, by what was drawn")
    table.add_row("recall", f"{percent(score.recall)} of those that show it were accepted")
    table.add_row(
        "top-1 error", f"{percent(metrics.top1_error)} (chance {percent(metrics.chance_top1_error)})"
    )
    table.add_row(
        "top-5 error", f"{percent(metrics.top5_error)} (chance {percent(metrics.chance_top5_error)})"
    )
    table.add_row("took", f"{result.seconds:.0f} s")
    table.add_row("report", str(result.report))
    table.add_row("project", f"{result.project.folder} (try `cd` there and `imagenet-builder status`)")
    figures().print(table)
