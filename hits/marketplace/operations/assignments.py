"""Operations on assignments, and the account's balance."""

from __future__ import annotations

from collections.abc import Mapping

from ...database import surveying
from ...errors import RequestRefused
from .. import deciding, listings
from ..lifecycle import AssignmentState
from ..paging import assignment_place, assignment_position, requested_place
from ..records import PUBLIC_STATES, AssignmentRecord
from ..store import find_assignment, find_hit
from .calls import Answer, Caller, Operation, Request, amount_of, page_of, text_of
from .hits import hit_answer


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


def get_account_balance(caller: Caller, _request: Request) -> Answer:
    spendable, held = listings.balances(caller.engine, caller.requester_id)
    return {"AvailableBalance": amount_of(spendable), "OnHoldBalance": amount_of(held) if held else None}


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
    shown, answer = page_of(caller, rows, size, assignment_place)
    return {**answer, "Assignments": [_assignment_answer(assignment) for assignment in shown]}


def get_assignment(caller: Caller, request: Request) -> Answer:
    assignment_id = request["AssignmentId"]
    with surveying(caller.engine) as connection:
        assignment = find_assignment(connection, assignment_id)
        hit = None if assignment is None else find_hit(connection, assignment.hit_id, with_question=True)
    if assignment is None or hit is None or hit.requester_id != caller.requester_id:
        raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
    if assignment.state not in PUBLIC_STATES:
        raise RequestRefused(
            f"assignment {assignment_id} is not Submitted, Approved or Rejected", "InvalidAssignmentState"
        )
    return {"Assignment": _assignment_answer(assignment), "HIT": hit_answer(hit, caller.now)}


def approve_assignment(caller: Caller, request: Request) -> Answer:
    feedback = text_of(request, "RequesterFeedback", 1024) if "RequesterFeedback" in request else None
    override = bool(request.get("OverrideRejection", False))
    deciding.approve(
        caller.engine, caller.requester_id, request["AssignmentId"], feedback, override, caller.now
    )
    return {}


def reject_assignment(caller: Caller, request: Request) -> Answer:
    feedback = text_of(request, "RequesterFeedback", 1024, least=1)
    deciding.reject(caller.engine, caller.requester_id, request["AssignmentId"], feedback, caller.now)
    return {}


OPERATIONS: Mapping[str, Operation] = {
    "GetAccountBalance": get_account_balance,
    "ListAssignmentsForHIT": list_assignments_for_hit,
    "GetAssignment": get_assignment,
    "ApproveAssignment": approve_assignment,
    "RejectAssignment": reject_assignment,
}
