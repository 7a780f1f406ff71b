"""A person's way through the worker site in Chromium: frames, bridge, keyboard, phone and desktop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from ..marketplace_programs import form_question, question_form, selections
from ..marketplace_server import RunningMarketplace, running_marketplace
from ..marketplace_worker import html_question

ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]

# A requester's page that uses the whole contract: parameters, bridge, form; and that tries what it must not reach.
PAGE = """
<form id="f" method="post"><input type="hidden" name="assignmentId"><label>Answer <input name="answer"></label>
<button>Submit</button></form><p id="said"></p><div id="tall"></div>
<script>
  const asked = new URLSearchParams(location.search), form = document.getElementById("f");
  const said = document.getElementById("said"), preview = asked.get("assignmentId") === "ASSIGNMENT_ID_NOT_AVAILABLE";
  form.assignmentId.value = asked.get("assignmentId");
  form.action = asked.get("turkSubmitTo") + "/mturk/externalSubmit";
  form.querySelector("button").disabled = preview;
  const reached = [];
  for (const attempt of [() => parent.document.title, () => document.cookie, () => localStorage.length])
    try { attempt(); reached.push(String(attempt)); } catch {}
  said.textContent = reached.length ? "reached " + reached : preview ? "preview" : "working";
  addEventListener("message", (event) => {
    if (event.data.type === "hits:restore" && event.data.state) form.answer.value = event.data.state;
  });
  form.answer.addEventListener("input", () => parent.postMessage({ type: "hits:save", state: form.answer.value }, "*"));
  parent.postMessage({ type: "hits:ready" }, "*");
  parent.postMessage({ type: "hits:height", height: 420 }, "*");
