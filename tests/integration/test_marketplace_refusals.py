"""Every operation against what can be wrong with a request: members left out, unknown ids, foreign tokens, states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from botocore import xform_name

from hits.database import reading
from hits.marketplace.codec import service_model
from hits.marketplace.tables import workers

from ..marketplace_programs import (
    TERMS,
    form_question,
    make_hit,
    question_form,
    refusal,
    selections,
    submitted,
)
from ..marketplace_server import RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker, html_question

UNKNOWN = {
    "HITId": "HITDoesNotExist",
    "HITTypeId": "HITTypeDoesNotExist",
    "HITLayoutId": "HITLayoutDoesNotExist",
    "AssignmentId": "AssignmentDoesNotExist",
    "QualificationTypeId": "QualificationTypeDoesNotExist",
    "QualificationRequestId": "QualificationRequestDoesNotExist",
    "WorkerId": "InvalidParameterValue",
}
BAD_XHTML = question_form(
    form_question(
        "a", selections("yes"), "<FormattedContent><![CDATA[<p>not <b>closed</p>]]></FormattedContent>"
    )
)
NOTIFICATION = {
    "Destination": "https://example.org/events", "Transport": "SNS", "Version": "2014-08-15", "EventTypes": ["Ping"]
}  # fmt: skip


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMarketplace]:
    folder: Path = tmp_path_factory.mktemp("refusals")
    with running_marketplace(folder, sweep_seconds=3600) as running:
        yield running


@pytest.fixture(scope="module")
def client(market: RunningMarketplace) -> Any:
    return market.client(parameter_validation=False)


@pytest.fixture(scope="module")
def known(market: RunningMarketplace, client: Any) -> dict[str, Any]:
    """A valid value of every member that some operation requires."""
    ada = SiteWorker(market.url, market.invite("Ada"))
    hit_id, assignment_id = submitted(client, ada, MaxAssignments=2)
    with reading(market.engine) as connection:
        worker_id = connection.scalar(sa.select(workers.c.worker_id))
    kind = client.create_qualification_type(
        Name="Umbrellas", Description="Knows them.", QualificationTypeStatus="Active"
    )["QualificationType"]["QualificationTypeId"]
    ada.post(f"/qualifications/{kind}/request")
    [asked] = client.list_qualification_requests()["QualificationRequests"]
    return {
        **TERMS,
        "Name": "Mushrooms",
        "LifetimeInSeconds": 60,
        "HITId": hit_id,
        "HITTypeId": client.create_hit_type(**TERMS)["HITTypeId"],
        "AssignmentId": assignment_id,
        "QuestionIdentifier": "photo",
        "RequesterFeedback": "No.",
        "WorkerId": worker_id,
        "WorkerIds": [worker_id],
        "Reason": "So.",
        "BonusAmount": "0.05",
        "NumberOfAdditionalAssignments": 1,
        "ExpireAt": 0,
        "Subject": "Hello",
        "MessageText": "Thank you.",
        "MustBeRequestable": True,
        "Notification": NOTIFICATION,
        "TestEventType": "Ping",
        "QualificationTypeId": kind,
        "QualificationTypeStatus": "Active",
        "QualificationRequestId": asked["QualificationRequestId"],
    }


def required() -> list[tuple[str, str]]:
    """Every operation with each member that it requires."""
    model = service_model()
    return [
        (name, member)
        for name in model.operation_names
        for member in model.operation_model(name).input_shape.required_members
    ]


def request_of(name: str, known: dict[str, Any]) -> dict[str, Any]:
    members = service_model().operation_model(name).input_shape.required_members
    return {member: known[member] for member in members}


def calling(client: Any, name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(client, xform_name(name))
    return method


@pytest.mark.parametrize(("name", "member"), required())
def test_a_member_that_is_left_out_or_of_another_type_is_refused(
    client: Any, known: dict[str, Any], name: str, member: str
) -> None:
    request = request_of(name, known)
    if member not in ("ExpireAt", "Notification"):  # boto3 itself cannot write these otherwise.
        with refusal("InvalidParameterValue") as caught:
            calling(client, name)(**{**request, member: {"an": "object"}})
        assert member in caught.value.response["Message"]
    del request[member]
    with refusal("InvalidParameterValue") as caught:
        calling(client, name)(**request)
    assert member in caught.value.response["Message"]


@pytest.mark.parametrize(("name", "member"), [pair for pair in required() if pair[1] in UNKNOWN])
def test_an_unknown_id_is_refused_by_its_own_code(
    client: Any, known: dict[str, Any], name: str, member: str
) -> None:
    unknown = "A3UNKNOWN" if member == "WorkerId" else "3UNKNOWN"
    expected = UNKNOWN[member]
    if member == "WorkerId" and name in ("GetQualificationScore", "DisassociateQualificationFromWorker"):
        expected = "QualificationDoesNotExist"
    request = {**request_of(name, known), member: unknown}
    if name == "CreateHITWithHITType":
        request["Question"] = html_question()
    with refusal(expected):
        calling(client, name)(**request)


LISTS = [
    name
    for name in service_model().operation_names
    if "NextToken" in (service_model().operation_model(name).input_shape.members or {})
]


@pytest.mark.parametrize("name", LISTS)
def test_no_list_goes_on_from_a_foreign_token_or_by_impossible_sizes(
    client: Any, known: dict[str, Any], name: str
) -> None:
    request = request_of(name, known)
    if name == "ListBonusPayments":
        request["HITId"] = known["HITId"]
    for wrong in ({"NextToken": "bm90IG91cnM"}, {"MaxResults": 0}, {"MaxResults": 101}):
        with refusal("InvalidParameterValue"):
            calling(client, name)(**request, **wrong)


def test_an_inactive_qualification_type_can_be_asked_for_by_no_operation(client: Any) -> None:
    kind = client.create_qualification_type(
        Name="Gone", Description="No more.", QualificationTypeStatus="Active"
    )["QualificationType"]["QualificationTypeId"]
    wanted = [{"QualificationTypeId": kind, "Comparator": "Exists"}]
    type_id = client.create_hit_type(**TERMS, QualificationRequirements=wanted)["HITTypeId"]
    hit_id = make_hit(client)
    client.update_qualification_type(QualificationTypeId=kind, QualificationTypeStatus="Inactive")
    for call in (
        lambda: client.create_hit_type(**{**TERMS, "Title": "Another"}, QualificationRequirements=wanted),
        lambda: make_hit(client, QualificationRequirements=wanted),
        lambda: client.create_hit_with_hit_type(
            HITTypeId=type_id, LifetimeInSeconds=60, Question=html_question()
        ),
        lambda: client.update_hit_type_of_hit(HITId=hit_id, HITTypeId=type_id),
    ):
        with refusal("InvalidQualificationTypeState"):
            call()


@pytest.mark.parametrize(
    ("question", "code"),
    [("<no xml", "XMLParseError"), (BAD_XHTML, "XHTMLParseError"), ("<x/>", "XMLParseError")],
)
def test_questions_and_tests_that_cannot_be_read_are_refused_by_every_operation(
    client: Any, known: dict[str, Any], question: str, code: str
) -> None:
    test = {"Test": question, "TestDurationInSeconds": 60}
    for call in (
        lambda: make_hit(client, Question=question),
        lambda: client.create_hit_with_hit_type(
            HITTypeId=known["HITTypeId"], LifetimeInSeconds=60, Question=question
        ),
        lambda: client.create_qualification_type(
            Name="Other", Description="Other.", QualificationTypeStatus="Active", **test
        ),
        lambda: client.update_qualification_type(QualificationTypeId=known["QualificationTypeId"], **test),
    ):
        with refusal(code):
            call()


def test_layouts_are_looked_for_by_both_operations(client: Any, known: dict[str, Any]) -> None:
    with refusal("HITLayoutDoesNotExist"):
        make_hit(client, HITLayoutId="3UNKNOWN")
    with refusal("HITLayoutDoesNotExist"):
        client.create_hit_with_hit_type(
            HITTypeId=known["HITTypeId"], LifetimeInSeconds=60, HITLayoutId="3UNKNOWN"
        )


def test_a_request_for_a_qualification_is_decided_once(market: RunningMarketplace, client: Any) -> None:
    kind = client.create_qualification_type(
        Name="Once", Description="Decided once.", QualificationTypeStatus="Active"
    )["QualificationType"]["QualificationTypeId"]
    bo = SiteWorker(market.url, market.invite("Bo"))
    bo.post(f"/qualifications/{kind}/request")
    [asked] = client.list_qualification_requests(QualificationTypeId=kind)["QualificationRequests"]
    client.reject_qualification_request(QualificationRequestId=asked["QualificationRequestId"])
    for call in (client.reject_qualification_request, client.accept_qualification_request):
        with refusal("InvalidQualificationRequestState"):
            call(QualificationRequestId=asked["QualificationRequestId"])


def test_lists_of_a_qualification_that_is_not_there_are_refused(client: Any) -> None:
    for call in (client.list_qualification_requests, client.list_workers_with_qualification_type):
        with refusal("QualificationTypeDoesNotExist"):
            call(QualificationTypeId="3UNKNOWN")


def test_a_hit_that_is_disposed_of_takes_no_decision_nor_change(
    market: RunningMarketplace, client: Any
) -> None:
    cleo = SiteWorker(market.url, market.invite("Cleo"))
    hit_id, assignment_id = submitted(client, cleo, MaxAssignments=1)
    client.reject_assignment(AssignmentId=assignment_id, RequesterFeedback="No.")
    client.delete_hit(HITId=hit_id)
    with refusal("InvalidHITState"):
        client.approve_assignment(AssignmentId=assignment_id, OverrideRejection=True)
    with refusal("InvalidHITState"):
        client.reject_assignment(AssignmentId=assignment_id, RequesterFeedback="No.")
    for call, more in (
        (client.delete_hit, {}),
        (client.update_hit_review_status, {}),
        (client.update_expiration_for_hit, {"ExpireAt": 0}),
        (client.create_additional_assignments_for_hit, {"NumberOfAdditionalAssignments": 1}),
        (client.update_hit_type_of_hit, {"HITTypeId": client.create_hit_type(**TERMS)["HITTypeId"]}),
    ):
        with refusal("InvalidHITState"):
            call(HITId=hit_id, **more)


def test_a_notification_needs_a_version_that_is_known(client: Any, known: dict[str, Any]) -> None:
    wrong = {**NOTIFICATION, "Version": "1999-01-01"}
    with refusal("InvalidParameterValue"):
        client.send_test_event_notification(Notification=wrong, TestEventType="Ping")
    with refusal("InvalidParameterValue"):
        client.update_notification_settings(HITTypeId=known["HITTypeId"], Notification=wrong)
