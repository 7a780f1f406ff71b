"""A marketplace whose answers break off, repeat, leave out or refuse: counted, named, nothing lost or paid twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hits import database
from hits.errors import MarketplaceFaulty, MarketplaceUnavailable, RequestRefused
from hits.marketplace import people
from hits.marketplace import tables as market
from hits.marketplace.settings import utc_now
from hits.model import Answer
from imagenet_builder import collecting, excluded_workers, marketplace_keys
from imagenet_builder.aggregate import aggregate
from imagenet_builder.publish import PublishRequest, publish
from imagenet_builder.reconcile import LISTINGS, reconcile
from imagenet_builder.store import workers as worker_store
from imagenet_builder.store.tables import assignments, hits, reservations, verdicts
from tests.faulty_marketplace import (
    Fault,
    FaultyMarketplace,
    cut_off,
    failing,
    faulty_marketplace,
    refusing,
    rewritten,
)
from tests.killing_proxy import Answered
from tests.verification_project import DOG, Verification, verification

LIST, OVER, APPROVE = "ListAssignmentsForHIT", "ListReviewableHITs", "ApproveAssignment"
WORKERS = ("anna", "ben", "cleo")


@pytest.fixture
def two_pages(tmp_path: Path, wordnet_folder: Path) -> Iterator[tuple[Verification, FaultyMarketplace]]:
    """Two published pages of six pictures, on a marketplace whose answers can be spoiled."""
    with faulty_marketplace() as (proxy, address):

        def between(url: str) -> str:
            proxy.upstream = url
            return address

        pages: dict[str, object] = {"page_size": 6, "controls": 0}
        with verification(tmp_path, wordnet_folder, {DOG: 12}, endpoint=between, verification=pages) as made:
            publish(made.project)
            yield made, proxy


def answered(made: Verification, workers: tuple[str, ...] = WORKERS) -> list[str]:
    """Let each worker answer each page; the pages' ids."""
    pages = list(made.pages())
    for worker in workers:
        for hit_id in pages:
            made.submit(worker, hit_id, Answer.YES)
    return pages


def expire(made: Verification) -> None:
    for hit_id in made.pages():
        made.marketplace.client().update_expiration_for_hit(HITId=hit_id, ExpireAt=datetime(2020, 1, 1))


def for_hit(hit_id: str, spoil: Fault) -> Fault:
    """Spoils what is answered of one HIT alone."""
    return lambda request, answer: spoil(request, answer) if request["HITId"] == hit_id else None


def without_rows(_request: dict[str, Any], answer: Answered) -> Answered:
    return rewritten(answer, lambda found: found.update(Assignments=[], NumResults=0))


def of_unknown_status(_request: dict[str, Any], answer: Answered) -> Answered:
    def change(found: dict[str, Any]) -> None:
        for one in found["Assignments"]:
            one["AssignmentStatus"] = "Pondering"

    return rewritten(answer, change)


def no_marketplace(_request: dict[str, Any], answer: Answered) -> Answered:
    return Answered(200, [("Content-Type", "text/html"), ("Content-Length", "6")], b"log in")


def with_an_endless_list(_request: dict[str, Any], answer: Answered) -> Answered:
    return rewritten(answer, lambda found: found.update(NextToken="again"))


