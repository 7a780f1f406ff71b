"""Examining everything that a project needs."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from hits.errors import HitsError
from wordnet_synsets.errors import WordNetError

from .errors import BuilderError
from .project import Project

LITTLE_DISK = 2 * 1024**3


class State(StrEnum):
    """How a part is: `missing` parts are wanted only by some commands; `broken` ones fail every run."""

    GOOD = "good"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part, and how to mend it (empty when it is good)."""

    part: str
    state: State
    found: str
    remedy: str = ""


def examine(project: Project, *, deep: bool = False) -> Iterator[Finding]:
    """Look at each part of `project` in turn; `deep` reads every image and compares it with the store.

    Nothing is raised for a part that is broken: it is a finding.
    """
    yield _attempt("WordNet", lambda: _wordnet(project))
    yield _attempt("store", lambda: _store(project))
    yield _attempt("images", lambda: _images(project))
    if deep:
        yield from _bytes(project)
    yield _contact(project)
    yield _marketplace(project)
    yield _disk(project)
    yield _training()


def _attempt(part: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(part, State.GOOD, look())
    except (BuilderError, HitsError, WordNetError) as error:
        # These errors name their own remedy after the last "; ".
        found, _, remedy = str(error).rpartition("; ")
        return Finding(part, State.BROKEN, found or str(error), remedy if found else "")


def _wordnet(project: Project) -> str:
    return f"3.0, {len(project.graph):,} noun synsets"


def _store(project: Project) -> str:
    from hits import database

    from .store.tables import SCHEMA

    # A write that changes nothing proves that the store can be written.
    with database.writing(project.engine):
        pass
    return f"{project.engine.url.render_as_string(hide_password=True)}, schema {SCHEMA}"


def _images(project: Project) -> str:
    probe = secrets.token_bytes(32)
    name = project.images.put(probe)
    try:
        project.images.get(name)
    finally:
        project.images.delete(name)
    return f"{project.settings.images.url}, written and read back"


def _bytes(project: Project) -> Iterator[Finding]:
    """Whether every row has its bytes, whole; and what of the bytes no row names."""
    from .gc import compare

    try:
        comparison = compare(project.engine, project.images)
    except (BuilderError, HitsError) as error:
        yield Finding("bytes", State.BROKEN, str(error))
        return
    found = f"{comparison.images:,} images and {comparison.renditions:,} renditions have their bytes"
    if comparison.lost:
        first = ", ".join(f"{sha256} {why}" for sha256, why in comparison.lost[:3])
        lost = f"{len(comparison.lost):,} images are lost: {first}{' …' if len(comparison.lost) > 3 else ''}"
        yield Finding("bytes", State.BROKEN, lost, "restore them from a backup of the image store")
    else:
        yield Finding("bytes", State.GOOD, found)
    if comparison.lost_renditions:
        lost = f"{len(comparison.lost_renditions):,} are lost"
        yield Finding("renditions", State.MISSING, lost, "nothing: they are made again when they are needed")
    if comparison.orphans:
        orphans = f"{comparison.orphans:,} files belong to no row"
        yield Finding("orphans", State.MISSING, orphans, "`imagenet-builder gc` shows them")


def _contact(project: Project) -> Finding:
    contact = project.settings.project.contact
    if contact:
        return Finding("contact", State.GOOD, contact)
    remedy = "set [project] contact in imagenet-builder.toml: other people's servers are told it"
    return Finding("contact", State.MISSING, "none is set", remedy)


def _marketplace(project: Project) -> Finding:
    import requests

    endpoint = project.settings.marketplace.endpoint
    try:
        answer = requests.get(endpoint, timeout=3, allow_redirects=False)
    except requests.RequestException:
        remedy = "start it with `imagenet-builder marketplace serve`"
        return Finding("marketplace", State.MISSING, f"{endpoint} does not answer", remedy)
    return Finding("marketplace", State.GOOD, f"{endpoint} answers ({answer.status_code})")


def _disk(project: Project) -> Finding:
    free = shutil.disk_usage(project.folder).free
    found = f"{free / 1024**3:.1f} GiB free"
    if free < LITTLE_DISK:
        return Finding("disk", State.BROKEN, found, f"free at least {LITTLE_DISK / 1024**3:.0f} GiB")
    return Finding("disk", State.GOOD, found)


def _training() -> Finding:
    if importlib.util.find_spec("torch") is None:
        remedy = "training needs it: pip install 'imagenet-builder[train]'"
        return Finding("torch", State.MISSING, "not installed", remedy)
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding(
        "torch", State.GOOD, f"{torch.__version__}, {', '.join(gpus) or 'no GPU: training uses the CPU'}"
    )
