"""The worker site over HTTP: sign-in, list, preview, accept, submit, return; and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from aiohttp import web

from ..marketplace_server import AdjustableClock, RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker, elements, external_question, html_question

TERMS = {
    "Title": "Is it <b>an umbrella</b>?",
    "Description": "Look at pictures & say what they show.",
    "Reward": "0.25",
    "AssignmentDurationInSeconds": 300,
    "LifetimeInSeconds": 3600,
}


@pytest.fixture
def market(tmp_path: Path, clock: AdjustableClock) -> Iterator[RunningMarketplace]:
    with running_marketplace(tmp_path, clock=clock, held_assignments=2, sweep_seconds=3600) as running:
        yield running


@pytest.fixture
def bo(market: RunningMarketplace) -> SiteWorker:
    return SiteWorker(market.url, market.invite("Bo"))


def make_hit(client: Any, **changes: Any) -> str:
    hit_id: str = client.create_hit(**{**TERMS, "Question": html_question(), **changes})["HIT"]["HITId"]
    return hit_id


def test_a_worker_signs_in_previews_accepts_submits_and_sees_her_earnings(
    client: Any, ada: SiteWorker
) -> None:
    hit_id = make_hit(client)
    [group] = elements(ada.get("/hits").text, "data-hit-type-id")
    assert group["data-hit-id"] == hit_id
    assert (group["data-title"], group["data-reward-cents"]) == (TERMS["Title"], "25")
    assert (group["data-seconds-allotted"], group["data-available"]) == ("300", "1")

    preview = parse_qs(urlsplit(ada.frame_address(f"/hits/{hit_id}")).query)
    assert preview["assignmentId"] == ["ASSIGNMENT_ID_NOT_AVAILABLE"]
    assert preview["hitId"] == [hit_id]
    assert "workerId" not in preview
    assert requests.get(ada.frame_address(f"/hits/{hit_id}"), timeout=30).status_code == 200

    assignment_id = ada.accept(hit_id)
    main = ada.main(f"/assignments/{assignment_id}")
    assert (main["data-assignment-id"], main["data-hit-id"]) == (assignment_id, hit_id)
    assert (main["data-status"], "T" in main["data-deadline"]) == ("Accepted", True)
    frame = ada.frame_address(f"/assignments/{assignment_id}")
    shown = parse_qs(urlsplit(frame).query)
    assert (shown["assignmentId"], shown["turkSubmitTo"]) == ([assignment_id], [ada.url])
    assert shown["workerId"][0].startswith("A")
    assert "<input name='answer'>" in requests.get(frame, timeout=30).text
    assert [held["data-assignment-id"] for held in elements(ada.get("/hits").text, "data-assignment-id")] == [
        assignment_id
    ]

    answer = ada.submit(assignment_id)
    assert answer.status_code == 200
    assert elements(answer.text, "data-status")[0]["data-status"] == "Submitted"
    assert ada.main(f"/assignments/{assignment_id}")["data-status"] == "Submitted"
    earned = ada.get("/earnings").text
    assert [row["data-status"] for row in elements(earned, "data-status")] == ["Submitted"]
    assert ada.main("/earnings")["data-pending-cents"] == "25"
    assert elements(ada.get("/hits").text, "data-empty")


def test_after_submitting_the_next_hit_of_the_kind_is_offered(client: Any, ada: SiteWorker) -> None:
    first, second = make_hit(client), make_hit(client)
    other = make_hit(client, Title="Another kind", Reward="0.99")
    assignment_id = ada.accept(first)
    ada.submit(assignment_id)
    following = ada.main(f"/assignments/{assignment_id}")["data-next-hit-id"]
    assert following == second
    groups = elements(ada.get("/hits").text, "data-hit-type-id")
    assert [group["data-hit-id"] for group in groups] == [other, second]


def test_pay_per_hour_is_shown_once_it_can_be_known(
    market: RunningMarketplace, client: Any, clock: AdjustableClock
) -> None:
    hit_id = make_hit(client, MaxAssignments=5)
    workers = [SiteWorker(market.url, market.invite(f"worker {n}")) for n in range(4)]
    assert "not known yet" in workers[3].get("/hits").text
    held = [worker.accept(hit_id) for worker in workers[:3]]
    clock.ahead = timedelta(seconds=90)
    for worker, assignment_id in zip(workers, held, strict=False):
        worker.submit(assignment_id)
    page = workers[3].get("/hits").text
    assert "not known yet" not in page
    assert "/ hour" in page


def test_titles_are_text_and_no_markup(client: Any, ada: SiteWorker) -> None:
    make_hit(client)
    page = ada.get("/hits").text
    assert "Is it &lt;b&gt;an umbrella&lt;/b&gt;?" in page
    assert "<b>an umbrella" not in page


# --- signing in ----------------------------------------------------------------------------------------


def test_an_invitation_asks_for_consent_once_and_then_signs_in_again(market: RunningMarketplace) -> None:
    invitation = market.invite("Ada")
    worker = SiteWorker(market.url)
    refused = worker.sign_in(invitation, consent="")
    assert (refused.status_code, "tick the box" in refused.text) == (400, True)
    assert worker.get("/hits").headers["Location"] == "/"
    assert worker.sign_in(invitation).headers["Location"] == "/hits"
    assert "Ada" in worker.get("/hits").text
    elsewhere = SiteWorker(market.url)
    assert not elements(elsewhere.session.get(invitation, timeout=30).text, "checked")
    assert elsewhere.sign_in(invitation, consent="").status_code == 303
    assert elsewhere.get("/hits").status_code == 200


def test_an_unknown_invitation_is_not_found(market: RunningMarketplace) -> None:
    answer = requests.get(f"{market.url}/invitation/nonsense", timeout=30)
    assert (answer.status_code, "not valid" in answer.text) == (404, True)


@pytest.mark.parametrize("path", ["/hits", "/hits/3ABC", "/assignments/3ABC", "/earnings"])
def test_visitors_who_are_not_signed_in_are_sent_to_the_front_page(
    market: RunningMarketplace, path: str
) -> None:
    answer = SiteWorker(market.url).get(path)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    forged = requests.get(market.url + path, cookies={"hits_session": "x"}, allow_redirects=False, timeout=30)
    assert forged.status_code == 303


def test_signing_out_ends_the_session_itself(market: RunningMarketplace, ada: SiteWorker) -> None:
    cookie = dict(ada.session.cookies)
    assert ada.post("/sign-out").headers["Location"] == "/"
    assert (
        requests.get(f"{market.url}/hits", cookies=cookie, allow_redirects=False, timeout=30).status_code
        == 303
    )


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(market: RunningMarketplace) -> None:
    worker = SiteWorker(market.url)
    header = worker.sign_in(market.invite("Ada")).headers["Set-Cookie"]
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Max-Age=2592000" in header


# --- refusals ------------------------------------------------------------------------------------------


def test_a_form_without_this_visitors_token_changes_nothing(
    market: RunningMarketplace, client: Any, ada: SiteWorker, bo: SiteWorker
) -> None:
    hit_id = make_hit(client)
    for token in ("", "0" * 64, bo.csrf(bo.get("/hits").text), "ü"):
        assert ada.post(f"/hits/{hit_id}/accept", csrf=token).status_code == 403
    stranger = SiteWorker(market.url)
    assert stranger.sign_in(market.invite("Cy"), csrf="0" * 64).status_code == 403
    assert stranger.get("/hits").status_code == 303
    assert client.get_hit(HITId=hit_id)["HIT"]["NumberOfAssignmentsPending"] == 0


def test_a_hit_that_is_gone_done_or_too_many_is_refused_with_the_reason(
    client: Any, ada: SiteWorker, bo: SiteWorker
) -> None:
    def refused(worker: SiteWorker, hit_id: str) -> tuple[str, str]:
        answer = worker.post(f"/hits/{hit_id}/accept")
        assert answer.status_code == 409
        main = next(found for found in elements(answer.text, "id") if found["id"] == "main")
        return main["data-reason"], main["data-next-hit-id"]

    first, second, third = make_hit(client), make_hit(client), make_hit(client)
    assignment_id = ada.accept(first)
    assert refused(bo, first) == ("HitUnavailable", second)
    assert ada.accept(first) == assignment_id
    ada.accept(second)
    assert refused(ada, third) == ("TooManyHeld", "")
    ada.submit(assignment_id)
    assert refused(ada, first) == ("AlreadyDone", third)
    client.update_expiration_for_hit(HITId=third, ExpireAt=0)
    assert refused(bo, third) == ("HitUnavailable", "")
    assert bo.post("/hits/3NONE/accept").status_code == 404
    assert bo.get("/hits/3NONE").status_code == 404


def test_another_workers_assignment_does_not_exist(client: Any, ada: SiteWorker, bo: SiteWorker) -> None:
    assignment_id = ada.accept(make_hit(client))
    assert bo.get(f"/assignments/{assignment_id}").status_code == 404
    assert bo.post(f"/assignments/{assignment_id}/return").status_code == 404
    with_her_cookie = bo.session.post(
        f"{bo.url}/mturk/externalSubmit", data={"assignmentId": assignment_id, "answer": "no"}, timeout=30
    )
    assert with_her_cookie.status_code == 404
    assert ada.main(f"/assignments/{assignment_id}")["data-status"] == "Accepted"


@pytest.mark.parametrize("assignment_id", ["3NONE", "", "A B", "x" * 65, "ü", "3\x00"])
def test_answers_to_no_assignment_are_refused(ada: SiteWorker, assignment_id: str) -> None:
    assert ada.submit(assignment_id).status_code in {400, 404}


def test_a_body_that_is_no_form_is_refused_with_a_reason(market: RunningMarketplace) -> None:
    address = f"{market.url}/mturk/externalSubmit"
    for content_type, body in (
        ("application/x-www-form-urlencoded", b"assignmentId=%ff%fe&\xff=1"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"assignmentId=3A"),
        ("multipart/form-data; boundary=x", b"no multipart"),
        ("multipart/form-data", b"no boundary"),
        ("text/plain", b"assignmentId=3A"),
    ):
        answer = requests.post(address, data=body, headers={"Content-Type": content_type}, timeout=30)
        assert 400 <= answer.status_code < 500, (content_type, answer.status_code)
        assert answer.text
    assert requests.post(address, data=b"a=" + b"x" * 2_000_000, timeout=30).status_code in {400, 413}


def test_answers_after_the_time_are_refused_and_the_hit_goes_back(
    client: Any, ada: SiteWorker, bo: SiteWorker, clock: AdjustableClock
) -> None:
    hit_id = make_hit(client)
    assignment_id = ada.accept(hit_id)
    frame = ada.frame_address(f"/assignments/{assignment_id}")
    clock.ahead = timedelta(seconds=301)
    answer = ada.submit(assignment_id)
    assert (answer.status_code, elements(answer.text, "data-reason")[0]["data-reason"]) == (409, "TimeOver")
    assert requests.get(frame, timeout=30).status_code == 403
    assert ada.main(f"/assignments/{assignment_id}")["data-status"] == "Abandoned"
    assert bo.accept(hit_id)
    assert client.list_assignments_for_hit(HITId=hit_id)["Assignments"] == []


def test_a_returned_hit_is_free_for_others_and_takes_no_answers(
    client: Any, ada: SiteWorker, bo: SiteWorker
) -> None:
    hit_id = make_hit(client)
    assignment_id = ada.accept(hit_id)
    assert ada.post(f"/assignments/{assignment_id}/return").headers["Location"] == "/hits"
    assert ada.post(f"/assignments/{assignment_id}/return").status_code == 409
    answer = ada.submit(assignment_id)
    assert (answer.status_code, elements(answer.text, "data-reason")[0]["data-reason"]) == (409, "Returned")
    assert bo.accept(hit_id)


def test_answers_sent_twice_count_once_and_the_first_stand(client: Any, ada: SiteWorker) -> None:
    hit_id = make_hit(client)
    assignment_id = ada.accept(hit_id)
    for answer in ("first", "second"):
        assert ada.submit(assignment_id, {"answer": answer}).status_code == 200
    [found] = client.list_assignments_for_hit(HITId=hit_id)["Assignments"]
    assert "first" in found["Answer"]
    assert "second" not in found["Answer"]


def test_every_field_but_the_assignments_id_is_answered_also_from_multipart(
    client: Any, ada: SiteWorker
) -> None:
    hit_id = make_hit(client)
    assignment_id = ada.accept(hit_id)
    fields = [
        ("assignmentId", (None, assignment_id)),
        ("a", (None, "1 < 2")),
        ("b", (None, "x")),
        ("b", (None, "y")),
    ]
    answer = requests.post(f"{ada.url}/mturk/externalSubmit", files=fields, timeout=30)
    assert answer.status_code == 200
    [found] = client.list_assignments_for_hit(HITId=hit_id)["Assignments"]
    assert "<QuestionIdentifier>a</QuestionIdentifier><FreeText>1 &lt; 2</FreeText>" in found["Answer"]
    assert "<QuestionIdentifier>b</QuestionIdentifier><FreeText>x|y</FreeText>" in found["Answer"]
    assert "assignmentId" not in found["Answer"]


def test_a_form_that_fills_the_window_is_led_to_the_assignments_page(client: Any, ada: SiteWorker) -> None:
    assignment_id = ada.accept(make_hit(client))
    answer = ada.submit(assignment_id, headers={"Sec-Fetch-Dest": "document"})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/assignments/{assignment_id}")


# --- frames --------------------------------------------------------------------------------------------


def test_a_frame_is_shown_only_at_the_address_that_was_signed(client: Any, ada: SiteWorker) -> None:
    hit_id, other = make_hit(client), make_hit(client)
    assignment_id = ada.accept(hit_id)
    address = ada.frame_address(f"/assignments/{assignment_id}")
    assert requests.get(address, timeout=30).status_code == 200
    preview = ada.frame_address(f"/hits/{other}")
    for forged in (
        address.split("?")[0],
        address.replace(f"/frame/{hit_id}", f"/frame/{other}"),
        address.replace("proof=", "proof=0"),
        preview.replace("ASSIGNMENT_ID_NOT_AVAILABLE", assignment_id),
    ):
        assert requests.get(forged, timeout=30).status_code == 403
    ada.submit(assignment_id)
    assert requests.get(address, timeout=30).status_code == 403


def test_a_question_cannot_reach_the_site_around_it(client: Any, ada: SiteWorker) -> None:
    hit_id = make_hit(client)
    page = ada.get(f"/hits/{hit_id}")
    [frame] = elements(page.text, "sandbox")
    assert "allow-same-origin" not in frame["sandbox"]
    assert urlsplit(frame["src"]).hostname != urlsplit(ada.url).hostname
    shown = requests.get(frame["src"], timeout=30)
    policy = shown.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts allow-forms")
    assert "allow-same-origin" not in policy
    assert f"frame-ancestors {ada.url}" in policy
    assert "Set-Cookie" not in shown.headers


def test_the_site_is_not_served_under_the_frames_name(market: RunningMarketplace, ada: SiteWorker) -> None:
    elsewhere = market.settings.frame_url
    answer = requests.get(f"{elsewhere}/hits", allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{market.url}/hits")
    assert requests.post(f"{elsewhere}/sign-out", timeout=30).status_code == 403


def test_an_external_question_is_framed_at_its_own_address_with_the_parameters(
    client: Any, ada: SiteWorker
) -> None:
    foreign = make_hit(client, Question=external_question("https://example.org/q?a=1&amp;b=2"))
    ours = make_hit(client, Question=external_question("http://localhost:1/q"), Title="Ours")
    assignment_id = ada.accept(foreign)
    address = urlsplit(ada.frame_address(f"/assignments/{assignment_id}"))
    shown = parse_qs(address.query)
    assert (address.scheme, address.netloc, address.path) == ("https", "example.org", "/q")
    assert (shown["a"], shown["b"], shown["assignmentId"]) == (["1"], ["2"], [assignment_id])
    assert shown["turkSubmitTo"] == [ada.url]
    assert "proof" not in shown
    page = ada.get(f"/assignments/{assignment_id}")
    assert "frame-src https://example.org" in page.headers["Content-Security-Policy"]
    assert "allow-same-origin" in elements(page.text, "sandbox")[0]["sandbox"]
    [frame] = elements(ada.get(f"/hits/{ours}").text, "sandbox")
    assert "allow-same-origin" not in frame["sandbox"]


@pytest.mark.parametrize("path", ["/", "/hits", "/earnings", "/hits/3NONE"])
def test_every_page_carries_the_headers_that_keep_it_to_itself(ada: SiteWorker, path: str) -> None:
    headers = ada.session.get(ada.url + path, timeout=30).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_pages_load_nothing_from_elsewhere(ada: SiteWorker, client: Any) -> None:
    make_hit(client)
    for path in ("/", "/hits", "/earnings"):
        page = ada.session.get(ada.url + path, timeout=30).text
        linked = [
            found.get("src") or found.get("href", "")
            for found in elements(page, "src") + elements(page, "href")
        ]
        assert linked
        assert all(address.startswith(("/", "#")) for address in linked)
        for asset in (address for address in linked if address.startswith("/static/")):
            assert requests.get(ada.url + asset, timeout=30).status_code == 200


def test_a_caller_can_serve_its_own_pictures_beside_the_site(tmp_path: Path) -> None:
    async def picture(_request: web.Request) -> web.Response:
        return web.Response(body=b"picture", content_type="image/png")

    def mount(app: web.Application) -> None:
        app.router.add_get("/pictures/{name}", picture)

    with running_marketplace(tmp_path, mount=mount) as running:
        for host in (running.url, running.settings.frame_url):
            assert requests.get(f"{host}/pictures/x", timeout=30).content == b"picture"


def test_a_store_that_fails_is_said_plainly_on_both_sides(
    market: RunningMarketplace, client: Any, ada: SiteWorker
) -> None:
    from botocore.exceptions import ClientError

    with market.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hits RENAME TO gone")
    assert ada.get("/hits").status_code == 503
    with pytest.raises(ClientError) as caught:
        client.list_hits()
    assert caught.value.response["Error"]["Code"] == "ServiceFault"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