</script>
"""
WIDE_FORM = question_form(
    form_question("word", selections("Donaudampfschifffahrt" * 3)),
    form_question(
        "style",
        selections("Donaudampfschifffahrt" * 3).replace("radiobutton", "dropdown"),
        "<Text>Which?</Text>",
    ),
    form_question(
        "file",
        "<FileUploadAnswer><MinFileSizeInBytes>1</MinFileSizeInBytes><MaxFileSizeInBytes>9</MaxFileSizeInBytes>"
        "</FileUploadAnswer>",
    ),
)
TERMS = {
    "Title": "Which of these pictures show an umbrella?",
    "Description": "Look at 48 small pictures and say of each whether it shows an umbrella.",
    "Keywords": "pictures, labels",
    "Reward": "0.35",
    "AssignmentDurationInSeconds": 900,
    "LifetimeInSeconds": 3600,
    "MaxAssignments": 3,
}


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
def window(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(window: BrowserContext) -> Page:
    return window.new_page()


def make_hit(market: RunningMarketplace, **changes: Any) -> str:
    terms = {**TERMS, "Question": html_question(PAGE), **changes}
    hit_id: str = market.client().create_hit(**terms)["HIT"]["HITId"]
    return hit_id


def sign_in(page: Page, market: RunningMarketplace, name: str = "Heron") -> None:
    page.goto(market.invite(name))
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Agree and start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("HITs you can do")


def test_a_person_previews_works_submits_and_goes_on(market: RunningMarketplace, page: Page) -> None:
    first, second = make_hit(market), make_hit(market)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    sign_in(page, market)
    page.get_by_role("link", name="Preview").click()
    question = page.frame_locator("#question")
    expect(question.locator("#said")).to_have_text("preview")
    page.get_by_role("button", name="Accept").click()
    expect(question.locator("#said")).to_have_text("working")
    expect(page.locator("#time-left")).to_contain_text("left")
    assert page.locator("#question").bounding_box()["height"] == 420  # type: ignore[index]
    question.get_by_label("Answer").fill("three of them")
    question.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Thank you, submitted")
    assert page.url.startswith(f"{market.url}/assignments/")
    [assignment] = market.client().list_assignments_for_hit(HITId=first)["Assignments"]
    assert "<FreeText>three of them</FreeText>" in assignment["Answer"]
    page.get_by_role("button", name="Next HIT of this kind").click()
    expect(page.locator("main")).to_have_attribute("data-hit-id", second)
    assert troubles == []


def test_answers_survive_a_reload_and_are_dropped_once_submitted(
    market: RunningMarketplace, page: Page
) -> None:
    make_hit(market)
    sign_in(page, market)
    page.get_by_role("button", name="Accept and work").click()
    answer = page.frame_locator("#question").get_by_label("Answer")
    answer.fill("half done")
    page.reload()
    expect(answer).to_have_value("half done")
    kept = "Object.keys(localStorage).filter((key) => key.startsWith('hits:state:')).length"
    assert page.evaluate(kept) == 1
    page.frame_locator("#question").get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Thank you")
    assert page.evaluate(kept) == 0


def test_returning_drops_the_answers_and_frees_the_hit(market: RunningMarketplace, page: Page) -> None:
    hit_id = make_hit(market, MaxAssignments=1)
    sign_in(page, market)
    page.get_by_role("button", name="Accept and work").click()
    page.frame_locator("#question").get_by_label("Answer").fill("no")
    page.get_by_role("button", name="Return").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("HITs you can do")
    assert page.evaluate("localStorage.length") == 0
    assert market.client().get_hit(HITId=hit_id)["HIT"]["NumberOfAssignmentsAvailable"] == 1


def test_without_scripts_the_frames_link_leads_on(market: RunningMarketplace, browser: Browser) -> None:
    make_hit(market, Question=html_question("<p>{}</p>"))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, market)
    page.get_by_role("button", name="Accept and work").click()
    assignment_id = page.locator("main").get_attribute("data-assignment-id")
    # The form that a page without scripts would have to be given by its requester.
    frame = page.frames[1]
    frame.set_content(
        f"<form method=post action={market.url}/mturk/externalSubmit>"
        f"<input name=assignmentId value={assignment_id}><button>Submit</button></form>"
    )
    frame.get_by_role("button").click()
    frame.get_by_role("link", name="Go on").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Thank you")
    context.close()


def test_the_whole_way_can_be_gone_by_keyboard(market: RunningMarketplace, page: Page) -> None:
    hit_id = make_hit(market)
    page.goto(market.invite("Heron"))

    def press_on(text: str) -> None:
        for _ in range(25):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "document.activeElement.textContent.trim() || document.activeElement.type || ''"
            )
            if text in focused:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline == "solid", f"the focus on {text} must be seen"
                return
        pytest.fail(f"{text} cannot be reached by keyboard")

    press_on("checkbox")
    page.keyboard.press("Space")
    press_on("Agree and start")
    page.keyboard.press("Enter")
    page.wait_for_url("**/hits")
    press_on("Accept and work")
    page.keyboard.press("Enter")
    page.wait_for_url("**/assignments/*")
    question = page.frame_locator("#question")
    expect(question.locator("#said")).to_have_text("working")
    question.get_by_label("Answer").focus()
    page.keyboard.type("by hand")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Thank you")
    assert market.client().get_hit(HITId=hit_id)["HIT"]["NumberOfAssignmentsAvailable"] == 2


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_is_wider_than_its_window(market: RunningMarketplace, browser: Browser, width: int) -> None:
    hit_id = make_hit(market, Title="Which of these " + "very " * 12 + "long " + "Donaudampfschifffahrt" * 2)
    context = browser.new_context(viewport={"width": width, "height": 700})
    page = context.new_page()
    page.goto(market.url)
    pages = ["/", market.invite("Heron").removeprefix(market.url)]
    for path in pages:
        page.goto(market.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    sign_in(page, market)
    for path in ("/hits", f"/hits/{hit_id}", "/earnings", "/hits/3NONE", "/qualifications", "/messages"):
        page.goto(market.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.goto(f"{market.url}/hits/{make_hit(market, Title='A form', Question=WIDE_FORM)}")
    page.frame_locator("#question").locator("input[type=file]").wait_for()
    [frame] = [found for found in page.frames if "/frame/" in found.url]
    assert frame.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
