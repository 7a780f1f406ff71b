"""SQL of how candidates ended, and of the images that came of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from imagenet_builder.records import (
    Changed,
    Failed,
    Fetched,
    FileRights,
    Inspected,
    Outcome,
    Reason,
    Rejected,
    Unchanged,
)

from .bulk import insert_rows, update_rows
from .storable import storable
from .tables import candidates, images

# What may be wrong with a stored candidate's address: the word that its `detail` begins with.
CHANGED = "changed"
DOUBTS = (CHANGED, Reason.NOT_FOUND.value, Reason.ROBOTS.value, Reason.OPT_OUT.value)


def commit_outcomes(connection: Connection, outcomes: Sequence[tuple[int, Fetched]]) -> None:
    """Record how candidates (by id) ended, and the images that are new. Their bytes must be stored already."""
    stored = {
        fetched.outcome.sha256: _image_row(fetched.outcome, fetched.at)
        for _, fetched in outcomes
        if isinstance(fetched.outcome, Inspected)
    }
    insert_rows(connection, images, list(stored.values()))
    rows = [_outcome_row(candidate_id, fetched) for candidate_id, fetched in outcomes]
    update_rows(connection, candidates, "id", rows, added=("attempts",))


def _image_row(image: Inspected, now: datetime) -> dict[str, Any]:
    return {
        "sha256": image.sha256,
        "format": image.format,
        "mode": image.mode,
        "width": image.width,
        "height": image.height,
        "byte_count": image.byte_count,
        "orientation": image.orientation,
        "perceptual_hash": image.perceptual_hash,
        "descriptor": image.descriptor or None,
        "stored_at": now,
    }


def commit_checks(connection: Connection, outcomes: Sequence[tuple[int, Fetched]]) -> None:
    """Record what became of the addresses of stored candidates (by id). They stay stored, whatever it is.

    What still shows its picture counts as looked at. What is gone, is withheld by its owner or shows something else
    gets a `detail` that begins with a word of DOUBTS, for review. Where the server could not be asked, nothing is
    known and nothing recorded.
    """
    current, doubtful = [], []
    for candidate_id, fetched in outcomes:
        row = {
            "id": candidate_id,
            "http_status": fetched.http_status,
            "robots": storable(fetched.robots, 32),
            "opt_out": storable(fetched.opt_out, 255),
        }
        match fetched.outcome:
            case Unchanged(known=known):
                validators = {
                    "etag": storable(fetched.etag or known.etag),
                    "last_modified": storable(fetched.last_modified or known.last_modified, 64),
                }
                current.append({**row, **validators, "detail": None, "ended_at": fetched.at})
            case Changed():
                doubtful.append({**row, "detail": f"{CHANGED}: the address shows something else now"})
            case (
                Rejected(reason=reason, detail=detail)
                | Failed(reason=Reason.NOT_FOUND as reason, detail=detail)
            ):
                doubtful.append({**row, "detail": storable(f"{reason.value}: {detail}", 500)})
    update_rows(connection, candidates, "id", current)
    update_rows(connection, candidates, "id", doubtful)


def _outcome_row(candidate_id: int, fetched: Fetched) -> dict[str, Any]:
    outcome = fetched.outcome
    sha256, rights = _picture(outcome)
    refusal = outcome if isinstance(outcome, Rejected | Failed) else None
    return {
        "id": candidate_id,
        "attempts": fetched.attempts,
        "state": "stored" if sha256 else "failed" if isinstance(outcome, Failed) else "rejected",
        "reason": refusal.reason if refusal else None,
        "detail": storable(refusal.detail, 500) or None if refusal else None,
        "retryable": outcome.retryable if isinstance(outcome, Failed) else False,
        "ended_at": fetched.at,
        "http_status": fetched.http_status,
        "robots": storable(fetched.robots, 32),
        "opt_out": storable(fetched.opt_out, 255),
        "etag": storable(fetched.etag),
        "last_modified": storable(fetched.last_modified, 64),
        "sha256": sha256,
        "file_artist": storable(rights.artist),
        "file_copyright": storable(rights.copyright),
        "file_credit": storable(rights.credit),
        "file_usage_terms": storable(rights.usage_terms),
    }


def _picture(outcome: Outcome) -> tuple[str | None, FileRights]:
    match outcome:
        case Inspected(sha256=sha256, rights=rights):
            return sha256, rights
        case Unchanged(known=known):
            return known.sha256, known.rights
        case _:
            return None, FileRights()