def everything_is_in_order(made: Verification) -> None:
    """Six answers collected, each paid once, both pages closed at their price, all pictures decided."""
    paid = [status for (status,) in made.rows(assignments.select().with_only_columns(assignments.c.status))]
    assert paid == ["Approved"] * 6
    assert {state for (state,) in made.rows(hits.select().with_only_columns(hits.c.state))} == {"collected"}
    assert made.count(verdicts) == made.count(verdicts, verdicts.c.decision == "accepted") == 12
    spent = sum(
        cents for (cents,) in made.rows(reservations.select().with_only_columns(reservations.c.cents))
    )
    balance = made.marketplace.client().get_account_balance()["AvailableBalance"]
    assert 1_000_000 - round(100 * float(balance)) == spent > 0


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (cut_off, MarketplaceFaulty),
        (failing, MarketplaceFaulty),
        (of_unknown_status, MarketplaceFaulty),
        (refusing, RequestRefused),
        (with_an_endless_list, RequestRefused),
    ],
)
def test_one_page_that_cannot_be_listed_holds_nothing_else_up_and_is_asked_for_again(
    two_pages: tuple[Verification, FaultyMarketplace],
    caplog: pytest.LogCaptureFixture,
    spoil: Fault,
    error: type[Exception],
) -> None:
    made, proxy = two_pages
    first, second = answered(made)
    proxy.faults[LIST] = for_hit(first, spoil)
    with pytest.raises(error):
        aggregate(made.project)
    assert first in caplog.text
    assert second not in caplog.text
    assert made.count(assignments, assignments.c.status == "Approved") == 3
    assert made.count(verdicts) == 6
    proxy.faults.clear()
    healed = aggregate(made.project)
    assert (healed.collected.assignments, healed.collected.payments, healed.hits_closed) == (3, 3, 1)
    everything_is_in_order(made)
    assert aggregate(made.project).collected == collecting.Collected()


