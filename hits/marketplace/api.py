"""The Requester API's operations: parsed requests in, answers in the model's terms out.

Operations of the model that are not in OPERATIONS are refused, never feigned. Errors are MTurk's own
TurkErrorCodes; where it has none that fits, this marketplace adds two in the same style:
`AWS.MechanicalTurk.OperationNotSupported` (an operation that is not offered here) and
`AWS.MechanicalTurk.HITTypeDoesNotExist`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.engine import Engine

from ..database import reading
from ..errors import RequestRefused
from . import listings, publishing, working
from .lifecycle import AssignmentState, HitStatus, available, hit_status
from .paging import assignment_place, assignment_position, page_token, requested_place, row_number
from .publishing import HitOrder, HitTypeTerms
from .store import PUBLIC_STATES, AssignmentRecord, Hit, find_assignment, find_hit

Request = Mapping[str, Any]
Answer = dict[str, Any]
Row = TypeVar("Row", Hit, AssignmentRecord)

THIRTY_DAYS = 30 * 24 * 3600
ONE_YEAR = 365 * 24 * 3600
DEAREST_CENTS = 100_000_000_00


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf, when and where an operation runs; `secret` signs page tokens."""

    engine: Engine
    requester_id: str
    now: datetime
    secret: str


# --- values --------------------------------------------------------------------------------------------


def cents_of(amount: str) -> int:
    """A CurrencyAmount ("0.05", "5", "5.") in cents."""
    whole, _, fraction = amount.partition(".")
    cents = int(whole) * 100 + int(fraction.ljust(2, "0")) if len(whole) <= 10 else DEAREST_CENTS + 1
    if cents > DEAREST_CENTS:
        raise RequestRefused(f"Reward {amount[:40]} is too large", "InvalidParameterValue")
    return cents


def amount_of(cents: int) -> str:
    """Cents as a CurrencyAmount."""
    return f"{cents // 100}.{cents % 100:02d}"


def _within(request: Request, name: str, least: int, most: int, default: int | None = None) -> int:
    value = request.get(name, default)
    if value is None or not least <= value <= most:
        raise RequestRefused(f"{name} must be from {least} to {most}", "InvalidParameterValue")
    return int(value)


def _text(request: Request, name: str, most: int, *, least: int = 0) -> str:
    value = str(request.get(name, ""))
    if not least <= len(value.strip()) or len(value) > most:
        raise RequestRefused(f"{name} must have {least} to {most} characters", "InvalidParameterValue")
    return value


def _hit_answer(hit: Hit, now: datetime) -> Answer:
    return {
        "HITId": hit.hit_id,
        "HITTypeId": hit.hit_type.hit_type_id,
        "HITGroupId": hit.hit_type.hit_group_id,
        "CreationTime": hit.created_at,
        "Title": hit.hit_type.title,
        "Description": hit.hit_type.description,
        "Question": hit.question,
        "Keywords": hit.hit_type.keywords,
        "HITStatus": hit_status(hit.state, now).value,
        "MaxAssignments": hit.state.max_assignments,
        "Reward": amount_of(hit.hit_type.reward_cents),
        "AutoApprovalDelayInSeconds": hit.hit_type.auto_approval_seconds,
        "Expiration": hit.state.expires_at,
        "AssignmentDurationInSeconds": hit.hit_type.assignment_seconds,
        "RequesterAnnotation": hit.annotation,
        "QualificationRequirements": [],
        "HITReviewStatus": "NotReviewed",
        "NumberOfAssignmentsPending": hit.state.pending,
        "NumberOfAssignmentsAvailable": available(hit.state, now),
        "NumberOfAssignmentsCompleted": hit.state.approved + hit.state.rejected,
    }


def _assignment_answer(assignment: AssignmentRecord) -> Answer:
    return {
        "AssignmentId": assignment.assignment_id,
        "WorkerId": assignment.worker_id,
        "HITId": assignment.hit_id,
        "AssignmentStatus": assignment.state.value,
        "AutoApprovalTime": assignment.auto_approval_at,
        "AcceptTime": assignment.accepted_at,
        "SubmitTime": assignment.submitted_at,
        "ApprovalTime": assignment.approved_at,
        "RejectionTime": assignment.rejected_at,
        "Deadline": assignment.deadline,
        "Answer": assignment.answer,
        "RequesterFeedback": assignment.feedback,
    }


