"""Operations on HITs and HIT types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...database import surveying
from ...errors import RequestRefused
from ...model import HitStatus
from .. import listings, publishing
from ..lifecycle import available, hit_status
from ..policies import Level, parse_policy
from ..publishing import HitOrder, HitTypeTerms
from ..qualifying import parse_requirements, requirement_answer
from ..records import Hit
from ..store import find_hit
from .calls import Answer, Caller, Operation, Request, amount_of, cents_of, numbered_page, text_of, within

THIRTY_DAYS = 30 * 24 * 3600
ONE_YEAR = 365 * 24 * 3600


def hit_answer(hit: Hit, now: datetime) -> Answer:
    """A HIT in the protocol's terms."""
    return {
        "HITId": hit.hit_id,
        "HITTypeId": hit.hit_type.hit_type_id,
        "HITGroupId": hit.hit_type.hit_group_id,
        "HITLayoutId": hit.layout_id,
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
        "QualificationRequirements": [
            requirement_answer(requirement) for requirement in hit.hit_type.requirements
        ],
        "HITReviewStatus": "NotReviewed",
        "NumberOfAssignmentsPending": hit.state.pending,
        "NumberOfAssignmentsAvailable": available(hit.state, now),
        "NumberOfAssignmentsCompleted": hit.state.approved + hit.state.rejected,
    }


def hits_page(caller: Caller, request: Request, **conditions: Any) -> Answer:
    """A page of the caller's HITs, newest first."""
    shown, answer = numbered_page(
        caller,
        request,
        lambda limit, before: listings.requester_hits(
            caller.engine, caller.requester_id, limit, caller.now, before=before, **conditions
        ),
    )
    return {**answer, "HITs": [hit_answer(hit, caller.now) for hit in shown]}


def _terms(request: Request) -> HitTypeTerms:
    return HitTypeTerms(
        title=text_of(request, "Title", 128, least=1),
        description=text_of(request, "Description", 2000, least=1),
        keywords=text_of(request, "Keywords", 1000),
        reward_cents=cents_of(request["Reward"]),
        assignment_seconds=within(request, "AssignmentDurationInSeconds", 30, ONE_YEAR),
        auto_approval_seconds=within(request, "AutoApprovalDelayInSeconds", 0, THIRTY_DAYS, THIRTY_DAYS),
        requirements=parse_requirements(request.get("QualificationRequirements", [])),
    )


def _order(request: Request) -> HitOrder:
    layout_id, entries = request.get("HITLayoutId"), request.get("HITLayoutParameters", [])
    if (layout_id is None) == ("Question" not in request):
        raise RequestRefused("give either Question or HITLayoutId", "InvalidParameterValue")
    if entries and layout_id is None:
        raise RequestRefused("HITLayoutParameters need HITLayoutId", "InvalidParameterValue")
    annotation = request.get("RequesterAnnotation")
    return HitOrder(
        question=None if layout_id is not None else text_of(request, "Question", 65_535, least=1),
        layout_id=layout_id,
        layout_parameters={entry["Name"]: entry["Value"] for entry in entries},
        assignment_policy=_policy(request, "AssignmentReviewPolicy", "Assignment"),
        hit_policy=_policy(request, "HITReviewPolicy", "HIT"),
        max_assignments=within(request, "MaxAssignments", 1, 1_000_000_000, 1),
        lifetime_seconds=within(request, "LifetimeInSeconds", 30, ONE_YEAR),
        annotation=None if annotation is None else text_of(request, "RequesterAnnotation", 255),
        token=request.get("UniqueRequestToken"),
    )


def _policy(request: Request, name: str, level: Level) -> str | None:
    """A review policy as it is stored, once it is checked."""
    if name not in request:
        return None
    parse_policy(level, request[name])
    return json.dumps(request[name])


def create_hit_type(caller: Caller, request: Request) -> Answer:
    terms = _terms(request)
    hit_type_id = publishing.create_hit_type(caller.engine, caller.requester_id, terms, caller.now)
    return {"HITTypeId": hit_type_id}


def create_hit(caller: Caller, request: Request) -> Answer:
    terms, order = _terms(request), _order(request)
    hit = publishing.create_hit(caller.engine, caller.requester_id, terms, order, caller.now)
    return {"HIT": hit_answer(hit, caller.now)}


def create_hit_with_hit_type(caller: Caller, request: Request) -> Answer:
    type_id, order = request["HITTypeId"], _order(request)
    hit = publishing.create_hit(caller.engine, caller.requester_id, type_id, order, caller.now)
    return {"HIT": hit_answer(hit, caller.now)}


def get_hit(caller: Caller, request: Request) -> Answer:
    with surveying(caller.engine) as connection:
        hit = find_hit(connection, request["HITId"], requester_id=caller.requester_id, with_question=True)
    return {"HIT": hit_answer(hit, caller.now)}


def list_hits(caller: Caller, request: Request) -> Answer:
    return hits_page(caller, request)


def list_reviewable_hits(caller: Caller, request: Request) -> Answer:
    status = HitStatus(request.get("Status", "Reviewable"))
    return hits_page(caller, request, status=status, hit_type_id=request.get("HITTypeId"))


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
    more = within(request, "NumberOfAdditionalAssignments", 1, 1_000_000_000)
    token = request.get("UniqueRequestToken")
    publishing.extend_hit(caller.engine, caller.requester_id, request["HITId"], more, token, caller.now)
    return {}


def delete_hit(caller: Caller, request: Request) -> Answer:
    publishing.delete_hit(caller.engine, caller.requester_id, request["HITId"], caller.now)
    return {}


OPERATIONS: Mapping[str, Operation] = {
    "CreateHITType": create_hit_type,
    "CreateHIT": create_hit,
    "CreateHITWithHITType": create_hit_with_hit_type,
    "GetHIT": get_hit,
    "ListHITs": list_hits,
    "ListReviewableHITs": list_reviewable_hits,
    "UpdateHITReviewStatus": update_hit_review_status,
    "UpdateExpirationForHIT": update_expiration_for_hit,
    "CreateAdditionalAssignmentsForHIT": create_additional_assignments_for_hit,
    "DeleteHIT": delete_hit,
}
