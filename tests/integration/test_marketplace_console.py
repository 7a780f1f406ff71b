"""The requester console over HTTP: sign-in, what it shows, decisions, results; and what it refuses."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hits.database import open_engine, upgrade
from hits.marketplace import people, publishing, working
from hits.marketplace.console_access import console_link
from hits.marketplace.people import RequesterKeys
from hits.marketplace.progress import type_progress, worker_progress
from hits.marketplace.publishing import HitOrder, HitTypeTerms
from hits.marketplace.results import results
from hits.marketplace.settings import utc_now
from hits.marketplace.tables import MIGRATIONS, requesters

from ..marketplace_programs import make_hit, submitted
from ..marketplace_server import AdjustableClock, RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker, elements, html_question


class Console:
    """A requester's browser at the console."""

    def __init__(self, market: RunningMarketplace, keys: RequesterKeys | None = None) -> None:
        self.url, self.session = market.url, requests.Session()
        if keys is not None:
            answer = self.post("/requester/sign-in", access_key=keys.access_key, secret_key=keys.secret_key)
            assert answer.status_code == 303, answer.text

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.url + path, allow_redirects=False, timeout=30)

    def post(self, path: str, **fields: str) -> requests.Response:
        if "csrf" not in fields:
            page = self.session.get(f"{self.url}/requester/sign-in", timeout=30)
            fields["csrf"] = SiteWorker.csrf(page.text)
        return self.session.post(self.url + path, data=fields, allow_redirects=False, timeout=30)


@pytest.fixture
def market(tmp_path: Path, clock: AdjustableClock) -> Iterator[RunningMarketplace]:
    with running_marketplace(tmp_path, clock=clock, sweep_seconds=3600) as running:
        yield running


@pytest.fixture
def console(market: RunningMarketplace) -> Console:
    return Console(market, market.keys)


def test_a_visitor_without_keys_sees_nothing_but_the_sign_in_page(market: RunningMarketplace) -> None:
    visitor = Console(market)
    for path in (
        "/requester",
        "/requester/hits",
        "/requester/workers",
        "/requester/ledger",
        "/requester/results.csv",
    ):
        answer = visitor.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/requester/sign-in")
    wrong = visitor.post("/requester/sign-in", access_key=market.keys.access_key, secret_key="wrong")
    assert wrong.status_code == 403
    assert "not a requester" in wrong.text
    assert visitor.get("/requester").status_code == 303


def test_a_workers_session_opens_no_console_and_a_requesters_no_worker_page(
    market: RunningMarketplace, ada: SiteWorker, console: Console
) -> None:
    assert ada.get("/requester").headers["Location"] == "/requester/sign-in"
    token = ada.session.cookies["hits_session"]
    stolen = requests.get(
        f"{market.url}/requester", cookies={"hits_console": token}, allow_redirects=False, timeout=30
    )
    assert stolen.status_code == 303
    assert console.get("/hits").headers["Location"] == "/"


def test_a_link_from_the_command_line_opens_the_console_once(
    market: RunningMarketplace, clock: AdjustableClock
) -> None:
    link = console_link(market.engine, market.settings, "tester", clock())
    path = link.removeprefix(market.url)
    first, second = Console(market), Console(market)
    # A link preview fetches it, and must not use it up.
    assert first.get(path).status_code == 200
    assert first.post(path).status_code == 303
    assert "tester" in first.get("/requester").text
    assert second.post(path).status_code == 404
    late = console_link(market.engine, market.settings, "tester", clock())
    clock.ahead = timedelta(hours=1, seconds=1)
    assert second.post(late.removeprefix(market.url)).status_code == 404


def test_a_session_ends_by_sign_out_and_after_twelve_hours(
    market: RunningMarketplace, clock: AdjustableClock, console: Console
) -> None:
    other = Console(market, market.keys)
    assert other.post("/requester/sign-out").status_code == 303
    assert other.get("/requester").status_code == 303
    assert console.get("/requester").status_code == 200
    clock.ahead = timedelta(hours=12, seconds=1)
    assert console.get("/requester").status_code == 303


def test_the_overview_counts_what_came_back_and_where_the_money_is(
    client: Any, ada: SiteWorker, console: Console
) -> None:
    _, first = submitted(client, ada, MaxAssignments=3)
    client.approve_assignment(AssignmentId=first)
    _, second = submitted(client, ada, MaxAssignments=2)
    page = console.get("/requester").text
    [row] = elements(page, "data-hit-type-id")
    assert (row["data-done"], row["data-wanted"]) == ("2", "5")
    [money] = elements(page, "data-available-cents")
    available = round(float(client.get_account_balance()["AvailableBalance"]) * 100)
    assert int(money["data-available-cents"]) == available
    # 25 cents and a fee of 5 for each of the five places, one of which is paid.
    assert int(money["data-held-cents"]) == 4 * 30
    assert "$0.25" in page
    assert second


def test_hits_are_listed_page_by_page_and_filtered(client: Any, ada: SiteWorker, console: Console) -> None:
    made = [make_hit(client, RequesterAnnotation=f"number {number}") for number in range(53)]
    done, _ = submitted(client, ada, MaxAssignments=1)
    first = console.get("/requester/hits").text
    listed = [row["data-hit-id"] for row in elements(first, "data-hit-id")]
    assert listed == [done, *reversed(made)][:50]
    [older] = [link["href"] for link in elements(first, "rel") if link["rel"] == "next"]
    assert [row["data-hit-id"] for row in elements(console.get(older).text, "data-hit-id")] == made[3::-1]
    reviewable = console.get("/requester/hits?status=reviewable").text
    assert [row["data-hit-id"] for row in elements(reviewable, "data-hit-id")] == [done]
    assert elements(console.get("/requester/hits?before=no-number&type=NONE").text, "data-hit-id") == []


