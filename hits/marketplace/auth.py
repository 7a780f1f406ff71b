"""AWS Signature Version 4, the verifying side.

Specification: "Create a signed AWS API request" in the AWS IAM User Guide. A repeated request is never refused:
two equal calls within one second carry equal signatures.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qsl, quote

from .codec import ProtocolError

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "mturk-requester"
CLOCK_WINDOW = timedelta(minutes=15)
# Without these under the signature a request could be replayed as another operation, or elsewhere.
_SIGNED_ALWAYS = frozenset({"host", "x-amz-date", "x-amz-target"})

_AUTHORIZATION = re.compile(
    ALGORITHM + r"\s+Credential=(?P<key>[^/\s,]+)/(?P<date>\d{8})/(?P<region>[^/\s,]+)/(?P<service>[^/\s,]+)"
    r"/aws4_request\s*,\s*SignedHeaders=(?P<headers>[a-z0-9;-]+)\s*,\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What of an HTTP request is under its signature; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def verified_access_key(request: SignedRequest, secret_of: Callable[[str], str | None], now: datetime) -> str:
    """The access key that signed the request; raises ProtocolError if none did, or not within 15 minutes of `now`."""
    authorization = request.headers.get("authorization")
    if not authorization:
        raise ProtocolError("the request is not signed", "MissingAuthenticationTokenException", 403)
    credential = _AUTHORIZATION.fullmatch(authorization.strip())
    if credential is None:
        raise ProtocolError("the Authorization header is not SigV4's", "IncompleteSignatureException")
    stamp = request.headers.get("x-amz-date", "")
    _check_scope(credential, stamp)
    secret = secret_of(credential["key"])
    if secret is None:
        raise ProtocolError("this marketplace knows no such access key", "UnrecognizedClientException", 403)
    expected = _signature(request, credential, stamp, secret)
    if not hmac.compare_digest(expected, credential["signature"]):
        raise ProtocolError(
            "the signature does not match: check the secret key", "InvalidSignatureException", 403
        )
    _check_clock(stamp, now)
    return credential["key"]


def _check_scope(credential: re.Match[str], stamp: str) -> None:
    missing = _SIGNED_ALWAYS - set(credential["headers"].split(";"))
    if missing:
        raise ProtocolError(
            f"headers that must be signed are not: {', '.join(sorted(missing))}",
            "IncompleteSignatureException",
        )
    if credential["service"] != SERVICE:
        raise ProtocolError(
            f"the credential is for {credential['service']}, not {SERVICE}", "InvalidSignatureException", 403
        )
    if not re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", stamp) or stamp[:8] != credential["date"]:
        raise ProtocolError("X-Amz-Date and the credential's date differ", "IncompleteSignatureException")


def _check_clock(stamp: str, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise ProtocolError(f"X-Amz-Date {stamp} is no time", "IncompleteSignatureException") from error
    if abs(now - signed_at) > CLOCK_WINDOW:
        raise ProtocolError(
            f"signed at {signed_at.isoformat()}, over 15 minutes from this server's {now.isoformat()}: "
            "set the clock",
            "InvalidSignatureException",
            403,
        )


def _signature(request: SignedRequest, credential: re.Match[str], stamp: str, secret: str) -> str:
    scope = f"{credential['date']}/{credential['region']}/{credential['service']}/aws4_request"
    canonical = hashlib.sha256(_canonical_request(request, credential["headers"]).encode()).hexdigest()
    key = _signing_key(secret, credential["date"], credential["region"], credential["service"])
    return hmac.digest(key, "\n".join((ALGORITHM, stamp, scope, canonical)).encode(), "sha256").hex()


@lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """A key for a day, which all calls of that day share."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical_request(request: SignedRequest, signed_headers: str) -> str:
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(request.query, keep_blank_values=True)
    )
    lines = [
        f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed_headers.split(";")
    ]
    return "\n".join(
        (
            request.method,
            request.path,
            "&".join(f"{name}={value}" for name, value in pairs),
            "".join(lines),
            signed_headers,
            hashlib.sha256(request.body).hexdigest(),
        )
    )
