"""The rules of HITs and assignments, as values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.errors import RequestRefused
from hits.marketplace import lifecycle
from hits.marketplace.lifecycle import AssignmentState, HitState, Unavailable
from hits.model import HitStatus

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FRESH = HitState(
    max_assignments=3,
    pending=0,
    submitted=0,
    approved=0,
    rejected=0,
    reviewing=False,
    expires_at=NOW + timedelta(hours=1),
    changed_at=NOW,
)
LATER = NOW + timedelta(hours=2)


@contextmanager
def refusal(code: str) -> Iterator[None]:
    with pytest.raises(RequestRefused) as caught:
        yield
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("hit", "now", "status"),
    [
        (FRESH, NOW, HitStatus.ASSIGNABLE),
        (replace(FRESH, pending=1, submitted=1), NOW, HitStatus.ASSIGNABLE),
        (replace(FRESH, pending=1, submitted=2), NOW, HitStatus.UNASSIGNABLE),
        (replace(FRESH, submitted=3), NOW, HitStatus.REVIEWABLE),
        (replace(FRESH, approved=2, rejected=1), NOW, HitStatus.REVIEWABLE),
        (FRESH, LATER, HitStatus.REVIEWABLE),
        (FRESH, FRESH.expires_at, HitStatus.REVIEWABLE),
        (replace(FRESH, pending=1), LATER, HitStatus.UNASSIGNABLE),
        (replace(FRESH, submitted=3, reviewing=True), NOW, HitStatus.REVIEWING),
        (replace(FRESH, submitted=2, reviewing=True), NOW, HitStatus.ASSIGNABLE),
        (replace(FRESH, approved=3, disposed_at=NOW), NOW, HitStatus.DISPOSED),
    ],
)
def test_a_hits_status_follows_from_its_counts_and_the_clock(
    hit: HitState, now: datetime, status: HitStatus
) -> None:
    assert lifecycle.hit_status(hit, now) is status


def test_nothing_is_available_once_a_hit_has_expired() -> None:
    assert lifecycle.available(replace(FRESH, pending=1), NOW) == 2
    assert lifecycle.available(replace(FRESH, pending=1), LATER) == 0


@given(
    source=st.sampled_from([None, *AssignmentState]),
    target=st.sampled_from(AssignmentState),
)
def test_moving_an_assignment_changes_only_the_counts_it_leaves_and_enters(
    source: AssignmentState | None, target: AssignmentState
) -> None:
    before = replace(FRESH, max_assignments=9, pending=1, submitted=1, approved=1, rejected=1)
    after = lifecycle.moved(before, source, target, LATER)
    counted = {"Accepted", "Submitted", "Approved", "Rejected"}
    assert after.taken - before.taken == (target in counted) - (source is not None and source in counted)
    assert after.changed_at == LATER
    assert after.max_assignments == before.max_assignments


@pytest.mark.parametrize(
    ("hit", "own", "held", "reason"),
    [
        (FRESH, None, 0, None),
        (FRESH, AssignmentState.SUBMITTED, 0, Unavailable.ALREADY_DONE),
        (replace(FRESH, pending=3), None, 0, Unavailable.HIT_UNAVAILABLE),
        (replace(FRESH, expires_at=NOW), None, 0, Unavailable.HIT_UNAVAILABLE),
        (FRESH, None, 10, Unavailable.TOO_MANY_HELD),
    ],
)
def test_who_may_accept_a_hit(
    hit: HitState, own: AssignmentState | None, held: int, reason: Unavailable | None
) -> None:
    assert lifecycle.why_not_accept(hit, own, held, 10, NOW) is reason


def test_a_hit_of_fewer_than_ten_is_never_extended_to_ten() -> None:
    assert lifecycle.extended("H", FRESH, 6, NOW).max_assignments == 9
    with refusal("InvalidMaximumAssignmentsIncrease"):
        lifecycle.extended("H", FRESH, 7, NOW)
    assert lifecycle.extended("H", replace(FRESH, max_assignments=10), 90, NOW).max_assignments == 100


def test_extending_a_reviewing_hit_takes_it_out_of_review() -> None:
    reviewing = replace(FRESH, submitted=3, reviewing=True)
    assert lifecycle.hit_status(lifecycle.extended("H", reviewing, 1, NOW), NOW) is HitStatus.ASSIGNABLE


def test_an_expiration_may_be_past_but_not_over_a_year_ahead() -> None:
    assert lifecycle.available(lifecycle.expiring("H", FRESH, NOW - timedelta(days=9), NOW), NOW) == 0
    assert lifecycle.expiring("H", FRESH, NOW + timedelta(days=365), NOW)
    with refusal("InvalidParameterValue"):
        lifecycle.expiring("H", FRESH, NOW + timedelta(days=365, seconds=1), NOW)


def test_only_reviewable_hits_are_marked_and_only_reviewing_ones_reverted() -> None:
    done = replace(FRESH, submitted=3)
    reviewing = lifecycle.reviewed("H", done, False, NOW)
    assert lifecycle.hit_status(reviewing, NOW) is HitStatus.REVIEWING
    assert lifecycle.reviewed("H", reviewing, True, NOW) == done
    for hit, revert in ((FRESH, False), (done, True), (reviewing, False)):
        with refusal("InvalidHITState"):
            lifecycle.reviewed("H", hit, revert, NOW)


def test_only_a_reviewable_hit_with_everything_decided_is_disposed_of() -> None:
    assert lifecycle.disposed("H", replace(FRESH, approved=2, rejected=1), NOW).disposed_at == NOW
    assert lifecycle.disposed("H", FRESH, LATER).disposed_at == LATER
    for hit in (
        FRESH,
        replace(FRESH, submitted=3),
        replace(FRESH, pending=3),
        replace(FRESH, disposed_at=NOW),
    ):
        with refusal("InvalidHITState"):
            lifecycle.disposed("H", hit, NOW)


def test_a_rejection_can_be_overridden_for_thirty_days_and_on_request_only() -> None:
    rejected = replace(FRESH, rejected=1)
    at = NOW - timedelta(days=30)
    lifecycle.require_decidable("A", AssignmentState.REJECTED, rejected, NOW, override_of=at)
    with refusal("InvalidAssignmentState"):
        early = at - timedelta(seconds=1)
        lifecycle.require_decidable("A", AssignmentState.REJECTED, rejected, NOW, override_of=early)
    with refusal("InvalidAssignmentState"):
        lifecycle.require_decidable("A", AssignmentState.REJECTED, rejected, NOW)


@pytest.mark.parametrize(
    "state", [state for state in AssignmentState if state is not AssignmentState.SUBMITTED]
)
def test_only_submitted_assignments_are_decided(state: AssignmentState) -> None:
    lifecycle.require_decidable("A", AssignmentState.SUBMITTED, FRESH, NOW)
    with refusal("InvalidAssignmentState"):
        lifecycle.require_decidable("A", state, FRESH, NOW)
