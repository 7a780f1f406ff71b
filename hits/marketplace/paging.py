"""NextToken: opaque, signed for its requester, and a place rather than a page number.

A place in an order that new rows only extend at one end stays right however much is added between pages.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..errors import RequestRefused
from .listings import AssignmentPosition
from .records import AssignmentRecord

_SEAL_BYTES = 12


def page_token(secret: str, requester_id: str, place: str) -> str:
    """The NextToken of a place."""
    return base64.urlsafe_b64encode(_seal(secret, requester_id, place) + place.encode()).decode()


def requested_place(secret: str, requester_id: str, request: Mapping[str, Any]) -> str | None:
    """The place in a request's NextToken, None without one; raises RequestRefused for a forged or foreign token."""
    token = request.get("NextToken")
    if token is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(token.encode())
        place = raw[_SEAL_BYTES:].decode()
    except (binascii.Error, ValueError) as error:
        raise _unknown() from error
    if not hmac.compare_digest(raw[:_SEAL_BYTES], _seal(secret, requester_id, place)):
        raise _unknown()
    return place


def row_number(place: str | None) -> int | None:
    """A place in a list that is ordered by row numbers."""
    if place is None:
        return None
    if not re.fullmatch("-?[0-9]{1,18}", place):
        raise _unknown()
    return int(place)


def assignment_position(place: str | None) -> AssignmentPosition | None:
    """A place in a list of submissions."""
    if place is None:
        return None
    moment, _, number = place.partition(" ")
    if not number:
        raise _unknown()
    return AssignmentPosition(datetime.fromisoformat(moment), int(number))


def assignment_place(assignment: AssignmentRecord) -> str:
    """Where a submission stands in its list."""
    assert assignment.submitted_at is not None, "only submissions are listed"
    return f"{assignment.submitted_at.isoformat()} {assignment.number}"


def _seal(secret: str, requester_id: str, place: str) -> bytes:
    return hmac.digest(secret.encode(), f"page {requester_id} {place}".encode(), "sha256")[:_SEAL_BYTES]


def _unknown() -> RequestRefused:
    return RequestRefused("NextToken is not one of this list's", "InvalidParameterValue")
