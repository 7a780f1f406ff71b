"""The project's HTML report: one self-contained file with figures, sample pictures, verdicts and curves."""

from __future__ import annotations

import base64
import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hits import database
from hits.model import Decision

from .errors import BuilderError, TrainingError
from .project import Project
from .renditions import make_thumbnail, rendition
from .store import report as queries
from .store.status import CategoryStatus, Status, read_status

SAMPLES = {Decision.ACCEPTED: 12, Decision.REJECTED: 6, Decision.UNDECIDED: 3}
THUMBNAIL_SIDE = 144


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure to show at the top: its name, its value as text, and what it is measured on."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample picture as the template wants it: `picture` is a data: URL."""

    sample: queries.Sample
    picture: str


@dataclass(frozen=True, slots=True)
class CategorySection:
    """One category's line of figures and its sample pictures by decision."""

    status: CategoryStatus
    definition: str
    shown: dict[str, list[Shown]]


def write_report(
    project: Project,
    out: Path,
    *,
    now: datetime,
    run: Path | None = None,
    measures: Sequence[Measure] = (),
) -> Path:
    """Write the report of `project` to `out` (renamed into place) and return it.

    `run` is a training run whose curves are shown; `measures` are figures that only the caller knows.
    Raises BuilderError if it cannot be written, TrainingError if `run` is not a training run.
    """
    training = _training(run) if run else None
    with database.reading(project.engine) as connection:
        status = read_status(connection)
        workers = queries.worker_lines(connection)
        found = {
            category.wnid: {
                decision: queries.samples(connection, category.wnid, decision, number)
                for decision, number in SAMPLES.items()
            }
            for category in status.categories
        }
    html = _template().render(
        name=project.settings.project.name,
        written=now,
        status=status,
        outcomes=_outcome_rows(status),
        workers=workers,
        sections=[_section(project, category, found[category.wnid]) for category in status.categories],
        measures=measures,
        training=training,
    )
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(html, encoding="utf-8")
            beside.replace(out)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise BuilderError(f"cannot write the report {out}: {error.strerror}") from error
    return out


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("imagenet_builder", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _section(
    project: Project, category: CategoryStatus, found: dict[Decision, list[queries.Sample]]
) -> CategorySection:
    shown = {
        str(decision): [Shown(sample, _picture(project, sample.sha256)) for sample in samples]
        for decision, samples in found.items()
    }
    return CategorySection(category, _definition(project.engine, category.wnid), shown)


def _definition(engine: sa.Engine, wnid: str) -> str:
    from .store.categories import gloss

    with database.reading(engine) as connection:
        return gloss(connection, wnid)


def _picture(project: Project, sha256: str) -> str:
    made = rendition(
        project.engine,
        project.images,
        sha256,
        f"thumbnail-{THUMBNAIL_SIDE}",
        lambda content: make_thumbnail(content, THUMBNAIL_SIDE),
    )
    encoded = base64.b64encode(project.images.get(made.rendition_sha256)).decode("ascii")
    return f"data:image/jpeg;base64,{encoded}"


def _outcome_rows(status: Status) -> list[tuple[str, str, int, float]]:
    """State, reason, count, and share of the largest count, for bars."""
    largest = max(status.outcomes.values(), default=1)
    return [(state, reason, count, count / largest) for (state, reason), count in status.outcomes.items()]


def _training(run: Path) -> dict[str, Any]:
    from .train.metrics import read_metrics
    from .train.report import curves_svg

    metrics = read_metrics(run)
    if metrics is None:
        raise TrainingError(f"{run} holds no finished training run: give the folder that `train --out` named")
    return {"metrics": metrics, "curves": curves_svg(dataclasses.asdict(metrics))}