def test_a_marketplace_that_fails_over_everything_is_soon_left(
    two_pages: tuple[Verification, FaultyMarketplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, proxy = two_pages
    monkeypatch.setattr(collecting, "FAULTS_IN_A_ROW", 1)
    proxy.faults[LIST] = cut_off
    with pytest.raises(MarketplaceFaulty):
        aggregate(made.project)
    assert proxy.calls[LIST] == 1


def test_what_was_listed_before_a_marketplace_went_away_is_kept(
    two_pages: tuple[Verification, FaultyMarketplace],
) -> None:
    made, proxy = two_pages
    _, second = answered(made)
    proxy.faults[LIST] = for_hit(second, no_marketplace)
    for _ in range(2):
        with pytest.raises(MarketplaceUnavailable, match="is no marketplace"):
            aggregate(made.project)
        assert made.count(assignments) == 3
        assert made.count(verdicts) == 6
    proxy.faults.clear()
    assert aggregate(made.project).collected.payments == 6
    everything_is_in_order(made)


def test_answers_that_a_marketplace_leaves_out_are_missed_and_collected_later(
    two_pages: tuple[Verification, FaultyMarketplace],
    caplog: pytest.LogCaptureFixture,
) -> None:
    made, proxy = two_pages
    first, _ = answered(made)
    proxy.faults[LIST] = for_hit(first, without_rows)
    lacking = aggregate(made.project)
    assert (lacking.collected.assignments, lacking.collected.unlisted, lacking.hits_closed) == (3, 3, 1)
    assert f"HIT {first} has 3 assignments, of which 0 were listed" in caplog.text
    proxy.faults.clear()
    assert aggregate(made.project).collected.assignments == 3
    everything_is_in_order(made)


def test_a_page_that_expired_short_of_answers_is_listed_twice_before_it_is_closed(
    two_pages: tuple[Verification, FaultyMarketplace],
) -> None:
    made, proxy = two_pages
    first, _ = answered(made, WORKERS[:1])
    expire(made)
    left_out: list[str] = []

    def once(request: dict[str, Any], answer: Answered) -> Answered | None:
        if request["HITId"] != first or left_out:
            return None
        left_out.append(first)
        return without_rows(request, answer)

    proxy.faults[LIST] = once
    lacking = aggregate(made.project)
    assert (lacking.collected.assignments, lacking.collected.unlisted, lacking.hits_closed) == (1, 1, 1)
    healed = aggregate(made.project)
    assert (healed.collected.assignments, healed.collected.unlisted, healed.hits_closed) == (1, 0, 1)


def test_what_is_left_out_every_time_is_missed_once_the_marketplace_has_approved_it(
    two_pages: tuple[Verification, FaultyMarketplace],
) -> None:
    made, proxy = two_pages
    first, _ = answered(made, WORKERS[:1])
    # By itself, after auto_approval_delay.
    (there,) = made.marketplace.client().list_assignments_for_hit(HITId=first)["Assignments"]
    made.marketplace.client().approve_assignment(AssignmentId=there["AssignmentId"])
    expire(made)
    proxy.faults[LIST] = for_hit(first, without_rows)
    for _ in range(2):
        assert aggregate(made.project).collected.unlisted == 1
    proxy.faults.clear()
    assert aggregate(made.project).collected.assignments == 1
    assert made.count(hits, hits.c.state == "collected") == 2


def test_what_a_marketplace_repeats_counts_once(two_pages: tuple[Verification, FaultyMarketplace]) -> None:
    made, proxy = two_pages
    answered(made)

    def doubled(_request: dict[str, Any], answer: Answered) -> Answered:
        def change(found: dict[str, Any]) -> None:
            (rows,) = (rows for rows in found.values() if isinstance(rows, list))
            rows += rows

        return rewritten(answer, change)

    proxy.faults.update({LIST: doubled, OVER: doubled})
    report = aggregate(made.project)
    assert (report.collected.assignments, report.collected.payments, report.collected.repeated) == (6, 6, 0)
    everything_is_in_order(made)


def test_a_payment_that_a_marketplace_fails_over_is_made_once_and_the_others_are_made(
    two_pages: tuple[Verification, FaultyMarketplace],
) -> None:
    made, proxy = two_pages
    answered(made)
    unlucky: list[str] = []

    def first_of_all(request: dict[str, Any], answer: Answered) -> Answered | None:
        unlucky[:] = unlucky or [request["AssignmentId"]]
        # The marketplace has paid, and does not say so.
        return failing(request, answer) if request["AssignmentId"] == unlucky[0] else None

    proxy.faults[APPROVE] = first_of_all
    proxy.faults["GetAssignment"] = first_of_all
    with pytest.raises(MarketplaceFaulty):
        aggregate(made.project)
    assert made.count(assignments, assignments.c.status == "Approved") == 5
    proxy.faults.clear()
    assert aggregate(made.project).collected.payments == 1
    everything_is_in_order(made)


def test_an_assignment_that_was_rejected_by_hand_is_not_missed(
    two_pages: tuple[Verification, FaultyMarketplace],
) -> None:
    made, _ = two_pages
    first, _ = answered(made)
    client = made.marketplace.client()
    refused = client.list_assignments_for_hit(HITId=first)["Assignments"][0]["AssignmentId"]
    client.reject_assignment(AssignmentId=refused, RequesterFeedback="not at all")
    report = aggregate(made.project)
    assert (report.collected.assignments, report.collected.unlisted, report.hits_closed) == (5, 0, 2)


def lapse(made: Verification, hit_id: str) -> None:
    """As a run left a page that was killed before it wrote its id down, so long ago that its token is forgotten."""
    with database.writing(made.project.engine) as connection:
        was_killed = {"state": "intended", "platform_hit_id": None, "published_at": None}
        long_ago = utc_now() - timedelta(hours=30)
        connection.execute(
            hits.update().where(hits.c.platform_hit_id == hit_id).values(intended_at=long_ago, **was_killed)
        )
    with database.writing(made.marketplace.engine) as connection:
        connection.execute(market.request_tokens.delete())


def leaving_out(hit_ids: list[str], times: int) -> Fault:
    """A list of HITs that lacks these, so many times."""
    left = iter(range(times))

    def change(found: dict[str, Any]) -> None:
        found["HITs"] = [hit for hit in found["HITs"] if hit["HITId"] not in hit_ids]

    return lambda _request, answer: None if next(left, None) is None else rewritten(answer, change)


@pytest.mark.parametrize("other_too", [True, False])
def test_a_page_that_a_list_leaves_out_once_is_not_created_again(
    two_pages: tuple[Verification, FaultyMarketplace], other_too: bool
) -> None:
    made, proxy = two_pages
    pages = list(made.pages())
    lapse(made, pages[0])
    proxy.faults["ListHITs"] = leaving_out(pages if other_too else pages[:1], 1)
    publish(made.project)
    assert len(made.marketplace.client().list_hits()["HITs"]) == 2
    assert list(made.pages()) == pages


def test_while_a_list_lacks_what_is_there_nothing_is_created_or_given_up(
    two_pages: tuple[Verification, FaultyMarketplace],
) -> None:
    made, proxy = two_pages
    first, second = made.pages()
    proxy.faults["ListHITs"] = leaving_out([second], LISTINGS - 1)
    report = reconcile(made.project, abandon=True)
    assert (report.published, report.unknown, report.abandoned) == (2, 0, 0)
    lapse(made, first)
    for refused in (lambda: publish(made.project), lambda: reconcile(made.project, abandon=True)):
        proxy.faults["ListHITs"] = leaving_out([first, second], LISTINGS)
        with pytest.raises(MarketplaceFaulty, match="lists only some of its HITs"):
            refused()
    assert len(made.marketplace.client().list_hits()["HITs"]) == 2
    proxy.faults.clear()
    assert reconcile(made.project).found == 1


def test_a_clock_that_jumps_a_day_on_and_back_between_runs_changes_nothing(
    two_pages: tuple[Verification, FaultyMarketplace],
) -> None:
    made, _ = two_pages
    jumps = [timedelta(days=1), timedelta(days=-1), timedelta(0)]
    paid = 0
    for worker, jump in zip(WORKERS, jumps, strict=True):
        answered(made, (worker,))
        report = aggregate(made.project, now=utc_now() + jump)
        paid += report.collected.payments
        assert aggregate(made.project, now=utc_now() - jump).collected == collecting.Collected()
    assert (paid, report.hits_open, report.provisional) == (6, 0, 0)
    everything_is_in_order(made)


def test_an_exclusion_that_cannot_be_told_holds_no_verdict_up(
    two_pages: tuple[Verification, FaultyMarketplace],
) -> None:
    made, proxy = two_pages
    answered(made, WORKERS[:1])
    aggregate(made.project)
    worker_id = people.invite(made.marketplace.engine, WORKERS[0]).worker_id
    excluded_workers.exclude(made.project.engine, worker_id, "asked to", utc_now())
    answered(made, WORKERS[1:])
    proxy.faults["ListQualificationTypes"] = refusing
    with pytest.raises(RequestRefused):
        aggregate(made.project)
    assert made.count(verdicts) == 12
    assert made.count(hits, hits.c.state == "collected") == 2
    proxy.faults.clear()
    aggregate(made.project)
    with database.reading(made.project.engine) as connection:
        assert not worker_store.endpoints_to_tell(connection)


def test_a_qualification_that_a_list_leaves_out_is_asked_for_again_and_not_made_twice(
    two_pages: tuple[Verification, FaultyMarketplace],
) -> None:
    made, proxy = two_pages
    requester = marketplace_keys.requester(made.project, made.project.settings.marketplace.endpoint)
    once = requester.qualification_type("kept out", "why")
    listed = proxy.calls["ListQualificationTypes"]

    def left_out_at_first(_request: dict[str, Any], answer: Answered) -> Answered | None:
        if proxy.calls["ListQualificationTypes"] > listed + 1:
            return None
        return rewritten(answer, lambda found: found["QualificationTypes"].clear())

    proxy.faults["ListQualificationTypes"] = left_out_at_first
    assert requester.qualification_type("kept out", "why") == once
    proxy.faults["ListQualificationTypes"] = lambda _, answer: rewritten(
        answer, lambda found: found["QualificationTypes"].clear()
    )
    with pytest.raises(RequestRefused, match="already"):
        requester.qualification_type("kept out", "why")


def test_a_page_that_was_disposed_of_by_hand_is_missed_when_its_time_is_over_and_can_be_given_up(
    two_pages: tuple[Verification, FaultyMarketplace], caplog: pytest.LogCaptureFixture
) -> None:
    made, _ = two_pages
    first, second = made.pages()
    client = made.marketplace.client()
    client.update_expiration_for_hit(HITId=first, ExpireAt=datetime(2020, 1, 1))
    client.delete_hit(HITId=first)
    assert aggregate(made.project).collected.lost_hits == 0
    report = aggregate(made.project, now=utc_now() + timedelta(days=15))
    assert (report.collected.lost_hits, report.hits_open) == (1, 2)
    assert first in caplog.text
    assert second not in caplog.text
    assert reconcile(made.project, abandon=True).abandoned == 1
    assert publish(made.project, PublishRequest(dry_run=True)).questions == 6
