"""Blocks, messages and bonuses through unmodified boto3, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ..marketplace_programs import balance, everything, make_hit, refusal, submitted
from ..marketplace_server import AdjustableClock, RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker, elements
from .test_marketplace_qualifications import worker_id_of
from .test_marketplace_store import assert_balanced


@pytest.fixture
def market(tmp_path: Path, store_url: str, clock: AdjustableClock) -> Iterator[RunningMarketplace]:
    with running_marketplace(tmp_path, database_url=store_url, clock=clock, sweep_seconds=3600) as running:
        yield running
        assert_balanced(running.engine)


def test_a_blocked_worker_finishes_what_she_holds_and_gets_nothing_more(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    worker_id = worker_id_of(market, "Ada")
    held, hit_id = ada.accept(make_hit(client)), make_hit(client)
    elsewhere = make_hit(market.client(market.requester("other")), Title="Another's")
    for reason in ("Spam", "All yes"):
        client.create_worker_block(WorkerId=worker_id, Reason=reason)
    bo_id = worker_id_of(market, "Bo") if market.invite("Bo") else ""
    client.create_worker_block(WorkerId=bo_id, Reason="Too")
    assert everything(client, "list_worker_blocks", "WorkerBlocks") == [
        {"WorkerId": worker_id, "Reason": "All yes"},
        {"WorkerId": bo_id, "Reason": "Too"},
    ]
    assert ada.submit(held).status_code == 200
    assert [found["data-hit-id"] for found in elements(ada.get("/hits").text, "data-hit-id")] == [elsewhere]
    refused = ada.post(f"/hits/{hit_id}/accept")
    assert (refused.status_code, "All yes" in refused.text) == (409, False)
    assert elements(refused.text, "data-reason")[0]["data-reason"] == "Blocked"
    assert ada.get(f"/hits/{hit_id}").status_code == 409
    for _ in range(2):
        client.delete_worker_block(WorkerId=worker_id, Reason="Sorry")
    ada.accept(hit_id)
    for wrong in ({"WorkerId": "ANOBODY", "Reason": "x"}, {"WorkerId": worker_id, "Reason": " "}):
        with refusal("InvalidParameterValue"):
            client.create_worker_block(**wrong)
    with refusal("InvalidParameterValue"):
        client.delete_worker_block(WorkerId="ANOBODY")
    assert everything(market.client(market.requester("third")), "list_worker_blocks", "WorkerBlocks") == []


def test_a_message_reaches_those_whose_work_was_decided_and_names_the_rest(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    SiteWorker(market.url, market.invite("Bo"))
    ada_id, bo_id = worker_id_of(market, "Ada"), worker_id_of(market, "Bo")
    _, assignment_id = submitted(client, ada)
    client.approve_assignment(AssignmentId=assignment_id)
    answer = client.notify_workers(
        Subject="More <b>work", MessageText="Come & see", WorkerIds=[ada_id, bo_id, "ANOBODY"]
    )
    failed = {entry["WorkerId"]: entry for entry in answer["NotifyWorkersFailureStatuses"]}
    assert set(failed) == {bo_id, "ANOBODY"}
    assert {entry["NotifyWorkersFailureCode"] for entry in failed.values()} == {"HardFailure"}
    assert elements(ada.get("/hits").text, "data-unread")[0]["data-unread"] == "1"
    page = ada.get("/messages").text
    assert ("Come &amp; see" in page, "<b>work" in page) == (True, False)
    assert not elements(ada.get("/hits").text, "data-unread")
    for wrong in (
        {"Subject": " ", "MessageText": "x", "WorkerIds": [ada_id]},
        {"Subject": "s" * 201, "MessageText": "x", "WorkerIds": [ada_id]},
        {"Subject": "s", "MessageText": "x" * 4097, "WorkerIds": [ada_id]},
        {"Subject": "s", "MessageText": "x", "WorkerIds": []},
        {"Subject": "s", "MessageText": "x", "WorkerIds": [ada_id] * 101},
    ):
        with refusal("InvalidParameterValue"):
            client.notify_workers(**wrong)


def test_a_bonus_pays_the_worker_and_the_fee_and_is_listed(
    market: RunningMarketplace, client: Any, ada: SiteWorker, clock: AdjustableClock
) -> None:
    worker_id = worker_id_of(market, "Ada")
    hit_id, assignment_id = submitted(client, ada)
    before = balance(client)
    bonus = {"WorkerId": worker_id, "AssignmentId": assignment_id, "Reason": "Fast & right"}
    client.send_bonus(**bonus, BonusAmount="1.01", UniqueRequestToken="once")
    assert (before[0], balance(client)[0]) == ("9999.70", "9998.48")  # 1.01 and 0.21 of fee
    with refusal("BonusAlreadyExists") as refused:
        client.send_bonus(**bonus, BonusAmount="1.01", UniqueRequestToken="once")
    assert assignment_id in refused.value.response["Message"]
    client.send_bonus(**bonus, BonusAmount="0.01")
    assert balance(client)[0] == "9998.46"
    assert ada.main("/earnings")["data-approved-cents"] == "102"
    assert "Fast &amp; right" in ada.get("/messages").text
    places: tuple[dict[str, Any], ...] = ({"HITId": hit_id}, {"AssignmentId": assignment_id})
    for where in places:
        paid = everything(client, "list_bonus_payments", "BonusPayments", **where)
        assert [entry["BonusAmount"] for entry in paid] == ["1.01", "0.01"]
        assert paid[0].pop("GrantTime")
        assert paid[0] == {**bonus, "BonusAmount": "1.01"}


def test_a_bonus_that_cannot_be_is_refused(market: RunningMarketplace, ada: SiteWorker) -> None:
    poor = market.client(market.requester("poor", 100))
    other = market.client(market.requester("other"))
    worker_id = worker_id_of(market, "Ada")
    hit_id, assignment_id = submitted(poor, ada)
    bonus = {"WorkerId": worker_id, "AssignmentId": assignment_id, "Reason": "r", "BonusAmount": "0.10"}
    with refusal("InsufficientFunds"):
        poor.send_bonus(**{**bonus, "BonusAmount": "0.60"}, UniqueRequestToken="t")
    for changes in ({"BonusAmount": "0.00"}, {"BonusAmount": "x"}, {"Reason": " "}, {"WorkerId": "ABO"}):
        with refusal("InvalidParameterValue"):
            poor.send_bonus(**{**bonus, **changes})
    with refusal("AssignmentDoesNotExist"):
        other.send_bonus(**bonus)
    with refusal("InvalidAssignmentState"):
        poor.send_bonus(**{**bonus, "AssignmentId": ada.accept(make_hit(poor))})
    for wrong, code in (
        ({}, "InvalidParameterValue"),
        ({"HITId": hit_id, "AssignmentId": assignment_id}, "InvalidParameterValue"),
        ({"HITId": "3NONE"}, "HITDoesNotExist"),
        ({"AssignmentId": "3NONE"}, "AssignmentDoesNotExist"),
    ):
        with refusal(code):
            poor.list_bonus_payments(**wrong)
    with refusal("HITDoesNotExist"):
        other.list_bonus_payments(HITId=hit_id)
    poor.send_bonus(**bonus, UniqueRequestToken="t")  # What was refused left its token free.


def test_a_token_pays_once_in_a_race_and_after_a_day(
    market: RunningMarketplace, client: Any, ada: SiteWorker, clock: AdjustableClock
) -> None:
    _, assignment_id = submitted(client, ada)
    bonus = {"WorkerId": worker_id_of(market, "Ada"), "AssignmentId": assignment_id, "Reason": "r"}

    def pay(_: int) -> str:
        try:
            client.send_bonus(**bonus, BonusAmount="1.00", UniqueRequestToken="once")
        except ClientError as error:
            return str(error.response["TurkErrorCode"])
        return "paid"

    refused = "AWS.MechanicalTurk.BonusAlreadyExists"

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(pay, range(6))) == [refused] * 5 + ["paid"]
    with market.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE bonuses SET granted_at = '2020-01-01 00:00:00'")
    assert pay(0) == refused
    assert ada.main("/earnings")["data-approved-cents"] == "100"
