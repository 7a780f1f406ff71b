"""The requester against the running marketplace, through unmodified boto3."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hits.answers import parse
from hits.errors import MarketplaceUnavailable, RequestRefused
from hits.model import Answer, AssignmentStatus, HitStatus
from hits.page import render
from hits.pricing import fee_cents
from hits.requester import Requester, connect
from hits.simulation import CAREFUL, SimulatedWorker, simulate
from tests.marketplace_server import running_marketplace
from tests.picture_site import PictureSite, running_picture_site, terms
from tests.real_parts import free_port


@pytest.fixture
def site() -> Iterator[PictureSite]:
    with running_picture_site() as pictures:
        yield pictures


@pytest.fixture
def marketplace(tmp_path: Path) -> Iterator[Any]:
    with running_marketplace(tmp_path) as running:
        yield running


@pytest.fixture
def requester(marketplace: Any) -> Requester:
    return requester_of(marketplace)


@pytest.fixture
def question(site: PictureSite) -> str:
    return render(site.page("a1", "b2", "c3"))


def requester_of(marketplace: Any) -> Requester:
    return connect(marketplace.url, marketplace.keys.access_key, marketplace.keys.secret_key)


def work(marketplace: Any, *pseudonyms: str, truth: bool = True) -> int:
    """Let invited workers answer all that is offered; returns the number of pages."""
    crowd = [SimulatedWorker(marketplace.invite(pseudonym), CAREFUL) for pseudonym in pseudonyms]
    return asyncio.run(simulate(crowd, lambda _: truth)).pages


def test_a_page_goes_out_and_its_answers_come_back(
    marketplace: Any, requester: Requester, question: str
) -> None:
    before = requester.balance_cents()
    hit_id = requester.create_hit("token-1", "category:n1:page:1", terms(), question)
    assert requester.balance_cents() == before - 3 * (10 + fee_cents(10, 3))
    hit = requester.hit(hit_id)
    assert (hit.annotation, hit.status, hit.max_assignments, hit.reward_cents) == (
        "category:n1:page:1",
        HitStatus.ASSIGNABLE,
        3,
        10,
    )
    assert hit.created_at.tzinfo is UTC
    assert timedelta(minutes=59) < hit.expires_at - datetime.now(UTC) < timedelta(minutes=61)

    assert work(marketplace, "ann", "ben", "cem") == 3
    assert list(requester.reviewable()) == [hit_id]
    assignments = list(requester.assignments(hit_id))
    assert len({assignment.worker_id for assignment in assignments}) == 3
    for assignment in assignments:
        assert assignment.hit_id == hit_id
        assert assignment.status is AssignmentStatus.SUBMITTED
        assert assignment.accepted_at <= assignment.submitted_at
        answers = parse(assignment.answer_xml)
        assert [cell.name for cell in answers.cells] == ["a1", "b2", "c3"]
        assert answers.seconds
        assert sum(cell.answer is Answer.YES for cell in answers.cells) >= 2


def test_assignments_are_listed_by_status_and_before_the_hit_is_reviewable(
    marketplace: Any, requester: Requester, question: str
) -> None:
    hit_id = requester.create_hit("token-1", "a", terms(), question)
    work(marketplace, "ann", "ben")
    assert list(requester.reviewable()) == []
    first, second = requester.assignments(hit_id)
    requester.approve(first.assignment_id)
    requester.reject(second.assignment_id, "The controls were wrong.")
    for status, expected in (
        (AssignmentStatus.SUBMITTED, []),
        (AssignmentStatus.APPROVED, [first.assignment_id]),
        (AssignmentStatus.REJECTED, [second.assignment_id]),
    ):
        assert [found.assignment_id for found in requester.assignments(hit_id, [status])] == expected


def test_the_same_token_gives_the_same_hit_and_costs_once(
    marketplace: Any, requester: Requester, question: str
) -> None:
    hit_id = requester.create_hit("token-1", "page 1", terms(), question)
    balance = requester.balance_cents()
    assert requester.create_hit("token-1", "page 1", terms(), question) == hit_id
    assert requester_of(marketplace).create_hit("token-1", "page 1", terms(), question) == hit_id
    assert requester.balance_cents() == balance
    assert requester.create_hit("token-2", "page 2", terms(), question) != hit_id


def test_a_used_token_with_another_annotation_is_refused(requester: Requester, question: str) -> None:
    requester.create_hit("token-1", "page 1", terms(), question)
    with pytest.raises(RequestRefused) as refusal:
        requester.create_hit("token-1", "page 2", terms(), question)
    assert refusal.value.code.lower() == "hitalreadyexists"


def test_hits_are_found_by_annotation_over_several_pages_of_the_list(
    requester: Requester, question: str
) -> None:
    made = {
        requester.create_hit(f"token-{number}", f"project-a:{number}", terms(1, 1), question)
        for number in range(103)
    }
    requester.create_hit("other", "project-b:0", terms(1, 1), question)
    found = list(requester.find_by_annotation("project-a:"))
    assert len(found) == 103
    assert {hit.hit_id for hit in found} == made


def test_approving_and_rejecting_twice_is_done_once(
    marketplace: Any, requester: Requester, question: str
) -> None:
    hit_id = requester.create_hit("token-1", "a", terms(), question)
    work(marketplace, "ann", "ben")
    first, second = requester.assignments(hit_id)
    for _ in range(2):
        requester.approve(first.assignment_id)
        requester.reject(second.assignment_id, "The controls were wrong.")
    with pytest.raises(RequestRefused) as refusal:
        requester.reject(first.assignment_id, "Too late.")
    assert refusal.value.code == "InvalidAssignmentState"
    statuses = [assignment.status for assignment in requester.assignments(hit_id)]
    assert sorted(statuses) == ["Approved", "Rejected"]


def test_extending_with_one_token_extends_once(requester: Requester, question: str) -> None:
    hit_id = requester.create_hit("token-1", "a", terms(), question)
    for _ in range(2):
        requester.extend(hit_id, 2, "more-1")
    assert requester.hit(hit_id).max_assignments == 5
    requester.extend(hit_id, 1, "more-2")
    assert requester.hit(hit_id).max_assignments == 6
    with pytest.raises(RequestRefused) as refusal:
        requester.extend(hit_id, 4, "more-3")
    assert refusal.value.code == "InvalidMaximumAssignmentsIncrease"


def test_expiring_and_deleting_can_be_repeated(marketplace: Any, requester: Requester, question: str) -> None:
    before = requester.balance_cents()
    hit_id = requester.create_hit("token-1", "a", terms(), question)
    with pytest.raises(RequestRefused):
        requester.delete(hit_id)
    for _ in range(2):
        requester.expire(hit_id)
    assert requester.hit(hit_id).expires_at <= datetime.now(UTC)
    assert work(marketplace, "ann") == 0
    for _ in range(2):
        requester.delete(hit_id)
    assert requester.balance_cents() == before


def test_a_hit_with_unreviewed_work_is_not_deleted(
    marketplace: Any, requester: Requester, question: str
) -> None:
    hit_id = requester.create_hit("token-1", "a", terms(max_assignments=1), question)
    work(marketplace, "ann")
    with pytest.raises(RequestRefused) as refusal:
        requester.delete(hit_id)
    assert refusal.value.code == "InvalidHITState"
    for assignment in requester.assignments(hit_id):
        requester.approve(assignment.assignment_id)
    requester.delete(hit_id)
    assert hit_id not in {hit.hit_id for hit in requester.find_by_annotation("")}


def test_refusals_have_a_code_and_one_line(requester: Requester, question: str) -> None:
    unknown = "3" + "X" * 29
    refused: dict[str, Callable[[], object]] = {
        "HITDoesNotExist": lambda: requester.hit(unknown),
        "AssignmentDoesNotExist": lambda: requester.approve(unknown),
        "InsufficientFunds": lambda: requester.create_hit("t", "a", terms(9_000_000, 9), question),
        "XMLParseError": lambda: requester.create_hit("t", "a", terms(), "<broken"),
        "InvalidParameterValue": lambda: requester.create_hit("t" * 65, "a", terms(), question),
    }
    for code, call in refused.items():
        with pytest.raises(RequestRefused) as refusal:
            call()
        assert refusal.value.code == code, str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_marketplace_that_is_down_is_told_in_one_line_with_the_remedy() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(MarketplaceUnavailable) as failure:
        connect(endpoint, "key", "very-secret").balance_cents()
    message = str(failure.value)
    assert endpoint in message
    assert "imagenet-builder marketplace serve" in message
    assert "\n" not in message
    assert "very-secret" not in message


def test_refused_keys_are_told_and_nothing_secret_is_logged(
    marketplace: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for access_key, secret_key in (
        ("AKIDNOBODY", "wrong-and-secret"),
        (marketplace.keys.access_key, "wrong-and-secret"),
    ):
        with pytest.raises(MarketplaceUnavailable, match="refused the keys") as failure:
            connect(marketplace.url, access_key, secret_key).balance_cents()
        assert marketplace.url in str(failure.value)
        assert "wrong-and-secret" not in str(failure.value)
    requester_of(marketplace).balance_cents()
    assert "wrong-and-secret" not in caplog.text
    assert marketplace.keys.secret_key not in caplog.text


def test_an_address_that_is_none_or_no_marketplace_is_told(site: PictureSite) -> None:
    for endpoint in ("nonsense", "http://", site.url):
        with pytest.raises(MarketplaceUnavailable) as failure:
            connect(endpoint, "key", "secret").balance_cents()
        assert "\n" not in str(failure.value)


def test_proxies_of_the_environment_do_not_stand_before_this_machine(
    marketplace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert requester_of(marketplace).balance_cents() > 0
