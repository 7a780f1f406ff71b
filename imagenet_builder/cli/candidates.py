"""`imagenet-builder candidates`."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from imagenet_builder.cli import Invocation
    from imagenet_builder.store.candidates import CategoryCounts, EndedCandidate, ReasonCount
    from imagenet_builder.store.queries import AskedQuery, DropRule, QueryYield


FIGURES = ("found", "known", "stored", "refused")


@click.command("candidates")
@click.option(
    "--category", "wnids", multiple=True, metavar="WNID", help="Only this category; may be repeated."
)
@click.option("--failed", "state", flag_value="failed", help="Those that could not be fetched, with reasons.")
@click.option("--rejected", "state", flag_value="rejected", help="Those that were refused, with reasons.")
@click.option(
    "--queries", "state", flag_value="queries", help="What each query brought, and which are dropped."
)
@click.option(
    "--doubtful",
    "state",
    flag_value="doubtful",
    help="Stored ones that `crawl --refresh` found gone, withheld or changed: for a takedown, perhaps.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="List so many with --failed, --rejected or --doubtful.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def command(
    invocation: Invocation, wnids: tuple[str, ...], state: str | None, limit: int, as_json: bool
) -> None:
    """Show what was found, by category and outcome.

    \b
    Examples:
      imagenet-builder candidates
      imagenet-builder candidates --failed --category n02084071
      imagenet-builder candidates --queries
    """
    from hits import database
    from imagenet_builder.store import candidates

    if state == "queries":
        _show_queries(invocation, wnids, as_json=as_json)
        return
    with database.reading(invocation.project.engine) as connection:
        if state is None:
            counts = candidates.counts_by_category(connection, wnids)
            if as_json:
                click.echo(json.dumps([dataclasses.asdict(row) for row in counts], indent=2))
            else:
                _show_categories(counts)
            return
        reasons = candidates.counts_by_reason(connection, state, wnids)
        listed = candidates.ended(connection, state, wnids, limit)
    if as_json:
        click.echo(json.dumps(_document(reasons, listed), indent=2))
    else:
        _show_reasons(state, reasons, listed)


def _show_queries(invocation: Invocation, wnids: tuple[str, ...], *, as_json: bool) -> None:
    from hits import database
    from imagenet_builder.cli.output import figures, plain_table
    from imagenet_builder.store.categories import selected
    from imagenet_builder.store.queries import DropRule, query_yields

    crawl = invocation.project.settings.crawl
    drop = DropRule(crawl.drop_after, crawl.drop_share)
    with database.reading(invocation.project.engine) as connection:
        names = {category.wnid: category.name for category in selected(connection)}
        yields = query_yields(connection, wnids or tuple(names))
    if as_json:
        rows = [
            {**dataclasses.asdict(one.asked.query), **_figures(one), "state": _state(one.asked, drop)}
            for one in yields
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    table = plain_table("wnid", "name", "source", "words", *(f"{name}#" for name in FIGURES), "state")
    for one in yields:
        query = one.asked.query
        words = query.words if query.language == "en" else f"{query.words} ({query.language})"
        numbers = map(str, _figures(one).values())
        name = names.get(query.wnid, "")
        table.add_row(query.wnid, name, query.source, words, *numbers, _state(one.asked, drop))
    figures().print(table)


def _figures(one: QueryYield) -> dict[str, int]:
    return dict(zip(FIGURES, (one.asked.found, one.asked.known, one.stored, one.refused), strict=True))


def _state(asked: AskedQuery, drop: DropRule) -> str:
    return "exhausted" if asked.exhausted else "dropped" if drop.drops(asked) else "open"


def _document(reasons: list[ReasonCount], listed: list[EndedCandidate]) -> dict[str, object]:
    return {
        "reasons": [dataclasses.asdict(row) for row in reasons],
        "candidates": [{**dataclasses.asdict(row), "ended_at": row.ended_at.isoformat()} for row in listed],
    }


def _show_categories(counts: list[CategoryCounts]) -> None:
    from imagenet_builder.cli.output import figures, plain_table

    columns = ("pending", "stored", "rejected", "failed")
    table = plain_table("wnid", "name", *(f"{column}#" for column in columns))
    for row in counts:
        table.add_row(row.wnid, row.name, *(str(getattr(row, column)) for column in columns))
    totals = (str(sum(getattr(row, column) for row in counts)) for column in columns)
    table.add_section()
    table.add_row(f"{len(counts)} categories", "", *totals)
    figures().print(table)


def _show_reasons(state: str, reasons: list[ReasonCount], listed: list[EndedCandidate]) -> None:
    from imagenet_builder.cli.output import figures, plain_table

    console = figures()
    if not reasons:
        console.print(f"no {state} candidates")
        return
    columns = ("wnid", "name", "reason", "count#", *(("retryable#",) if state == "failed" else ()))
    table = plain_table(*columns)
    for row in reasons:
        retryable = (str(row.retryable),) if state == "failed" else ()
        table.add_row(row.wnid, row.name, row.reason, str(row.count), *retryable)
    console.print(table)
    for candidate in listed:
        # Not console.print: an address may hold what rich takes for its own marks.
        click.echo(
            f"{candidate.wnid}  {candidate.reason:<18}  {candidate.url}  {candidate.detail or ''}".rstrip()
        )
    left = sum(row.count for row in reasons) - len(listed)
    if left > 0:
        console.print(f"and {left} more; --limit shows them")
