"""Other types for HITs, layouts, review policies, notifications and files, through unmodified boto3 on both engines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from hits.errors import HitsError
from hits.marketplace.courier import WAITS, Courier, deliver_due
from hits.marketplace.layouts import create_layout, list_layouts
from hits.marketplace.settings import utc_now

from ..marketplace_programs import TERMS, balance, everything, make_hit, refusal
from ..marketplace_server import AdjustableClock, RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker, html_question
from ..webhook_server import Webhook, webhook_server
from .test_marketplace_store import assert_balanced


@pytest.fixture
def market(tmp_path: Path, store_url: str, clock: AdjustableClock) -> Iterator[RunningMarketplace]:
    with running_marketplace(
        tmp_path, database_url=store_url, clock=clock, sweep_seconds=3600, mail_folder=str(tmp_path / "mail")
    ) as running:
        yield running
        assert_balanced(running.engine)


@pytest.fixture
def workers(market: RunningMarketplace) -> list[SiteWorker]:
    return [SiteWorker(market.url, market.invite(name)) for name in ("Ada", "Bo", "Cy")]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with webhook_server() as running:
        yield running


def status_of(client: Any, assignment_id: str) -> str:
    status: str = client.get_assignment(AssignmentId=assignment_id)["Assignment"]["AssignmentStatus"]
    return status


# --- another type --------------------------------------------------------------------------------------


def test_a_hit_takes_another_type_and_old_promises_are_kept(
    market: RunningMarketplace, client: Any, workers: list[SiteWorker]
) -> None:
    hit_id = make_hit(client, MaxAssignments=4)  # 4 × 0.30
    ada, bo, cy = workers
    done, held = ada.accept(hit_id), bo.accept(hit_id)
    ada.submit(done)
    dearer = client.create_hit_type(**{**TERMS, "Title": "Better paid", "Reward": "0.50"})["HITTypeId"]
    client.update_hit_type_of_hit(HITId=hit_id, HITTypeId=dearer)
    hit = client.get_hit(HITId=hit_id)["HIT"]
    assert (hit["HITTypeId"], hit["Title"], hit["Reward"]) == (dearer, "Better paid", "0.50")
    assert balance(client)[1] == "2.10"  # submitted 0.30, in hand and free 3 × 0.60
    assert_balanced(market.engine)
    bo.post(f"/assignments/{held}/return")
    late = cy.accept(hit_id)
    cy.submit(late)
    client.approve_assignment(AssignmentId=done)
    client.approve_assignment(AssignmentId=late)
    assert ada.main("/earnings")["data-approved-cents"] == "25"
    assert cy.main("/earnings")["data-approved-cents"] == "50"
    cheaper = client.create_hit_type(**{**TERMS, "Reward": "0.01"})["HITTypeId"]
    last = bo.accept(hit_id)
    client.update_hit_type_of_hit(HITId=hit_id, HITTypeId=cheaper)
    assert_balanced(market.engine)
    bo.submit(last)
    client.reject_assignment(AssignmentId=last, RequesterFeedback="No")
    client.update_expiration_for_hit(HITId=hit_id, ExpireAt=0)
    client.delete_hit(HITId=hit_id)
    assert balance(client) == ("9999.10", "0.00")
    with refusal("InvalidHITState"):
        client.update_hit_type_of_hit(HITId=hit_id, HITTypeId=dearer)


def test_another_type_must_be_ones_own_and_paid_for(market: RunningMarketplace, client: Any) -> None:
    poor = market.client(market.requester("poor", 30))
    hit_id = make_hit(poor)
    dear = poor.create_hit_type(**{**TERMS, "Reward": "5"})["HITTypeId"]
    with refusal("InsufficientFunds"):
        poor.update_hit_type_of_hit(HITId=hit_id, HITTypeId=dear)
    foreign = client.create_hit_type(**TERMS)["HITTypeId"]
    for type_id in (foreign, "3NONE"):
        with refusal("HITTypeDoesNotExist"):
            poor.update_hit_type_of_hit(HITId=hit_id, HITTypeId=type_id)
    with refusal("HITDoesNotExist"):
        client.update_hit_type_of_hit(HITId=hit_id, HITTypeId=foreign)


# --- layouts and files ---------------------------------------------------------------------------------


def test_a_layout_is_filled_with_its_parameters(market: RunningMarketplace, client: Any) -> None:
    page = "<!doctype html><p>${greeting}, is ${url} a ]]> dog? ${greeting}</p>"
    layout_id = create_layout(market.engine, "tester", "dogs", page, 500, utc_now())
    assert list_layouts(market.engine, "tester") == ((layout_id, "dogs", ("greeting", "url")),)
    given = [{"Name": "greeting", "Value": "Hé & <b>ho</b>"}, {"Name": "url", "Value": "$1 ${greeting}"}]
    hit_id = make_hit(client, HITLayoutId=layout_id, HITLayoutParameters=given)
    hit = client.get_hit(HITId=hit_id)["HIT"]
    assert hit["HITLayoutId"] == layout_id
    ada = SiteWorker(market.url, market.invite("Ada"))
    shown = ada.session.get(ada.frame_address(f"/hits/{hit_id}"), timeout=30).text
    assert shown == page.replace("${url}", "$1 ${GREETING}").replace("${greeting}", "Hé & <b>ho</b>").replace(
        "GREETING", "greeting"
    )
    for wrong, code in (
        ({"HITLayoutId": "3NONE"}, "HITLayoutDoesNotExist"),
        ({"HITLayoutId": layout_id}, "InvalidParameterValue"),
        (
            {"HITLayoutId": layout_id, "HITLayoutParameters": [*given, {"Name": "z", "Value": ""}]},
            "InvalidParameterValue",
        ),
        ({"HITLayoutParameters": given}, "InvalidParameterValue"),
    ):
        with refusal(code):
            make_hit(client, **wrong)
    with refusal("HITLayoutDoesNotExist"):
        make_hit(market.client(market.requester("other")), HITLayoutId=layout_id, HITLayoutParameters=given)
    with pytest.raises(HitsError):
        create_layout(market.engine, "nobody", "dogs", page, 500, utc_now())


# --- review policies -----------------------------------------------------------------------------------


def parameter(name: str, *values: object) -> dict[str, Any]:
    return {"Key": name, "Values": [str(value) for value in values]}


def known_answers(**more: object) -> dict[str, Any]:
    key = {
        "Key": "AnswerKey",
        "MapEntries": [{"Key": "q1", "Values": ["yes"]}, {"Key": "q2", "Values": ["no"]}],
    }
    return {
        "PolicyName": "ScoreMyKnownAnswers/2011-09-01",
        "Parameters": [key, *(parameter(name, value) for name, value in more.items())],
    }


def plurality(*questions: str, threshold: int = 50, **more: object) -> dict[str, Any]:
    return {
        "PolicyName": "SimplePlurality/2011-09-01",
        "Parameters": [
            parameter("QuestionIds", *questions),
            parameter("QuestionAgreementThreshold", threshold),
            *(parameter(name, value) for name, value in more.items()),
        ],
    }


def test_known_answers_approve_reject_and_extend(
    market: RunningMarketplace, client: Any, workers: list[SiteWorker]
) -> None:
    policy = known_answers(
        ApproveIfKnownAnswerScoreIsAtLeast=100,
        RejectIfKnownAnswerScoreIsLessThan=50,
        RejectReason="Neither was right",
        ExtendIfKnownAnswerScoreIsLessThan=50,
        ExtendMaximumAssignments=3,
        ExtendMinimumTimeInSeconds=7200,
    )
    hit_id = make_hit(client, MaxAssignments=2, AssignmentReviewPolicy=policy)
    ada, bo, cy = workers
    right, wrong = ada.accept(hit_id), bo.accept(hit_id)
    ada.submit(right, {"q1": "yes", "q2": "no"})
    bo.submit(wrong, {"q1": "Yes"})
    half = cy.accept(hit_id)  # The one that Bo's answers added.
    cy.submit(half, {"q1": "yes", "q2": "yes"})
    assert [status_of(client, one) for one in (right, wrong, half)] == ["Approved", "Rejected", "Submitted"]
    found = client.list_review_policy_results_for_hit(HITId=hit_id, MaxResults=100)
    assert found["AssignmentReviewPolicy"] == {"PolicyName": "ScoreMyKnownAnswers/2011-09-01"}
    report = found["AssignmentReviewReport"]
    scores = {e["SubjectId"]: e["Value"] for e in report["ReviewResults"] if e["Key"] == "KnownAnswerScore"}
    assert scores == {right: "100", wrong: "0", half: "50"}
    answered = [e for e in report["ReviewResults"] if e["SubjectId"] == half and "QuestionId" in e]
    assert {(e["QuestionId"], e["Value"]) for e in answered} == {("q1", "1"), ("q2", "0")}
    actions = [(e["ActionName"], e["TargetId"], e["Status"]) for e in report["ReviewActions"]]
    assert actions == [
        ("Approve", right, "Succeeded"),
        ("Reject", wrong, "Succeeded"),
        ("Extend", hit_id, "Succeeded"),
    ]
    assert "Neither was right" in bo.get("/earnings").text
    alone = client.list_review_policy_results_for_hit(
        HITId=hit_id, RetrieveResults=False, PolicyLevels=["Assignment"]
    )
    assert (alone["AssignmentReviewReport"]["ReviewResults"], "HITReviewReport" in alone) == ([], False)
    pages = 0
    token: dict[str, str] = {}
    while pages == 0 or token:
        page = client.list_review_policy_results_for_hit(HITId=hit_id, MaxResults=4, **token)
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
        pages += 1
    assert pages == 3  # Nine results and three actions.
    with refusal("HITDoesNotExist"):
        market.client(market.requester("other")).list_review_policy_results_for_hit(HITId=hit_id)


def test_a_plurality_approves_who_agrees_when_the_hit_is_reviewable(
    client: Any, workers: list[SiteWorker]
) -> None:
    policy = plurality(
        "q1",
        "q2",
        threshold=60,
        ApproveIfWorkerAgreementScoreIsAtLeast=100,
        RejectIfWorkerAgreementScoreIsLessThan=50,
    )
    hit_id = make_hit(client, MaxAssignments=3, HITReviewPolicy=policy)
    held = [worker.accept(hit_id) for worker in workers]
    answers = [("dog", "a"), ("dog", "b"), ("cat", "c")]
    for worker, assignment_id, (first, second) in zip(workers, held, answers, strict=True):
        worker.submit(assignment_id, {"q1": first, "q2": second})
    assert [status_of(client, one) for one in held] == ["Approved", "Approved", "Rejected"]
    report = client.list_review_policy_results_for_hit(HITId=hit_id, MaxResults=100)["HITReviewReport"]
    found = {(e["Key"], e["SubjectId"], e.get("QuestionId")): e["Value"] for e in report["ReviewResults"]}
    expected: dict[tuple[str, str, str | None], str] = {
        ("AgreedAnswerFound", hit_id, "q1"): "true",
        ("AgreedAnswer", hit_id, "q1"): "dog",
        ("AnswerAgreementScore", hit_id, "q1"): "66",
        ("AgreedAnswerFound", hit_id, "q2"): "false",
        ("HitAgreementScore", hit_id, None): "50",
        **{
            ("WorkerAgreementScore", one, None): score
            for one, score in zip(held, ("100", "100", "0"), strict=True)
        },
        **{("PluralityAnswersCorrect", one, None): count for one, count in zip(held, "110", strict=True)},
        **{("PluralityAnswersIncorrect", one, None): count for one, count in zip(held, "001", strict=True)},
    }
    assert found == expected


def test_what_another_policy_decided_is_done_or_failed(client: Any, workers: list[SiteWorker]) -> None:
    known = known_answers(ApproveIfKnownAnswerScoreIsAtLeast=100, RejectIfKnownAnswerScoreIsLessThan=1)
    agreement = plurality("q1", ApproveIfWorkerAgreementScoreIsAtLeast=0)
    hit_id = make_hit(client, MaxAssignments=2, AssignmentReviewPolicy=known, HITReviewPolicy=agreement)
    right, wrong = workers[0].accept(hit_id), workers[1].accept(hit_id)
    workers[0].submit(right, {"q1": "yes", "q2": "no"})
    workers[1].submit(wrong, {"q1": "no", "q2": "yes"})
    report = client.list_review_policy_results_for_hit(HITId=hit_id, MaxResults=100)["HITReviewReport"]
    actions = [
        (e["ActionName"], e["TargetId"], e["Status"], e["Result"], e.get("ErrorCode"))
        for e in report["ReviewActions"]
    ]
    assert actions == [
        ("Approve", right, "Succeeded", "Already approved", None),
        (
            "Approve", wrong, "Failed", "the assignment is Rejected", "AWS.MechanicalTurk.InvalidAssignmentState",
        ),
    ]  # fmt: skip


def test_known_answers_extend_by_their_defaults_until_five(client: Any, workers: list[SiteWorker]) -> None:
    hit_id = make_hit(
        client, MaxAssignments=4, AssignmentReviewPolicy=known_answers(ExtendIfKnownAnswerScoreIsLessThan=101)
    )
    for worker in workers[:2]:
        worker.submit(worker.accept(hit_id), {"q1": "yes"})
    assert client.get_hit(HITId=hit_id)["HIT"]["MaxAssignments"] == 5
    found = client.list_review_policy_results_for_hit(HITId=hit_id, RetrieveResults=False)
    results = [(e["Status"], e["Result"]) for e in found["AssignmentReviewReport"]["ReviewActions"]]
    assert results == [("Succeeded", "1 assignment more"), ("Succeeded", "It has 5 assignments already")]


def test_a_plurality_extends_until_there_is_one_or_the_money_is_gone(
    market: RunningMarketplace, workers: list[SiteWorker], clock: AdjustableClock
) -> None:
    poor = market.client(market.requester("poor", 90))
    policy = plurality(
        "q", threshold=60, ExtendIfHITAgreementScoreIsLessThan=100, ExtendMaximumAssignments=5,
        ExtendMinimumTimeInSeconds=7200,
    )  # fmt: skip
    hit_id = make_hit(poor, MaxAssignments=1, LifetimeInSeconds=60, HITReviewPolicy=policy)
    clock.ahead = timedelta(seconds=61)
    assert poor.list_reviewable_hits()["HITs"] == []  # Nobody came, nothing was agreed on: it goes on.
    assert poor.get_hit(HITId=hit_id)["HIT"]["MaxAssignments"] == 2
    for worker, answer in zip(workers, "abc", strict=True):
        worker.submit(worker.accept(hit_id), {"q": answer})
    hit = poor.get_hit(HITId=hit_id)["HIT"]
    assert (hit["HITStatus"], hit["MaxAssignments"]) == ("Reviewable", 3)
    actions = poor.list_review_policy_results_for_hit(HITId=hit_id, RetrieveResults=False)["HITReviewReport"]
    assert [(e["Status"], e.get("ErrorCode")) for e in actions["ReviewActions"]] == [
        ("Succeeded", None),
        ("Succeeded", None),
        ("Failed", "AWS.MechanicalTurk.InsufficientFunds"),
    ]


@pytest.mark.parametrize(
    "policies",
    [
        {"AssignmentReviewPolicy": plurality("q")},
        {"HITReviewPolicy": known_answers()},
        {"HITReviewPolicy": {"PolicyName": "Majority"}},
        {"AssignmentReviewPolicy": {"PolicyName": "ScoreMyKnownAnswers/2011-09-01"}},
        {"AssignmentReviewPolicy": known_answers(ApproveIfKnownAnswerScoreIsAtLeast=102)},
        {"AssignmentReviewPolicy": known_answers(ApproveIfKnownAnswerScoreIsAtLeast="many")},
        {"AssignmentReviewPolicy": known_answers(ExtendMaximumAssignments=26)},
        {"AssignmentReviewPolicy": known_answers(ExtendMinimumTimeInSeconds=59)},
        {"AssignmentReviewPolicy": known_answers(Bribe=5)},
        {"HITReviewPolicy": plurality()},
        {"HITReviewPolicy": plurality("q", ExtendIfHITAgreementScoreIsLessThan=50)},
        {"HITReviewPolicy": plurality("q", ExtendMinimumTimeInSeconds=3599)},
        {"HITReviewPolicy": plurality("q", DisregardAssignmentIfRejected="perhaps")},
    ],
)
def test_policies_that_make_no_sense_are_refused(tmp_path: Path, policies: dict[str, Any]) -> None:
    with running_marketplace(tmp_path, sweep_seconds=3600) as market, refusal("InvalidParameterValue"):
        make_hit(market.client(), **policies)


# --- notifications -------------------------------------------------------------------------------------


def specification(destination: str, *events: str, transport: str = "SQS") -> dict[str, Any]:
    return {
        "Destination": destination,
        "Transport": transport,
        "Version": "2014-08-15",
        "EventTypes": list(events),
    }


def events_of(webhook: Webhook) -> list[str]:
    bodies = [json.loads(parse_qs(body)["MessageBody"][0]) for _, _, body in webhook.received]
    return [event["EventType"] for body in bodies for event in body["Events"]]


def deliver(market: RunningMarketplace, clock: AdjustableClock) -> int:
    return deliver_due(market.engine, Courier.of(market.settings), clock())


def test_the_events_of_a_type_go_to_its_queue(
    market: RunningMarketplace,
    client: Any,
    workers: list[SiteWorker],
    clock: AdjustableClock,
    webhook: Webhook,
) -> None:
    type_id = client.create_hit_type(**TERMS)["HITTypeId"]
    of_assignments = ("Accepted", "Returned", "Submitted", "Approved", "Rejected", "Abandoned")
    of_hits = ("Created", "Extended", "Expired", "Reviewable", "Disposed")
    events = [f"Assignment{name}" for name in of_assignments] + [f"HIT{name}" for name in of_hits]
    client.update_notification_settings(
        HITTypeId=type_id, Notification=specification(webhook.url + "/queue", *events), Active=True
    )
    ada, bo, _ = workers
    hit_id = make_hit(client)
    ada.post(f"/assignments/{ada.accept(hit_id)}/return")
    first = ada.accept(hit_id)
    ada.submit(first)
    client.approve_assignment(AssignmentId=first)
    client.create_additional_assignments_for_hit(HITId=hit_id, NumberOfAdditionalAssignments=1)
    bo.accept(hit_id)
    clock.ahead = timedelta(seconds=301)
    client.get_account_balance()
    second = bo.accept(hit_id)
    bo.submit(second)
    client.reject_assignment(AssignmentId=second, RequesterFeedback="No")
    client.delete_hit(HITId=hit_id)
    make_hit(client)
    clock.ahead = timedelta(seconds=700)
    client.update_notification_settings(HITTypeId=type_id, Active=False)
    make_hit(client)
    assert deliver(market, clock) == 16
    assert deliver(market, clock) == 0
    assert events_of(webhook) == [
        "HITCreated", "AssignmentAccepted", "AssignmentReturned", "AssignmentAccepted", "AssignmentSubmitted",
        "HITReviewable", "AssignmentApproved", "HITExtended", "AssignmentAccepted", "AssignmentAbandoned",
        "AssignmentAccepted", "AssignmentSubmitted", "HITReviewable", "AssignmentRejected", "HITDisposed",
        "HITCreated",
    ]  # fmt: skip
    path, headers, body = webhook.received[1]
    sent = parse_qs(body)
    assert (path, sent["Action"], headers["content-type"]) == (
        "/queue", ["SendMessage"], "application/x-www-form-urlencoded",
    )  # fmt: skip
    document = json.loads(sent["MessageBody"][0])
    assert document["Events"][0]["HITId"] == hit_id
    assert document["Events"][0]["HITTypeId"] == type_id


def test_an_expired_hit_is_announced_once_and_by_mail(
    market: RunningMarketplace, client: Any, clock: AdjustableClock, tmp_path: Path
) -> None:
    type_id = client.create_hit_type(**TERMS)["HITTypeId"]
    wanted = specification("ada@example.org", "HITExpired", "HITReviewable", transport="Email")
    client.update_notification_settings(HITTypeId=type_id, Notification=wanted)
    make_hit(client, LifetimeInSeconds=60)
    clock.ahead = timedelta(seconds=61)
    for _ in range(2):
        client.get_account_balance()
    mail = tmp_path / "mail"
    assert deliver_due(market.engine, Courier.of(market.settings), clock()) == 2
    texts = [path.read_text() for path in mail.iterdir()]
    assert all("To: ada@example.org" in text for text in texts)
    assert sorted("HITExpired" in text for text in texts) == [False, True]


def test_what_cannot_be_delivered_is_tried_again_a_few_times(
    market: RunningMarketplace, client: Any, clock: AdjustableClock, webhook: Webhook
) -> None:
    type_id = client.create_hit_type(**TERMS)["HITTypeId"]
    wanted = specification(webhook.url, "HITCreated", transport="SNS")
    client.update_notification_settings(HITTypeId=type_id, Notification=wanted)
    make_hit(client)
    webhook.status = 503
    for _ in range(len(WAITS) + 3):
        assert deliver(market, clock) == 0
        assert deliver(market, clock) == 0  # Its wait is not over.
        clock.ahead += max(WAITS) + timedelta(seconds=1)
    assert len(webhook.received) == len(WAITS) + 1
    webhook.status = 200
    assert deliver(market, clock) == 0  # It was given up.


def test_a_test_notification_arrives_at_once_or_says_why_not(
    client: Any, webhook: Webhook, tmp_path: Path
) -> None:
    client.send_test_event_notification(
        Notification=specification(webhook.url, "Ping", transport="SNS"), TestEventType="HITReviewable"
    )
    [(_, headers, body)] = webhook.received
    document = json.loads(body)
    assert headers["x-amz-sns-message-type"] == document["Type"] == "Notification"
    assert json.loads(document["Message"])["Events"][0]["EventType"] == "HITReviewable"
    client.send_test_event_notification(
        Notification=specification("a@example.org", "Ping", transport="Email"), TestEventType="Ping"
    )
    assert len(list((tmp_path / "mail").iterdir())) == 1
    webhook.status = 302
    for destination, transport in (
        (webhook.url, "SQS"),
        ("http://127.0.0.1:1/", "SQS"),
        ("arn:aws:sns:us-east-1:1:topic", "SNS"),
        ("ftp://example.org", "SQS"),
        ("nobody", "Email"),
        ("a@example.org\nBcc: b@example.org", "Email"),
    ):
        with refusal("InvalidTransportEndpoint"):
            client.send_test_event_notification(
                Notification=specification(destination, "Ping", transport=transport), TestEventType="Ping"
            )


def test_notification_settings_that_cannot_be_are_refused(market: RunningMarketplace, client: Any) -> None:
    type_id = client.create_hit_type(**TERMS)["HITTypeId"]
    good = specification("https://queue.example.org/1", "HITCreated")
    for request, code in (
        ({}, "InvalidParameterValue"),
        ({"Active": True}, "InvalidParameterValue"),
        ({"Notification": {**good, "Version": "1"}}, "InvalidParameterValue"),
        ({"Notification": {**good, "EventTypes": []}}, "InvalidParameterValue"),
        ({"Notification": {**good, "EventTypes": ["Party"]}}, "InvalidParameterValue"),
        ({"Notification": {**good, "Transport": "Pigeon"}}, "InvalidParameterValue"),
        ({"Notification": {**good, "Destination": "nowhere"}}, "InvalidTransportEndpoint"),
    ):
        with refusal(code):
            client.update_notification_settings(HITTypeId=type_id, **request)
    with refusal("HITTypeDoesNotExist"):
        market.client(market.requester("other")).update_notification_settings(
            HITTypeId=type_id, Notification=good
        )


def test_the_question_of_a_retyped_hit_stays(client: Any) -> None:
    hit_id = make_hit(client, Question=html_question("<p>one</p>"))
    other = client.create_hit_type(**{**TERMS, "Title": "Other"})["HITTypeId"]
    client.update_hit_type_of_hit(HITId=hit_id, HITTypeId=other)
    assert client.get_hit(HITId=hit_id)["HIT"]["Question"] == html_question("<p>one</p>")
    assert [hit["HITId"] for hit in everything(client, "list_hits", "HITs")] == [hit_id]
