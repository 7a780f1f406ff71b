"""The rules of HITs and assignments as pure functions: states in, states or refusals out, the clock an argument.

The rules are those of the MTurk Requester API (2017-01-17), "Retrieving HIT status" and the reference pages of
the operations. Refusals are RequestRefused with the TurkErrorCode that requesters' programs match on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ..errors import RequestRefused
from ..model import HitStatus
from ..pricing import MANY_ASSIGNMENTS

TOKEN_LIFE = timedelta(hours=24)
DISPOSAL_DELAY = timedelta(days=120)
OVERRIDE_WINDOW = timedelta(days=30)
LONGEST_LIFETIME = timedelta(days=365)
"""From so many assignments on a HIT costs the higher fee; one created with fewer never gets there."""


class AssignmentState(StrEnum):
    """Every state of an assignment; requesters see SUBMITTED, APPROVED and REJECTED only."""

    ACCEPTED = "Accepted"
    SUBMITTED = "Submitted"
    APPROVED = "Approved"
    REJECTED = "Rejected"
    RETURNED = "Returned"
    ABANDONED = "Abandoned"


class Unavailable(StrEnum):
    """Why a worker cannot accept a HIT now."""

    HIT_UNAVAILABLE = "HitUnavailable"
    ALREADY_DONE = "AlreadyDone"
    TOO_MANY_HELD = "TooManyHeld"
    NOT_QUALIFIED = "NotQualified"
    BLOCKED = "Blocked"
    STUDY_OVER = "StudyOver"


@dataclass(frozen=True, slots=True)
class HitState:
    """What the state of a HIT depends on; the four counts say how many assignments are in each state."""

    max_assignments: int
    pending: int
    submitted: int
    approved: int
    rejected: int
    reviewing: bool
    expires_at: datetime
    changed_at: datetime
    disposed_at: datetime | None = None

    @property
    def taken(self) -> int:
        """Assignments that are held or were submitted."""
        return self.pending + self.submitted + self.approved + self.rejected


def available(hit: HitState, now: datetime) -> int:
    """How many assignments workers can accept; none once the HIT has expired."""
    if hit.disposed_at is not None or hit.expires_at <= now:
        return 0
    return hit.max_assignments - hit.taken


def hit_status(hit: HitState, now: datetime) -> HitStatus:
    """The HIT's status at `now`; abandoned assignments must have been counted out of `pending` already."""
    if hit.disposed_at is not None:
        return HitStatus.DISPOSED
    if available(hit, now) > 0:
        return HitStatus.ASSIGNABLE
    if hit.pending > 0:
        return HitStatus.UNASSIGNABLE
    return HitStatus.REVIEWING if hit.reviewing else HitStatus.REVIEWABLE


_COUNTED = {
    AssignmentState.ACCEPTED: "pending",
    AssignmentState.SUBMITTED: "submitted",
    AssignmentState.APPROVED: "approved",
    AssignmentState.REJECTED: "rejected",
}


def moved(hit: HitState, source: AssignmentState | None, target: AssignmentState, now: datetime) -> HitState:
    """The HIT after one assignment went from `source` (None: it is new) to `target`."""
    counts = {name: getattr(hit, name) for name in _COUNTED.values()}
    if source in _COUNTED:
        counts[_COUNTED[source]] -= 1
    if target in _COUNTED:
        counts[_COUNTED[target]] += 1
    return replace(hit, changed_at=max(hit.changed_at, now), **counts)


def why_not_accept(
    hit: HitState, own: AssignmentState | None, held: int, most_held: int, now: datetime
) -> Unavailable | None:
    """Why a worker cannot accept the HIT, or None if she can.

    `own` is the state of her live assignment of it (returned and abandoned ones do not count), `held` how many
    assignments she holds now.
    """
    if own is not None:
        return Unavailable.ALREADY_DONE
    if available(hit, now) == 0:
        return Unavailable.HIT_UNAVAILABLE
    return Unavailable.TOO_MANY_HELD if held >= most_held else None


