"""The server codec against every constraint of the published model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.errors import RequestRefused
from hits.marketplace import codec
from hits.marketplace.codec import ProtocolError

PREFIX = "MTurkRequesterServiceV20170117"


def parse(operation: str, **members: Any) -> dict[str, Any]:
    return codec.parse_request(codec.operation_model(f"{PREFIX}.{operation}"), json.dumps(members).encode())


def test_a_request_comes_out_by_the_models_names_with_its_times() -> None:
    assert parse("UpdateExpirationForHIT", HITId="3ABC", ExpireAt=1767225600.5) == {
        "HITId": "3ABC",
        "ExpireAt": datetime(2026, 1, 1, 0, 0, 0, 500000, tzinfo=UTC),
    }


def test_unknown_members_and_nulls_are_ignored() -> None:
    assert parse("GetHIT", HITId="3ABC", Colour="blue") == {"HITId": "3ABC"}
    assert parse("ListHITs", MaxResults=None) == {}


@pytest.mark.parametrize(
    ("operation", "members", "named"),
    [
        ("GetHIT", {}, "HITId is required"),
        ("GetHIT", {"HITId": None}, "HITId is required"),
        ("GetHIT", {"HITId": "lower"}, "HITId must match"),
        ("GetHIT", {"HITId": "3ABC\n"}, "HITId must match"),
        ("GetHIT", {"HITId": "3" * 65}, "at most 64"),
        ("GetHIT", {"HITId": ""}, "at least 1"),
        ("GetHIT", {"HITId": 7}, "must be a string"),
        ("GetHIT", {"HITId": "3\x00"}, "not text"),
        ("ListHITs", {"MaxResults": 101}, "at most 100"),
        ("ListHITs", {"MaxResults": 0}, "at least 1"),
        ("ListHITs", {"MaxResults": True}, "whole number"),
        ("ListHITs", {"MaxResults": 2.5}, "whole number"),
        ("ListHITs", {"MaxResults": 2**31}, "out of range"),
        ("ListHITs", {"NextToken": "x" * 256}, "at most 255"),
        ("ListReviewableHITs", {"Status": "Disposed"}, "must be one of Reviewable, Reviewing"),
        (
            "ListAssignmentsForHIT",
            {"HITId": "3A", "AssignmentStatuses": ["Done"]},
            r"AssignmentStatuses\[0\]",
        ),
        ("ListAssignmentsForHIT", {"HITId": "3A", "AssignmentStatuses": "Approved"}, "must be a list"),
        ("UpdateExpirationForHIT", {"HITId": "3A", "ExpireAt": "soon"}, "must be a time"),
        ("UpdateExpirationForHIT", {"HITId": "3A", "ExpireAt": 1e18}, "no time"),
        ("UpdateHITReviewStatus", {"HITId": "3A", "Revert": "yes"}, "true or false"),
        (
            "CreateHITType",
            {"Reward": "1.234", "Title": "t", "Description": "d", "AssignmentDurationInSeconds": 60},
            "Reward",
        ),
        (
            "CreateHITType",
            {"Reward": "-1", "Title": "t", "Description": "d", "AssignmentDurationInSeconds": 60},
            "Reward",
        ),
    ],
)
def test_every_constraint_of_the_model_is_held(operation: str, members: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestRefused, match=named) as refused:
        parse(operation, **members)
    assert refused.value.code == "InvalidParameterValue"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b'{"ExpireAt": NaN, "HITId": "3A"}',
        b"[" * 100_000,
        b'{"a": "' + b"\\ud800" * 2,
    ],
)
def test_what_is_not_a_json_object_is_refused_before_any_operation(body: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        codec.parse_request(codec.operation_model(f"{PREFIX}.UpdateExpirationForHIT"), body)
    assert refused.value.code == "SerializationException"


@pytest.mark.parametrize("target", ["", "GetHIT", f"{PREFIX}.Get", "Other.GetHIT", f"{PREFIX}.GetHIT.x"])
def test_targets_that_are_no_operation_are_unknown(target: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        codec.operation_model(target)
    assert refused.value.code == "UnknownOperationException"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    [
        "Title",
        "Reward",
        "Question",
        "MaxAssignments",
        "LifetimeInSeconds",
        "QualificationRequirements",
        "HITTypeId",
    ]
)


@given(
    operation=st.sampled_from(sorted(codec.service_model().operation_names)),
    body=st.dictionaries(MEMBERS, ANYTHING),
)
def test_no_document_does_more_than_be_refused(operation: str, body: dict[str, Any]) -> None:
    model = codec.operation_model(f"{PREFIX}.{operation}")
    try:
        parsed = codec.parse_request(model, json.dumps(body).encode())
    except RequestRefused:
        return
    assert parsed.keys() <= (model.input_shape.members.keys() if model.input_shape else set())


def test_answers_hold_epoch_times_and_leave_out_what_is_none() -> None:
    model = codec.operation_model(f"{PREFIX}.GetHIT")
    answer = {
        "HIT": {"HITId": "3A", "RequesterAnnotation": None, "CreationTime": datetime(2026, 1, 1, tzinfo=UTC)}
    }
    assert json.loads(codec.serialise_answer(model, answer)) == {
        "HIT": {"HITId": "3A", "CreationTime": 1767225600.0}
    }


def test_an_answer_outside_of_the_model_is_a_mistake_that_shows() -> None:
    with pytest.raises(ValueError, match="Colour"):
        codec.serialise_answer(codec.operation_model(f"{PREFIX}.GetHIT"), {"HIT": {"Colour": "blue"}})
