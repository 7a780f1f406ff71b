"""Files that workers upload to a QuestionForm: taken in, given out for a minute, deleted, backed up."""

from __future__ import annotations

import hashlib
import io
import re
from datetime import timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest
import requests
import sqlalchemy as sa

from hits.backup import back_up, restore
from hits.database import reading
from hits.marketplace import erasure
from hits.marketplace.tables import upload_pieces, uploads
from hits.marketplace.uploads import PIECE_BYTES

from ..marketplace_programs import form_question, make_hit, question_form, refusal, selections
from ..marketplace_server import AdjustableClock, RunningMarketplace
from ..marketplace_worker import SiteWorker, elements


def file_upload(least: object, most: object) -> str:
    return (
        f"<FileUploadAnswer><MinFileSizeInBytes>{least}</MinFileSizeInBytes>"
        f"<MaxFileSizeInBytes>{most}</MaxFileSizeInBytes></FileUploadAnswer>"
    )


FORM = question_form(
    form_question("photo", file_upload(3, 3_000_000)), form_question("kind", selections("cat", "dog"))
)


def form_of(worker: SiteWorker, assignment_id: str) -> dict[str, str]:
    page = requests.get(worker.frame_address(f"/assignments/{assignment_id}"), timeout=30).text
    [form] = elements(page, "action")
    return form


def upload(
    worker: SiteWorker,
    assignment_id: str,
    content: bytes | IO[bytes],
    name: str = "my cat.jpg",
    kind: str = "cat",
) -> requests.Response:
    """Submit the form as a browser does that shows it."""
    form = form_of(worker, assignment_id)
    assert form["enctype"] == "multipart/form-data"
    return requests.post(
        form["action"],
        data={"assignmentId": assignment_id, "kind": kind},
        files={"photo": (name, content, "text/html")},
        timeout=60,
    )


def given_out(client: Any, assignment_id: str) -> requests.Response:
    answer = client.get_file_upload_url(AssignmentId=assignment_id, QuestionIdentifier="photo")
    return requests.get(answer["FileUploadURL"], timeout=60)


def uploaded(client: Any, worker: SiteWorker, content: bytes = b"<script>", **changes: Any) -> str:
    assignment_id = worker.accept(make_hit(client, Question=FORM, **changes))
    assert upload(worker, assignment_id, content).status_code == 200
    return assignment_id


def kept(market: RunningMarketplace) -> tuple[int, int]:
    with reading(market.engine) as connection:
        counts = [
            connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in (uploads, upload_pieces)
        ]
    return counts[0] or 0, counts[1] or 0


