"""`imagenet-builder crawl`."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation
    from imagenet_builder.crawl.report import CrawlReport, Progress, ProgressListener
    from imagenet_builder.project import Project

logger = logging.getLogger(__name__)

# Of subfolders that no category takes so many are named.
SHOWN = 10


@click.command("crawl")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help="Only this source: wikimedia, openverse, inaturalist, flickr, url_list, web_page, folder, or one that you "
    "installed; may be repeated.",
)
@click.option(
    "--category", "wnids", multiple=True, metavar="WNID", help="Only this category; may be repeated."
)
@click.option("--per-category", type=click.IntRange(min=1), help="Candidates wanted for each category.")
@click.option(
    "--licence",
    "licences",
    metavar="CODE,…",
    help="Licences to take: cc0, pd, by, by-sa …; `unknown` for pictures that tell none.",
)
@click.option(
    "--exclude",
    "excluded",
    multiple=True,
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="Reject near-duplicates of the pictures in this folder; may be repeated.",
)
@click.option("--retry", is_flag=True, help="Search nothing; fetch again what failed and may succeed.")
@click.option(
    "--refresh",
    is_flag=True,
    help="Search nothing; ask whether stored pictures are still there and still the same.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Ask queries that had brought all they have from their beginning, for what came to their sources since.",
)
@click.option(
    "--executor",
    type=click.Choice(("local", "ray")),
    help="Where pictures are fetched and inspected: in this process, or by workers on a Ray cluster.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(
    invocation: Invocation,
    sources: tuple[str, ...],
    wnids: tuple[str, ...],
    per_category: int | None,
    licences: str | None,
    excluded: tuple[str, ...],
    retry: bool,
    refresh: bool,
    again: bool,
    executor: str | None,
    as_json: bool,
) -> None:
    """Search sources for candidates of the project's categories, and fetch and check them.

    Stopped at any time, it goes on where it was when it is run again.

    \b
    Examples:
      imagenet-builder crawl --per-category 200
      imagenet-builder crawl --category n02084071 --licence cc0,by
      imagenet-builder crawl --retry
      imagenet-builder crawl --refresh
      imagenet-builder crawl --again
    """
    from imagenet_builder.config import override
    from imagenet_builder.crawl.crawl import crawl
    from imagenet_builder.errors import ShortOfRequest, SourceError

    if retry and refresh:
        raise click.UsageError("--retry and --refresh are two runs: give one of them")
    if again and (retry or refresh):
        raise click.UsageError("--again searches, and --retry and --refresh do not: give one of them")
    settings = override(
        invocation.project.settings,
        "crawl",
        sources=sources or None,
        per_category=per_category,
        licences=_codes(licences),
        exclude=(*invocation.project.settings.crawl.exclude, *excluded) or None,
        executor=executor,
    )
    project = dataclasses.replace(invocation.project, settings=settings)
    with _progress() as listener:
        report = crawl(project, wnids=wnids, retry=retry, refresh=refresh, again=again, listener=listener)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report), indent=2))
    else:
        _show(report)
    if report.interrupted:
        raise click.Abort
    if not (wnids or retry or refresh):
        _tell_unmatched(project)
    if report.quota_reached:
        raise ShortOfRequest(
            f"the disk quota of {settings.crawl.disk_quota:,} bytes is used up, and candidates are left; "
            "raise disk_quota under [crawl] and run the command again"
        )
    if report.source_errors:
        first, *others = report.source_errors
        raise SourceError(first + (f" (and {len(others)} other errors, above)" if others else ""))


def _tell_unmatched(project: Project) -> None:
    """Name the subfolders of the user's own pictures that no category takes: a name that is spelled wrong is one."""
    from hits import database
    from imagenet_builder.sources import folder
    from imagenet_builder.store import categories

    if folder.NAME not in project.settings.crawl.sources:
        return
    with database.reading(project.engine) as connection:
        left = folder.build(project.settings, project.folder).unmatched(categories.selected(connection))
    if left:
        names = ", ".join(left[:SHOWN]) + (" …" if len(left) > SHOWN else "")
        click.echo(
            f"note: subfolders of [folder] path named after no category: {len(left)} ({names})", err=True
        )


def _codes(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    codes = tuple(code.strip().lower() for code in text.split(",") if code.strip())
    if not codes:
        raise click.BadParameter("give at least one licence code", param_hint="--licence")
    return codes


@contextmanager
def _progress() -> Iterator[ProgressListener]:
    """A bar for each stage on a terminal; off one the log's lines suffice."""
    from rich import progress as bar
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _log_progress
        return
    columns = (
        bar.TextColumn("{task.description}"),
        bar.BarColumn(),
        bar.MofNCompleteColumn(),
        bar.TimeRemainingColumn(),
        bar.TextColumn("{task.fields[note]}", markup=False),
    )
    with bar.Progress(*columns, console=console) as bars:
        tasks = {
            stage: bars.add_task(stage, total=None, note="", visible=False) for stage in ("search", "fetch")
        }

        def show(progress: Progress) -> None:
            bars.update(
                tasks[progress.stage],
                completed=progress.done,
                total=progress.total,
                note=progress.note,
                visible=True,
            )

        yield show


def _log_progress(progress: Progress) -> None:
    """Off a terminal: a line at the start of fetching and at each tenth of it."""
    if progress.stage != "fetch":
        return
    step = max(1, progress.total // 10)
    if progress.done % step == 0 or progress.done == progress.total:
        logger.info(
            "fetched %d of %d%s", progress.done, progress.total, f", {progress.note}" if progress.note else ""
        )


def _show(report: CrawlReport) -> None:
    from imagenet_builder.cli.output import figures, plain_table

    console = figures()
    if report.pages:
        console.print(
            f"{report.new_candidates} new candidates on {report.pages} pages of results "
            f"for {report.categories} categories"
        )
    if report.outcomes:
        table = plain_table("outcome", "reason", "candidates#")
        for outcome in report.outcomes:
            table.add_row(outcome.state, outcome.reason or "", str(outcome.count))
        console.print(table)
    elif not (report.pages or report.source_errors or report.without_candidates):
        console.print("nothing to do")
    if report.dropped_queries:
        console.print(
            f"queries not asked on, because what they brought was known or refused: {report.dropped_queries} "
            "(`imagenet-builder candidates --queries`)"
        )
    if report.exhausted_queries and not report.pages:
        console.print(
            f"queries that had brought all they have before: {report.exhausted_queries} "
            "(`imagenet-builder crawl --again` asks them from their beginning)"
        )
    if report.without_candidates:
        console.print(f"no usable candidate for {', '.join(report.without_candidates)}")
