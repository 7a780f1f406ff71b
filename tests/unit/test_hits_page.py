"""The verification page as a document: sound XML and HTML whatever the texts in it, and small."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.errors import PageTooLarge
from hits.model import Answer as Said
from hits.model import Cell, CellAnswer, Concept, Page, PageAnswers
from hits.page import MAX_QUESTION_BYTES, NAMESPACE, manifest, render

UMBRELLA = Concept(
    name="umbrella",
    synonyms=("brolly", "gamp"),
    definition="a lightweight handheld collapsible canopy",
    parents=("canopy",),
    wikipedia_url="https://en.wikipedia.org/wiki/Umbrella",
    not_counting=("parasol",),
)
HOSTILE = (
    "</script><script>alert(1)</script>",
    "]]>",
    "<!--",
    "&amp;",
    '"><img src=x onerror=alert(1)>',
    "\x00\x0b",
)

texts = st.text(max_size=60) | st.sampled_from(HOSTILE)
concepts = st.builds(
    Concept,
    name=texts,
    synonyms=st.lists(texts, max_size=3).map(tuple),
    definition=texts,
    parents=st.lists(texts, max_size=3).map(tuple),
    wikipedia_url=st.just("") | texts.map(lambda text: "https://en.wikipedia.org/wiki/" + text),
    not_counting=st.lists(texts, max_size=3).map(tuple),
)


def cells(number: int, address: str = "https://pictures.example/h/{}.jpg") -> tuple[Cell, ...]:
    return tuple(Cell(f"c{place:04x}", address.format(place)) for place in range(number))


def html_of(question: str) -> str:
    root = ElementTree.fromstring(question)
    assert [child.tag for child in root] == [f"{{{NAMESPACE}}}HTMLContent", f"{{{NAMESPACE}}}FrameHeight"]
    assert root[1].text == "0"
    assert root[0].text
    return root[0].text


class Outline(HTMLParser):
    """The tags of a document, with the attributes that can load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.active: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.active += [
            (tag, name, value)
            for name, value in attrs
            if name in {"src", "href", "action", "srcset"} or name.startswith("on")
        ]


def outline(document: str) -> Outline:
    parser = Outline()
    parser.feed(document)
    return parser


@given(concepts, st.lists(texts, min_size=1, max_size=4))
def test_no_text_can_break_out_of_its_place(concept: Concept, addresses: list[str]) -> None:
    page = Page(
        concept,
        tuple(Cell(f"c{place}", "https://pictures.example/" + text) for place, text in enumerate(addresses)),
    )
    document = html_of(render(page))
    found = outline(document)
    plain = outline(html_of(render(Page(UMBRELLA, page.cells))))
    assert found.tags.count("script") == plain.tags.count("script") == 2
    assert found.tags.count("img") == plain.tags.count("img")
    assert not [attribute for attribute in found.active if attribute[1] != "href"]
    assert len(manifest(document).cells) == len(addresses)


def test_the_manifest_holds_the_names_and_addresses_in_order() -> None:
    page = Page(UMBRELLA, cells(48, "https://pictures.example/a?b=1&c=<2>#{}"))
    found = manifest(html_of(render(page)))
    assert found.concept_name == "umbrella"
    assert found.cells == page.cells


def test_the_manifest_is_the_json_element_that_the_page_promises() -> None:
    document = html_of(render(Page(UMBRELLA, cells(2))))
    element = re.search(r'<script type="application/json" id="manifest">(.*?)</script>', document)
    assert element
    assert json.loads(element[1]) == {
        "concept": "umbrella",
        "cells": [
            {"name": "c0000", "url": "https://pictures.example/h/0.jpg"},
            {"name": "c0001", "url": "https://pictures.example/h/1.jpg"},
        ],
    }


def test_the_page_tells_definition_synonyms_parents_and_what_does_not_count() -> None:
    document = html_of(render(Page(UMBRELLA, cells(1))))
    for text in ("umbrella", "brolly, gamp", "collapsible canopy", "canopy</dd>", "parasol"):
        assert text in document
    assert "regardless of occlusion, number of objects, and clutter" in document
    assert (
        '<a href="https://en.wikipedia.org/wiki/Umbrella" target="_blank" rel="noopener noreferrer">'
        in document
    )