# --- pages -------------------------------------------------------------------------------------------


def _page(
    caller: Caller, rows: list[Row], size: int, place_of: Callable[[Row], str]
) -> tuple[list[Row], Answer]:
    """The first `size` rows; one more was asked for, to know whether another page follows."""
    shown = rows[:size]
    more = len(rows) > size
    token = page_token(caller.secret, caller.requester_id, place_of(shown[-1])) if more else None
    return shown, {"NumResults": len(shown), "NextToken": token}


def _hits_page(caller: Caller, request: Request, **conditions: Any) -> Answer:
    size = int(request.get("MaxResults", 10))
    before = row_number(requested_place(caller.secret, caller.requester_id, request))
    rows = listings.requester_hits(
        caller.engine, caller.requester_id, size + 1, caller.now, before=before, **conditions
    )
    shown, answer = _page(caller, rows, size, lambda hit: str(hit.number))
    return {**answer, "HITs": [_hit_answer(hit, caller.now) for hit in shown]}


# --- operations ----------------------------------------------------------------------------------------


def get_account_balance(caller: Caller, _request: Request) -> Answer:
    spendable, held = listings.balances(caller.engine, caller.requester_id)
    return {"AvailableBalance": amount_of(spendable), "OnHoldBalance": amount_of(held) if held else None}


def _terms(request: Request) -> HitTypeTerms:
    if request.get("QualificationRequirements"):
        raise RequestRefused(
            "this marketplace has no qualification types; leave QualificationRequirements out",
            "QualificationTypeDoesNotExist",
        )
    return HitTypeTerms(
        title=_text(request, "Title", 128, least=1),
        description=_text(request, "Description", 2000, least=1),
        keywords=_text(request, "Keywords", 1000),
        reward_cents=cents_of(request["Reward"]),
        assignment_seconds=_within(request, "AssignmentDurationInSeconds", 30, ONE_YEAR),
        auto_approval_seconds=_within(request, "AutoApprovalDelayInSeconds", 0, THIRTY_DAYS, THIRTY_DAYS),
    )


def _order(request: Request) -> HitOrder:
    if request.get("HITLayoutId") or request.get("HITLayoutParameters"):
        raise RequestRefused("this marketplace has no HIT layouts; send a Question", "HITLayoutDoesNotExist")
    for policy in ("AssignmentReviewPolicy", "HITReviewPolicy"):
        if policy in request:
            raise RequestRefused(
                f"this marketplace has no review policies; leave {policy} out", "InvalidParameterValue"
            )
    annotation = request.get("RequesterAnnotation")
    return HitOrder(
        question=_text(request, "Question", 65_535, least=1),
        max_assignments=_within(request, "MaxAssignments", 1, 1_000_000_000, 1),
        lifetime_seconds=_within(request, "LifetimeInSeconds", 30, ONE_YEAR),
        annotation=None if annotation is None else _text(request, "RequesterAnnotation", 255),
        token=request.get("UniqueRequestToken"),
    )


def create_hit_type(caller: Caller, request: Request) -> Answer:
    terms = _terms(request)
    hit_type_id = publishing.create_hit_type(caller.engine, caller.requester_id, terms, caller.now)
    return {"HITTypeId": hit_type_id}


def create_hit(caller: Caller, request: Request) -> Answer:
    terms, order = _terms(request), _order(request)
    hit = publishing.create_hit(caller.engine, caller.requester_id, terms, order, caller.now)
    return {"HIT": _hit_answer(hit, caller.now)}


def create_hit_with_hit_type(caller: Caller, request: Request) -> Answer:
    type_id, order = request["HITTypeId"], _order(request)
    hit = publishing.create_hit(caller.engine, caller.requester_id, type_id, order, caller.now)
    return {"HIT": _hit_answer(hit, caller.now)}


def get_hit(caller: Caller, request: Request) -> Answer:
    with reading(caller.engine) as connection:
        hit = find_hit(connection, request["HITId"], requester_id=caller.requester_id, with_question=True)
    return {"HIT": _hit_answer(hit, caller.now)}


