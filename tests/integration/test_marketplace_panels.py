"""People from a panel: in by its parameters, several pages for one payment, out by a code; and what goes wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hits.database import reading
from hits.errors import HitsError
from hits.marketplace import dues, ledger, panels, studying
from hits.marketplace.panel_reports import read_submissions, reports, to_reconcile
from hits.marketplace.panels import ACCOUNT, Study
from hits.marketplace.progress import type_progress, worker_progress
from hits.marketplace.tables import accounts, requesters, workers

from ..marketplace_programs import balance, make_hit
from ..marketplace_server import AdjustableClock, RunningMarketplace
from ..marketplace_worker import SiteWorker, elements


@pytest.fixture
def study(market: RunningMarketplace) -> Study:
    """Two pages for $3.00 and a fee of $1.29, within twenty minutes."""
    return panels.create_study(
        market.engine, "tester", "66f0c0ffee", "C1A2B3",
        pages=2, reward_cents=300, fee_cents=129, seconds=1200, now=market.clock(),
    )  # fmt: skip


def address(market: RunningMarketplace, study: Study, participant: str = "5e1f", session: str = "s1") -> str:
    """What the panel makes of the study's address for one person."""
    url = panels.entry_url(market.settings, study)
    for name, value in zip(panels.PARAMETERS, (participant, study.study_id, session), strict=True):
        url = url.replace(f"{{{{%{name}%}}}}", value)
    return url


def arrive(
    market: RunningMarketplace, study: Study, participant: str = "5e1f", session: str = "s1"
) -> SiteWorker:
    """Somebody who came from the panel and consented."""
    person = SiteWorker(market.url)
    answer = person.sign_in(address(market, study, participant, session))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/study"), answer.text
    return person


def next_page(person: SiteWorker) -> str:
    answer = person.post("/study/next", csrf=SiteWorker.csrf(person.get("/study").text))
    assert answer.headers["Location"].startswith("/assignments/"), answer.headers["Location"]
    return answer.headers["Location"].removeprefix("/assignments/")


def press(person: SiteWorker, path: str) -> None:
    assert person.post(path, csrf=SiteWorker.csrf(person.get("/study").text)).status_code == 303


def cents_of(market: RunningMarketplace, account: str) -> int:
    with reading(market.engine) as connection:
        return ledger.balance(connection, account)


def everything(market: RunningMarketplace) -> int:
    with reading(market.engine) as connection:
        return int(connection.scalar(sa.select(sa.func.sum(accounts.c.cents))) or 0)


def test_two_pages_are_one_submission_that_the_panel_is_paid_for(
    market: RunningMarketplace, client: Any, study: Study
) -> None:
    before = balance(client)[0]
    made = [make_hit(client, MaxAssignments=1) for _ in range(2)]
    person = arrive(market, study)
    assert person.get("/hits").headers["Location"] == "/study"
    first = next_page(person)
    assert person.submit(first).status_code == 200
    page = person.main("/study")
    assert (page["data-session-state"], page["data-done"], page["data-pages"]) == ("Started", "1", "2")
    assert "C1A2B3" not in person.get("/study").text
    assert person.submit(next_page(person)).status_code == 200
    done = person.get("/study").text
    assert elements(done, "data-completion-code")
    assert "https://app.prolific.com/submissions/complete?cc=C1A2B3" in done
    assert cents_of(market, ACCOUNT) == 429
    for hit_id in made:
        [one] = client.list_assignments_for_hit(HITId=hit_id)["Assignments"]
        client.approve_assignment(AssignmentId=one["AssignmentId"])
        client.delete_hit(HITId=hit_id)
        assert cents_of(market, f"worker:{one['WorkerId']}") == 0
    # The panel's price is all that it cost.
    assert float(balance(client)[0]) == pytest.approx(float(before) - 4.29)
    assert everything(market) == 0
    [report] = reports(market.engine)
    assert (report.sessions, report.paid_cents) == ({"Completed": 1}, 429)


