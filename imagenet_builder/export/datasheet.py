"""DATASHEET.md: the questions of "Datasheets for Datasets" (Gebru et al. 2021), answered where the store knows."""

from __future__ import annotations

from datetime import UTC
from importlib.metadata import version
from importlib.resources import files
from string import Template

from .acquired import acquired_texts
from .card import authors_text, cautions_text, class_sizes, licence_table, rule_list, sealed_files
from .description import Release
from .facts import Facts
from .plan import Plan
from .request import ExportRequest

DATASHEET_NAME = "DATASHEET.md"


def datasheet(plan: Plan, request: ExportRequest, facts: Facts) -> bytes:
    """DATASHEET.md; what only the makers of a dataset can say stays visibly open."""
    text = files("imagenet_builder.export").joinpath("readme", DATASHEET_NAME).read_text("utf-8")
    counts, release = plan.counts, plan.release
    filled = Template(text).substitute(
        title=release.title,
        classes=len(release.classes),
        total=f"{counts.train + counts.val + counts.test + counts.replicate:,}",
        replicate=f", {counts.replicate:,} in a replicate of test" if counts.replicate else "",
        train=f"{counts.train:,}",
        class_sizes=class_sizes(release),
        val=f"{counts.val:,}",
        test=f"{counts.test:,}",
        multi_label=f"{counts.multi_label:,}",
        near_duplicates=f"{counts.near_duplicates:,}",
        seed=request.seed,
        authors=authors_text(plan, request),
        votes=_votes(facts),
        reports=f"{facts.votes['report']:,}",
        retrieved=retrieved_text(facts),
        crowd=crowd_text(facts),
        resized=f" The shorter side was reduced to {request.resize} pixels." if request.resize else "",
        rules=rule_list(facts),
        licences=licence_table(facts),
        cautions=cautions_text(facts),
        likely=_likely(facts),
        **acquired_texts(facts),
        missing=_missing(release),
        tool=f"imagenet-builder {version('imagenet-builder')}",
    )
    return filled.encode()


def retrieved_text(facts: Facts) -> str:
    """When the pictures were fetched, in days of UTC."""
    if facts.retrieved is None:
        return "**Open.**"
    first, last = (when.astimezone(UTC).date().isoformat() for when in facts.retrieved)
    return f"The pictures were fetched on {first}" if first == last else f"From {first} to {last}"


def crowd_text(facts: Facts) -> str:
    """Who verified and what they were paid, as far as the store has assignments."""
    crowd = facts.crowd
    if crowd.rewards is None:
        return "**Open.** The store holds no assignments."
    lowest, highest = (f"{cents / 100:.2f}" for cents in crowd.rewards)
    paid = f"USD {lowest}" if lowest == highest else f"USD {lowest} to {highest}"
    money = "" if crowd.live else " in play money: the pages were published in the sandbox"
    return (
        f"{crowd.workers:,} workers answered {crowd.assignments:,} pages in the whole project, at {paid} a page"
        f"{money}. Who they are: **Open.**"
    )


def _votes(facts: Facts) -> str:
    return ", ".join(f"{number:,} {answer}" for answer, number in facts.votes.items())


def _likely(facts: Facts) -> str:
    number, total = facts.likely.tolist()
    if not number:
        return "How likely their labels are to be right: **Open.**"
    return (
        f"By the rules that decided, {total / number:.1%} of the {round(number):,} labels whose rule estimates that "
        "are right on average; the rules' assumptions are not checked by that."
    )


def _missing(release: Release) -> str:
    files, splits = sealed_files(release)
    if not files:
        return "No: labels and sources of all pictures are here."
    return (
        f"Labels, sources, titles and votes of {splits} are sealed ({files}), so that a test\nstays a test: its makers "
        f"keep the key. Authors and licences of {splits} are named without saying which picture is whose."
    )
