"""`imagenet-builder synsets`: WordNet looked up, and this project's categories."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imagenet_builder.cli import Invocation
    from wordnet_synsets.graph import Graph
    from wordnet_synsets.synset import Synset

wordnet_folder = click.option(
    "--wordnet",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder with WordNet 3.0's data.noun.",
)
as_json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group("synsets")
def command() -> None:
    """Look WordNet up and choose this project's categories.

    \b
    Example:
      imagenet-builder synsets show umbrella
      imagenet-builder synsets select --under canine.n.02 --leaves
    """


@command.command("show", short_help="Show every synset that a word, name or wnid means.")
@click.argument("query", nargs=-1, required=True)
@wordnet_folder
@as_json_flag
@click.pass_obj
def show(invocation: Invocation, query: tuple[str, ...], folder: Path | None, as_json: bool) -> None:
    """Show every synset that QUERY means: a word, a name such as dog.n.01, or a wnid.

    \b
    Example:
      imagenet-builder synsets show mushroom
      imagenet-builder synsets show traffic light
    """
    graph = _graph(invocation, folder)
    words = " ".join(query)
    found = graph.find(words) or [graph.resolve(words)]
    if as_json:
        click.echo(json.dumps([_document(graph, synset) for synset in found], indent=2, ensure_ascii=False))
        return
    for synset in found:
        click.echo(f"{synset.wnid}  {click.style(synset.name, bold=True)}  {', '.join(synset.words)}")
        click.echo(f"  {synset.definition}")
        for label, wnids in (("kind of", synset.parents), ("kinds", synset.children)):
            if wnids:
                click.echo(f"  {label}: {_named(graph, wnids)}")
        click.echo(f"  depth {graph.depth(synset.wnid)}, {len(graph.descendants(synset.wnid))} synsets below")


@command.command("list", short_help="List the synsets under another.")
@click.option("--under", required=True, help="The synset whose subtree is listed.")
@click.option("--leaves", is_flag=True, help="Only synsets that have no hyponyms.")
@wordnet_folder
@as_json_flag
@click.pass_obj
def list_synsets(
    invocation: Invocation, under: str, leaves: bool, folder: Path | None, as_json: bool
) -> None:
    """List the synsets under another, with their words and definitions.

    \b
    Example:
      imagenet-builder synsets list --under citrus.n.01 --leaves
    """
    from wordnet_synsets.select import choose

    graph = _graph(invocation, folder)
    synsets = [graph[wnid] for wnid in choose(graph, under=[under], leaves=leaves, excluded=()).wnids]
    if as_json:
        click.echo(json.dumps([_document(graph, synset) for synset in synsets], indent=2, ensure_ascii=False))
        return
    for synset in synsets:
        click.echo(f"{synset.wnid}  {synset.name}  {', '.join(synset.words)}: {synset.definition}")


@command.command("select")
@click.argument("named", nargs=-1, metavar="[SYNSET]...")
@click.option("--under", multiple=True, help="A synset whose subtree is selected; may be given again.")
@click.option("--leaves", is_flag=True, help="Of subtrees only the leaves.")
@click.option("--list", "list_name", help="A list that comes with the program, such as ilsvrc2012.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="A file, one synset a line.")
@click.option("--limit", type=click.IntRange(1), help="Take at most so many.")
@as_json_flag
@click.pass_obj
def select(
    invocation: Invocation,
    named: tuple[str, ...],
    under: tuple[str, ...],
    leaves: bool,
    list_name: str | None,
    file: Path | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Make synsets categories of this project.

    The person subtree, and what [wordnet] exclude names, is left out unless a synset is named itself.

    \b
    Example:
      imagenet-builder synsets select umbrella n02084071 --under citrus.n.01 --leaves
      imagenet-builder synsets select --list ilsvrc2012
    """
    from imagenet_builder.selection import SelectionRequest, select_categories

    request = SelectionRequest(named, under, leaves, list_name, file, limit)
    selection, change = select_categories(invocation.project, request, datetime.now(UTC))
    if as_json:
        left_out = [{"wnid": one.wnid, "reason": one.reason.value} for one in selection.left_out]
        document = {"wnids": selection.wnids, **dataclasses.asdict(change), "left_out": left_out}
        click.echo(json.dumps(document, indent=2))
        return
    for guess in selection.guesses:
        taken, others = guess.taken, ", ".join(f"{other.name} ({other.wnid})" for other in guess.others[:4])
        click.echo(f"{guess.query}: took {taken.name} ({taken.definition}); other senses: {others}", err=True)
    for reason, number in Counter(one.reason for one in selection.left_out).items():
        click.echo(f"{number} left out: each {reason.value}", err=True)
    click.echo(
        f"{len(selection.wnids)} selected: {change.added} new, {change.restored} back again, {change.known} known"
    )


@command.command("selected")
@as_json_flag
@click.pass_obj
def selected(invocation: Invocation, as_json: bool) -> None:
    """List this project's categories.

    \b
    Example:
      imagenet-builder synsets selected
    """
    from hits import database
    from imagenet_builder.store import categories

    with database.reading(invocation.project.engine) as connection:
        found = categories.selected(connection)
    if as_json:
        click.echo(
            json.dumps([dataclasses.asdict(category) for category in found], indent=2, ensure_ascii=False)
        )
        return
    for category in found:
        click.echo(f"{category.wnid}  {category.name}  {', '.join(category.lemmas).replace('_', ' ')}")
    if not found:
        click.echo("no categories yet; choose some with `imagenet-builder synsets select`", err=True)


@command.command("drop")
@click.argument("named", nargs=-1, required=True, metavar="SYNSET...")
@click.pass_obj
def drop(invocation: Invocation, named: tuple[str, ...]) -> None:
    """Take synsets out of this project. What was collected for them stays; `select` brings them back.

    \b
    Example:
      imagenet-builder synsets drop umbrella n02084071
    """
    from hits import database
    from imagenet_builder.selection import meant_here
    from imagenet_builder.store import categories

    project = invocation.project
    with database.writing(project.engine) as connection:
        known = {category.wnid for category in categories.selected(connection)}
        wnids = [meant_here(project.graph, query, known) for query in named]
        dropped = categories.drop(connection, wnids, datetime.now(UTC))
    absent = len(wnids) - dropped
    click.echo(f"{dropped} dropped" + (f", {absent} not in the project" if absent else ""))


def _graph(invocation: Invocation, folder: Path | None) -> Graph:
    """WordNet may be looked up without a project; in one, its settings say where WordNet is."""
    from imagenet_builder.errors import ProjectError
    from wordnet_synsets.graph import open_graph

    if folder is not None:
        return open_graph(folder)
    try:
        project = invocation.project
    except ProjectError:
        return open_graph()
    return project.graph


def _named(graph: Graph, wnids: Iterable[str]) -> str:
    names = [f"{graph[wnid].words[0]} ({wnid})" for wnid in wnids]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _document(graph: Graph, synset: Synset) -> dict[str, Any]:
    return {
        **dataclasses.asdict(synset),
        "definition": synset.definition,
        "examples": synset.examples,
        "depth": graph.depth(synset.wnid),
        "descendants": len(graph.descendants(synset.wnid)),
    }
