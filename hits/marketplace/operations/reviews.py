"""Operations on review policies' reports, on notifications, and on files."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ...database import surveying
from ...errors import RequestRefused
from .. import notices, retyping, reviewing
from ..notices import parse_specification
from ..outbound import DeliveryFailed
from ..records import PUBLIC_STATES
from ..reviewing import ReviewEntry
from ..store import find_assignment, find_hit
from ..uploads import address_of, find_answer
from .calls import Answer, Caller, Operation, Request, numbered_page


def _result_answer(entry: ReviewEntry) -> Answer:
    return {
        "ActionId": entry.action_id,
        "SubjectId": entry.subject_id,
        "SubjectType": entry.subject_type,
        "QuestionId": entry.question_id,
        "Key": entry.key,
        "Value": entry.value,
    }


def _action_answer(entry: ReviewEntry) -> Answer:
    return {
        "ActionId": entry.action_id,
        "ActionName": entry.action,
        "TargetId": entry.subject_id,
        "TargetType": entry.subject_type,
        "Status": "Succeeded" if entry.succeeded else "Failed",
        "CompleteTime": entry.at,
        "Result": entry.result,
        "ErrorCode": entry.error_code,
    }


def _report(entries: list[ReviewEntry], level: str) -> Answer:
    own = [entry for entry in entries if entry.level == level]
    return {
        "ReviewResults": [_result_answer(entry) for entry in own if entry.action is None],
        "ReviewActions": [_action_answer(entry) for entry in own if entry.action is not None],
    }


def _name_of(policy: str | None) -> Answer | None:
    """A stored policy as reports have it, without its parameters: a key of known answers is in them."""
    return None if policy is None else {"PolicyName": json.loads(policy)["PolicyName"]}


def list_review_policy_results_for_hit(caller: Caller, request: Request) -> Answer:
    levels = tuple(request.get("PolicyLevels", ())) or ("Assignment", "HIT")
    hit_id = request["HITId"]
    with surveying(caller.engine) as connection:
        hit = find_hit(connection, hit_id, requester_id=caller.requester_id)
    shown, answer = numbered_page(
        caller,
        request,
        lambda limit, after: reviewing.list_reviews(
            caller.engine,
            hit.number,
            limit,
            after,
            levels=levels,
            results=request.get("RetrieveResults", True),
            actions=request.get("RetrieveActions", True),
        ),
    )
    return {
        "HITId": hit_id,
        "AssignmentReviewPolicy": _name_of(hit.assignment_policy),
        "HITReviewPolicy": _name_of(hit.hit_policy),
        "AssignmentReviewReport": _report(shown, "Assignment") if "Assignment" in levels else None,
        "HITReviewReport": _report(shown, "HIT") if "HIT" in levels else None,
        "NextToken": answer["NextToken"],
    }


def update_notification_settings(caller: Caller, request: Request) -> Answer:
    document = request.get("Notification")
    wanted = None if document is None else parse_specification(document)
    notices.update_settings(
        caller.engine, caller.requester_id, request["HITTypeId"], wanted, request.get("Active"), caller.now
    )
    return {}


def send_test_event_notification(caller: Caller, request: Request) -> Answer:
    """Sent at once, unlike real events, so that a destination that does not work is the answer."""
    wanted = parse_specification(request["Notification"])
    body = notices.test_document(caller.requester_id, request["TestEventType"], caller.now)
    try:
        caller.courier.deliver(wanted.transport, wanted.destination, body, caller.now)
    except DeliveryFailed as error:
        raise RequestRefused(str(error), "InvalidTransportEndpoint") from error
    return {}


def update_hit_type_of_hit(caller: Caller, request: Request) -> Answer:
    retyping.change_type(
        caller.engine, caller.requester_id, request["HITId"], request["HITTypeId"], caller.now
    )
    return {}


def get_file_upload_url(caller: Caller, request: Request) -> Answer:
    assignment_id, question = request["AssignmentId"], request["QuestionIdentifier"]
    with surveying(caller.engine) as connection:
        assignment = find_assignment(connection, assignment_id)
        hit = None if assignment is None else find_hit(connection, assignment.hit_id)
        upload = find_answer(connection, assignment_id, question)
    if assignment is None or hit is None or hit.requester_id != caller.requester_id:
        raise RequestRefused(f"assignment {assignment_id} does not exist", "AssignmentDoesNotExist")
    if assignment.state not in PUBLIC_STATES:
        raise RequestRefused(
            f"assignment {assignment_id} is not Submitted, Approved or Rejected", "InvalidAssignmentState"
        )
    if upload is None:
        raise RequestRefused(
            f"assignment {assignment_id} has no file for {question[:100]!r}; files go when their HIT is disposed of, "
            "or their worker erased",
            "FileUploadDoesNotExist",
        )
    return {"FileUploadURL": address_of(caller.files_url, caller.secret, upload, caller.now)}


OPERATIONS: Mapping[str, Operation] = {
    "ListReviewPolicyResultsForHIT": list_review_policy_results_for_hit,
    "UpdateNotificationSettings": update_notification_settings,
    "SendTestEventNotification": send_test_event_notification,
    "UpdateHITTypeOfHIT": update_hit_type_of_hit,
    "GetFileUploadURL": get_file_upload_url,
}
