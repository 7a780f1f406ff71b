"""The Requester API's one HTTP endpoint: signature, codec, operation, error shapes."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Engine

from ..errors import DatabaseError, RequestRefused
from .api import OPERATIONS, Caller
from .arrivals import Signer, find_signer
from .auth import SignedRequest, verified_access_key
from .codec import CONTENT_TYPE, ProtocolError, operation_model, parse_request, serialise_answer
from .courier import Courier
from .dues import settle_due

logger = logging.getLogger(__name__)

TURK = "AWS.MechanicalTurk."


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer without a framework; the body is JSON."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer(
    engine: Engine,
    request: SignedRequest,
    secret: str,
    clock: Callable[[], datetime],
    courier: Courier,
    files_url: str,
) -> HttpAnswer:
    """Run one request of the Requester API; errors become answers in the protocol's shapes.

    Workers' files are given out under `files_url`.
    """
    try:
        body = _run(engine, request, secret, clock(), courier, files_url)
    except ProtocolError as error:
        return _error(error.status, error.code, {"message": str(error), "Message": str(error)})
    except RequestRefused as error:
        return _error(400, "RequestError", {"Message": str(error), "TurkErrorCode": TURK + error.code})
    except DatabaseError as error:
        logger.error("the Requester API's store failed: %s", error)
        return _fault(503, "the marketplace's store cannot be reached; try again later")
    except Exception:
        logger.exception("an operation of the Requester API failed")
        return _fault(500, "the marketplace failed; its log says why")
    return HttpAnswer(200, _headers(), body)


def _run(
    engine: Engine, request: SignedRequest, secret: str, now: datetime, courier: Courier, files_url: str
) -> bytes:
    signers: dict[str, Signer] = {}
    due = False

    def secret_of(access_key: str) -> str | None:
        nonlocal due
        signer, due = find_signer(engine, access_key, now)
        if signer is None:
            return None
        signers[access_key] = signer
        return signer.secret_key

    access_key = verified_access_key(request, secret_of, now)
    operation = operation_model(request.headers.get("x-amz-target", ""))
    run = OPERATIONS[operation.name]
    parsed = parse_request(operation, request.body)
    if due:
        settle_due(engine, now)
    caller = Caller(engine, signers[access_key].requester_id, now, secret, courier, files_url)
    return serialise_answer(operation, run(caller, parsed))


def _headers() -> dict[str, str]:
    return {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": str(uuid.uuid4()), "Cache-Control": "no-store"}


def _error(status: int, code: str, body: dict[str, str]) -> HttpAnswer:
    encoded = json.dumps({"__type": code, **body}).encode()
    return HttpAnswer(status, {**_headers(), "x-amzn-errortype": code}, encoded)


def _fault(status: int, message: str) -> HttpAnswer:
    return _error(status, "ServiceFault", {"Message": message, "TurkErrorCode": TURK + "ServiceFault"})