def test_what_the_panel_pays_for_an_hour_is_shown_to_both_sides(
    market: RunningMarketplace, client: Any, study: Study, clock: AdjustableClock
) -> None:
    for _ in range(2):
        make_hit(client, MaxAssignments=1)
    person = arrive(market, study)
    for _ in range(2):
        assignment_id = next_page(person)
        page = person.get(f"/assignments/{assignment_id}").text
        assert "$0.00" not in page
        assert "part of your study" in page
        clock.ahead += timedelta(seconds=180)
        person.submit(assignment_id)
    [said] = elements(person.get("/study").text, "data-hourly-cents")
    requester_id = requester_of(market)
    [by_type] = type_progress(market.engine, requester_id)
    [by_worker] = worker_progress(market.engine, requester_id)
    # $3.00 for six minutes, and for what the test itself took.
    assert 2000 < int(said["data-hourly-cents"]) <= 3000
    assert by_type.hourly_cents == by_worker.hourly_cents == int(said["data-hourly-cents"])


def requester_of(market: RunningMarketplace) -> str:
    with reading(market.engine) as connection:
        return str(connection.scalar(sa.select(requesters.c.requester_id)))


def test_the_participants_id_is_shown_to_nobody(
    market: RunningMarketplace, client: Any, study: Study
) -> None:
    hit_id = make_hit(client)
    person = arrive(market, study, "5e1fsecret")
    person.submit(next_page(person))
    [one] = client.list_assignments_for_hit(HITId=hit_id)["Assignments"]
    assert "5e1fsecret" not in str(one)
    assert "5e1fsecret" not in person.get("/study").text


@pytest.mark.parametrize(
    "change",
    [("PROLIFIC_PID=5e1f", "PROLIFIC_PID="), ("PROLIFIC_PID=5e1f", "PROLIFIC_PID=a%27b"),
     ("STUDY_ID=66f0c0ffee", "STUDY_ID=other"), ("SESSION_ID=s1", "SESSION_ID="), ("/panel/", "/panel/x")],
)  # fmt: skip
def test_a_link_that_is_not_the_panels_is_refused(
    market: RunningMarketplace, study: Study, change: tuple[str, str]
) -> None:
    link = address(market, study).replace(*change)
    assert SiteWorker(market.url).get(link.removeprefix(market.url)).status_code == 404


def test_consent_is_asked_and_the_pay_is_told(market: RunningMarketplace, study: Study) -> None:
    visitor = SiteWorker(market.url)
    page = visitor.get(address(market, study).removeprefix(market.url)).text
    assert "$3.00 for 2 pages" in page
    assert "$9.00 an hour" in page
    assert visitor.sign_in(address(market, study), consent="").status_code == 400
    with reading(market.engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(workers)) == 0


def test_the_same_link_again_is_the_same_session_and_anothers_session_is_refused(
    market: RunningMarketplace, client: Any, study: Study
) -> None:
    make_hit(client)
    person = arrive(market, study)
    held = next_page(person)
    again = arrive(market, study)
    assert held in again.get("/study").text
    stranger = SiteWorker(market.url).sign_in(address(market, study, "other", "s1"))
    assert stranger.status_code == 409
    assert cents_of(market, ACCOUNT) == 0
    assert sum(reports(market.engine)[0].sessions.values()) == 1


def test_no_more_pages_than_the_study_has_and_none_of_another_requester(
    market: RunningMarketplace, client: Any, study: Study
) -> None:
    other = market.client(market.requester("other"))
    foreign = make_hit(other, Reward="5.00")
    own = [make_hit(client) for _ in range(3)]
    person = arrive(market, study)
    assert (
        person.post(f"/hits/{foreign}/accept", csrf=SiteWorker.csrf(person.get("/study").text)).status_code
        == 409
    )
    token = SiteWorker.csrf(person.get("/study").text)
    taken = [person.post(f"/hits/{hit_id}/accept", csrf=token).status_code for hit_id in own]
    assert taken == [303, 303, 409]


