"""How studies of panels stand, and where the panel's own list of submissions differs from the marketplace's."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import surveying
from ..errors import HitsError
from .panels import Study, study_from
from .tables import studies, study_sessions

# What the panel's list says of submissions that will not be completed any more.
_ENDED = {"RETURNED": "Returned", "TIMED-OUT": "TimedOut", "TIMED OUT": "TimedOut", "REJECTED": "Returned"}
_UNDECIDED = frozenset({"ACTIVE", "AWAITING REVIEW"})


@dataclass(frozen=True, slots=True)
class StudyReport:
    """How far a study is: sessions by state, and what the panel was paid for it in cents."""

    study: Study
    sessions: dict[str, int]
    paid_cents: int


def reports(engine: Engine) -> tuple[StudyReport, ...]:
    """Every study with its sessions, oldest first."""
    with surveying(engine) as connection:
        found = [study_from(row) for row in connection.execute(sa.select(studies).order_by(studies.c.number))]
        counts = connection.execute(
            sa.select(
                study_sessions.c.study_number, study_sessions.c.state, sa.func.count().label("number")
            ).group_by(study_sessions.c.study_number, study_sessions.c.state)
        ).all()
    answer = []
    for study in found:
        states = {row.state: int(row.number) for row in counts if row.study_number == study.number}
        paid = states.get("Completed", 0) * (study.reward_cents + study.fee_cents)
        answer.append(StudyReport(study, states, paid))
    return tuple(answer)


@dataclass(frozen=True, slots=True)
class Difference:
    """A submission that the panel and the marketplace tell differently, and that a person must look at."""

    session_id: str
    at_panel: str
    here: str


def read_submissions(path: Path) -> list[tuple[str, str]]:
    """Session id and status of each row of a panel's export; raises HitsError for a file that is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HitsError(f"cannot read the panel's submissions in {path}: {error}") from error
    names = {name.lower(): name for name in (rows[0] if rows else {})}
    identifier, status = names.get("submission id") or names.get("session_id"), names.get("status")
    if identifier is None or status is None:
        raise HitsError(f"{path} has no columns `Submission id` and `Status`: export the submissions as CSV")
    return [((row[identifier] or "").strip(), (row[status] or "").strip().upper()) for row in rows]


def to_reconcile(
    engine: Engine, submissions: Iterable[tuple[str, str]]
) -> tuple[list[tuple[int, str]], list[Difference]]:
    """What of the panel's list ends sessions here, as (session's number, state), and what contradicts.

    Contradictions are sessions that were paid here and not there, or the other way round.
    """
    with surveying(engine) as connection:
        rows = connection.execute(
            sa.select(study_sessions.c.session_id, study_sessions.c.state, study_sessions.c.number).where(
                study_sessions.c.session_id.is_not(None)
            )
        ).all()
    here = {row.session_id: row.state for row in rows}
    numbers = {row.session_id: row.number for row in rows}
    ending, differences = [], []
    for session_id, status in submissions:
        state = here.get(session_id, "unknown")
        if state == "Started" and status in _ENDED:
            ending.append((numbers[session_id], _ENDED[status]))
        elif (
            status not in _UNDECIDED
            and (status == "APPROVED") != (state == "Completed")
            and (status == "APPROVED" or state == "Completed")
        ):
            differences.append(Difference(session_id, status, state))
    return ending, differences
