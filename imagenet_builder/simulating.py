"""Simulated workers on this project's own marketplace, who know the truth as far as it is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hits import database
from hits.model import Answer

from .errors import ProjectError
from .own_marketplace import invite
from .store import publish as store
from .store.controls import control_names

if TYPE_CHECKING:
    import sqlalchemy as sa

    from hits.simulation import Shown, SimulationReport

    from .project import Project

    Truths = Mapping[tuple[str, str], Shown]


def simulate_workers(
    project: Project,
    *,
    workers: int,
    profiles: Sequence[str],
    truths: Truths | None = None,
    assumed_yield: float = 0.5,
    seed: int = 0,
    max_pages: int | None = None,
    arrivals_an_hour: float | None = None,
    pace: float = 0.0,
    picture_sample: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> SimulationReport:
    """Let `workers` simulated people, of `profiles` in turn, answer every HIT that the running site offers.

    `truths` maps (sha256, wnid) to whether the picture shows the category, or "sibling" for what is near to it; of
    others a share `assumed_yield` does. Raises ProjectError for an unknown profile and SimulationError when the
    site cannot be used.
    """
    from hits.simulation import PROFILES, SimulatedWorker, simulate

    unknown = [name for name in profiles if name not in PROFILES]
    if unknown or not profiles:
        raise ProjectError(
            f"there is no profile {''.join(unknown[:1])!r}; the profiles are {', '.join(PROFILES)}"
        )
    kinds = [profiles[number % len(profiles)] for number in range(workers)]
    # The same names in every simulation: the marketplace keeps one crowd, not one for each run.
    invited = invite(project, [f"simulated-{kind}-{number}" for number, kind in enumerate(kinds, start=1)])
    crowd = [SimulatedWorker(worker.url, PROFILES[kind]) for worker, kind in zip(invited, kinds, strict=True)]
    known = truth_by_picture_name(project.engine, truths or {})
    return asyncio.run(
        simulate(
            crowd,
            known.get,
            seed=seed,
            max_pages=max_pages,
            assumed_yield=assumed_yield,
            arrivals_an_hour=arrivals_an_hour,
            pace=pace,
            picture_sample=picture_sample,
            progress=progress,
        )
    )


def truth_by_picture_name(engine: sa.Engine, truths: Truths) -> dict[str, Shown]:
    """Translate (sha256, wnid) → truth into the names under which HITs show the pictures.

    Of controls that `truths` do not tell of, which other categories lent, the store knows.
    """
    if not truths:
        return {}
    with database.reading(engine) as connection:
        shown = store.picture_names(connection)
        lent = control_names(connection)
    told = {name: truths[sha256, wnid] for name, sha256, wnid in shown if (sha256, wnid) in truths}
    known: dict[str, Shown] = {
        name: True if answer is Answer.YES else "sibling" for name, answer in lent.items()
    }
    return known | told


def read_truths(path: Path) -> dict[tuple[str, str], Shown]:
    """Read JSON lines `{"sha256": …, "wnid": …, "truth": true}`, or false, or "sibling". Raises ProjectError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"cannot read {path}: {error}") from error
    truths: dict[tuple[str, str], Shown] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            truths.update([_truth(json.loads(line))])
        except (ValueError, KeyError, TypeError) as error:
            raise ProjectError(
                f"{path}, line {number}: a line must be like "
                '{"sha256": "…", "wnid": "n02084071", "truth": true}'
            ) from error
    return truths


def _truth(line: Mapping[str, object]) -> tuple[tuple[str, str], Shown]:
    truth = line["truth"]
    shown: Shown
    if isinstance(truth, bool):
        shown = truth
    elif truth == "sibling":
        shown = "sibling"
    else:
        raise ValueError("truth is true, false or sibling")
    return (str(line["sha256"]), str(line["wnid"])), shown
