"""Questions in, answers out: XML that is refused, and XML that comes back."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.errors import HitsError, RequestRefused
from hits.marketplace.questions import ANSWERS_NAMESPACE, answers_xml, parse_question
from hits.marketplace.settings import MarketplaceSettings

from ..marketplace_worker import external_question, html_question

BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>' + html_question(
    "&b;"
).replace("<![CDATA[", "").replace("]]>", "")
OUTSIDE = '<!DOCTYPE b [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + html_question()


def test_an_html_question_gives_its_page_as_it_is() -> None:
    question = parse_question(html_question("<b>A &amp; B</b>", height=450))
    assert question.html is not None
    assert "<b>A &amp; B</b>" in question.html
    assert (question.frame_height, question.url) == (450, None)


@pytest.mark.parametrize(
    "url", ["https://example.org/q?a=1&amp;b=2", "http://127.0.0.1:5000/", "http://localhost/x"]
)
def test_external_questions_are_https_or_on_this_machine(url: str) -> None:
    assert parse_question(external_question(url)).url == url.replace("&amp;", "&")


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        ("", "XMLParseError"),
        ("plain", "XMLParseError"),
        ("<a>", "XMLParseError"),
        (BOMB, "XMLParseError"),
        (OUTSIDE, "XMLParseError"),
        ("<QuestionForm/>", "XMLParseError"),
        (html_question().replace("HTMLContent", "Content"), "XMLParseError"),
        (html_question().replace("<FrameHeight>0</FrameHeight>", ""), "XMLParseError"),
        (html_question().replace(">0</Frame", ">tall</Frame"), "InvalidParameterValue"),
        (html_question("x" * 65_536), "InvalidParameterValue"),
        (html_question("é" * 33_000), "InvalidParameterValue"),
        (external_question("http://example.org/"), "InvalidParameterValue"),
        (external_question("http://10.0.0.1/"), "InvalidParameterValue"),
        (external_question("javascript:alert(1)"), "InvalidParameterValue"),
        (external_question("https://[broken"), "InvalidParameterValue"),
    ],
)
def test_other_questions_are_refused_with_the_reason(xml: str, code: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse_question(xml)
    assert refused.value.code == code


@given(st.text(max_size=200))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(RequestRefused):
        parse_question(text)


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_answers_are_well_formed_whatever_is_typed(fields: dict[str, str]) -> None:
    root = ElementTree.fromstring(answers_xml(fields.items()).encode("utf-8", "strict"))
    assert root.tag == f"{{{ANSWERS_NAMESPACE}}}QuestionFormAnswers"
    assert len(root) <= len(fields)


def test_answers_hold_every_field_and_join_repeated_ones_with_a_bar() -> None:
    root = ElementTree.fromstring(
        answers_xml([("a", "1 < 2 & 3"), ("b", "x"), ("b", "y"), ("c", "")]).encode()
    )
    space = f"{{{ANSWERS_NAMESPACE}}}"
    found = {
        answer.findtext(f"{space}QuestionIdentifier"): answer.findtext(f"{space}FreeText") for answer in root
    }
    assert found == {"a": "1 < 2 & 3", "b": "x|y", "c": ""}


@pytest.mark.parametrize(
    ("public", "frame"),
    [
        ("http://127.0.0.1:8700", "http://127.0.0.1:8701"),
        ("127.0.0.1:8700", "http://localhost:8700"),
        ("http://work.example.org/site", "http://frames.example.org"),
        ("ftp://work.example.org", "http://frames.example.org"),
    ],
)
def test_addresses_that_cannot_serve_are_refused_at_once(public: str, frame: str) -> None:
    with pytest.raises(HitsError):
        MarketplaceSettings("sqlite://", public_url=public, frame_url=frame)


def test_addresses_lose_a_trailing_slash() -> None:
    assert (
        MarketplaceSettings("sqlite://", public_url="https://work.example.org/").public_url
        == "https://work.example.org"
    )
