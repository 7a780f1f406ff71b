"""People at the worker site, in headless Chromium: they sign in, take what is offered, answer and submit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, FrameLocator, Page, expect, sync_playwright

from hits.simulation import Shown

ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
# Generous: the machine may be busy with other tests.
PATIENCE = 60_000


@contextmanager
def running_browser(chromium: str) -> Iterator[Browser]:
    """A Chromium for several people; each of them gets a profile of their own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """A worker with a browser on a `device`, who answers with "mouse", "keyboard" or "touch"."""

    def __init__(self, browser: Browser, name: str, hand: str, shots: Path) -> None:
        self.name = name
        self.hand = hand
        self._shots = shots
        self.troubles: list[str] = []
        context = browser.new_context(**(PHONE if hand == "touch" else DESKTOP))
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))

    def shoot(self, what: str) -> None:
        """Leave a screenshot of the window."""
        self.page.screenshot(path=self._shots / f"{self.name}-{what}.png")

    def sign_in(self, invitation: str) -> None:
        self.page.goto(invitation)
        self.shoot("invitation")
        self.page.get_by_role("checkbox").check()
        self.page.get_by_role("button", name="Agree and start").click()
        self.page.wait_for_url("**/hits")
        self.shoot("hits")

    def take_next(self) -> bool:
        """Accept a HIT from the list; False when none is offered."""
        self.page.goto("/".join(self.page.url.split("/")[:3]) + "/hits")
        if self.page.locator("[data-empty]").count():
            return False
        accept = self.page.get_by_role("button", name="Accept and work").first
        if self.hand == "touch":
            accept.tap()
        else:
            accept.click()
        self.page.wait_for_url("**/assignments/*")
        return True

    @property
    def frame(self) -> FrameLocator:
        return self.page.frame_locator("iframe#question")

    def shown(self) -> list[str]:
        """The names of the page's pictures, once all of them have loaded."""
        cells = self.frame.locator(".cell")
        expect(cells.first).to_have_attribute("data-picture", "loaded", timeout=PATIENCE)
        self.shoot("page")
        for place in range(cells.count()):
            cells.nth(place).scroll_into_view_if_needed()
            expect(cells.nth(place)).to_have_attribute("data-picture", "loaded", timeout=PATIENCE)
        addresses = self.frame.locator(".picture img").evaluate_all("all => all.map((one) => one.src)")
        return [Path(urlsplit(address).path).stem for address in addresses]

    def answer(self, truth: Mapping[str, Shown]) -> int:
        """Answer the page by what is true, and submit it; returns its number of pictures."""
        names = self.shown()
        if self.hand == "keyboard":
            self._answer_by_keyboard([truth[name] is True for name in names])
        else:
            self._answer_by_pointing([truth[name] is True for name in names])
        expect(self.page.get_by_role("heading", level=1)).to_contain_text("Thank you", timeout=PATIENCE)
        self.shoot("done")
        return len(names)

    def _answer_by_pointing(self, answers: list[bool]) -> None:
        """Point at what shows it; the rest is no."""
        touch = self.hand == "touch"
        for place, shows in enumerate(answers):
            if shows:
                picture = self.frame.locator(".picture").nth(place)
                picture.tap() if touch else picture.click()
        rest, submit = self.frame.locator("#rest"), self.frame.locator("#submit")
        rest.tap() if touch else rest.click()
        self._all_answered(len(answers))
        submit.tap() if touch else submit.click()

    def _answer_by_keyboard(self, answers: list[bool]) -> None:
        self.frame.locator(".picture").first.focus()
        for place, shows in enumerate(answers):
            expect(self.frame.locator(".picture").nth(place)).to_be_focused(timeout=PATIENCE)
            self.page.keyboard.press("y" if shows else "n")
        self._all_answered(len(answers))
        expect(self.frame.locator("#submit")).to_be_focused(timeout=PATIENCE)
        self.page.keyboard.press("Enter")

    def _all_answered(self, number: int) -> None:
        expect(self.frame.locator("#progress")).to_have_text(f"{number} of {number}", timeout=PATIENCE)
        self.shoot("answered")
