"""Anything at all is sent to the marketplace: it answers with a reason, and never fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hits.marketplace import codec

from ..marketplace_programs import TERMS, form_question, make_hit, question_form
from ..marketplace_server import RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker, html_question

UNHURRIED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# What requests can carry in a header: no line ends, Latin-1.
HEADER_TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=80
).map(str.strip)
TEXT = st.text(max_size=60) | st.sampled_from(
    [
        "",
        "\x00",
        "\ud800",
        "'; DROP TABLE hits; --",
        "../../etc/passwd",
        "💥" * 70,
        "{{7*7}}",
        "<script>",
        "%00",
        "9" * 40,
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.sampled_from(
    sorted(
        {
            member
            for name in codec.service_model().operation_names
            if (shape := codec.service_model().operation_model(name).input_shape) is not None
            for member in shape.members
        }
    )
)
LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(
        f'<!ENTITY lol{n} "{f"&lol{n - 1 if n > 1 else chr(0)};".replace(chr(0), "") * 10}">'
        for n in range(1, 9)
    )
    + "]>"
)
INSIDE = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
# Odd, but a page all the same: the text came as JSON, whatever encoding it claims.
ODD = [
    '<?xml version="1.0" encoding="UTF-16"?>' + html_question(),
    '<?xml version="1.0" encoding="no-such"?>' + html_question(),
    html_question("]]>]]&gt;"),
    "\ufeff" + html_question(),
]
MALICE = [
    *ODD,
    LAUGHS + html_question("&lol8;"),
    INSIDE + html_question("&e;"),
    '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">' + html_question(),
    "<a>" * 5000 + "</a>" * 5000,
    "<a " + " ".join(f'b{n}="c"' for n in range(5000)) + "/>",
    html_question()[:-8],
    "<![CDATA[" * 100,
]


@dataclass(frozen=True)
class Place:
    """A marketplace with a worker at it and a HIT in her hands."""

    market: RunningMarketplace
    worker: SiteWorker
    hit_id: str
    assignment_id: str

    def call(self, operation: str, body: bytes, **headers: str) -> requests.Response:
        """A signed call with any body."""
        named = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"MTurkRequesterServiceV20170117.{operation}",
            **headers,
        }
        request = AWSRequest("POST", self.market.url + "/", headers=named, data=body)
        keys = Credentials(self.market.keys.access_key, self.market.keys.secret_key)
        SigV4Auth(keys, "mturk-requester", "us-east-1").add_auth(request)
        return requests.post(
            self.market.url + "/", data=body, headers=dict(request.headers.items()), timeout=30
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_marketplace(
        tmp_path_factory.mktemp("fuzzed"), sweep_seconds=3600, held_assignments=1000,
        misses_per_minute=0, sign_ins_per_minute=0, pages_per_minute=0, calls_per_second=0,
    ) as market:  # fmt: skip
        worker = SiteWorker(market.url, market.invite("Ada"))
        hit_id = make_hit(market.client(), MaxAssignments=3)
        yield Place(market, worker, hit_id, worker.accept(hit_id))


def has_reason(answer: requests.Response) -> None:
    """An error of the API is a 4xx with a code and a message."""
    assert answer.status_code in {200, 400, 403}, (answer.status_code, answer.text)
    if answer.status_code != 200:
        said = answer.json()
        assert said["__type"] in {"RequestError", "SerializationException", "UnknownOperationException"}
        assert said["Message"]


@UNHURRIED
@given(
    operation=st.sampled_from(sorted(codec.service_model().operation_names)),
    body=st.dictionaries(MEMBERS | TEXT, JSON, max_size=6),
)
def test_any_json_to_any_operation_is_answered_with_a_reason(
    place: Place, operation: str, body: dict[str, Any]
) -> None:
    has_reason(place.call(operation, json.dumps(body).encode("utf-8", "surrogatepass")))


@UNHURRIED
@given(operation=st.sampled_from(["CreateHIT", "GetHIT", "Nothing", ""]), body=st.binary(max_size=300))
@example("GetHIT", b"[" * 100_000)
@example("GetHIT", b'{"HITId": ' + b"9" * 5000 + b"}")
def test_any_bytes_as_a_body_are_answered_with_a_reason(place: Place, operation: str, body: bytes) -> None:
    has_reason(place.call(operation, body))


@pytest.mark.parametrize("number", range(len(MALICE)))
@pytest.mark.parametrize("member", ["Question", "Test", "AnswerKey"])
def test_malicious_xml_is_refused_with_a_reason_and_reads_nothing(
    place: Place, member: str, number: int
) -> None:
    if member == "Question":
        body = {**TERMS, "LifetimeInSeconds": 3600, "Question": MALICE[number]}
        answer = place.call("CreateHIT", json.dumps(body).encode())
    else:
        body = {
            "Name": f"q{number}",
            "Description": "d",
            "QualificationTypeStatus": "Active",
            "TestDurationInSeconds": 60,
        }
        answer = place.call("CreateQualificationType", json.dumps({**body, member: MALICE[number]}).encode())
    has_reason(answer)
    assert "root:" not in answer.text
    if member != "Question" or MALICE[number] not in ODD:
        assert answer.status_code == 400


@UNHURRIED
@given(xml=st.text(max_size=200).map(lambda text: html_question(text)) | TEXT)
def test_any_text_as_a_question_is_taken_or_refused(place: Place, xml: str) -> None:
    body = json.dumps({**TERMS, "LifetimeInSeconds": 3600, "Question": xml})
    answer = place.call("CreateHIT", body.encode())
    has_reason(answer)
    if answer.status_code == 200:
        # What was taken can be shown.
        preview = place.worker.get(f"/hits/{answer.json()['HIT']['HITId']}")
        assert preview.status_code == 200


@UNHURRIED
@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["Authorization", "X-Amz-Date", "X-Amz-Target", "Content-Type", "X-Forwarded-For", "Cookie"]
        ),
        HEADER_TEXT
        | st.just(
            "AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/mturk-requester/aws4_request, SignedHeaders=, Signature="
        ),
    ),
    body=st.binary(max_size=50),
)
def test_any_headers_without_a_signature_are_refused(
    place: Place, headers: dict[str, str], body: bytes
) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = requests.post(place.market.url + "/", data=body, headers=encoded, timeout=30)
    assert answer.status_code in {400, 403}, answer.text
    assert answer.text


POSTS = (
    "/invitation/{text}", "/sign-out", "/hits/{hit}/accept", "/assignments/{assignment}/return", "/profile",
    "/qualifications/{hit}/request", "/qualifications/{hit}/test", "/mturk/externalSubmit", "/privacy/erase",
    "/study/next", "/study/leave", "/study/finish", "/panel/{text}", "/requester/sign-in", "/requester/sign-out",
    "/requester/enter/{text}", "/requester/hits/{hit}/stop", "/requester/hits/{hit}/assignments/{assignment}",
)  # fmt: skip
FIELDS = st.sampled_from(
    ["csrf", "consent", "confirm", "assignmentId", "country", "access_key", "secret_key", "decision"]
)


@UNHURRIED
@given(
    path=st.sampled_from(POSTS),
    text=TEXT,
    fields=st.dictionaries(FIELDS | TEXT, TEXT, max_size=5),
    kind=st.sampled_from(["form", "multipart", "bytes", "wrong charset"]),
    body=st.binary(max_size=100),
    honest=st.booleans(),
)
def test_any_form_is_answered_and_changes_nothing_without_its_token(
    place: Place, path: str, text: str, fields: dict[str, str], kind: str, body: bytes, honest: bool
) -> None:
    clean = {
        name.encode("utf-8", "surrogatepass"): value.encode("utf-8", "surrogatepass")
        for name, value in fields.items()
    }
    address = place.market.url + path.format(
        text=quote(text.encode("utf-8", "surrogatepass"), safe=""),
        hit=place.hit_id,
        assignment=place.assignment_id,
    )
    # With a token the account itself would go: that is what its own tests are for.
    if honest and path not in {
        "/privacy/erase",
        "/sign-out",
        "/assignments/{assignment}/return",
        "/mturk/externalSubmit",
    }:
        clean[b"csrf"] = SiteWorker.csrf(place.worker.get("/earnings").text).encode()
    if kind == "form":
        options: dict[str, Any] = {"data": clean}
    elif kind == "multipart":
        options = {"data": b"--x\r\n" + body, "headers": {"Content-Type": "multipart/form-data; boundary=x"}}
    elif kind == "bytes":
        options = {"data": body, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    else:
        options = {
            "data": body,
            "headers": {"Content-Type": "application/x-www-form-urlencoded; charset=no-such"},
        }
    answer = place.worker.session.post(address, allow_redirects=False, timeout=30, **options)
    assert answer.status_code < 500, (address, answer.text)
    assert place.worker.get("/earnings").status_code == 200, "the session must still be hers"


UPLOAD_FORM = question_form(
    form_question(
        "photo",
        "<FileUploadAnswer><MinFileSizeInBytes>1</MinFileSizeInBytes><MaxFileSizeInBytes>40</MaxFileSizeInBytes>"
        "</FileUploadAnswer>",
    )
)


@UNHURRIED
@given(
    name=st.sampled_from(["photo", "assignmentId", "other"]) | TEXT,
    filename=st.text(max_size=40) | st.binary(max_size=40),
    kind=HEADER_TEXT,
    content=st.binary(max_size=60),
)
def test_any_file_under_any_name_is_taken_or_refused_with_a_reason(
    place: Place, name: str, filename: str | bytes, kind: str, content: bytes
) -> None:
    client: Any = place.market.client()
    assignment_id = place.worker.accept(make_hit(client, Question=UPLOAD_FORM))
    written = filename.encode("utf-8", "surrogatepass") if isinstance(filename, str) else filename
    field = name.encode("utf-8", "surrogatepass")
    body = b"".join(
        [
            b'--x\r\nContent-Disposition: form-data; name="assignmentId"\r\n\r\n',
            assignment_id.encode(),
            b'\r\n--x\r\nContent-Disposition: form-data; name="',
            field,
            b'"; filename="',
            written,
            b'"\r\nContent-Type: ',
            kind.encode("latin-1"),
            b"\r\n\r\n",
            content,
            b"\r\n--x--\r\n",
        ]
    )
    answer = requests.post(
        f"{place.market.url}/mturk/externalSubmit?assignmentId={assignment_id}",
        data=body,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        timeout=30,
    )
    assert answer.status_code in {200, 400}, answer.text
    if answer.status_code == 400:
        assert place.worker.post(f"/assignments/{assignment_id}/return").status_code == 303
    else:
        asked = {"AssignmentId": assignment_id, "QuestionIdentifier": "photo"}
        found = requests.get(client.get_file_upload_url(**asked)["FileUploadURL"], timeout=30)
        assert found.content == content
        assert found.headers["Content-Disposition"].startswith("attachment;")


@UNHURRIED
@given(
    path=st.sampled_from(
        ["/{text}", "/hits/{text}", "/assignments/{text}", "/frame/{hit}", "/earnings", "/requester/hits",
         "/panel/{text}", "/requester/ledger", "/requester/results.csv", "/requester/hits/{hit}", "/static/{text}",
         "/qualifications/{text}", "/files/{text}", "/files/{hit}"]
    ),
    text=TEXT,
    query=st.dictionaries(
        st.sampled_from(
            ["before", "after", "status", "type", "assignmentId", "visitor", "proof", "expires", "PROLIFIC_PID"]
        ),
        TEXT,
    ),
)  # fmt: skip
def test_any_address_is_answered(place: Place, path: str, text: str, query: dict[str, str]) -> None:
    def quoted(raw: str) -> str:
        return quote(raw.encode("utf-8", "surrogatepass"), safe="")

    address = place.market.url + path.format(text=quoted(text), hit=place.hit_id)
    address += "?" + "&".join(f"{name}={quoted(value)}" for name, value in query.items())
    answer = place.worker.session.get(address, allow_redirects=False, timeout=30)
    assert answer.status_code < 500, (address, answer.text)
