"""`imagenet-builder export`."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation
    from imagenet_builder.export.request import ExportReport, ExportRequest, Shortfall
    from imagenet_builder.project import Project

logger = logging.getLogger(__name__)

SHORTFALLS_SHOWN = 40


@click.command("export")
@click.option("--classes", type=click.IntRange(1), help="How many classes; the best are taken.")
@click.option(
    "--list", "class_list", metavar="NAME|FILE", help="Exactly these: ilsvrc2012, or a file of synsets."
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="NAME",
    help="ilsvrc, kaggle, webdataset, parquet, mds or croissant; may be given again.  [default: ilsvrc]",
)
@click.option("--val", type=click.IntRange(0), help="Pictures a class in val.  [default: 50]")
@click.option("--test", type=click.IntRange(0), help="Pictures a class in test.  [default: 100]")
@click.option(
    "--replicate-test",
    "replicate",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Pictures a class in a second, disjoint test split.",
)
@click.option("--min-train", type=click.IntRange(0), help="Fewest pictures a class in train.  [default: 100]")
@click.option("--max-train", type=click.IntRange(1), help="Most pictures a class in train.  [default: 1300]")
@click.option(
    "--licence", "licences", metavar="CODE,…", multiple=True, help="Only pictures with these licences."
)
@click.option("--resize", type=click.IntRange(1), help="Reduce the shorter side to so many pixels.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Decides the splits."
)
@click.option(
    "--divide-authors", is_flag=True, help="Let one author's or page's pictures stand on several sides."
)
@click.option("--allow-fewer", is_flag=True, help="Write a smaller release when too few classes qualify.")
@click.option("--tars", is_flag=True, help="Also write ILSVRC's archives.")
@click.option(
    "--hard-links", is_flag=True, help="One file for a picture that stands in several trees of the release."
)
@click.option(
    "--processes", type=click.IntRange(1), show_default="one a core", help="How many write at once."
)
@click.option(
    "--out",
    required=True,
    metavar="FOLDER|ADDRESS",
    help="The release's folder, which must not exist, or an empty address in a bucket (s3://, gs://, az://).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(
    invocation: Invocation, /, out: str, hard_links: bool, processes: int | None, as_json: bool, **asked: Any
) -> None:
    """Write a release: train, val and test in ILSVRC format, with checksums and sources.

    A category qualifies with val + test + replicate-test + min-train distinct accepted pictures. None is an ancestor
    of another.

    \b
    Example:
      imagenet-builder export --classes 1000 --out releases/first
      imagenet-builder export --list ilsvrc2012 --licence cc0,pd,by --tars --out releases/open
    """
    from imagenet_builder.aggregate import settle_verdicts
    from imagenet_builder.cli.progress import shown_progress
    from imagenet_builder.export.release import export
    from imagenet_builder.export.request import TooFewClasses

    project = invocation.project
    request = _request(project, **asked)
    settled = settle_verdicts(project)
    if settled:
        logger.info("%d verdicts changed when all rules were fitted to all votes", settled)
    try:
        with shown_progress("planning") as advance:
            report = export(
                project,
                request,
                out,
                processes=processes or len(os.sched_getaffinity(0)),
                hard_links=hard_links,
                progress=partial(advance, "pictures"),
            )
    except TooFewClasses as error:
        _show_shortfalls(error.shortfalls, as_json)
        raise
    _show(report, as_json)


def _request(
    project: Project,
    *,
    classes: int | None,
    class_list: str | None,
    replicate: int,
    licences: tuple[str, ...],
    formats: tuple[str, ...],
    tars: bool,
    val: int | None,
    test: int | None,
    min_train: int | None,
    max_train: int | None,
    **others: Any,
) -> ExportRequest:
    """What the flags and the project's settings ask for together."""
    from imagenet_builder.config import override
    from imagenet_builder.export.choose import Sizes
    from imagenet_builder.export.request import ExportRequest

    if classes is None and class_list is None:
        raise click.UsageError("give --classes N, or --list with a name or a file")
    given = {"val": val, "test": test, "min_train": min_train, "max_train": max_train}
    sizes = override(project.settings, "export", **given).export
    return ExportRequest(
        sizes=Sizes(sizes.val, sizes.test, sizes.min_train, sizes.max_train, replicate),
        classes=classes,
        class_list=class_list,
        licences=_codes(licences),
        formats=_format_names(formats, tars),
        **others,
    )


