"""What boto3 says of a marketplace, in this package's terms: its errors as one line each, its answers as records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from .errors import MarketplaceFaulty, MarketplaceUnavailable, RequestRefused
from .model import Assignment, AssignmentStatus, HitStatus, PublishedHit

CODE_PREFIX = "AWS.MechanicalTurk."
_KEYS_REFUSED = {
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "IncompleteSignatureException",
    "MissingAuthenticationTokenException",
    "InvalidClientTokenId",
    "AccessDeniedException",
}
_TRY_LATER = {"ServiceFault", "ThrottlingException", "Throttling", "TooManyRequestsException"}


def speaks_protocol(endpoint_url: str, answer: dict[str, Any]) -> dict[str, Any]:
    """`answer`, if it came as the protocol's JSON: botocore reads anything else as an answer without members."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if "amz-json" not in headers.get("content-type", ""):
        raise MarketplaceUnavailable(
            f"what answers at {endpoint_url} is no marketplace; check the endpoint's address"
        )
    return answer


@contextmanager
def translated(endpoint_url: str) -> Iterator[None]:
    """Turn botocore's errors into this package's, each one line."""
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _refusal(endpoint_url, error) from error
    except ParamValidationError as error:
        raise RequestRefused(_one_line(error), "InvalidParameterValue") from error
    except (BotoCoreError, ResponseParserError, ValueError) as error:
        raise _failure(endpoint_url, error) from error


def unreadable(endpoint_url: str, error: Exception) -> MarketplaceFaulty:
    """An answer that is not what the protocol says."""
    return MarketplaceFaulty(
        f"the marketplace at {endpoint_url} gave an answer that cannot be read "
        f"({type(error).__name__}: {_one_line(error)}); try again later, and look at its log"
    )


def _failure(endpoint_url: str, error: Exception) -> MarketplaceUnavailable:
    """What an error of botocore's own means: that there was no answer, or one that it cannot read."""
    from botocore.exceptions import BotoCoreError, PaginationError

    # An address that cannot be one is a UnicodeError.
    answered = isinstance(error, PaginationError) or not isinstance(error, BotoCoreError | UnicodeError)
    if answered:
        return unreadable(endpoint_url, error)
    return MarketplaceUnavailable(
        f"the marketplace at {endpoint_url} cannot be reached: {_one_line(error)}; "
        "start it with `imagenet-builder marketplace serve`"
    )


def _refusal(endpoint_url: str, error: Any) -> MarketplaceUnavailable | RequestRefused:
    """What a botocore ClientError means here."""
    response = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Message") or response.get("Error", {}).get("Message") or code)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _KEYS_REFUSED:
        return MarketplaceUnavailable(
            f"the marketplace at {endpoint_url} refused the keys ({code}); "
            "check them against `imagenet-builder marketplace keys`, and this machine's clock"
        )
    if code.isdigit():
        return MarketplaceUnavailable(
            f"what answers at {endpoint_url} is no marketplace (HTTP {code}); check the endpoint's address"
        )
    if code in _TRY_LATER or status >= 500:
        return MarketplaceFaulty(
            f"the marketplace at {endpoint_url} failed: {_one_line(message)}; "
            "try again later, and look at its log"
        )
    turk_code = str(response.get("TurkErrorCode") or code).removeprefix(CODE_PREFIX)
    return RequestRefused(
        f"the marketplace refused {error.operation_name}: {_one_line(message)} ({turk_code})", turk_code
    )


def already_exists(refusal: RequestRefused) -> bool:
    return refusal.code.lower() == "hitalreadyexists"


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def cents_of(amount: str) -> int:
    return int(Decimal(amount) * 100)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def published_hit(hit: dict[str, Any]) -> PublishedHit:
    return PublishedHit(
        hit_id=str(hit["HITId"]),
        annotation=str(hit.get("RequesterAnnotation", "")),
        status=HitStatus(hit["HITStatus"]),
        max_assignments=int(hit["MaxAssignments"]),
        reward_cents=cents_of(hit["Reward"]),
        created_at=_utc(hit["CreationTime"]),
        expires_at=_utc(hit["Expiration"]),
        reviewed=int(hit.get("NumberOfAssignmentsCompleted", 0)),
    )


def submission(found: dict[str, Any]) -> Assignment:
    return Assignment(
        assignment_id=str(found["AssignmentId"]),
        hit_id=str(found["HITId"]),
        worker_id=str(found["WorkerId"]),
        status=AssignmentStatus(found["AssignmentStatus"]),
        accepted_at=_utc(found["AcceptTime"]),
        submitted_at=_utc(found["SubmitTime"]),
        answer_xml=str(found["Answer"]),
    )
