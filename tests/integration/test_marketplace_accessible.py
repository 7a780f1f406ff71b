"""Every page of the worker site, the console and the frames against axe-core's rules for WCAG 2.2 A and AA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.sync_api import Browser, Page, sync_playwright

from hits.marketplace import panels
from hits.marketplace.console_access import console_link
from hits.marketplace.site.rendering import FOLDER
from hits.marketplace.site.visits import MARKETPLACE
from hits.model import Cell, Concept
from hits.model import Page as Pictures
from hits.page import render

from ..marketplace_programs import form_question, make_hit, question_form, selections, submitted
from ..marketplace_server import RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker
from ..real_parts import need
from .test_marketplace_browser import ARGUMENTS

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
UPLOAD = (
    "<FileUploadAnswer><MinFileSizeInBytes>1</MinFileSizeInBytes>"
    "<MaxFileSizeInBytes>9999</MaxFileSizeInBytes></FileUploadAnswer>"
)
FORM = question_form(
    "<Overview><Title>Umbrellas</Title><FormattedContent><![CDATA[<p>Look <b>closely</b></p>]]></FormattedContent>"
    "</Overview>",
    form_question("kind", selections("cat", "dog", most=2)),
    form_question("one", selections("cat", "dog")),
    form_question(
        "why", "<FreeTextAnswer><NumberOfLinesSuggestion>3</NumberOfLinesSuggestion></FreeTextAnswer>"
    ),
    form_question("photo", UPLOAD),
)
TEST = question_form(form_question("a", selections("yes", "no")))
PICTURES = render(
    Pictures(
        Concept("umbrella", ("gamp",), "a lightweight handheld collapsible canopy", ("canopy",), ""),
        tuple(Cell(f"p{place}", f"http://127.0.0.1:9/pictures/{place}.jpg") for place in range(6)),
    )
)


@dataclass(frozen=True)
class Site:
    """A marketplace, and the names of the templates that it has shown so far."""

    market: RunningMarketplace
    shown: Callable[[], set[str]]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    apps: list[web.Application] = []

    def shown() -> set[str]:
        cache: Any = apps[0][MARKETPLACE].templates.cache
        return {name for _, name in cache}

    with running_marketplace(tmp_path, contact="desk@example.org", mount=apps.append) as market:
        yield Site(market, shown)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core."""
    found = find_spec("axe_playwright_python")
    folder = None if found is None or found.origin is None else Path(found.origin).parent
    return (need("axe-playwright-python", folder) / "axe.min.js").read_text(encoding="utf-8")


def faults(page: Page, axe: str) -> list[str]:
    """What axe-core finds on the page and in its frames, as lines."""
    for frame in page.frames:
        frame.evaluate(axe)
    found = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
    return [
        f"{page.url}: {fault['id']} ({fault['help']}): {node['target']} {node['html'][:200]}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]


def of_worker(market: RunningMarketplace, page: Page) -> Iterator[None]:
    """A worker's pages, each shown when it yields."""
    client: Any = market.client()
    forms, pictures = make_hit(client, Question=FORM), make_hit(client, Question=PICTURES, MaxAssignments=2)
    qualified = client.create_qualification_type(
        Name="Umbrellas", Description="Knows them.", QualificationTypeStatus="Active", Test=TEST,
        TestDurationInSeconds=600,
    )["QualificationType"]["QualificationTypeId"]  # fmt: skip
    asked = {"QualificationTypeId": qualified, "Comparator": "Exists", "ActionsGuarded": "PreviewAndAccept"}
    closed = make_hit(client, Title="For the qualified", QualificationRequirements=[asked])
    invitation = market.invite("Ada")
    for address in (market.url, invitation, f"{market.url}/privacy", f"{market.url}/nothing"):
        page.goto(address)
        yield
    page.goto(invitation)
    page.get_by_role("checkbox").check()
    page.get_by_role("button").first.click()
    yield
    for path in (f"/hits/{forms}", f"/hits/{closed}", f"/hits/{pictures}", "/hits/3NONE"):
        page.goto(market.url + path)
        yield
    page.goto(f"{market.url}/hits/{pictures}")
    page.get_by_role("button", name="Accept").first.click()
    page.wait_for_url("**/assignments/*")
    yield
    ada = page.context.cookies()[0]["value"]
    worker = SiteWorker(market.url)
    worker.session.cookies.set("hits_session", ada)
    assert worker.submit(page.url.rpartition("/")[2]).status_code == 200
    page.reload()
    yield
    assignment_id = worker.accept(forms)
    page.goto(f"{market.url}/assignments/{assignment_id}")
    page.frames[-1].get_by_role("button", name="Submit").click()
    page.frames[-1].wait_for_selector("[role=alert]")
    yield
    [work] = client.list_assignments_for_hit(HITId=pictures)["Assignments"]
    client.reject_assignment(AssignmentId=work["AssignmentId"], RequesterFeedback="All of them load here.")
    worker_id = work["WorkerId"]
    client.notify_workers(Subject="Hello", MessageText="Thank you.", WorkerIds=[worker_id])
    kind = f"/qualifications/{qualified}"
    worker.post(f"{kind}/request")
    for path in ("/hits", "/earnings", "/qualifications", kind, f"{kind}/test", "/messages", "/privacy"):
        page.goto(market.url + path)
        yield


def of_panel(market: RunningMarketplace, page: Page) -> Iterator[None]:
    """The pages of somebody whom a panel sent."""
    study = panels.create_study(
        market.engine, "tester", "66f0c0ffee", "C1A2B3",
        pages=2, reward_cents=300, fee_cents=129, seconds=1200, now=market.clock(),
    )  # fmt: skip
    make_hit(market.client(), MaxAssignments=3)
    address = panels.entry_url(market.settings, study)
    for name, value in zip(panels.PARAMETERS, ("5e1f", study.study_id, "s1"), strict=True):
        address = address.replace(f"{{{{%{name}%}}}}", value)
    page.goto(address)
    yield
    page.get_by_role("checkbox").check()
    page.get_by_role("button").first.click()
    page.goto(f"{market.url}/study")
    yield


def of_requester(market: RunningMarketplace, page: Page) -> Iterator[None]:
    """The console's pages."""
    hit_id, _ = submitted(market.client(), SiteWorker(market.url, market.invite("Bo")), MaxAssignments=2)
    for address in (
        f"{market.url}/requester",
        f"{market.url}/requester/sign-in",
        console_link(market.engine, market.settings, "tester", market.clock()),
        f"{market.url}/requester/enter/nothing",
    ):
        page.goto(address)
        yield
    page.goto(console_link(market.engine, market.settings, "tester", market.clock()))
    page.get_by_role("button", name="Open the console").click()
    for path in ("", "/hits", f"/hits/{hit_id}", "/workers", "/ledger", "/hits/3NONE"):
        page.goto(f"{market.url}/requester{path}")
        yield


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_no_page_has_a_fault_that_axe_finds(
    site: Site, browser: Browser, axe: str, width: int, height: int
) -> None:
    found: list[str] = []
    for day in (of_worker, of_panel, of_requester):
        context = browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(15_000)
        page = context.new_page()
        for _ in day(site.market, page):
            found += faults(page, axe)
        context.close()
    assert not found, "\n".join(found)
    assert site.shown() == {path.name for path in (FOLDER / "templates").iterdir()}
