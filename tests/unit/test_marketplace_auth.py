"""Signatures made by botocore, verified here, and refused after any change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from hits.marketplace.auth import SignedRequest, verified_access_key
from hits.marketplace.codec import ProtocolError

SECRETS = {"HITSKEY": "a secret"}
BODY = b'{"HITId": "3ABC"}'


def signed(
    *, secret: str = "a secret", service: str = "mturk-requester", region: str = "eu-west-1", query: str = ""
) -> SignedRequest:
    request = AWSRequest(
        method="POST",
        url=f"http://127.0.0.1:8700/{'?' if query else ''}{query}",
        data=BODY,
        headers={
            "X-Amz-Target": "MTurkRequesterServiceV20170117.GetHIT",
            "Content-Type": "application/x-amz-json-1.1",
        },
    )
    SigV4Auth(Credentials("HITSKEY", secret), service, region).add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers["host"] = "127.0.0.1:8700"
    return SignedRequest("POST", "/", query, headers, BODY)


def verify(request: SignedRequest, ahead: timedelta = timedelta()) -> str:
    return verified_access_key(request, SECRETS.get, datetime.now(UTC) + ahead)


def changed(request: SignedRequest, **headers: str) -> SignedRequest:
    return replace(
        request,
        headers={**request.headers, **{name.replace("_", "-"): value for name, value in headers.items()}},
    )


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "mars-north-9"])
@pytest.mark.parametrize("query", ["", "b=2&a=1&a=0", "name=with%20space"])
def test_what_botocore_signs_is_accepted_in_any_region_and_again(region: str, query: str) -> None:
    request = signed(region=region, query=query)
    assert verify(request) == "HITSKEY"
    assert verify(request) == "HITSKEY"


def refused(request: SignedRequest, ahead: timedelta = timedelta()) -> str:
    with pytest.raises(ProtocolError) as caught:
        verify(request, ahead)
    assert "a secret" not in str(caught.value)
    return caught.value.code


def test_every_part_under_the_signature_is_held_to_it() -> None:
    good = signed()
    tampered = [
        signed(secret="another"),
        replace(good, body=BODY + b" "),
        replace(good, path="/other"),
        replace(good, query="a=1"),
        changed(good, host="evil.example"),
        changed(good, x_amz_target="MTurkRequesterServiceV20170117.DeleteHIT"),
        changed(good, content_type="text/plain"),
    ]
    assert {refused(request) for request in tampered} == {"InvalidSignatureException"}


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_over_fifteen_minutes_off_is_refused(minutes: int) -> None:
    assert refused(signed(), timedelta(minutes=minutes)) == "InvalidSignatureException"


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_within_fifteen_minutes_is_accepted(minutes: int) -> None:
    assert verify(signed(), timedelta(minutes=minutes)) == "HITSKEY"


def test_another_services_credential_is_refused() -> None:
    assert refused(signed(service="s3")) == "InvalidSignatureException"


def test_unsigned_unknown_and_malformed_requests_have_their_own_codes() -> None:
    good = signed()
    bare = {name: value for name, value in good.headers.items() if name != "authorization"}
    assert refused(replace(good, headers=bare)) == "MissingAuthenticationTokenException"
    assert refused(changed(good, authorization="Basic abc")) == "IncompleteSignatureException"
    unknown = good.headers["authorization"].replace("HITSKEY", "NOBODY")
    assert refused(changed(good, authorization=unknown)) == "UnrecognizedClientException"
    assert refused(changed(good, x_amz_date="yesterday")) == "IncompleteSignatureException"
    impossible = good.headers["x-amz-date"][:8] + "T996099Z"
    assert refused(changed(good, x_amz_date=impossible)) in {
        "IncompleteSignatureException",
        "InvalidSignatureException",
    }


def test_a_signature_that_leaves_the_operation_out_is_refused() -> None:
    good = signed()
    loose = good.headers["authorization"].replace(";x-amz-target", "")
    assert refused(changed(good, authorization=loose)) == "IncompleteSignatureException"