def _codes(licences: tuple[str, ...]) -> tuple[str, ...]:
    from imagenet_builder.sources.licences import FREEDOM, require_known

    parts = (code.strip().lower() for listed in licences for code in listed.split(","))
    codes = tuple(dict.fromkeys(code for code in parts if code))
    require_known(codes, FREEDOM)
    return codes


def _format_names(formats: tuple[str, ...], tars: bool) -> tuple[str, ...]:
    from imagenet_builder.export.request import DEFAULT_FORMATS

    archives = ("ilsvrc-archives",) if tars else ()
    return tuple(dict.fromkeys([*(formats or DEFAULT_FORMATS), *archives]))


def _show(report: ExportReport, as_json: bool) -> None:
    from imagenet_builder.errors import ShortOfRequest

    if as_json:
        document = dataclasses.asdict(report) | {"short": report.short}
        click.echo(json.dumps(document, indent=2, default=str))
    else:
        counts = report.counts
        click.echo(f"{report.place}: {len(report.wnids)} classes")
        replicate = f", replicate {counts.replicate}" if counts.replicate else ""
        click.echo(f"train {counts.train}, val {counts.val}, test {counts.test}{replicate} pictures")
        keeps = " (--divide-authors keeps them)" if counts.held_back else ""
        click.echo(
            f"of {counts.accepted} accepted for these classes left out: {counts.multi_label} of several of them, "
            f"{counts.near_duplicates} near-duplicates of val or test, "
            f"{counts.held_back} whose authors are in val or test{keeps}, "
            f"{counts.surplus} beyond the size of train"
        )
        if counts.divided_authors:
            click.echo(f"authors or pages on several sides, for want of others: {counts.divided_authors}")
        for why, number in Counter(one.why for one in report.left_out).items():
            click.echo(f"categories left out: {number}, {why}")
        if report.reused:
            click.echo(f"files of an interrupted export that were not written again: {report.reused:,}")
        click.echo(f"checksum {report.digest}")
        for path in report.test_keys:
            click.echo(f"key of hidden labels: {path} (keep it to yourself)")
    if report.counts.provisional:
        logger.warning(
            "%d accepted verdicts are provisional and were not exported: run `imagenet-builder aggregate`",
            report.counts.provisional,
        )
    if report.short:
        if not as_json:
            _show_shortfalls(report.shortfalls, as_json)
        raise ShortOfRequest(
            f"the release in {report.place} has {len(report.wnids)} of {report.wanted} classes; "
            "crawl and verify more pictures, then export again"
        )


def _show_shortfalls(shortfalls: tuple[Shortfall, ...], as_json: bool) -> None:
    from imagenet_builder.cli.output import figures, plain_table

    if as_json:
        document = {"lacking": [dataclasses.asdict(one) | {"missing": one.missing} for one in shortfalls]}
        click.echo(json.dumps(document, indent=2))
        return
    if not shortfalls:
        return
    table = plain_table("wnid", "name", "distinct pictures#", "needed#", "missing#", "provisional#")
    for one in shortfalls[:SHORTFALLS_SHOWN]:
        numbers = (one.pictures, one.needed, one.missing, one.provisional)
        table.add_row(one.wnid, one.name, *map(str, numbers))
    console = figures()
    console.print(table)
    if len(shortfalls) > SHORTFALLS_SHOWN:
        console.print(f"and {len(shortfalls) - SHORTFALLS_SHOWN} more (all of them with --json)")