def test_who_leaves_gives_everything_back(market: RunningMarketplace, client: Any, study: Study) -> None:
    hit_id = make_hit(client, MaxAssignments=1)
    before = balance(client)[0]
    person = arrive(market, study)
    assert float(balance(client)[0]) == pytest.approx(float(before) - 4.29)
    next_page(person)
    press(person, "/study/leave")
    assert person.main("/study")["data-session-state"] == "Returned"
    assert balance(client)[0] == before
    assert client.get_hit(HITId=hit_id)["HIT"]["NumberOfAssignmentsAvailable"] == 1
    assert everything(market) == 0


def test_who_runs_out_of_time_gives_everything_back(
    market: RunningMarketplace, client: Any, study: Study, clock: AdjustableClock
) -> None:
    hit_id = make_hit(client, MaxAssignments=1, AssignmentDurationInSeconds=3600, LifetimeInSeconds=7200)
    before = balance(client)[0]
    person = arrive(market, study)
    held = next_page(person)
    clock.ahead = timedelta(seconds=1201)
    dues.settle(market.engine, clock())
    assert person.submit(held).status_code == 409
    assert person.main("/study")["data-session-state"] == "TimedOut"
    clock.ahead = timedelta()
    assert balance(client)[0] == before
    assert client.get_hit(HITId=hit_id)["HIT"]["NumberOfAssignmentsAvailable"] == 1


def test_who_finds_nothing_left_to_do_is_paid_in_full(
    market: RunningMarketplace, client: Any, study: Study
) -> None:
    make_hit(client, MaxAssignments=1)
    person = arrive(market, study)
    press(person, "/study/finish")
    assert person.main("/study")["data-session-state"] == "Started"
    person.submit(next_page(person))
    press(person, "/study/finish")
    assert person.main("/study")["data-session-state"] == "Completed"
    assert cents_of(market, ACCOUNT) == 429


def test_an_empty_account_starts_no_session(market: RunningMarketplace, study: Study) -> None:
    market.requester("poor", 100)
    dear = panels.create_study(
        market.engine,
        "poor",
        "dear",
        "C",
        pages=1,
        reward_cents=300,
        fee_cents=0,
        seconds=600,
        now=market.clock(),
    )
    refused = SiteWorker(market.url).sign_in(address(market, dear))
    assert refused.status_code == 409
    assert "empty" in refused.text
    assert everything(market) == 0


def test_the_panels_list_ends_sessions_and_names_contradictions(
    market: RunningMarketplace, client: Any, study: Study, tmp_path: Path
) -> None:
    for _ in range(4):
        make_hit(client, MaxAssignments=3)
    gone, done, late = (arrive(market, study, name, f"s-{name}") for name in ("gone", "done", "late"))
    next_page(gone)
    for _ in range(2):
        done.submit(next_page(done))
    export = tmp_path / "prolific.csv"
    export.write_text(
        "Submission id,Participant id,Status\ns-gone,gone,RETURNED\ns-done,done,RETURNED\n"
        "s-late,late,ACTIVE\ns-unknown,who,APPROVED\n"
    )
    ending, differences = to_reconcile(market.engine, read_submissions(export))
    assert studying.end_sessions(market.engine, ending, market.clock()) == 1
    assert gone.main("/study")["data-session-state"] == "Returned"
    assert late.main("/study")["data-session-state"] == "Started"
    told = {(one.session_id, one.at_panel, one.here) for one in differences}
    assert told == {("s-done", "RETURNED", "Completed"), ("s-unknown", "APPROVED", "unknown")}
    ending, _ = to_reconcile(market.engine, read_submissions(export))
    assert ending == []
    export.write_text("name\nx\n")
    with pytest.raises(HitsError, match="Submission id"):
        read_submissions(export)


def test_a_study_is_made_once_and_with_sense(market: RunningMarketplace, study: Study) -> None:
    def again(**changes: Any) -> None:
        values = {
            "pages": 1,
            "reward_cents": 100,
            "fee_cents": 0,
            "seconds": 60,
            "now": market.clock(),
            **changes,
        }
        panels.create_study(market.engine, "tester", values.pop("study_id", "new"), "C", **values)

    for wrong in ({"study_id": "66f0c0ffee"}, {"pages": 0}, {"reward_cents": 0}, {"study_id": "a b"}):
        with pytest.raises(HitsError):
            again(**wrong)
