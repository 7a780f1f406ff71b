"""Qualifications through unmodified boto3 and the worker site, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from hits.database import writing
from hits.marketplace import people, tables
from hits.marketplace.settings import utc_now

from ..marketplace_programs import (
    TERMS,
    answer_key,
    everything,
    form_question,
    make_hit,
    question_form,
    refusal,
    selections,
    submitted,
)
from ..marketplace_server import AdjustableClock, RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker, elements

RATE, COUNT = "000000000000000000L0", "00000000000000000040"
LOCALE, ADULT = "00000000000000000071", "00000000000000000060"
MASTERS, SANDBOX_MASTERS = "2F1QJWKUDD8XADTFD2Q0G6UTO95ALH", "2ARFPLSP75KLA8M8DH1HTEQVJT3SY6"
SYSTEM = {RATE, COUNT, LOCALE, ADULT, MASTERS, SANDBOX_MASTERS}
TEST = question_form(
    form_question("a", selections("yes", "no")), form_question("b", selections("1", "2", "3", most=2))
)
KEY = answer_key(
    {"a": {"yes": 1}, "b": {"1+2": 3}},
    "<PercentageMapping><MaximumSummedScore>4</MaximumSummedScore></PercentageMapping>",
)


def make_type(client: Any, name: str = "Umbrellas", **changes: Any) -> str:
    terms = {"Name": name, "Description": "Knows umbrellas.", "QualificationTypeStatus": "Active", **changes}
    type_id: str = client.create_qualification_type(**terms)["QualificationType"]["QualificationTypeId"]
    return type_id


def worker_id_of(market: RunningMarketplace, pseudonym: str) -> str:
    with market.engine.connect() as connection:
        found: str = connection.execute(
            sa.select(tables.workers.c.worker_id).where(tables.workers.c.pseudonym == pseudonym)
        ).scalar_one()
    return found


def requirement(
    type_id: str, comparator: str = "Exists", guard: str = "Accept", **values: Any
) -> dict[str, Any]:
    return {"QualificationTypeId": type_id, "Comparator": comparator, "ActionsGuarded": guard, **values}


# --- types ---------------------------------------------------------------------------------------------


def test_a_type_comes_back_as_made_and_changes_as_told(market: RunningMarketplace, client: Any) -> None:
    type_id = make_type(client, Keywords="rain", RetryDelayInSeconds=60, AutoGranted=True, AutoGrantedValue=7)
    found = client.get_qualification_type(QualificationTypeId=type_id)["QualificationType"]
    assert found.pop("CreationTime")
    assert found == {
        "QualificationTypeId": type_id,
        "Name": "Umbrellas",
        "Description": "Knows umbrellas.",
        "Keywords": "rain",
        "QualificationTypeStatus": "Active",
        "RetryDelayInSeconds": 60,
        "IsRequestable": True,
        "AutoGranted": True,
        "AutoGrantedValue": 7,
    }
    with refusal("InvalidParameterValue"):  # What is granted unasked has no test.
        client.update_qualification_type(QualificationTypeId=type_id, Test=TEST, TestDurationInSeconds=60)
    changed = client.update_qualification_type(
        QualificationTypeId=type_id,
        Description="Knows them well.",
        QualificationTypeStatus="Inactive",
        AutoGranted=False,
        Test=TEST,
        TestDurationInSeconds=60,
        AnswerKey=KEY,
    )["QualificationType"]
    assert (changed["Description"], changed["QualificationTypeStatus"]) == ("Knows them well.", "Inactive")
    assert (changed["Test"], changed["AnswerKey"], changed["IsRequestable"]) == (TEST, KEY, False)
    without_key = client.update_qualification_type(
        QualificationTypeId=type_id, Test=TEST, TestDurationInSeconds=90
    )["QualificationType"]
    assert (without_key["TestDurationInSeconds"], without_key.get("AnswerKey")) == (90, None)
    other = market.client(market.requester("other"))
    with refusal("PermissionDeniedException"):
        other.update_qualification_type(QualificationTypeId=type_id, Description="Mine")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Name": " "}, "InvalidParameterValue"),
        ({"Name": "n" * 201}, "InvalidParameterValue"),
        ({"Description": "d" * 2001}, "InvalidParameterValue"),
        ({"Keywords": "k" * 1001}, "InvalidParameterValue"),
        ({"QualificationTypeStatus": "Open"}, "InvalidParameterValue"),
        ({"RetryDelayInSeconds": -1}, "InvalidParameterValue"),
        ({"Test": TEST}, "InvalidParameterValue"),
        ({"Test": "<nothing>", "TestDurationInSeconds": 60}, "XMLParseError"),
        ({"TestDurationInSeconds": 60}, "InvalidParameterValue"),
        ({"AnswerKey": KEY}, "InvalidParameterValue"),
        ({"Test": TEST, "TestDurationInSeconds": 60, "AnswerKey": "<AnswerKey/>"}, "XMLParseError"),
        (
            {"Test": TEST, "TestDurationInSeconds": 60, "AnswerKey": answer_key({"z": {"yes": 1}})},
            "InvalidParameterValue",
        ),
        ({"Test": TEST, "TestDurationInSeconds": 60, "AutoGranted": True}, "InvalidParameterValue"),
        ({"AutoGrantedValue": 3}, "InvalidParameterValue"),
    ],
)
def test_a_type_with_wrong_values_is_refused_by_name(
    shared: RunningMarketplace, changes: dict[str, Any], code: str
) -> None:
    with refusal(code):
        make_type(shared.client(), **changes)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMarketplace]:
    """One marketplace for the requests that change nothing."""
    with running_marketplace(tmp_path_factory.mktemp("shared"), sweep_seconds=3600) as running:
        yield running


def test_names_are_unique_to_their_owner_and_types_are_listed_and_deleted(
    market: RunningMarketplace, client: Any
) -> None:
    first, second = make_type(client), make_type(client, "Mushrooms", Keywords="forest")
    other = market.client(market.requester("other"))
    foreign = make_type(other)
    with refusal("QualificationTypeAlreadyExists"):
        make_type(client)

    def listed(caller: Any = client, **request: Any) -> list[str]:
        request = {"MustBeRequestable": True, **request}
        found = everything(caller, "list_qualification_types", "QualificationTypes", **request)
        return [entry["QualificationTypeId"] for entry in found]

    assert listed() == [first, second, foreign]
    assert listed(MustBeOwnedByCaller=True) == [first, second]
    assert listed(Query="FOREST") == [second]
    assert set(listed(MustBeRequestable=False)) == {*SYSTEM, first, second, foreign}
    with refusal("PermissionDeniedException"):
        other.delete_qualification_type(QualificationTypeId=first)
    client.delete_qualification_type(QualificationTypeId=first)
    assert listed(MustBeOwnedByCaller=True) == [second]
    for call in (client.get_qualification_type, client.delete_qualification_type):
        with refusal("QualificationTypeDoesNotExist"):
            call(QualificationTypeId=first)
    with refusal("QualificationTypeDoesNotExist"):
        client.update_qualification_type(QualificationTypeId=first, Description="Again")
    make_type(client)  # The name is free again.


def test_another_requester_sees_a_type_but_not_its_answers(market: RunningMarketplace, client: Any) -> None:
    type_id = make_type(client, Test=TEST, TestDurationInSeconds=60, AnswerKey=KEY)
    other = market.client(market.requester("other"))
    seen = other.get_qualification_type(QualificationTypeId=type_id)["QualificationType"]
    assert (seen["Test"], seen.get("AnswerKey")) == (TEST, None)
    [listed] = other.list_qualification_types(MustBeRequestable=True)["QualificationTypes"]
    assert "AnswerKey" not in listed


# --- giving and taking ---------------------------------------------------------------------------------


def test_a_qualification_is_given_scored_listed_and_taken_back(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    type_id, worker_id = make_type(client), worker_id_of(market, "Ada")
    where = {"QualificationTypeId": type_id, "WorkerId": worker_id}
    with refusal("QualificationDoesNotExist"):
        client.get_qualification_score(**where)
    client.associate_qualification_with_worker(**where, IntegerValue=5)
    client.associate_qualification_with_worker(**where, IntegerValue=8, SendNotification=False)
    found = client.get_qualification_score(**where)["Qualification"]
    assert found.pop("GrantTime")
    assert found == {**where, "IntegerValue": 8, "Status": "Granted"}

    def holders(**request: Any) -> list[str]:
        found = everything(
            client, "list_workers_with_qualification_type", "Qualifications",
            QualificationTypeId=type_id, **request,
        )  # fmt: skip
        return [entry["WorkerId"] for entry in found]

    assert (holders(), holders(Status="Revoked")) == ([worker_id], [])
    assert [message["data-subject"] for message in elements(ada.get("/messages").text, "data-subject")] == [
        "You are qualified: Umbrellas"
    ]
    client.disassociate_qualification_from_worker(**where, Reason="Mistook <b>mushrooms</b>")
    assert (holders(), holders(Status="Revoked")) == ([], [worker_id])
    assert "Mistook &lt;b&gt;mushrooms" in ada.get("/messages").text
    for call in (client.get_qualification_score, client.disassociate_qualification_from_worker):
        with refusal("InvalidQualificationState"):
            call(**where)
    client.associate_qualification_with_worker(**where)
    assert client.get_qualification_score(**where)["Qualification"]["IntegerValue"] == 1


def test_qualifications_of_others_and_of_nobody_are_refused(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    type_id, worker_id = make_type(client), worker_id_of(market, "Ada")
    other = market.client(market.requester("other"))
    of_worker = {"QualificationTypeId": type_id, "WorkerId": worker_id}
    for method in ("associate_qualification_with_worker", "disassociate_qualification_from_worker",
                   "get_qualification_score"):  # fmt: skip
        with refusal("PermissionDeniedException"):
            getattr(other, method)(**of_worker)
        with refusal("QualificationTypeDoesNotExist"):
            getattr(client, method)(QualificationTypeId="3NONE", WorkerId=worker_id)
    with refusal("PermissionDeniedException"):
        other.list_workers_with_qualification_type(QualificationTypeId=type_id)
    with refusal("PermissionDeniedException"):
        client.associate_qualification_with_worker(QualificationTypeId=RATE, WorkerId=worker_id)
    with refusal("InvalidParameterValue"):
        client.associate_qualification_with_worker(QualificationTypeId=type_id, WorkerId="ANOBODY")


# --- requests and tests --------------------------------------------------------------------------------


def test_a_request_waits_for_its_owner_who_grants_or_refuses_it(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    type_id = make_type(client, RetryDelayInSeconds=0)
    other = market.client(market.requester("other"))
    path = f"/qualifications/{type_id}"
    assert ada.post(f"{path}/request").status_code == 303
    again = ada.post(f"{path}/request")
    assert again.status_code == 409
    [request] = client.list_qualification_requests(QualificationTypeId=type_id)["QualificationRequests"]
    assert request["WorkerId"] == worker_id_of(market, "Ada")
    request_id = request["QualificationRequestId"]
    assert other.list_qualification_requests()["QualificationRequests"] == []
    with refusal("PermissionDeniedException"):
        other.list_qualification_requests(QualificationTypeId=type_id)
    for method in ("accept_qualification_request", "reject_qualification_request"):
        for caller, wanted in ((other, request_id), (client, "3NONE")):
            with refusal("QualificationRequestDoesNotExist"):
                getattr(caller, method)(QualificationRequestId=wanted)
    client.reject_qualification_request(QualificationRequestId=request_id, Reason="Not yet")
    assert "Not yet" in ada.get(path).text
    with refusal("InvalidQualificationRequestState"):
        client.accept_qualification_request(QualificationRequestId=request_id)
    ada.post(f"{path}/request")
    [request] = everything(client, "list_qualification_requests", "QualificationRequests")
    client.accept_qualification_request(
        QualificationRequestId=request["QualificationRequestId"], IntegerValue=9
    )
    assert (ada.main(path)["data-status"], ada.main(path)["data-value"]) == ("Granted", "9")
    assert everything(client, "list_qualification_requests", "QualificationRequests") == []


def test_what_is_granted_on_request_is_granted_at_once(client: Any, ada: SiteWorker) -> None:
    type_id = make_type(client, AutoGranted=True, AutoGrantedValue=3)
    hit_id = make_hit(client, QualificationRequirements=[requirement(type_id, "EqualTo", IntegerValues=[3])])
    assert ada.post(f"/hits/{hit_id}/accept").status_code == 409
    ada.post(f"/qualifications/{type_id}/request")
    ada.accept(hit_id)


def test_what_keeps_people_out_is_nothing_to_ask_for(client: Any, ada: SiteWorker) -> None:
    wanted, unwanted, unused = (make_type(client, Name=name) for name in ("wanted", "unwanted", "unused"))
    asks = [requirement(wanted, "Exists"), requirement(unwanted, "DoesNotExist")]
    make_hit(client, QualificationRequirements=asks)
    offered = elements(ada.get("/qualifications").text, "data-qualification-type-id")
    assert {found["data-qualification-type-id"] for found in offered} == {wanted, unused}


def test_a_test_is_shown_scored_by_its_key_and_retaken_after_its_delay(
    market: RunningMarketplace, client: Any, ada: SiteWorker, clock: AdjustableClock
) -> None:
    type_id = make_type(client, Test=TEST, TestDurationInSeconds=60, AnswerKey=KEY, RetryDelayInSeconds=3600)
    path = f"/qualifications/{type_id}"
    assert ada.get(f"{path}/test").headers["Location"] == path  # Not begun.
    assert ada.post(f"{path}/request").headers["Location"] == f"{path}/test"
    page = ada.get(f"{path}/test").text
    assert {found["data-question"] for found in elements(page, "data-question")} == {"a", "b"}
    assert "SelectionIdentifier" not in page
    assert "AnswerScore" not in page
    incomplete = ada.session.post(
        ada.url + f"{path}/test", data={"csrf": ada.csrf(page), "a": "no"}, timeout=30
    )
    assert (incomplete.status_code, "choose" in incomplete.text) == (400, True)
    fields = [("csrf", ada.csrf(page)), ("a", "no"), ("b", "1"), ("b", "2")]
    assert ada.session.post(ada.url + f"{path}/test", data=fields, timeout=30).status_code == 200
    assert (ada.main(path)["data-status"], ada.main(path)["data-value"]) == ("Granted", "75")
    where = {"QualificationTypeId": type_id, "WorkerId": worker_id_of(market, "Ada")}
    assert client.get_qualification_score(**where)["Qualification"]["IntegerValue"] == 75
    assert everything(client, "list_qualification_requests", "QualificationRequests") == []
    client.disassociate_qualification_from_worker(**where)
    early = ada.post(f"{path}/request")
    assert (early.status_code, "QualificationTypeRetryDelayNotElapsed" in early.text) == (409, True)
    clock.ahead = timedelta(seconds=3601)
    assert ada.post(f"{path}/request").status_code == 303


def test_a_test_without_a_delay_is_taken_once_and_its_time_ends(
    client: Any, ada: SiteWorker, clock: AdjustableClock
) -> None:
    type_id = make_type(client, Test=TEST, TestDurationInSeconds=60, AnswerKey=KEY)
    path = f"/qualifications/{type_id}"
    ada.post(f"{path}/request")
    clock.ahead = timedelta(seconds=61)
    late = ada.post(f"{path}/test", a="yes", b="1")
    assert late.headers["Location"] == path
    assert ada.main(path)["data-status"] != "Granted"
    again = ada.post(f"{path}/request")
    assert (again.status_code, "QualificationTypeDoesNotAllowRetake" in again.text) == (409, True)


def test_a_test_without_a_key_goes_to_its_owner_with_the_answers(client: Any, ada: SiteWorker) -> None:
    text = form_question("why", "<FreeTextAnswer/>")
    type_id = make_type(client, Test=question_form(text), TestDurationInSeconds=60)
    ada.post(f"/qualifications/{type_id}/request")
    ada.post(f"/qualifications/{type_id}/test", why="Rain & wind")
    [request] = everything(client, "list_qualification_requests", "QualificationRequests")
    assert "<FreeText>Rain &amp; wind</FreeText>" in request["Answer"]
    assert request["Test"] == question_form(text)
    client.delete_qualification_type(QualificationTypeId=type_id)
    with refusal("InvalidQualificationRequestState"):  # Deleting its type rejected it.
        client.accept_qualification_request(QualificationRequestId=request["QualificationRequestId"])


# --- requirements --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ([requirement("3NONE")], "QualificationTypeDoesNotExist"),
        ([requirement(RATE, IntegerValues=[1])], "InvalidParameterValue"),
        ([requirement(RATE, "GreaterThan")], "InvalidParameterValue"),
        ([requirement(RATE, "GreaterThan", IntegerValues=[1, 2])], "InvalidParameterValue"),
        ([requirement(RATE, "In", IntegerValues=list(range(16)))], "InvalidParameterValue"),
        ([requirement(RATE, "In", IntegerValues=[])], "InvalidParameterValue"),
        ([requirement(RATE, "EqualTo", LocaleValues=[{"Country": "DE"}])], "InvalidParameterValue"),
        ([requirement(LOCALE, "EqualTo", IntegerValues=[1])], "InvalidParameterValue"),
        ([requirement(LOCALE, "LessThan", LocaleValues=[{"Country": "DE"}])], "InvalidParameterValue"),
        ([requirement(LOCALE, "NotIn", LocaleValues=[{"Country": "DE"}] * 31)], "InvalidParameterValue"),
        ([requirement(LOCALE, "EqualTo", LocaleValues=[{"Country": "DEU"}])], "InvalidParameterValue"),
        ([requirement(RATE)] * 11, "InvalidParameterValue"),
        ([{**requirement(RATE), "RequiredToPreview": True}], "InvalidParameterValue"),
    ],
)
def test_requirements_that_the_protocol_forbids_are_refused(
    shared: RunningMarketplace, wanted: list[dict[str, Any]], code: str
) -> None:
    with refusal(code):
        make_hit(shared.client(), QualificationRequirements=wanted)
    with refusal(code):
        shared.client().create_hit_type(**TERMS, QualificationRequirements=wanted)


def test_the_longest_lists_are_taken(shared: RunningMarketplace) -> None:
    wanted = [
        requirement(RATE, "In", IntegerValues=list(range(15))),
        requirement(LOCALE, "NotIn", LocaleValues=[{"Country": "DE", "Subdivision": "BY"}] * 30),
    ]
    make_hit(shared.client(), QualificationRequirements=wanted + [requirement(RATE)] * 8)


def test_requirements_are_part_of_the_type_and_come_back_with_the_hit(client: Any) -> None:
    type_id = make_type(client)
    wanted = [requirement(type_id, "GreaterThan", "PreviewAndAccept", IntegerValues=[4])]
    plain, asking = make_hit(client), make_hit(client, QualificationRequirements=wanted)
    hits = [client.get_hit(HITId=hit_id)["HIT"] for hit_id in (plain, asking)]
    assert hits[0]["HITTypeId"] != hits[1]["HITTypeId"]
    assert hits[1]["QualificationRequirements"] == [{**wanted[0], "RequiredToPreview": True}]
    again = client.create_hit_type(**TERMS, QualificationRequirements=wanted)["HITTypeId"]
    assert again == hits[1]["HITTypeId"]

    def asked(wanted: str) -> list[str]:
        found = everything(client, "list_hits_for_qualification_type", "HITs", QualificationTypeId=wanted)
        return [hit["HITId"] for hit in found]

    assert (asked(type_id), asked(RATE)) == ([asking], [])
    with refusal("QualificationTypeDoesNotExist"):
        asked("3NONE")
    client.update_qualification_type(QualificationTypeId=type_id, QualificationTypeStatus="Inactive")
    with refusal("InvalidQualificationTypeState"):
        make_hit(client, QualificationRequirements=wanted)
    client.delete_qualification_type(QualificationTypeId=type_id)
    with refusal("QualificationTypeDoesNotExist"):
        client.create_hit_with_hit_type(HITTypeId=again, LifetimeInSeconds=60, Question=hits[0]["Question"])


@pytest.mark.parametrize(
    ("guard", "listed", "previewed"),
    [("Accept", True, 200), ("PreviewAndAccept", True, 409), ("DiscoverPreviewAndAccept", False, 409)],
)
def test_what_a_requirement_guards_is_closed_to_the_unqualified_with_the_reason(
    market: RunningMarketplace, client: Any, ada: SiteWorker, guard: str, listed: bool, previewed: int
) -> None:
    type_id = make_type(client)
    wanted = [requirement(type_id, "GreaterThanOrEqualTo", guard, IntegerValues=[5])]
    hit_id = make_hit(client, QualificationRequirements=wanted)
    where = {"QualificationTypeId": type_id, "WorkerId": worker_id_of(market, "Ada")}
    client.associate_qualification_with_worker(**where, IntegerValue=4)
    page = ada.get("/hits").text
    assert not elements(page, "data-hit-type-id")
    assert bool(elements(page, "data-closed-hit-type-id")) is listed
    assert ("at least 5" in page) is listed
    assert ada.get(f"/hits/{hit_id}").status_code == previewed
    refused = ada.post(f"/hits/{hit_id}/accept")
    assert (refused.status_code, "yours is 4" in refused.text) == (409, True)
    assert elements(refused.text, "data-reason")[0]["data-reason"] == "NotQualified"
    client.associate_qualification_with_worker(**where, IntegerValue=5)
    assert [found["data-hit-id"] for found in elements(ada.get("/hits").text, "data-hit-type-id")] == [hit_id]
    assert ada.get(f"/hits/{hit_id}").status_code == 200
    ada.accept(hit_id)


def test_the_systems_qualifications_come_from_history_and_profile(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    # One hundred submissions of which one in four was rejected, as the store would hold them.
    submitted(client, ada)
    with writing(market.engine) as connection:
        row = connection.execute(sa.select(tables.assignments)).one()._asdict()
        del row["number"]
        connection.execute(
            tables.hits.update().values(max_assignments=500, submitted=1, approved=75, rejected=24)
        )
        for place in range(99):
            state = "Rejected" if place < 24 else "Approved"
            other = connection.execute(
                tables.hits.insert().returning(tables.hits.c.number),
                {
                    **{
                        key: value
                        for key, value in connection.execute(
                            sa.select(tables.hits).where(tables.hits.c.number == row["hit_number"])
                        )
                        .one()
                        ._asdict()
                        .items()
                        if key != "number"
                    },
                    "hit_id": f"3COPY{place}",
                    "disposed_at": utc_now(),
                },
            ).scalar_one()
            connection.execute(
                tables.assignments.insert().values(
                    {**row, "assignment_id": f"3OLD{place}", "hit_number": other, "state": state,
                     "auto_approval_at": None}
                )
            )  # fmt: skip

    def accepted(*wanted: dict[str, Any]) -> bool:
        return (
            ada.post(f"/hits/{make_hit(client, QualificationRequirements=list(wanted))}/accept").status_code
            == 303
        )

    assert accepted(requirement(COUNT, "EqualTo", IntegerValues=[75]))
    assert accepted(requirement(RATE, "EqualTo", IntegerValues=[75]))
    assert not accepted(requirement(RATE, "GreaterThan", IntegerValues=[75]))
    german = requirement(
        LOCALE, "In", LocaleValues=[{"Country": "DE", "Subdivision": "BY"}, {"Country": "AT"}]
    )
    assert not accepted(german)
    assert not accepted(requirement(ADULT, "EqualTo", IntegerValues=[1]))
    assert ada.post("/profile", country="deu").status_code == 400
    assert ada.post("/profile", country="de", subdivision="by", adult="yes").status_code == 303
    assert accepted(german, requirement(ADULT, "EqualTo", IntegerValues=[1]))
    assert not accepted(requirement(LOCALE, "NotEqualTo", LocaleValues=[{"Country": "DE"}]))
    values = {
        found["data-qualification"]: found["data-value"]
        for found in elements(ada.get("/qualifications").text, "data-qualification")
    }
    assert list(values.values()) == ["75", "75", "DE-BY", "1", "no"]


def test_a_new_workers_rate_is_a_hundred_whatever_was_rejected(client: Any, ada: SiteWorker) -> None:
    _, assignment_id = submitted(client, ada)
    client.reject_assignment(AssignmentId=assignment_id, RequesterFeedback="No")
    ada.accept(
        make_hit(client, QualificationRequirements=[requirement(RATE, "EqualTo", IntegerValues=[100])])
    )


@pytest.mark.parametrize("type_id", [MASTERS, SANDBOX_MASTERS])
def test_hits_for_masters_are_done_by_those_whom_the_operator_named(
    market: RunningMarketplace, client: Any, ada: SiteWorker, clock: AdjustableClock, type_id: str
) -> None:
    hit_id = make_hit(client, QualificationRequirements=[requirement(type_id)])
    refused = ada.post(f"/hits/{hit_id}/accept")
    assert refused.status_code == 409
    assert 'data-reason="NotQualified"' in refused.text
    assert "Masters" in refused.text
    worker_id = worker_id_of(market, "Ada")
    people.name_master(market.engine, worker_id, clock())
    assignment_id = ada.accept(hit_id)
    assert ada.submit(assignment_id).status_code == 200
    people.name_master(market.engine, worker_id, None)
    other = make_hit(client, QualificationRequirements=[requirement(type_id)])
    assert ada.post(f"/hits/{other}/accept").status_code == 409


def test_hits_for_masters_cost_five_percent_more(market: RunningMarketplace, client: Any) -> None:
    def cost(assignments: int, *requirements: dict[str, Any]) -> str:
        before = Decimal(client.get_account_balance()["AvailableBalance"])
        wanted = {"Reward": "1.00", "MaxAssignments": assignments}
        make_hit(client, QualificationRequirements=list(requirements), **wanted)
        return str(before - Decimal(client.get_account_balance()["AvailableBalance"]))

    assert cost(1) == "1.20"
    assert cost(1, requirement(MASTERS)) == "1.25"
    assert cost(10, requirement(SANDBOX_MASTERS)) == "14.50"
    assert cost(1, requirement(MASTERS, "EqualTo", IntegerValues=[1])) == "1.25"
    assert cost(1, requirement(MASTERS, "DoesNotExist")) == "1.20"


def test_a_worker_sees_whether_she_is_a_master(
    market: RunningMarketplace, ada: SiteWorker, clock: AdjustableClock
) -> None:
    def said() -> dict[str, str]:
        rows = elements(ada.get("/qualifications").text, "data-qualification")
        return {row["data-qualification"]: row["data-value"] for row in rows}

    assert said()["Masters"] == "no"
    people.name_master(market.engine, worker_id_of(market, "Ada"), clock())
    assert said()["Masters"] == "yes"


def test_premium_qualifications_are_refused_by_name(client: Any) -> None:
    categorization_masters = "2NDP2L92HECWY8NS8H3CK0CP5L9GHO"
    with refusal("QualificationTypeDoesNotExist") as caught:
        make_hit(client, QualificationRequirements=[requirement(categorization_masters)])
    message = caught.value.response["Message"]
    assert categorization_masters in message
    assert "Premium" in message
