"""The Requester API as unmodified boto3 sees it: every operation's success and its documented failures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from botocore.exceptions import ClientError

from hits.marketplace.api import OPERATIONS
from hits.marketplace.people import RequesterKeys

from ..marketplace_server import AdjustableClock, RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker, external_question, html_question

TERMS = {
    "Title": "Is it an umbrella?",
    "Description": "Look at pictures and say what they show.",
    "Keywords": "pictures, labels",
    "Reward": "0.25",
    "AssignmentDurationInSeconds": 300,
    "AutoApprovalDelayInSeconds": 600,
}


@pytest.fixture
def market(tmp_path: Path, clock: AdjustableClock) -> Iterator[RunningMarketplace]:
    with running_marketplace(tmp_path, clock=clock, sweep_seconds=3600) as running:
        yield running


def make_hit(client: Any, **changes: Any) -> dict[str, Any]:
    terms = {**TERMS, "LifetimeInSeconds": 3600, "Question": html_question(), **changes}
    hit: dict[str, Any] = client.create_hit(**terms)["HIT"]
    return hit


@contextmanager
def refusal(code: str) -> Iterator[pytest.ExceptionInfo[ClientError]]:
    """A RequestError with this TurkErrorCode and a message is raised within."""
    with pytest.raises(ClientError) as caught:
        yield caught
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer.get("TurkErrorCode")) == (
        "RequestError",
        f"AWS.MechanicalTurk.{code}",
    ), answer
    assert answer["Message"]


def done(client: Any, worker: SiteWorker, **changes: Any) -> tuple[str, str]:
    """A HIT that the worker submitted, and her assignment."""
    hit_id = make_hit(client, **changes)["HITId"]
    assignment_id = worker.accept(hit_id)
    assert worker.submit(assignment_id).status_code == 200
    return hit_id, assignment_id


def balance(client: Any) -> tuple[str, str]:
    answer = client.get_account_balance()
    return answer["AvailableBalance"], answer.get("OnHoldBalance", "0.00")


# --- making HITs ---------------------------------------------------------------------------------------


def test_a_new_requester_has_play_money_and_nothing_on_hold(client: Any) -> None:
    assert balance(client) == ("10000.00", "0.00")


def test_hit_types_with_equal_values_are_one_and_with_other_values_another(client: Any) -> None:
    first = client.create_hit_type(**TERMS)["HITTypeId"]
    assert client.create_hit_type(**TERMS)["HITTypeId"] == first
    assert client.create_hit_type(**{**TERMS, "Reward": "0.26"})["HITTypeId"] != first
    assert make_hit(client)["HITTypeId"] == first


def test_equal_values_of_another_requester_are_another_type(market: RunningMarketplace, client: Any) -> None:
    other = market.client(market.requester("other"))
    assert other.create_hit_type(**TERMS)["HITTypeId"] != client.create_hit_type(**TERMS)["HITTypeId"]


def test_a_hit_comes_back_with_everything_that_was_asked_of_it(client: Any) -> None:
    question = html_question("<p>ünïcode</p>", height=300)
    type_id = client.create_hit_type(**TERMS)["HITTypeId"]
    before = datetime.now(UTC) - timedelta(seconds=1)
    made = client.create_hit_with_hit_type(
        HITTypeId=type_id,
        MaxAssignments=3,
        LifetimeInSeconds=3600,
        Question=question,
        RequesterAnnotation="page 7",
    )["HIT"]
    found = client.get_hit(HITId=made["HITId"])["HIT"]
    assert found == made
    assert before < found.pop("CreationTime") < found.pop("Expiration") - timedelta(seconds=3590)
    assert found.pop("HITGroupId")
    assert found == {
        "HITId": made["HITId"],
        "HITTypeId": type_id,
        "Title": TERMS["Title"],
        "Description": TERMS["Description"],
        "Keywords": TERMS["Keywords"],
        "Question": question,
        "Reward": "0.25",
        "HITStatus": "Assignable",
        "MaxAssignments": 3,
        "AutoApprovalDelayInSeconds": 600,
        "AssignmentDurationInSeconds": 300,
        "RequesterAnnotation": "page 7",
        "QualificationRequirements": [],
        "HITReviewStatus": "NotReviewed",
        "NumberOfAssignmentsPending": 0,
        "NumberOfAssignmentsAvailable": 3,
        "NumberOfAssignmentsCompleted": 0,
    }


def test_a_hits_whole_cost_is_held_and_what_is_unspent_comes_back(client: Any) -> None:
    hit = make_hit(client, MaxAssignments=4)  # 4 × (25 + 5) cents
    assert balance(client) == ("9998.80", "1.20")
    client.update_expiration_for_hit(HITId=hit["HITId"], ExpireAt=0)
    client.delete_hit(HITId=hit["HITId"])
    assert balance(client) == ("10000.00", "0.00")


def test_ten_assignments_cost_the_higher_fee(client: Any) -> None:
    make_hit(client, MaxAssignments=10)
    assert balance(client)[1] == "3.50"


def test_a_hit_beyond_the_balance_is_refused_and_nothing_is_made(market: RunningMarketplace) -> None:
    poor = market.client(market.requester("poor", 29))
    with refusal("InsufficientFunds"):
        make_hit(poor)
    assert poor.list_hits()["HITs"] == []
    assert balance(poor) == ("0.29", "0.00")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Reward": "five"}, "InvalidParameterValue"),
        ({"Reward": "9" * 30}, "InvalidParameterValue"),
        ({"Title": "t" * 129}, "InvalidParameterValue"),
        ({"Title": " "}, "InvalidParameterValue"),
        ({"Description": "d" * 2001}, "InvalidParameterValue"),
        ({"Keywords": "k" * 1001}, "InvalidParameterValue"),
        ({"AssignmentDurationInSeconds": 29}, "InvalidParameterValue"),
        ({"AutoApprovalDelayInSeconds": 2592001}, "InvalidParameterValue"),
        ({"LifetimeInSeconds": 29}, "InvalidParameterValue"),
        ({"LifetimeInSeconds": 31536001}, "InvalidParameterValue"),
        ({"MaxAssignments": 0}, "InvalidParameterValue"),
        ({"MaxAssignments": 1_000_000_001}, "InvalidParameterValue"),
        ({"RequesterAnnotation": "a" * 256}, "InvalidParameterValue"),
        ({"UniqueRequestToken": "t" * 65}, "InvalidParameterValue"),
        ({"Question": "<nothing>"}, "XMLParseError"),
        ({"Question": html_question("x" * 66_000)}, "InvalidParameterValue"),
        ({"Question": external_question("http://example.org/")}, "InvalidParameterValue"),
        ({"HITLayoutId": "3LAYOUT"}, "InvalidParameterValue"),
        ({"HITReviewPolicy": {"PolicyName": "SimplePlurality/2011-09-01"}}, "InvalidParameterValue"),
        (
            {"QualificationRequirements": [{"QualificationTypeId": "000", "Comparator": "Exists"}]},
            "QualificationTypeDoesNotExist",
        ),
    ],
)
def test_a_hit_with_wrong_values_is_refused_by_name(client: Any, changes: dict[str, Any], code: str) -> None:
    with refusal(code):
        make_hit(client, **changes)
    assert balance(client) == ("10000.00", "0.00")


def test_a_hit_of_no_known_type_is_refused(market: RunningMarketplace, client: Any) -> None:
    foreign = market.client(market.requester("other")).create_hit_type(**TERMS)["HITTypeId"]
    for type_id in ("3NONE", foreign):
        with refusal("HITTypeDoesNotExist"):
            client.create_hit_with_hit_type(HITTypeId=type_id, LifetimeInSeconds=60, Question=html_question())


def test_a_token_is_answered_before_the_money_that_it_took(market: RunningMarketplace) -> None:
    poor = market.client(market.requester("poor", 30))
    made = make_hit(poor, UniqueRequestToken="last cent", Reward="0.25", MaxAssignments=1)
    assert poor.get_account_balance()["AvailableBalance"] == "0.00"
    with refusal("HitAlreadyExists") as refused:
        make_hit(poor, UniqueRequestToken="last cent", Reward="0.25", MaxAssignments=1)
    assert made["HITId"] in refused.value.response["Message"]
    with refusal("InsufficientFunds"):
        make_hit(poor, UniqueRequestToken="another", Reward="0.25", MaxAssignments=1)
    assert [hit["HITId"] for hit in poor.list_hits()["HITs"]] == [made["HITId"]]


def test_a_token_used_again_names_the_hit_that_it_made(client: Any) -> None:
    hit_id = make_hit(client, UniqueRequestToken="page-1")["HITId"]
    with refusal("HitAlreadyExists") as refused:
        make_hit(client, UniqueRequestToken="page-1", MaxAssignments=2)
    assert re.search(r"HITId ([A-Z0-9]+)", refused.value.response["Message"])[1] == hit_id  # type: ignore[index]
    type_id = client.create_hit_type(**TERMS)["HITTypeId"]
    with refusal("HitAlreadyExists"):
        client.create_hit_with_hit_type(
            HITTypeId=type_id, LifetimeInSeconds=60, Question=html_question(), UniqueRequestToken="page-1"
        )
    assert len(client.list_hits()["HITs"]) == 1
    assert make_hit(client, UniqueRequestToken="page-2")["HITId"] != hit_id


def test_a_token_is_its_requesters_own(market: RunningMarketplace, client: Any) -> None:
    make_hit(client, UniqueRequestToken="page-1")
    make_hit(market.client(market.requester("other")), UniqueRequestToken="page-1")


def test_a_refused_request_leaves_its_token_free(client: Any) -> None:
    with refusal("InsufficientFunds"):
        make_hit(client, UniqueRequestToken="page-1", Reward="9999")
    make_hit(client, UniqueRequestToken="page-1")


# --- lists ---------------------------------------------------------------------------------------------


def test_lists_page_through_everything_once_though_hits_are_made_meanwhile(client: Any) -> None:
    made = [make_hit(client, RequesterAnnotation=str(n))["HITId"] for n in range(7)]
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = client.list_hits(MaxResults=3, **token)
        assert page["NumResults"] == len(page["HITs"]) <= 3
        seen += [hit["HITId"] for hit in page["HITs"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
        make_hit(client)
    assert seen == made[::-1]
    paginated = client.get_paginator("list_hits").paginate(PaginationConfig={"PageSize": 2})
    assert len([hit for page in paginated for hit in page["HITs"]]) == 9


def test_page_tokens_are_opaque_and_their_owners(market: RunningMarketplace, client: Any) -> None:
    for _ in range(2):
        make_hit(client)
    token = client.list_hits(MaxResults=1)["NextToken"]
    other = market.client(market.requester("other"))
    for caller, forged in ((client, "x"), (client, token[:-4] + "AAAA"), (other, token), (client, "ü")):
        with refusal("InvalidParameterValue"):
            caller.list_hits(NextToken=forged)
    with refusal("InvalidParameterValue"):
        client.list_hits(MaxResults=101)
    hit_id = client.list_hits()["HITs"][0]["HITId"]
    with refusal("InvalidParameterValue"):
        client.list_assignments_for_hit(HITId=hit_id, NextToken=token)


def test_only_reviewable_hits_are_listed_as_such(client: Any, ada: SiteWorker) -> None:
    open_id = make_hit(client)["HITId"]
    done_id, _ = done(client, ada)
    expired_id = make_hit(client, Title="Another")["HITId"]
    client.update_expiration_for_hit(HITId=expired_id, ExpireAt=datetime.now(UTC) - timedelta(days=1))

    def listed(**filters: str) -> list[str]:
        return [hit["HITId"] for hit in client.list_reviewable_hits(**filters)["HITs"]]

    assert listed() == [expired_id, done_id]
    assert open_id not in listed()
    assert listed(HITTypeId=client.get_hit(HITId=done_id)["HIT"]["HITTypeId"]) == [done_id]
    client.update_hit_review_status(HITId=done_id)
    assert (listed(), listed(Status="Reviewing")) == ([expired_id], [done_id])
    client.update_hit_review_status(HITId=done_id, Revert=True)
    assert listed(Status="Reviewing") == []
    with refusal("InvalidHITState"):
        client.update_hit_review_status(HITId=open_id)


def test_submissions_are_listed_in_order_by_status_and_page_by_page(
    market: RunningMarketplace, client: Any
) -> None:
    hit_id = make_hit(client, MaxAssignments=4)["HITId"]
    workers = [SiteWorker(market.url, market.invite(name)) for name in ("Ada", "Bo", "Cy", "Di")]
    held = [worker.accept(hit_id) for worker in workers]
    assert client.list_assignments_for_hit(HITId=hit_id)["Assignments"] == []
    order = [held[2], held[0], held[3]]
    for place in (2, 0, 3):
        workers[place].submit(held[place])
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = client.list_assignments_for_hit(HITId=hit_id, MaxResults=1, **token)
        seen += [assignment["AssignmentId"] for assignment in page["Assignments"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert seen == order
    client.approve_assignment(AssignmentId=order[0])
    client.reject_assignment(AssignmentId=order[1], RequesterFeedback="These are mushrooms.")
    for status, expected in (("Approved", order[:1]), ("Rejected", order[1:2]), ("Submitted", order[2:])):
        found = client.list_assignments_for_hit(HITId=hit_id, AssignmentStatuses=[status])["Assignments"]
        assert [assignment["AssignmentId"] for assignment in found] == expected


def test_an_assignment_carries_answers_times_and_its_worker(client: Any, ada: SiteWorker) -> None:
    hit_id, assignment_id = done(client, ada)
    answer = client.get_assignment(AssignmentId=assignment_id)
    found = answer["Assignment"]
    assert answer["HIT"]["HITId"] == found["HITId"] == hit_id
    assert found["AssignmentStatus"] == "Submitted"
    assert re.fullmatch("A[A-Z0-9]+", found["WorkerId"])
    assert found["AcceptTime"] <= found["SubmitTime"] < found["Deadline"]
    assert found["AutoApprovalTime"] - found["SubmitTime"] == timedelta(seconds=600)
    texts = [
        element.text for element in ElementTree.fromstring(found["Answer"].encode()).iter() if element.text
    ]
    assert texts == ["answer", "yes"]


# --- decisions -----------------------------------------------------------------------------------------


def test_approving_pays_and_approving_twice_is_refused(client: Any, ada: SiteWorker) -> None:
    hit_id, assignment_id = done(client, ada)
    client.approve_assignment(AssignmentId=assignment_id, RequesterFeedback="Thank you")
    found = client.get_assignment(AssignmentId=assignment_id)["Assignment"]
    assert (found["AssignmentStatus"], found["RequesterFeedback"]) == ("Approved", "Thank you")
    assert found["ApprovalTime"]
    assert balance(client) == ("9999.70", "0.00")
    assert ada.main("/earnings")["data-approved-cents"] == "25"
    for _ in range(2):
        with refusal("InvalidAssignmentState"):
            client.approve_assignment(AssignmentId=assignment_id)
    with refusal("InvalidAssignmentState"):
        client.reject_assignment(AssignmentId=assignment_id, RequesterFeedback="No")
    assert balance(client) == ("9999.70", "0.00")
    assert client.get_hit(HITId=hit_id)["HIT"]["NumberOfAssignmentsCompleted"] == 1


def test_rejecting_gives_the_money_back_and_can_be_overridden(client: Any, ada: SiteWorker) -> None:
    _, assignment_id = done(client, ada)
    client.reject_assignment(AssignmentId=assignment_id, RequesterFeedback="All yes.")
    assert balance(client) == ("10000.00", "0.00")
    assert "All yes." in ada.get("/earnings").text
    with refusal("InvalidAssignmentState"):
        client.approve_assignment(AssignmentId=assignment_id)
    client.approve_assignment(AssignmentId=assignment_id, OverrideRejection=True)
    assert balance(client) == ("9999.70", "0.00")
    assert ada.main("/earnings")["data-approved-cents"] == "25"


def test_an_override_needs_the_money(market: RunningMarketplace, ada: SiteWorker) -> None:
    poor = market.client(market.requester("poor", 30))
    _, assignment_id = done(poor, ada)
    poor.reject_assignment(AssignmentId=assignment_id, RequesterFeedback="No")
    make_hit(poor)
    with refusal("InsufficientFunds"):
        poor.approve_assignment(AssignmentId=assignment_id, OverrideRejection=True)
    assert poor.get_assignment(AssignmentId=assignment_id)["Assignment"]["AssignmentStatus"] == "Rejected"


@pytest.mark.parametrize("feedback", ["", "  ", "f" * 1025])
def test_a_rejection_needs_a_reason_that_fits(client: Any, ada: SiteWorker, feedback: str) -> None:
    _, assignment_id = done(client, ada)
    with refusal("InvalidParameterValue"):
        client.reject_assignment(AssignmentId=assignment_id, RequesterFeedback=feedback)


def test_work_left_undecided_is_approved_by_itself(
    client: Any, ada: SiteWorker, clock: AdjustableClock
) -> None:
    _, assignment_id = done(client, ada)
    clock.ahead = timedelta(seconds=599)
    assert client.get_assignment(AssignmentId=assignment_id)["Assignment"]["AssignmentStatus"] == "Submitted"
    clock.ahead = timedelta(seconds=601)
    found = client.get_assignment(AssignmentId=assignment_id)["Assignment"]
    assert found["AssignmentStatus"] == "Approved"
    assert found["ApprovalTime"] == found["AutoApprovalTime"]
    assert balance(client) == ("9999.70", "0.00")


def test_an_assignment_in_hand_is_not_the_requesters_to_see_or_decide(client: Any, ada: SiteWorker) -> None:
    assignment_id = ada.accept(make_hit(client)["HITId"])
    with refusal("InvalidAssignmentState"):
        client.get_assignment(AssignmentId=assignment_id)
    with refusal("InvalidAssignmentState"):
        client.approve_assignment(AssignmentId=assignment_id)


# --- a HIT's life --------------------------------------------------------------------------------------


def test_a_hits_status_and_numbers_follow_its_assignments(
    market: RunningMarketplace, client: Any, ada: SiteWorker, clock: AdjustableClock
) -> None:
    hit_id = make_hit(client, MaxAssignments=2)["HITId"]
    bo = SiteWorker(market.url, market.invite("Bo"))

    def seen() -> tuple[str, int, int, int]:
        hit = client.get_hit(HITId=hit_id)["HIT"]
        counts = [hit[f"NumberOfAssignments{name}"] for name in ("Pending", "Available", "Completed")]
        return (hit["HITStatus"], *counts)

    assert seen() == ("Assignable", 0, 2, 0)
    first = ada.accept(hit_id)
    assert seen() == ("Assignable", 1, 1, 0)
    bo.accept(hit_id)
    assert seen() == ("Unassignable", 2, 0, 0)
    ada.submit(first)
    assert seen() == ("Unassignable", 1, 0, 0)
    clock.ahead = timedelta(seconds=301)  # Bo's time is over.
    assert seen() == ("Assignable", 0, 1, 0)
    bo.submit(bo.accept(hit_id))
    assert seen() == ("Reviewable", 0, 0, 0)
    client.approve_assignment(AssignmentId=first)
    assert seen() == ("Reviewable", 0, 0, 1)
    client.create_additional_assignments_for_hit(HITId=hit_id, NumberOfAdditionalAssignments=1)
    assert seen() == ("Assignable", 0, 1, 1)


def test_extending_costs_and_has_its_limit_and_its_token(client: Any) -> None:
    hit_id = make_hit(client, MaxAssignments=3)["HITId"]
    client.create_additional_assignments_for_hit(
        HITId=hit_id, NumberOfAdditionalAssignments=2, UniqueRequestToken="more"
    )
    with refusal("HitAlreadyExists") as refused:
        client.create_additional_assignments_for_hit(
            HITId=hit_id, NumberOfAdditionalAssignments=2, UniqueRequestToken="more"
        )
    assert hit_id in refused.value.response["Message"]
    assert client.get_hit(HITId=hit_id)["HIT"]["MaxAssignments"] == 5
    assert balance(client)[1] == "1.50"
    with refusal("InvalidMaximumAssignmentsIncrease"):
        client.create_additional_assignments_for_hit(HITId=hit_id, NumberOfAdditionalAssignments=5)
    with refusal("InvalidParameterValue"):
        client.create_additional_assignments_for_hit(HITId=hit_id, NumberOfAdditionalAssignments=0)
    with refusal("InsufficientFunds"):
        many = make_hit(client, MaxAssignments=10)["HITId"]
        client.create_additional_assignments_for_hit(HITId=many, NumberOfAdditionalAssignments=10**8)


def test_an_expiration_can_be_moved_both_ways_and_repeated(client: Any) -> None:
    hit_id = make_hit(client)["HITId"]
    for _ in range(2):
        client.update_expiration_for_hit(HITId=hit_id, ExpireAt=0)
    hit = client.get_hit(HITId=hit_id)["HIT"]
    assert (hit["HITStatus"], hit["NumberOfAssignmentsAvailable"]) == ("Reviewable", 0)
    client.update_expiration_for_hit(HITId=hit_id, ExpireAt=datetime.now(UTC) + timedelta(days=1))
    assert client.get_hit(HITId=hit_id)["HIT"]["HITStatus"] == "Assignable"
    with refusal("InvalidParameterValue"):
        client.update_expiration_for_hit(HITId=hit_id, ExpireAt=datetime.now(UTC) + timedelta(days=400))


def test_a_hit_is_deleted_once_all_is_decided_and_then_stays_so(client: Any, ada: SiteWorker) -> None:
    hit_id, assignment_id = done(client, ada, MaxAssignments=2)
    with refusal("InvalidHITState"):
        client.delete_hit(HITId=hit_id)
    client.update_expiration_for_hit(HITId=hit_id, ExpireAt=0)
    with refusal("InvalidHITState"):
        client.delete_hit(HITId=hit_id)
    client.reject_assignment(AssignmentId=assignment_id, RequesterFeedback="No")
    client.delete_hit(HITId=hit_id)
    assert client.get_hit(HITId=hit_id)["HIT"]["HITStatus"] == "Disposed"
    assert client.list_hits()["HITs"] == []
    assert client.list_reviewable_hits()["HITs"] == []
    later = datetime.now(UTC) + timedelta(days=1)
    changes: dict[str, dict[str, Any]] = {
        "delete_hit": {},
        "update_expiration_for_hit": {"ExpireAt": later},
        "create_additional_assignments_for_hit": {"NumberOfAdditionalAssignments": 1},
    }
    for method, more in changes.items():
        with refusal("InvalidHITState"):
            getattr(client, method)(HITId=hit_id, **more)
    with refusal("InvalidHITState"):
        client.approve_assignment(AssignmentId=assignment_id, OverrideRejection=True)
    assert balance(client) == ("10000.00", "0.00")


def test_what_is_not_there_or_anothers_does_not_exist(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    hit_id, assignment_id = done(client, ada)
    other = market.client(market.requester("other"))
    of_hits: dict[str, dict[str, Any]] = {
        "get_hit": {},
        "list_assignments_for_hit": {},
        "delete_hit": {},
        "update_expiration_for_hit": {"ExpireAt": 0},
        "update_hit_review_status": {},
        "create_additional_assignments_for_hit": {"NumberOfAdditionalAssignments": 1},
    }
    of_assignments: dict[str, dict[str, Any]] = {
        "get_assignment": {},
        "approve_assignment": {},
        "reject_assignment": {"RequesterFeedback": "No"},
    }
    for caller, hit, assignment in ((client, "3NONE", "3NONE"), (other, hit_id, assignment_id)):
        for method, more in of_hits.items():
            with refusal("HITDoesNotExist"):
                getattr(caller, method)(HITId=hit, **more)
        for method, more in of_assignments.items():
            with refusal("AssignmentDoesNotExist"):
                getattr(caller, method)(AssignmentId=assignment, **more)
    assert other.list_hits()["HITs"] == []


def test_every_operation_of_the_model_is_offered(client: Any) -> None:
    assert set(OPERATIONS) == set(client.meta.service_model.operation_names)
    assert len(OPERATIONS) == 39


# --- keys ----------------------------------------------------------------------------------------------


def refused_keys(client: Any) -> str:
    with pytest.raises(ClientError) as caught:
        client.get_account_balance()
    code: str = caught.value.response["Error"]["Code"]
    return code


def test_a_wrong_secret_and_an_unknown_key_are_refused(market: RunningMarketplace) -> None:
    wrong = RequesterKeys(market.keys.access_key, market.keys.secret_key[:-1] + "!")
    assert refused_keys(market.client(wrong)) == "InvalidSignatureException"
    assert refused_keys(market.client(RequesterKeys("HITSNOBODY", "x"))) == "UnrecognizedClientException"


def test_a_clock_that_is_off_is_refused(client: Any, clock: AdjustableClock) -> None:
    clock.ahead = timedelta(minutes=16)
    assert refused_keys(client) == "InvalidSignatureException"
    clock.ahead = -timedelta(minutes=14)
    client.get_account_balance()


def test_a_body_changed_on_the_way_is_refused_and_an_exact_repeat_is_not(
    market: RunningMarketplace, client: Any
) -> None:
    sent: list[Any] = []
    client.meta.events.register("before-send.mturk.*", lambda request, **_: sent.append(request))
    make_hit(client, MaxAssignments=1)
    request = sent[0]
    headers = {
        name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
    }

    def repeat(body: bytes) -> requests.Response:
        return requests.post(request.url, data=body, headers=headers, timeout=30)

    assert repeat(request.body).status_code == 200
    changed = request.body.replace(b'"MaxAssignments": 1', b'"MaxAssignments": 2')
    assert changed != request.body
    answer = repeat(changed)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
    assert len(client.list_hits()["HITs"]) == 2


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 403, "MissingAuthenticationTokenException"),
        ({"Authorization": "AWS4-HMAC-SHA256 nonsense"}, 400, "IncompleteSignatureException"),
    ],
)
def test_unsigned_requests_get_the_protocols_errors(
    market: RunningMarketplace, headers: dict[str, str], status: int, code: str
) -> None:
    answer = requests.post(market.url, data=b"{}", headers=headers, timeout=30)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (status, code)
    assert answer.json()["__type"] == code


def test_environment_variables_alone_lead_boto3_here(
    market: RunningMarketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", market.keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", market.keys.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_MTURK", market.url)
    assert boto3.Session().client("mturk").get_account_balance()["AvailableBalance"] == "10000.00"
