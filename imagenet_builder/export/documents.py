"""What a release says of itself: manifest.json, README.md and LICENSES.txt."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from .description import Release
from .plan import Plan
from .request import ExportRequest

MANIFEST_NAME, README_NAME, LICENCES_NAME = "manifest.json", "README.md", "LICENSES.txt"
KIND, LAYOUT = "imagenet-builder release", 1

RULE_TEXTS = {
    "majority": "more than half of the workers who voted on it had to say yes",
    "dynamic": "votes were asked for until one answer led clearly",
    "dawid-skene": "votes were weighed by how well each worker does (Dawid and Skene 1979)",
}


def settings_of(request: ExportRequest) -> dict[str, Any]:
    """The request as JSON values; a list that was read from a file is named by the file's name alone."""
    settings = dataclasses.asdict(request)
    if request.class_list is not None:
        settings["class_list"] = Path(request.class_list).name
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def manifest(plan: Plan, request: ExportRequest, rules: Mapping[str, int], checksums: str) -> bytes:
    """manifest.json: what was asked for, what is here, what was left out and why, and SHA256SUMS's own checksum."""
    document = {
        "kind": KIND,
        "layout": LAYOUT,
        "title": plan.release.title,
        "tool": f"imagenet-builder {version('imagenet-builder')}",
        "wordnet": "3.0",
        "settings": settings_of(request),
        "pictures": dataclasses.asdict(plan.counts),
        "rules": dict(sorted(rules.items())),
        "classes": [
            {
                "wnid": one.wnid,
                "index": one.index,
                "ilsvrc_id": one.ilsvrc_id,
                "name": one.name,
                "words": list(one.words),
                "train": one.train,
                "val": one.val,
                "test": one.test,
            }
            for one in plan.release.classes
        ],
        "left_out": [
            {"wnid": one.wnid, "why": str(one.why), "pictures": one.pictures, "below": one.below}
            for one in plan.choice.left_out
        ],
        "sha256sums": checksums,
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def readme(
    plan: Plan, request: ExportRequest, rules: Mapping[str, int], licences: Mapping[tuple[str, str], int]
) -> bytes:
    """README.md: what this is, how it was made, how many pictures, under which licences, and how to load it."""
    text = files("imagenet_builder.export").joinpath("readme", "README.md").read_text("utf-8")
    counts, release = plan.counts, plan.release
    filled = Template(text).substitute(
        title=release.title,
        classes=len(release.classes),
        train=f"{counts.train:,}",
        val=f"{counts.val:,}",
        test=f"{counts.test:,}",
        class_sizes=_class_sizes(release),
        rules="\n".join(f"- {_rule_line(rule, number)}" for rule, number in sorted(rules.items())),
        licences=_licence_table(licences),
        multi_label=f"{counts.multi_label:,}",
        near_duplicates=f"{counts.near_duplicates:,}",
        seed=request.seed,
    )
    return filled.encode()


def licences_text(licences: Mapping[tuple[str, str], int]) -> bytes:
    """LICENSES.txt: every licence that occurs, how many pictures have it, and where its text is."""
    lines = [
        f"{number:>9,}  {name}{f'  {url}' if url else ''}\n" for (name, url), number in _by_number(licences)
    ]
    head = "Licences of the pictures, as their sources state them; attribution.txt names every author.\n\n"
    return (head + "".join(lines)).encode()


def _rule_line(rule: str, number: int) -> str:
    text = RULE_TEXTS.get(rule)
    return f"{number:,} pictures by the rule `{rule}`" + (f": {text}" if text else "")


def _class_sizes(release: Release) -> str:
    sizes = [one.train for one in release.classes]
    if min(sizes) == max(sizes):
        return f"{max(sizes):,} a class"
    return f"{min(sizes):,} to {max(sizes):,} a class"


def _licence_table(licences: Mapping[tuple[str, str], int]) -> str:
    rows = [f"| {name} | {url} | {number:,} |" for (name, url), number in _by_number(licences)]
    return "\n".join(["| licence | text | pictures |", "| --- | --- | ---: |", *rows])


def _by_number(licences: Mapping[tuple[str, str], int]) -> list[tuple[tuple[str, str], int]]:
    return sorted(licences.items(), key=lambda entry: (-entry[1], entry[0]))