def require_decidable(
    assignment_id: str,
    state: AssignmentState,
    hit: HitState,
    now: datetime,
    *,
    override_of: datetime | None = None,
) -> None:
    """Refuse to approve or reject an assignment that is not waiting for it.

    `override_of` is when it was rejected, given when the requester asks to override that rejection: possible
    for 30 days, and not once the HIT is disposed.
    """
    if hit_status(hit, now) is HitStatus.DISPOSED:
        raise RequestRefused(
            f"the HIT of assignment {assignment_id} is Disposed: its assignments can no longer be decided",
            "InvalidHITState",
        )
    if state is AssignmentState.REJECTED and override_of is not None:
        if now - override_of <= OVERRIDE_WINDOW:
            return
        raise RequestRefused(
            f"assignment {assignment_id} was rejected more than 30 days ago: the rejection stands",
            "InvalidAssignmentState",
        )
    if state is not AssignmentState.SUBMITTED:
        raise RequestRefused(
            f"assignment {assignment_id} is {state}: this operation needs one that is Submitted",
            "InvalidAssignmentState",
        )


def extended(hit_id: str, hit: HitState, more: int, now: datetime) -> HitState:
    """The HIT with `more` assignments; refuses a disposed HIT and the step from under ten to ten or more."""
    _require_kept(hit_id, hit, now)
    total = hit.max_assignments + more
    if hit.max_assignments < MANY_ASSIGNMENTS <= total:
        raise RequestRefused(
            f"HIT {hit_id} was created with fewer than {MANY_ASSIGNMENTS} assignments and cannot be extended "
            f"to {total}: the fee differs",
            "InvalidMaximumAssignmentsIncrease",
        )
    if total > 1_000_000_000:
        raise RequestRefused(
            f"HIT {hit_id} cannot have {total} assignments: the maximum is 1,000,000,000",
            "InvalidMaximumAssignmentsIncrease",
        )
    return replace(hit, max_assignments=total, reviewing=False, changed_at=now)


def expiring(hit_id: str, hit: HitState, expires_at: datetime, now: datetime) -> HitState:
    """The HIT with another expiration: a past one ends it at once; at most a year ahead."""
    _require_kept(hit_id, hit, now)
    if expires_at > now + LONGEST_LIFETIME:
        raise RequestRefused(
            f"ExpireAt {expires_at.isoformat()} is over a year ahead", "InvalidParameterValue"
        )
    reopened = replace(hit, expires_at=expires_at, changed_at=now)
    return replace(reopened, reviewing=hit.reviewing and available(reopened, now) == 0)


def reviewed(hit_id: str, hit: HitState, revert: bool, now: datetime) -> HitState:
    """The HIT marked Reviewing, or back to Reviewable with `revert`."""
    needed = HitStatus.REVIEWING if revert else HitStatus.REVIEWABLE
    if (status := hit_status(hit, now)) is not needed:
        raise RequestRefused(f"HIT {hit_id} is {status}: this operation needs {needed}", "InvalidHITState")
    return replace(hit, reviewing=not revert, changed_at=now)


def disposed(hit_id: str, hit: HitState, now: datetime) -> HitState:
    """The HIT disposed of; refuses unless it is reviewable and every submission is approved or rejected."""
    status = hit_status(hit, now)
    if status not in {HitStatus.REVIEWABLE, HitStatus.REVIEWING}:
        raise RequestRefused(
            f"HIT {hit_id} is {status}: only a Reviewable HIT can be deleted (expire it first)",
            "InvalidHITState",
        )
    if hit.submitted:
        raise RequestRefused(
            f"HIT {hit_id} has {hit.submitted} submitted assignments: approve or reject them first",
            "InvalidHITState",
        )
    return replace(hit, disposed_at=now, changed_at=now)


def _require_kept(hit_id: str, hit: HitState, now: datetime) -> None:
    if hit_status(hit, now) is HitStatus.DISPOSED:
        raise RequestRefused(f"HIT {hit_id} is Disposed", "InvalidHITState")
