"""The HTML report: one file that needs nothing else, shows what the store holds, and lets no title in as markup."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request

from hits import database
from imagenet_builder.errors import BuilderError, TrainingError
from imagenet_builder.project import Project
from imagenet_builder.report import Measure, write_report
from imagenet_builder.store import tables as t
from imagenet_builder.train.metrics import ClassMetrics, EpochMetrics, Metrics
from tests.builder_store import NOW, add_categories, empty_project
from tests.people import running_browser
from tests.small_store import SmallStore
from tests.verification_project import drawn

A, B = "n00000001", "n00000002"
HOSTILE = "<script>document.title='owned'</script>"
BREAKING = '"><img src=http://127.0.0.1:9/x onerror="document.title=\'owned\'">'


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with running_browser(chromium) as running:
        yield running


class Looked:
    """A report as a browser shows it: its page, what it asked for beyond itself, and its scripts' troubles."""

    def __init__(self, browser: Browser, path: Path, width: int = 1280) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900})
        self.asked: list[str] = []
        self.page.on("request", self._note)
        self.page.goto(path.as_uri())

    def _note(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.asked.append(request.url)


class References(HTMLParser):
    """Every attribute by which a document fetches something."""

    NAMES = frozenset({"src", "srcset", "href", "xlink:href", "poster", "action", "background", "data"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [value or "" for name, value in attrs if name in self.NAMES]


def asserted_self_contained(text: str) -> None:
    references = References(text)
    assert [one for one in references.found if not one.startswith(("data:image/", "#"))] == []
    assert references.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form"})
    assert not re.search(r"@import|url\((?![\"']?(#|data:))", text)


def metrics(words: str = "umbrella") -> Metrics:
    epochs = tuple(
        EpochMetrics(
            epoch=number, train_loss=2.0 / number, val_loss=2.2 / number, top1=0.2 * number, top5=0.3 * number,
            learning_rate=0.1, pictures=40, seconds=2.0, pictures_per_second=20.0,
        )
        for number in (1, 2, 3)
    )  # fmt: skip
    return Metrics(
        arch="small", parameters=1000, recipe={"epochs": 3}, seed=0, size=64, finetuned_from=None,
        release="releases/first", release_digest=None, classes=12, pictures={"train": 1234, "val": 96},
        top1=0.6, top5=0.9, top1_error=0.4, top5_error=0.1, chance_top1_error=11 / 12, chance_top5_error=7 / 12,
        best_epoch=3, best_top1=0.6, epochs=epochs,
        per_class=(ClassMetrics(wnid=A, words=words, pictures=8, top1=0.5),),
        device="cpu", processes=1, versions={"torch": "2"},
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a finished training run."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.json").write_text(metrics().to_json(), encoding="utf-8")
    return folder


@pytest.fixture
def full(tmp_path: Path) -> Project:
    """A project with something of everything, and with titles that would be markup if they could."""
    project = empty_project(tmp_path / "project", project={"name": f"mine {HOSTILE}"})
    add_categories(project, A, B)
    with database.writing(project.engine) as connection:
        connection.execute(t.categories.update().values(gloss=f"a thing {BREAKING}"))
    store = SmallStore(project)
    hit = store.hit(A, state="collected", reward=9, fee=2, votes=3)
    workers = [store.worker() for _ in range(3)]
    pages = [
        store.assignment(hit, worker, right=number, shown=2, seconds=40.5 + number if number else None)
        for number, worker in enumerate(workers)
    ]
    for number, decision in enumerate(("accepted", "accepted", "rejected", "undecided")):
        image = store.image(drawn(number))
        store.candidate(A, image, title=f"{HOSTILE} {number}", author=BREAKING, licence="by")
        question = store.question(image, A)
        store.verdict(question, decision, yes=3 - number, no=number)
        for place, (page, worker) in enumerate(zip(pages, workers, strict=True)):
            store.vote(question, page, worker, "no" if place < number else "yes")
    store.candidate(A, state="rejected", reason="licence")
    store.candidate(B, state="failed", reason="timeout")
    return project


def report(project: Project, out: Path, run: Path | None = None) -> str:
    measures = [Measure("precision", "97.5 %", f"of what was drawn {HOSTILE}")]
    return write_report(project, out, now=NOW, run=run, measures=measures).read_text(encoding="utf-8")


def test_an_empty_project_has_a_report_too(tmp_path: Path, browser: Browser) -> None:
    project = empty_project(tmp_path / "project", project={"name": "nothing yet"})
    out = tmp_path / "report.html"
    text = write_report(project, out, now=NOW).read_text(encoding="utf-8")
    asserted_self_contained(text)
    looked = Looked(browser, out)
    assert looked.asked == [out.as_uri()]
    assert looked.page.get_by_role("heading", level=1).inner_text() == "nothing yet"
    assert "2026-05-04 12:00 UTC" in looked.page.inner_text("main")
    cards = looked.page.locator(".cards").inner_text()
    assert "$0.00" in cards
    assert "agreement" not in cards
    looked.page.screenshot(path=tmp_path / "empty.png", full_page=True)
    looked.page.close()


def test_a_full_report_shows_the_stores_figures_and_fetches_nothing(
    full: Project, run: Path, browser: Browser, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "report.html"
    text = report(full, out, run)
    asserted_self_contained(text)
    looked = Looked(browser, out)
    assert looked.asked == [out.as_uri()]
    page = looked.page
    page.locator("img").evaluate_all(
        "all => Promise.all(all.map((one) => { one.loading = 'eager'; return one.decode() }))"
    )
    assert all(page.locator("img").evaluate_all("all => all.map((one) => one.naturalWidth > 0)"))
    assert page.locator("figure").count() == 4
    assert page.locator(".pictures.accepted figure").count() == 2
    assert page.locator(".curves svg").count() >= 1
    main = page.inner_text("main")
    assert "97.5 %" in main
    assert "top-1 error 40.0 % (chance 91.7 %)" in main
    assert "4 stored of 5 candidates" in main
    # Twelve votes; pairs that agree: 3 + 1 + 1 + 3 of 12.
    assert "66.7 %" in page.locator(".cards").inner_text()
    assert "$0.33\nof $0.33 promised" in page.locator(".cards").inner_text()
    rows = [row.split("\t") for row in page.locator("table").last.inner_text().splitlines()]
    assert [row[1:4] for row in rows[1:]] == [
        ["1", "–", "0 of 2"],
        ["1", "42", "1 of 2"],
        ["1", "42", "2 of 2"],
    ]
    page.screenshot(path=tmp_path / "full.png", full_page=True)
    page.close()


def test_nobodys_words_become_markup(full: Project, run: Path, browser: Browser, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (run / "metrics.json").write_text(
        metrics(HOSTILE).to_json().replace('"small"', '"<b>small</b>"'), "utf-8"
    )
    out = tmp_path / "report.html"
    text = report(full, out, run)
    assert "<script" not in text
    assert "<img src=http" not in text
    looked = Looked(browser, out)
    looked.page.wait_for_load_state("load")
    assert looked.page.title() == f"mine {HOSTILE}: report"
    assert looked.page.get_by_role("heading", level=1).inner_text() == f"mine {HOSTILE}"
    assert looked.page.locator("figure img").first.get_attribute("alt", timeout=5000) in {
        f"{HOSTILE} {number}" for number in range(4)
    }
    assert BREAKING in str(looked.page.locator("figcaption").first.get_attribute("title"))
    assert looked.asked == [out.as_uri()]
    looked.page.close()


def test_pictures_are_small_jpegs_without_anything_of_the_original(full: Project, tmp_path: Path) -> None:
    text = report(full, tmp_path / "report.html")
    encoded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert len(encoded) == 4
    for one in encoded:
        content = base64.b64decode(one, validate=True)
        picture = Image.open(io.BytesIO(content))
        assert picture.format == "JPEG"
        assert max(picture.size) <= 144
        assert "comment" not in picture.info


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_never_wider_than_its_window(
    full: Project, run: Path, browser: Browser, tmp_path: Path, width: int
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "report.html"
    report(full, out, run)
    looked = Looked(browser, out, width)
    assert looked.page.evaluate("document.documentElement.scrollWidth") <= width
    looked.page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
    looked.page.close()


def test_the_same_store_gives_the_same_report(full: Project, tmp_path: Path) -> None:
    first = report(full, tmp_path / "first.html")
    assert report(full, tmp_path / "second.html") == first


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    full: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "reports" / "report.html"
    before = report(full, out)
    with pytest.raises(TrainingError, match="holds no finished training run"):
        report(full, out, tmp_path / "nowhere")
    (tmp_path / "a-file").write_text("", encoding="utf-8")
    with pytest.raises(BuilderError, match="cannot write the report"):
        report(full, tmp_path / "a-file" / "report.html")

    def full_disk(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(BuilderError, match="No space left on device"):
        report(full, out)
    assert out.read_text(encoding="utf-8") == before
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