def test_a_file_comes_back_as_it_was_sent_and_is_never_a_page(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    content = b"<script>alert(1)</script>" + bytes(range(256)) * 9_000  # Over the limit of other forms.
    assignment_id = ada.accept(make_hit(client, Question=FORM))
    assert upload(ada, assignment_id, content, name="../../ca\tt “1”.html").status_code == 200
    answer = client.get_assignment(AssignmentId=assignment_id)["Assignment"]["Answer"]
    assert f"<UploadedFileSizeInBytes>{len(content)}</UploadedFileSizeInBytes>" in answer
    assert re.search(r"<UploadedFileKey>[A-Z0-9]{30}</UploadedFileKey>", answer)
    assert kept(market) == (1, -(-len(content) // PIECE_BYTES))

    address = client.get_file_upload_url(AssignmentId=assignment_id, QuestionIdentifier="photo")[
        "FileUploadURL"
    ]
    assert urlsplit(address).hostname == urlsplit(market.settings.frame_url).hostname
    found = requests.get(address, timeout=60)
    assert hashlib.sha256(found.content).digest() == hashlib.sha256(content).digest()
    assert found.headers["Content-Type"] == "application/octet-stream"
    assert (
        found.headers["Content-Disposition"] == "attachment; filename*=UTF-8''cat%20%E2%80%9C1%E2%80%9D.html"
    )
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in found.headers["Content-Security-Policy"]


def test_an_address_is_valid_for_a_minute_and_for_one_file(
    client: Any, ada: SiteWorker, clock: AdjustableClock
) -> None:
    assignment_id, other_id = uploaded(client, ada, b"mine"), uploaded(client, ada, b"other")
    address, other = (
        client.get_file_upload_url(AssignmentId=work, QuestionIdentifier="photo")["FileUploadURL"]
        for work in (assignment_id, other_id)
    )
    assert requests.get(address, timeout=30).content == b"mine"
    forged = urlsplit(address)._replace(path=urlsplit(other).path).geturl()
    for wrong in (forged, re.sub(r"expires=\d+", "expires=9999999999", address), address.partition("?")[0]):
        assert requests.get(wrong, timeout=30).status_code == 403
    clock.ahead += timedelta(seconds=61)
    assert requests.get(address, timeout=30).status_code == 403
    assert given_out(client, assignment_id).content == b"mine"


def test_only_the_requester_of_a_submitted_answer_with_a_file_gets_an_address(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    assignment_id = uploaded(client, ada)
    other = market.client(market.requester("other"))
    for caller, work, question, code in (
        (other, assignment_id, "photo", "AssignmentDoesNotExist"),
        (client, "3NOTHING", "photo", "AssignmentDoesNotExist"),
        (client, assignment_id, "kind", "FileUploadDoesNotExist"),
        (client, assignment_id, "nothing", "FileUploadDoesNotExist"),
        (client, ada.accept(make_hit(client, Question=FORM)), "photo", "InvalidAssignmentState"),
    ):
        with refusal(code):
            caller.get_file_upload_url(AssignmentId=work, QuestionIdentifier=question)


@pytest.mark.parametrize("content", [b"", b"ab", bytes(3_000_001)])
def test_files_of_other_sizes_are_refused_with_the_reason(
    market: RunningMarketplace, client: Any, ada: SiteWorker, content: bytes
) -> None:
    assignment_id = ada.accept(make_hit(client, Question=FORM))
    answer = upload(ada, assignment_id, content)
    assert answer.status_code == 400
    assert "choose a file of 3 to 3,000,000 bytes" in answer.text
    assert ada.main(f"/assignments/{assignment_id}")["data-status"] == "Accepted"
    assert kept(market) == (0, 0)


def test_a_form_with_another_fault_asks_for_its_file_again(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    assignment_id = ada.accept(make_hit(client, Question=FORM))
    answer = upload(ada, assignment_id, b"a cat", kind="horse")
    assert answer.status_code == 400
    assert "choose the file again" in answer.text
    missing = ada.submit(assignment_id, {"kind": "cat", "photo": "no file at all"})
    assert (missing.status_code, "choose a file" in missing.text) == (400, True)
    assert kept(market) == (0, 0)
    assert upload(ada, assignment_id, b"a cat").status_code == 200


def test_a_file_that_nobody_asked_for_finds_no_room(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    text_only = question_form(form_question("kind", selections("cat")))
    assignment_id = ada.accept(make_hit(client, Question=text_only))
    assert "enctype" not in form_of(ada, assignment_id)
    address = f"{market.url}/mturk/externalSubmit"
    for query in ("", f"?assignmentId={assignment_id}", "?assignmentId=3NOTHING", "?assignmentId=%00"):
        answer = requests.post(
            address + query,
            data={"assignmentId": assignment_id, "kind": "cat"},
            files={"photo": ("large", io.BytesIO(bytes(1_100_000)))},
            timeout=30,
        )
        assert answer.status_code == 413
    assert requests.post(
        address,
        data={"assignmentId": assignment_id, "kind": "cat"},
        files={"photo": ("small", b"unasked")},
        timeout=30,
    ).ok
    assert kept(market) == (0, 0)


def test_files_go_with_their_hit_and_with_their_worker(
    market: RunningMarketplace, client: Any, ada: SiteWorker, clock: AdjustableClock
) -> None:
    disposed, erased = uploaded(client, ada), uploaded(client, ada, b"ada herself")
    client.approve_assignment(AssignmentId=disposed)
    hit_id = client.get_assignment(AssignmentId=disposed)["Assignment"]["HITId"]
    client.delete_hit(HITId=hit_id)
    assert kept(market) == (1, 1)
    worker_id = client.get_assignment(AssignmentId=erased)["Assignment"]["WorkerId"]
    address = client.get_file_upload_url(AssignmentId=erased, QuestionIdentifier="photo")["FileUploadURL"]
    erasure.erase(market.engine, worker_id, clock())
    assert kept(market) == (0, 0)
    assert requests.get(address, timeout=30).status_code == 404
    for assignment_id in (disposed, erased):
        with refusal("FileUploadDoesNotExist"):
            client.get_file_upload_url(AssignmentId=assignment_id, QuestionIdentifier="photo")


def test_a_backup_has_the_files(
    market: RunningMarketplace, client: Any, ada: SiteWorker, clock: AdjustableClock, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 2_000
    assignment_id = uploaded(client, ada, content)
    back_up(market.engine, tmp_path / "copy")
    worker_id = client.get_assignment(AssignmentId=assignment_id)["Assignment"]["WorkerId"]
    erasure.erase(market.engine, worker_id, clock())
    restore(market.engine, tmp_path / "copy")
    assert given_out(client, assignment_id).content == content


@pytest.mark.parametrize("sizes", [(5, 4), ("", 4), (1, "many"), (0, 0), (200_000_000, 300_000_000)])
def test_forms_that_ask_for_impossible_files_are_refused(client: Any, sizes: tuple[object, object]) -> None:
    with refusal("XMLParseError"):
        make_hit(client, Question=question_form(form_question("photo", file_upload(*sizes))))


def test_a_form_may_allow_more_than_is_taken_and_a_test_asks_for_no_file(
    client: Any, ada: SiteWorker
) -> None:
    hit_id = make_hit(client, Question=question_form(form_question("photo", file_upload(1, 2_000_000_000))))
    page = requests.get(ada.frame_address(f"/hits/{hit_id}"), timeout=30).text
    assert "1 to 100,000,000 bytes" in page
    with refusal("XMLParseError"):
        client.create_qualification_type(
            Name="Photographers", Description="They send a photo.", QualificationTypeStatus="Active", Test=FORM,
            TestDurationInSeconds=60,
        )  # fmt: skip