def test_a_requester_approves_rejects_with_a_reason_and_stops(
    client: Any, market: RunningMarketplace, ada: SiteWorker, console: Console
) -> None:
    bo = SiteWorker(market.url, market.invite("Bo"))
    hit_id = make_hit(client, MaxAssignments=3)
    first, second = ada.accept(hit_id), bo.accept(hit_id)
    ada.submit(first, {"answer": "yes <script>alert(1)</script>"})
    bo.submit(second)
    page = console.get(f"/requester/hits/{hit_id}").text
    assert "&lt;script&gt;alert(1)" in page
    assert "Ada" not in page
    decide = f"/requester/hits/{hit_id}/assignments"
    assert console.post(f"{decide}/{first}", decision="approve", csrf="wrong").status_code == 403
    assert console.post(f"{decide}/{first}", decision="approve", feedback="thank you").status_code == 303
    assert console.post(f"{decide}/{first}", decision="approve").status_code == 409
    unexplained = console.post(f"{decide}/{second}", decision="reject")
    assert unexplained.status_code == 400
    assert client.get_assignment(AssignmentId=second)["Assignment"]["AssignmentStatus"] == "Submitted"
    assert console.post(f"{decide}/{second}", decision="reject", feedback="all wrong").status_code == 303
    assert client.get_assignment(AssignmentId=second)["Assignment"]["RequesterFeedback"] == "all wrong"
    assert console.post(f"/requester/hits/{hit_id}/stop").status_code == 303
    assert client.get_hit(HITId=hit_id)["HIT"]["HITStatus"] == "Reviewable"
    kinds = [row["data-kind"] for row in elements(console.get("/requester/ledger").text, "data-transfer")]
    assert kinds == ["refund", "fee", "reward", "hold", "grant"]


def test_another_requesters_things_are_not_found(
    client: Any, market: RunningMarketplace, ada: SiteWorker
) -> None:
    hit_id, assignment_id = submitted(client, ada)
    other = Console(market, market.requester("other"))
    assert other.get(f"/requester/hits/{hit_id}").status_code == 404
    assert other.post(f"/requester/hits/{hit_id}/stop").status_code == 404
    answer = other.post(f"/requester/hits/{hit_id}/assignments/{assignment_id}", decision="approve")
    assert answer.status_code == 404
    assert elements(other.get("/requester/hits").text, "data-hit-id") == []
    assert elements(other.get("/requester/workers").text, "data-worker-id") == []
    assert elements(other.get("/requester").text, "data-hit-type-id") == []
    assert len(other.get("/requester/results.csv").text.splitlines()) == 1
    kinds = [row["data-kind"] for row in elements(other.get("/requester/ledger").text, "data-transfer")]
    assert kinds == ["grant"]
    assert client.get_assignment(AssignmentId=assignment_id)["Assignment"]["AssignmentStatus"] == "Submitted"


def test_results_are_a_table_that_no_spreadsheet_runs(client: Any, ada: SiteWorker, console: Console) -> None:
    hit_id = make_hit(client, RequesterAnnotation='a, "b"\nc')
    ada.submit(ada.accept(hit_id), {"answer": "=HYPERLINK(1)", "count": "-3", "more": "+1+cmd"})
    other, _ = submitted(client, ada, Title="Another type", Reward="0.50")
    answer = console.get("/requester/results.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["HITId"] for row in rows] == [hit_id, other]
    assert rows[0]["RequesterAnnotation"] == 'a, "b"\nc'
    assert (rows[0]["Answer.answer"], rows[0]["Answer.count"], rows[0]["Answer.more"]) == (
        "'=HYPERLINK(1)", "-3", "'+1+cmd",
    )  # fmt: skip
    assert rows[1]["Answer.count"] == ""
    assert "Ada" not in answer.text
    [second] = {row["HITTypeId"] for row in rows if row["HITId"] == other}
    only = csv.DictReader(io.StringIO(console.get(f"/requester/results.csv?type={second}").text))
    assert [row["HITId"] for row in only] == [other]


def test_pages_of_the_console_are_kept_to_themselves(market: RunningMarketplace, console: Console) -> None:
    for path in ("/requester", "/requester/sign-in", "/requester/ledger"):
        headers = console.get(path).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
    cookie = Console(market).get("/requester/sign-in").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/requester" in cookie


def test_the_pace_is_the_same_on_both_engines(store_url: str) -> None:
    engine = open_engine(store_url)
    upgrade(engine, MIGRATIONS)
    people.create_requester(engine, "r")
    with engine.connect() as connection:
        requester_id = str(connection.execute(requesters.select()).one().requester_id)
    now = utc_now()
    terms = HitTypeTerms("t", "d", "", 50, 3600, 3600)
    worker_id = people.invite(engine, "Ada").worker_id
    for seconds in (30, 90):
        hit = publishing.create_hit(engine, requester_id, terms, HitOrder(html_question(), 1, 3600), now)
        assignment_id = working.accept(engine, hit.hit_id, worker_id, 10, now)
        working.submit(engine, assignment_id, [("answer", "yes")], now + timedelta(seconds=seconds))
    # A dollar in two minutes.
    [kind] = type_progress(engine, requester_id)
    assert kind.hourly_cents == 3000
    [worker] = worker_progress(engine, requester_id)
    assert (worker.submitted, worker.hourly_cents) == (2, 3000)
    header, *rows = results(engine, requester_id)
    assert [row[header.index("WorkTimeInSeconds")] for row in rows] == ["30", "90"]
    engine.dispose()