def list_hits(caller: Caller, request: Request) -> Answer:
    return _hits_page(caller, request)


def list_reviewable_hits(caller: Caller, request: Request) -> Answer:
    status = HitStatus(request.get("Status", "Reviewable"))
    return _hits_page(caller, request, status=status, hit_type_id=request.get("HITTypeId"))


def list_assignments_for_hit(caller: Caller, request: Request) -> Answer:
    size = int(request.get("MaxResults", 10))
    after = assignment_position(requested_place(caller.secret, caller.requester_id, request))
    wanted = [AssignmentState(status) for status in request.get("AssignmentStatuses", [])]
    rows = listings.hit_assignments(
        caller.engine,
        caller.requester_id,
        request["HITId"],
        wanted or PUBLIC_STATES,
        size + 1,
        after,
    )
    shown, answer = _page(caller, rows, size, assignment_place)
    return {**answer, "Assignments": [_assignment_answer(assignment) for assignment in shown]}


def get_assignment(caller: Caller, request: Request) -> Answer:
    assignment_id = request["AssignmentId"]
    with reading(caller.engine) as connection:
        assignment = find_assignment(connection, assignment_id)
        hit = None if assignment is None else find_hit(connection, assignment.hit_id, with_question=True)
    if assignment is None or hit is None or hit.requester_id != caller.requester_id:
        raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
    if assignment.state not in PUBLIC_STATES:
        raise RequestRefused(
            f"assignment {assignment_id} is not Submitted, Approved or Rejected", "InvalidAssignmentState"
        )
    return {"Assignment": _assignment_answer(assignment), "HIT": _hit_answer(hit, caller.now)}


def approve_assignment(caller: Caller, request: Request) -> Answer:
    feedback = _text(request, "RequesterFeedback", 1024) if "RequesterFeedback" in request else None
    override = bool(request.get("OverrideRejection", False))
    working.approve(
        caller.engine, caller.requester_id, request["AssignmentId"], feedback, override, caller.now
    )
    return {}


def reject_assignment(caller: Caller, request: Request) -> Answer:
    feedback = _text(request, "RequesterFeedback", 1024, least=1)
    working.reject(caller.engine, caller.requester_id, request["AssignmentId"], feedback, caller.now)
    return {}


def update_hit_review_status(caller: Caller, request: Request) -> Answer:
    revert = bool(request.get("Revert", False))
    publishing.set_reviewing(caller.engine, caller.requester_id, request["HITId"], revert, caller.now)
    return {}


def update_expiration_for_hit(caller: Caller, request: Request) -> Answer:
    publishing.set_expiration(
        caller.engine, caller.requester_id, request["HITId"], request["ExpireAt"], caller.now
    )
    return {}


def create_additional_assignments_for_hit(caller: Caller, request: Request) -> Answer:
    more = _within(request, "NumberOfAdditionalAssignments", 1, 1_000_000_000)
    token = request.get("UniqueRequestToken")
    publishing.extend_hit(caller.engine, caller.requester_id, request["HITId"], more, token, caller.now)
    return {}


def delete_hit(caller: Caller, request: Request) -> Answer:
    publishing.delete_hit(caller.engine, caller.requester_id, request["HITId"], caller.now)
    return {}


OPERATIONS: Mapping[str, Callable[[Caller, Request], Answer]] = {
    "GetAccountBalance": get_account_balance,
    "CreateHITType": create_hit_type,
    "CreateHIT": create_hit,
    "CreateHITWithHITType": create_hit_with_hit_type,
    "GetHIT": get_hit,
    "ListHITs": list_hits,
    "ListReviewableHITs": list_reviewable_hits,
    "ListAssignmentsForHIT": list_assignments_for_hit,
    "GetAssignment": get_assignment,
    "ApproveAssignment": approve_assignment,
    "RejectAssignment": reject_assignment,
    "UpdateHITReviewStatus": update_hit_review_status,
    "UpdateExpirationForHIT": update_expiration_for_hit,
    "CreateAdditionalAssignmentsForHIT": create_additional_assignments_for_hit,
    "DeleteHIT": delete_hit,
}
