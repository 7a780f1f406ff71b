"""What a release says of itself: manifest.json and LICENSES.txt."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .facts import Facts
from .plan import Plan
from .request import ExportRequest

MANIFEST_NAME, LICENCES_NAME = "manifest.json", "LICENSES.txt"
KIND, LAYOUT = "imagenet-builder release", 4
OWN_CHECKSUM = "own_sha256"
# Libraries whose version the bytes of a release depend on.
LIBRARIES = ("pyarrow",)


def settings_of(request: ExportRequest) -> dict[str, Any]:
    """The request as JSON values; a list that was read from a file is named by the file's name alone."""
    settings = dataclasses.asdict(request)
    if request.class_list is not None:
        settings["class_list"] = Path(request.class_list).name
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def plan_mark(plan: Plan, request: ExportRequest) -> str:
    """What tells a plan from all others: two runs with equal marks write the same pictures to the same files."""
    mark = hashlib.sha256()
    made_by = [f"imagenet-builder {version('imagenet-builder')}", *(version(name) for name in LIBRARIES)]
    mark.update(json.dumps([LAYOUT, made_by, settings_of(request), plan.release.title]).encode())
    for one in plan.release.classes:
        mark.update(f"{one}\n".encode())
    pictures = plan.release.pictures
    for column in (pictures.splits, pictures.labels, pictures.images, pictures.numbers):
        mark.update(column.tobytes())
    return mark.hexdigest()


def manifest(plan: Plan, request: ExportRequest, facts: Facts, checksums: str) -> bytes:
    """manifest.json: what was asked for, what is here, what was left out and why, and SHA256SUMS's own checksum.

    No other file can vouch for this one, so that it does so itself.
    """
    document = {
        "kind": KIND,
        "layout": LAYOUT,
        "title": plan.release.title,
        "tool": f"imagenet-builder {version('imagenet-builder')}",
        "libraries": {name: version(name) for name in LIBRARIES},
        "wordnet": "3.0",
        "settings": settings_of(request),
        "pictures": dataclasses.asdict(plan.counts),
        "rules": dict(sorted(facts.rules.items())),
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
                "replicate": one.replicate,
            }
            for one in plan.release.classes
        ],
        "choice": {"usable": plan.choice.usable, "most": plan.choice.most},
        "left_out": [
            {
                "wnid": one.wnid,
                "why": str(one.why),
                "pictures": one.pictures,
                "below": one.below,
                "above": one.above,
            }
            for one in plan.choice.left_out
        ],
        "sha256sums": checksums,
    }
    return _manifest_text({**document, OWN_CHECKSUM: own_checksum(document)})


def own_checksum(document: Mapping[str, Any]) -> str:
    """The SHA-256 of a manifest as it would be written without it."""
    rest = {name: value for name, value in document.items() if name != OWN_CHECKSUM}
    return hashlib.sha256(_manifest_text(rest)).hexdigest()


def _manifest_text(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def licences_text(facts: Facts) -> bytes:
    """LICENSES.txt: every licence that occurs, how many pictures have it, and where its text is."""
    lines = [
        f"{number:>9,}  {name}{f'  {url}' if url else ''}\n"
        for name, url, number in facts.licences_by_number()
    ]
    head = "Licences of the pictures, as their sources state them; attribution.txt names every author.\n\n"
    return (head + "".join(lines)).encode()
