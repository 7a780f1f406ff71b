"""A requester's day at the console in Chromium: keyboard alone, phone to desktop, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from hits.marketplace.console_access import console_link

from ..marketplace_programs import make_hit
from ..marketplace_server import RunningMarketplace, running_marketplace
from ..marketplace_worker import SiteWorker
from .test_marketplace_browser import ARGUMENTS

PATHS = ("/requester", "/requester/hits", "/requester/workers", "/requester/ledger")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def market(tmp_path: Path) -> Iterator[RunningMarketplace]:
    with running_marketplace(tmp_path, contact="desk@example.org") as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def hit_id(market: RunningMarketplace) -> str:
    """A HIT with two submissions, beside some that are open."""
    client = market.client()
    made = make_hit(client, MaxAssignments=3, RequesterAnnotation="batch 7, page 12")
    for number in range(4):
        make_hit(client, Title=f"Which of these pictures show an umbrella, part {number}?", MaxAssignments=3)
    for name in ("Ada", "Bo"):
        worker = SiteWorker(market.url, market.invite(name))
        worker.submit(worker.accept(made), {"answers": '{"v":1,"cells":{"a":"yes"}}' * 4})
    return made


def open_console(market: RunningMarketplace, page: Page) -> None:
    page.goto(console_link(market.engine, market.settings, "tester", market.clock()))
    page.get_by_role("button", name="Open the console").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_a_requesters_day_with_the_keys_alone(market: RunningMarketplace, page: Page, hit_id: str) -> None:
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.goto(f"{market.url}/requester")
    page.get_by_label("Access key").press_sequentially(market.keys.access_key)
    page.keyboard.press("Tab")
    page.keyboard.type(market.keys.secret_key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.get_by_role("link", name="Is it an umbrella?", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("HITs")
    page.get_by_role("link", name="Is it an umbrella?", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_have_attribute("data-hit-id", hit_id)
    page.get_by_role("button", name="Approve").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-status=Approved]")).to_have_count(1)
    page.get_by_role("textbox").focus()
    page.keyboard.type("the second half is missing")
    page.get_by_role("button", name="Reject").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-status=Rejected]")).to_have_count(1)
    with page.expect_download() as download:
        page.goto(f"{market.url}/requester")
        page.get_by_role("link", name="All results as CSV").click()
    assert download.value.suggested_filename == "results.csv"
    assert "the second half is missing" in Path(download.value.path()).read_text()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Requester sign-in")
    assert troubles == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_of_the_console_is_wider_than_its_window(
    market: RunningMarketplace, page: Page, hit_id: str, width: int
) -> None:
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url.split("/")[2]))
    page.set_viewport_size({"width": width, "height": 800})
    open_console(market, page)
    for path in (*PATHS, f"/requester/hits/{hit_id}"):
        page.goto(market.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        # WCAG 2.2: a target is at least 24 pixels high, or stands in a line of text.
        small = page.evaluate(
            "[...document.querySelectorAll('a.button, button, input:not([type=hidden]), nav a, td a')]"
            ".filter((e) => e.offsetHeight && e.offsetHeight < 24).map((e) => e.outerHTML)"
        )
        assert small == [], path
    assert asked == {market.url.removeprefix("http://")}


def test_every_field_and_table_of_the_console_has_a_name(
    market: RunningMarketplace, page: Page, hit_id: str
) -> None:
    open_console(market, page)
    for path in (*PATHS, f"/requester/hits/{hit_id}"):
        page.goto(market.url + path)
        assert page.evaluate("document.title").strip(" –")
        assert page.locator("h1").count() == 1, path
        assert page.evaluate("document.documentElement.lang") == "en"
        for role in ("button", "link", "textbox", "progressbar", "table", "navigation"):
            for element in page.get_by_role(role).all():
                snapshot = element.aria_snapshot().splitlines()[0]
                assert '"' in snapshot or ":" in snapshot, f"{path}: a {role} without a name: {snapshot}"
