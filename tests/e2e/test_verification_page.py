"""A person's way through the verification page: headless Chromium on the running worker site."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.async_api import Browser, FrameLocator, Locator, Page, async_playwright, expect

from hits.answers import parse
from hits.model import Answer, ReportReason
from hits.page import render
from hits.requester import Requester, connect
from tests.marketplace_server import running_marketplace
from tests.picture_site import PictureSite, running_picture_site, terms

NAMES = tuple(f"pic{place:02d}" for place in range(12))
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def site() -> Iterator[PictureSite]:
    with running_picture_site() as pictures:
        yield pictures


@pytest.fixture(scope="module")
def marketplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running_marketplace(tmp_path_factory.mktemp("marketplace")) as running:
        yield running


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        await running.close()


class Person:
    """A worker with a browser: signs in, takes the HIT, looks at its frame."""

    def __init__(self, page: Page, marketplace: Any, requester: Requester, hit_id: str) -> None:
        self.page = page
        self.hit_id = hit_id
        self._marketplace = marketplace
        self._requester = requester
        self.script_errors: list[str] = []
        page.on("pageerror", lambda error: self.script_errors.append(str(error)))

    @property
    def frame(self) -> FrameLocator:
        return self.page.frame_locator("iframe#question")

    @property
    def pictures(self) -> Locator:
        return self.frame.locator(".picture")

    async def sign_in(self) -> None:
        await self.page.goto(self._marketplace.invite(f"ann-{uuid.uuid4().hex[:6]}"))
        await self.page.locator("input[name=consent]").check()
        await self.page.locator("form:has(input[name=consent]) button").click()
        await self.page.wait_for_url("**/hits")

    async def accept(self) -> None:
        """Take the HIT from the list and wait until its pictures are there."""
        await self.page.goto(f"{self._marketplace.url}/hits")
        await self.page.locator(f"form[action='/hits/{self.hit_id}/accept'] button").first.click()
        await self.page.wait_for_url("**/assignments/*")
        await self.settled()

    async def settled(self, number: int = len(NAMES)) -> None:
        """Wait until every picture is loaded or failed."""
        done = self.frame.locator(".cell[data-picture=loaded], .cell[data-picture=failed]")
        await expect(done).to_have_count(number)

    async def progress(self, text: str) -> None:
        await expect(self.frame.locator("#progress")).to_have_text(text)

    def answer_of(self, place: int) -> Locator:
        return self.frame.locator(".cell").nth(place)

    async def submitted(self) -> dict[str, tuple[Answer, ReportReason | None]]:
        """What the requester gets, once it is there."""
        for _ in range(100):
            for assignment in self._requester.assignments(self.hit_id):
                answers = parse(assignment.answer_xml)
                assert answers.seconds is not None
                return {cell.name: (cell.answer, cell.reason) for cell in answers.cells}
            await asyncio.sleep(0.1)
        raise AssertionError("nothing was submitted")


async def a_person(
    browser: Browser,
    marketplace: Any,
    site: PictureSite,
    device: dict[str, Any],
    names: tuple[str, ...] = NAMES,
    sensitive: bool = False,
) -> Person:
    """A signed-in worker for whom one page of pictures is published."""
    requester = connect(marketplace.url, marketplace.keys.access_key, marketplace.keys.secret_key)
    # A title of its own is a HIT type of its own, and so a place of its own in the worker's list.
    token = uuid.uuid4().hex[:8]
    shown = replace(site.page(*names), sensitive=sensitive)
    hit_id = requester.create_hit(token, token, terms(title=token), render(shown))
    context = await browser.new_context(**device)
    person = Person(await context.new_page(), marketplace, requester, hit_id)
    await person.sign_in()
    return person


def said(answers: dict[str, tuple[Answer, ReportReason | None]]) -> list[str]:
    return [answers[name][0].value for name in NAMES]


async def test_a_preview_shows_instructions_and_pictures_and_takes_no_answers(
    browser: Browser, marketplace: Any, site: PictureSite
) -> None:
    person = await a_person(browser, marketplace, site, DESKTOP)
    await person.page.goto(f"{marketplace.url}/hits/{person.hit_id}")
    await expect(person.frame.get_by_role("dialog")).to_contain_text("Instructions")
    await person.frame.get_by_role("button", name="Close").click()
    await person.settled()
    await expect(person.frame.locator("#notice")).to_contain_text("Accept the HIT to answer")
    await person.pictures.nth(0).click()
    await person.pictures.nth(1).press("y")
    await expect(person.frame.locator(".cell[data-answer]")).to_have_count(0)
    await person.progress("0 of 12")
    await expect(person.frame.locator("#submit")).to_have_attribute("aria-disabled", "true")
    assert person.script_errors == []


async def test_with_a_mouse_from_accepting_to_the_answers_that_the_requester_gets(
    browser: Browser, marketplace: Any, site: PictureSite
) -> None:
    person = await a_person(browser, marketplace, site, DESKTOP)
    await person.accept()
    await person.pictures.nth(0).click()
    await person.pictures.nth(2).click()
    await person.pictures.nth(3).click()
    await person.pictures.nth(3).click()
    await person.answer_of(4).get_by_role("button", name="Not sure").click()
    await person.answer_of(5).locator(".flag").click()
    await person.frame.get_by_role("button", name="Offensive").click()
    await person.answer_of(6).locator(".zoom").click()
    await person.frame.locator("#zoom [data-answer=yes]").click()
    await person.frame.locator("#zoom [data-close]").click()
    await person.progress("6 of 12")
    # Submitting too early goes to the first open picture instead.
    await person.frame.locator("#submit").click(force=True)
    await expect(person.pictures.nth(1)).to_be_focused()
    await person.frame.locator("#rest").click()
    await person.progress("12 of 12")
    await person.frame.locator("#submit").click()

    answers = await person.submitted()
    assert said(answers) == [
        "yes",
        "no",
        "yes",
        "no",
        "unsure",
        "report",
        "yes",
        "no",
        "no",
        "no",
        "no",
        "no",
    ]
    assert answers["pic05"] == (Answer.REPORT, ReportReason.OFFENSIVE)
    assert person.script_errors == []


async def test_with_the_keyboard_alone(browser: Browser, marketplace: Any, site: PictureSite) -> None:
    person = await a_person(browser, marketplace, site, DESKTOP)
    keyboard = person.page.keyboard
    await person.page.goto(f"{marketplace.url}/hits")
    accept = person.page.locator(f"form[action='/hits/{person.hit_id}/accept'] button").first
    await tab_to(person.page, accept)
    await keyboard.press("Enter")
    await person.page.wait_for_url("**/assignments/*")
    await person.settled()
    await tab_to(person.page, person.pictures.nth(0))

    for key in "ynuy":
        await keyboard.press(key)
    await expect(person.pictures.nth(4)).to_be_focused()
    await keyboard.press("r")
    await keyboard.press("1")
    await expect(person.pictures.nth(5)).to_be_focused()
    await keyboard.press("ArrowRight")
    await keyboard.press("z")
    await expect(person.frame.locator("#zoom")).to_be_visible()
    await keyboard.press("y")  # Answers picture 6 and shows picture 7.
    await expect(person.frame.locator("#zoomed")).to_have_text("Picture 8 of 12")
    await keyboard.press("Escape")
    await expect(person.pictures.nth(7)).to_be_focused()
    await keyboard.press("?")
    await expect(person.frame.locator("#help")).to_be_visible()
    await keyboard.press("Escape")
    await keyboard.press("Home")
    await expect(person.pictures.nth(0)).to_be_focused()
    await keyboard.press("ArrowDown")
    await expect(person.pictures.nth(0)).not_to_be_focused()
    await keyboard.press("ArrowUp")
    await expect(person.pictures.nth(0)).to_be_focused()
    await keyboard.press("n")  # Changes the first answer and goes on to the next open picture, number 5.
    await expect(person.pictures.nth(5)).to_be_focused()
    for _ in range(6):
        await keyboard.press("n")
    await person.progress("12 of 12")
    await expect(person.frame.locator("#submit")).to_be_focused()
    await keyboard.press("Enter")

    answers = await person.submitted()
    assert said(answers) == ["no", "no", "unsure", "yes", "report", "no", "yes", "no", "no", "no", "no", "no"]
    assert answers["pic04"] == (Answer.REPORT, ReportReason.PRIVATE)
    assert person.script_errors == []


async def tab_to(page: Page, wanted: Locator, most: int = 40) -> None:
    for _ in range(most):
        if await wanted.evaluate("element => element === document.activeElement && document.hasFocus()"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not reach it")


async def test_with_touch_on_a_phone(browser: Browser, marketplace: Any, site: PictureSite) -> None:
    person = await a_person(browser, marketplace, site, PHONE)
    await person.page.goto(f"{marketplace.url}/hits")
    await person.page.locator(f"form[action='/hits/{person.hit_id}/accept'] button").first.tap()
    await person.page.wait_for_url("**/assignments/*")
    await person.settled()
    body = person.frame.locator("body")
    assert await body.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    small = await body.evaluate(
        """() => [...document.querySelectorAll("button, a")].filter((it) => it.offsetParent)
          .map((it) => [it.outerHTML.slice(0, 80), it.getBoundingClientRect()])
          .filter(([, box]) => box.width < 44 || box.height < 44).map(([html]) => html)"""
    )
    assert small == []
    await person.pictures.nth(0).tap()
    await person.answer_of(1).get_by_role("button", name="Not sure").tap()
    await person.answer_of(2).locator(".zoom").tap()
    await person.frame.locator("#zoom [data-answer=yes]").tap()
    await person.frame.locator("#zoom [data-close]").tap()
    await person.frame.locator("#rest").tap()
    await person.progress("12 of 12")
    await person.frame.locator("#submit").tap()
    assert said(await person.submitted()) == ["yes", "unsure", "yes"] + ["no"] * 9
    assert person.script_errors == []


async def test_a_picture_that_fails_is_marked_and_can_be_tried_again(
    browser: Browser, marketplace: Any, site: PictureSite
) -> None:
    site.missing |= {"pic01", "pic03"}
    person = await a_person(browser, marketplace, site, DESKTOP)
    await person.accept()
    await person.progress("2 of 12")
    await expect(person.answer_of(1)).to_have_attribute("data-answer", "broken")
    # Nobody can say anything of a picture that is not there.
    await person.pictures.nth(3).press("y")
    await expect(person.answer_of(3)).to_have_attribute("data-answer", "broken")
    site.missing.remove("pic03")
    await person.answer_of(3).locator(".retry").click()
    await person.progress("1 of 12")
    await expect(person.answer_of(3)).to_have_attribute("data-picture", "loaded")
    await person.pictures.nth(3).press("y")
    await person.frame.locator("#rest").click()
    await person.frame.locator("#submit").click()
    assert said(await person.submitted()) == ["no", "broken", "no", "yes"] + ["no"] * 8
    assert person.script_errors == []


async def test_answers_survive_a_reload_and_the_time_goes_on(
    browser: Browser, marketplace: Any, site: PictureSite
) -> None:
    site.missing.add("pic00")
    person = await a_person(browser, marketplace, site, DESKTOP)
    await person.accept()
    await person.pictures.nth(1).press("y")
    await person.pictures.nth(2).press("u")
    await person.answer_of(3).locator(".flag").click()
    await person.frame.locator("[data-reason=illegal]").click()
    await person.progress("4 of 12")
    site.missing.clear()
    await person.page.reload()
    await person.settled()
    # The three answers are back; the broken picture loads now and is open again.
    await person.progress("3 of 12")
    await expect(person.answer_of(0)).not_to_have_attribute("data-answer", "broken")
    await person.frame.locator("#rest").click()
    await person.frame.locator("#submit").click()
    answers = await person.submitted()
    assert said(answers) == ["no", "yes", "unsure", "report"] + ["no"] * 8
    assert answers["pic03"] == (Answer.REPORT, ReportReason.ILLEGAL)
    assert person.script_errors == []


async def test_the_rest_is_no_for_loaded_pictures_only_and_can_be_undone(
    browser: Browser, marketplace: Any, site: PictureSite
) -> None:
    names = tuple(f"pic{place:02d}" for place in range(48))
    person = await a_person(browser, marketplace, site, PHONE, names)
    await person.page.goto(f"{marketplace.url}/hits")
    await person.page.locator(f"form[action='/hits/{person.hit_id}/accept'] button").first.tap()
    await person.page.wait_for_url("**/assignments/*")
    await expect(person.answer_of(0)).to_have_attribute("data-picture", "loaded")
    # Far below the fold nothing is fetched before it is scrolled to, and nothing is answered.
    assert site.asked["pic47"] == 0
    await person.frame.locator("#rest").tap()
    await expect(person.answer_of(0)).to_have_attribute("data-answer", "no")
    await expect(person.answer_of(47)).not_to_have_attribute("data-answer", "no")
    for _ in range(20):
        if await person.frame.locator(".cell:not([data-answer])").count() == 0:
            break
        await person.frame.locator(".cell:not([data-answer])").first.scroll_into_view_if_needed()
        await expect(person.frame.locator(".cell:not([data-answer])").first).to_have_attribute(
            "data-picture", "loaded"
        )
        await person.frame.locator("#rest").tap()
    await person.progress("48 of 48")
    await person.frame.get_by_role("button", name="Undo").tap()
    await person.progress("0 of 48")


async def test_a_returned_hit_is_gone_from_the_workers_hands(
    browser: Browser, marketplace: Any, site: PictureSite
) -> None:
    person = await a_person(browser, marketplace, site, DESKTOP)
    await person.accept()
    await person.pictures.nth(0).click()
    await person.page.locator("form[action$='/return'] button").click()
    await person.page.wait_for_url("**/hits")
    await expect(person.page.locator("[data-assignment-id]")).to_have_count(0)
    requester = connect(marketplace.url, marketplace.keys.access_key, marketplace.keys.secret_key)
    assert list(requester.assignments(person.hit_id)) == []


async def test_the_link_to_wikipedia_opens_beside_the_page(
    browser: Browser, marketplace: Any, site: PictureSite
) -> None:
    person = await a_person(browser, marketplace, site, DESKTOP)
    await person.page.context.route(
        "https://en.wikipedia.org/**", lambda route: route.fulfill(body="umbrella", content_type="text/plain")
    )
    await person.accept()
    async with person.page.expect_popup() as opened:
        await person.frame.get_by_role("link", name="Wikipedia").click()
    article = await opened.value
    await article.wait_for_url("https://en.wikipedia.org/wiki/Umbrella")
    await expect(person.pictures.nth(0)).to_be_visible()


async def test_a_page_without_a_usable_address_to_submit_to_says_so(
    browser: Browser, site: PictureSite
) -> None:
    from xml.etree import ElementTree

    document = ElementTree.fromstring(render(site.page("pic00")))[0].text
    page = await (await browser.new_context()).new_page()
    await page.route(
        "https://page.example/**", lambda route: route.fulfill(body=document, content_type="text/html")
    )
    for address in ("", "&turkSubmitTo=javascript:alert(1)", "&turkSubmitTo=nonsense"):
        await page.goto(f"https://page.example/?assignmentId=A1{address}")
        await expect(page.locator("#notice")).to_contain_text("cannot be submitted")
        assert await page.locator("#form").get_attribute("action") is None


async def test_blurred_pictures_are_seen_before_they_are_judged(
    browser: Browser, marketplace: Any, site: PictureSite
) -> None:
    person = await a_person(browser, marketplace, site, DESKTOP, sensitive=True)
    await person.accept()
    veiled = person.frame.locator(".cell[data-veiled]")
    await expect(person.frame.locator("#warning")).to_contain_text("Content warning")
    await expect(veiled).to_have_count(12)
    blur = "(image) => getComputedStyle(image).filter"
    assert "blur" in await person.pictures.nth(0).locator("img").evaluate(blur)
    # A key that would answer does not, until the picture was shown.
    await person.pictures.nth(0).press("y")
    await person.progress("0 of 12")
    await expect(person.frame.locator("#live")).to_contain_text("Press b to see it")
    await person.pictures.nth(0).press("b")
    assert await person.pictures.nth(0).locator("img").evaluate(blur) == "none"
    await person.pictures.nth(0).press("y")
    # The first press shows, the second answers.
    await person.pictures.nth(1).click()
    await person.progress("1 of 12")
    await person.pictures.nth(1).click()
    await person.progress("2 of 12")
    # A report needs no look.
    await person.answer_of(2).locator(".flag").click()
    await person.frame.locator("#report [data-reason=offensive]").click()
    await person.progress("3 of 12")
    # The rest is no only for what was seen.
    await person.frame.locator("#rest").click()
    await person.progress("3 of 12")
    await person.page.reload()
    await person.settled()
    await expect(veiled).to_have_count(10)
    await person.frame.locator("#unveil").click()
    await expect(veiled).to_have_count(0)
    await person.frame.locator("#rest").click()
    await person.progress("12 of 12")
    await person.frame.locator("#submit").click()
    assert said(await person.submitted()) == ["yes", "yes", "report", *["no"] * 9]
    assert person.script_errors == []
