"""This project's studies at a panel: made, listed, and compared with the panel's own list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hits.marketplace import panel_reports, panels, studying
from hits.marketplace.settings import utc_now

from .own_marketplace import marketplace_settings, open_marketplace, own_keys

if TYPE_CHECKING:
    from hits.marketplace.panel_reports import Difference, StudyReport

    from .project import Project


def add(
    project: Project, study_id: str, code: str, pages: int, reward_cents: int, fee_cents: int, seconds: int
) -> str:
    """Make a study and return the address for the panel; raises HitsError."""
    engine = open_marketplace(project)
    own_keys(project, engine)
    made = panels.create_study(
        engine,
        project.settings.project.name,
        study_id,
        code,
        pages=pages,
        reward_cents=reward_cents,
        fee_cents=fee_cents,
        seconds=seconds,
        now=utc_now(),
    )
    return panels.entry_url(marketplace_settings(project), made)


def reports(project: Project) -> tuple[StudyReport, ...]:
    """Every study with its sessions and what the panel was paid."""
    return panel_reports.reports(open_marketplace(project))


def reconcile(project: Project, submissions: Path) -> tuple[int, list[Difference]]:
    """End what the panel's export says has ended; returns how many were, and what contradicts. Raises HitsError."""
    engine = open_marketplace(project)
    ending, differences = panel_reports.to_reconcile(engine, panel_reports.read_submissions(submissions))
    return studying.end_sessions(engine, ending, utc_now()), differences
