"""Operations on qualification types, on requests for them, and on workers' qualifications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import RequestRefused
from .. import qualification_requests, qualification_types, qualifications
from ..qualification_requests import QualificationRequest
from ..qualification_types import QualificationType, TypeTerms
from ..qualifications import Qualification
from .calls import Answer, Caller, Operation, Request, numbered_page, text_of, within
from .hits import hits_page

LONGEST_SECONDS = 2**40
_LONGEST_XML = 65_535


def _type_answer(found: QualificationType) -> Answer:
    terms = found.terms
    return {
        "QualificationTypeId": found.qualification_type_id,
        "CreationTime": found.created_at,
        "Name": terms.name,
        "Description": terms.description,
        "Keywords": terms.keywords or None,
        "QualificationTypeStatus": "Active" if terms.active else "Inactive",
        "Test": terms.test,
        "TestDurationInSeconds": terms.test_seconds,
        "AnswerKey": terms.answer_key,
        "RetryDelayInSeconds": terms.retry_delay_seconds,
        "IsRequestable": found.requester_id is not None and terms.active,
        "AutoGranted": terms.auto_granted_value is not None,
        "AutoGrantedValue": terms.auto_granted_value,
    }


def _public_answer(caller: Caller, found: QualificationType) -> Answer:
    # The key is its owner's alone: whoever sees it passes the test.
    answer = _type_answer(found)
    return answer if found.requester_id == caller.requester_id else {**answer, "AnswerKey": None}


def _qualification_answer(found: Qualification) -> Answer:
    return {
        "QualificationTypeId": found.qualification_type_id,
        "WorkerId": found.worker_id,
        "GrantTime": found.granted_at,
        "IntegerValue": found.value,
        "Status": found.status,
    }


def _request_answer(found: QualificationRequest) -> Answer:
    return {
        "QualificationRequestId": found.request_id,
        "QualificationTypeId": found.qualification_type_id,
        "WorkerId": found.worker_id,
        "Test": found.test,
        "Answer": found.answer,
        "SubmitTime": found.submitted_at,
    }


def _changes(request: Request) -> dict[str, Any]:
    """The fields of TypeTerms that a request sets; a test is set together with its duration and key."""
    changes: dict[str, Any] = {}
    if "Description" in request:
        changes["description"] = text_of(request, "Description", 2000, least=1)
    if "QualificationTypeStatus" in request:
        changes["active"] = request["QualificationTypeStatus"] == "Active"
    if "RetryDelayInSeconds" in request:
        changes["retry_delay_seconds"] = within(request, "RetryDelayInSeconds", 0, LONGEST_SECONDS)
    if "Test" in request:
        changes["test"] = text_of(request, "Test", _LONGEST_XML, least=1)
        changes["test_seconds"] = None
        changes["answer_key"] = None
    for name in ("AnswerKey", "TestDurationInSeconds"):
        if name in request and "Test" not in request:
            raise RequestRefused(f"{name} needs the Test that it is for", "InvalidParameterValue")
    if "AnswerKey" in request:
        changes["answer_key"] = text_of(request, "AnswerKey", _LONGEST_XML, least=1)
    if "TestDurationInSeconds" in request:
        changes["test_seconds"] = within(request, "TestDurationInSeconds", 1, LONGEST_SECONDS)
    if "AutoGranted" in request or "AutoGrantedValue" in request:
        granted = request.get("AutoGranted", False)
        if not granted and "AutoGrantedValue" in request:
            raise RequestRefused("AutoGrantedValue needs AutoGranted", "InvalidParameterValue")
        changes["auto_granted_value"] = request.get("AutoGrantedValue", 1) if granted else None
    return changes


def create_qualification_type(caller: Caller, request: Request) -> Answer:
    keywords = text_of(request, "Keywords", 1000)
    terms = TypeTerms(name=text_of(request, "Name", 200, least=1), keywords=keywords, **_changes(request))
    found = qualification_types.create_type(caller.engine, caller.requester_id, terms, caller.now)
    return {"QualificationType": _type_answer(found)}


def get_qualification_type(caller: Caller, request: Request) -> Answer:
    found = qualification_types.get_type(caller.engine, request["QualificationTypeId"])
    return {"QualificationType": _public_answer(caller, found)}


def update_qualification_type(caller: Caller, request: Request) -> Answer:
    type_id, changes = request["QualificationTypeId"], _changes(request)
    found = qualification_types.update_type(caller.engine, caller.requester_id, type_id, changes)
    return {"QualificationType": _type_answer(found)}


def delete_qualification_type(caller: Caller, request: Request) -> Answer:
    qualification_types.delete_type(
        caller.engine, caller.requester_id, request["QualificationTypeId"], caller.now
    )
    return {}


def list_qualification_types(caller: Caller, request: Request) -> Answer:
    owner = caller.requester_id if request.get("MustBeOwnedByCaller") else None
    shown, answer = numbered_page(
        caller,
        request,
        lambda limit, after: qualification_types.list_types(
            caller.engine,
            limit,
            after=after,
            owner=owner,
            requestable_only=request["MustBeRequestable"],
            words=request.get("Query", ""),
        ),
    )
    return {**answer, "QualificationTypes": [_public_answer(caller, found) for found in shown]}


def list_hits_for_qualification_type(caller: Caller, request: Request) -> Answer:
    type_id = request["QualificationTypeId"]
    qualification_types.get_type(caller.engine, type_id)
    return hits_page(caller, request, qualification_type_id=type_id)


def associate_qualification_with_worker(caller: Caller, request: Request) -> Answer:
    qualifications.associate(
        caller.engine,
        caller.requester_id,
        request["QualificationTypeId"],
        request["WorkerId"],
        request.get("IntegerValue", 1),
        request.get("SendNotification", True),
        caller.now,
    )
    return {}


def disassociate_qualification_from_worker(caller: Caller, request: Request) -> Answer:
    qualifications.disassociate(
        caller.engine,
        caller.requester_id,
        request["QualificationTypeId"],
        request["WorkerId"],
        text_of(request, "Reason", 1024),
        caller.now,
    )
    return {}


def get_qualification_score(caller: Caller, request: Request) -> Answer:
    found = qualifications.score(
        caller.engine, caller.requester_id, request["QualificationTypeId"], request["WorkerId"]
    )
    return {"Qualification": _qualification_answer(found)}


def list_workers_with_qualification_type(caller: Caller, request: Request) -> Answer:
    type_id, status = request["QualificationTypeId"], request.get("Status", qualifications.GRANTED)
    shown, answer = numbered_page(
        caller,
        request,
        lambda limit, after: qualifications.list_holders(
            caller.engine, caller.requester_id, type_id, status, limit, after
        ),
    )
    return {**answer, "Qualifications": [_qualification_answer(found) for found in shown]}


def list_qualification_requests(caller: Caller, request: Request) -> Answer:
    type_id = request.get("QualificationTypeId")
    shown, answer = numbered_page(
        caller,
        request,
        lambda limit, after: qualification_requests.list_requests(
            caller.engine, caller.requester_id, type_id, limit, after
        ),
    )
    return {**answer, "QualificationRequests": [_request_answer(found) for found in shown]}


def accept_qualification_request(caller: Caller, request: Request) -> Answer:
    request_id, value = request["QualificationRequestId"], request.get("IntegerValue", 1)
    qualification_requests.accept_request(caller.engine, caller.requester_id, request_id, value, caller.now)
    return {}


def reject_qualification_request(caller: Caller, request: Request) -> Answer:
    request_id, reason = request["QualificationRequestId"], text_of(request, "Reason", 1024)
    qualification_requests.reject_request(caller.engine, caller.requester_id, request_id, reason, caller.now)
    return {}


OPERATIONS: Mapping[str, Operation] = {
    "CreateQualificationType": create_qualification_type,
    "GetQualificationType": get_qualification_type,
    "UpdateQualificationType": update_qualification_type,
    "DeleteQualificationType": delete_qualification_type,
    "ListQualificationTypes": list_qualification_types,
    "ListHITsForQualificationType": list_hits_for_qualification_type,
    "AssociateQualificationWithWorker": associate_qualification_with_worker,
    "DisassociateQualificationFromWorker": disassociate_qualification_from_worker,
    "GetQualificationScore": get_qualification_score,
    "ListWorkersWithQualificationType": list_workers_with_qualification_type,
    "ListQualificationRequests": list_qualification_requests,
    "AcceptQualificationRequest": accept_qualification_request,
    "RejectQualificationRequest": reject_qualification_request,
}