def test_kinds_of_it_and_pictures_of_it_are_shown_as_examples() -> None:
    concept = Concept("umbrella", (), "", (), "", counting=("parasol", "gamp"))
    examples = ("https://pictures.example/e/1.jpg", 'https://pictures.example/e/2.jpg?a="b"')
    document = html_of(render(Page(concept, cells(1), examples, ("https://pictures.example/e/3.jpg",))))
    assert "Counts too</dt> <dd>parasol, gamp" in document
    assert 'src="https://pictures.example/e/1.jpg"' in document
    assert "2.jpg?a=&#34;b&#34;" in document
    assert 'src="https://pictures.example/e/3.jpg" alt="These do not, 1"' in document
    assert "These do not" not in html_of(render(Page(concept, cells(1), examples)))
    for wrong in (
        Page(concept, cells(1), ("javascript:alert(1)",)),
        Page(concept, cells(1), (), ("data:,x",)),
    ):
        with pytest.raises(ValueError, match="example"):
            render(wrong)


def test_only_a_sensitive_page_warns() -> None:
    plain, warning = (html_of(render(Page(UMBRELLA, cells(1), sensitive=chosen))) for chosen in (False, True))
    assert "Content warning" not in plain
    assert "Content warning" in warning
    assert manifest(plain) == manifest(warning)


def test_a_concept_without_particulars_shows_no_empty_headings() -> None:
    document = html_of(render(Page(Concept("thing", (), "", (), ""), cells(1))))
    for text in (
        "Also called",
        "Counts too",
        "These show it",
        "A kind of",
        "Does not count",
        "Wikipedia",
        'class="definition">',
    ):
        assert text not in document


def test_the_page_loads_nothing_but_its_pictures() -> None:
    found = outline(html_of(render(Page(UMBRELLA, cells(48)))))
    assert found.active == [("a", "href", "https://en.wikipedia.org/wiki/Umbrella")]
    assert "link" not in found.tags


def test_a_page_of_48_is_small() -> None:
    document = html_of(render(Page(UMBRELLA, cells(48))))
    without_manifest = re.sub(r'(id="manifest">).*?(</script>)', r"\1\2", document, flags=re.DOTALL)
    assert len(without_manifest.encode()) <= 30_000


def test_the_size_limit_counts_bytes_and_holds_to_the_byte() -> None:
    def page(padding: int) -> Page:
        return Page(UMBRELLA, (Cell("a", "https://pictures.example/ä" + "x" * padding),))

    room = MAX_QUESTION_BYTES - len(render(page(0)).encode())
    assert len(render(page(room)).encode()) == MAX_QUESTION_BYTES
    with pytest.raises(PageTooLarge, match="1 pictures takes 65536 bytes"):
        render(page(room + 1))


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(Page(UMBRELLA, ()), id="no cells"),
        pytest.param(Page(UMBRELLA, cells(1) * 2), id="a name twice"),
        pytest.param(Page(Concept("x", (), "", (), "javascript:alert(1)"), cells(1)), id="a script as link"),
    ],
)
def test_pages_that_make_no_sense_are_refused(page: Page) -> None:
    with pytest.raises(ValueError):
        render(page)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<html></html>",
        '<script type="application/json" id="manifest">nonsense</script>',
        '<script type="application/json" id="manifest">[]</script>',
        '<script type="application/json" id="manifest">{"concept":"x","cells":[{"name":"a"}]}</script>',
        '<script type="application/json" id="manifest">{"concept":"x","cells":[{"name":"a","url":"file:///x"}]}</script>',
    ],
)
def test_other_documents_have_no_manifest(document: str) -> None:
    with pytest.raises(ValueError):
        manifest(document)


def test_records_refuse_what_no_page_says() -> None:
    for name in ("", "a b", "ä", "x" * 65, "a/b"):
        with pytest.raises(ValueError):
            Cell(name, "https://pictures.example/1.jpg")
    with pytest.raises(ValueError):
        Cell("a", "javascript:alert(1)")
    with pytest.raises(ValueError):
        CellAnswer("a", Said.REPORT)
    with pytest.raises(ValueError):
        PageAnswers((CellAnswer("a", Said.YES), CellAnswer("a", Said.NO)))
    with pytest.raises(ValueError):
        PageAnswers((), float("nan"))
