"""Operations on workers: blocks, messages, bonuses."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import RequestRefused
from .. import blocks, bonuses, messages
from .calls import Answer, Caller, Operation, Request, amount_of, cents_of, numbered_page, text_of

MOST_RECIPIENTS = 100


def create_worker_block(caller: Caller, request: Request) -> Answer:
    reason = text_of(request, "Reason", 1024, least=1)
    blocks.block(caller.engine, caller.requester_id, request["WorkerId"], reason, caller.now)
    return {}


def delete_worker_block(caller: Caller, request: Request) -> Answer:
    text_of(request, "Reason", 1024)
    blocks.unblock(caller.engine, caller.requester_id, request["WorkerId"])
    return {}


def list_worker_blocks(caller: Caller, request: Request) -> Answer:
    shown, answer = numbered_page(
        caller,
        request,
        lambda limit, after: blocks.list_blocks(caller.engine, caller.requester_id, limit, after),
    )
    listed = [{"WorkerId": block.worker_id, "Reason": block.reason} for block in shown]
    return {**answer, "WorkerBlocks": listed}


def notify_workers(caller: Caller, request: Request) -> Answer:
    worker_ids = request["WorkerIds"]
    if not 1 <= len(worker_ids) <= MOST_RECIPIENTS:
        raise RequestRefused(f"WorkerIds must have 1 to {MOST_RECIPIENTS} entries", "InvalidParameterValue")
    subject = text_of(request, "Subject", 200, least=1)
    body = text_of(request, "MessageText", 4096, least=1)
    failed = messages.notify_workers(
        caller.engine, caller.requester_id, worker_ids, subject, body, caller.now
    )
    return {
        "NotifyWorkersFailureStatuses": [
            {
                "NotifyWorkersFailureCode": "HardFailure",
                "NotifyWorkersFailureMessage": undelivered.reason,
                "WorkerId": undelivered.worker_id,
            }
            for undelivered in failed
        ]
    }


def send_bonus(caller: Caller, request: Request) -> Answer:
    bonuses.send_bonus(
        caller.engine,
        caller.requester_id,
        request["WorkerId"],
        request["AssignmentId"],
        cents_of(request["BonusAmount"]),
        text_of(request, "Reason", 1024, least=1),
        request.get("UniqueRequestToken"),
        caller.now,
    )
    return {}


def list_bonus_payments(caller: Caller, request: Request) -> Answer:
    hit_id, assignment_id = request.get("HITId"), request.get("AssignmentId")
    if (hit_id is None) == (assignment_id is None):
        raise RequestRefused("give either HITId or AssignmentId", "InvalidParameterValue")
    shown, answer = numbered_page(
        caller,
        request,
        lambda limit, after: bonuses.list_bonuses(
            caller.engine, caller.requester_id, limit, after, hit_id=hit_id, assignment_id=assignment_id
        ),
    )
    listed = [
        {
            "WorkerId": bonus.worker_id,
            "BonusAmount": amount_of(bonus.cents),
            "AssignmentId": bonus.assignment_id,
            "Reason": bonus.reason,
            "GrantTime": bonus.granted_at,
        }
        for bonus in shown
    ]
    return {**answer, "BonusPayments": listed}


OPERATIONS: Mapping[str, Operation] = {
    "CreateWorkerBlock": create_worker_block,
    "DeleteWorkerBlock": delete_worker_block,
    "ListWorkerBlocks": list_worker_blocks,
    "NotifyWorkers": notify_workers,
    "SendBonus": send_bonus,
    "ListBonusPayments": list_bonus_payments,
}
