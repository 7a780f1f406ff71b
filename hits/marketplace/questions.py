"""Questions and answers as MTurk's XML: HTMLQuestion, ExternalQuestion and QuestionForm in, answers out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ..errors import RequestRefused
from .forms import FORM_NAMESPACE, QuestionForm, read_form

LONGEST_QUESTION = 65_535
_SCHEMAS = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas"
HTML_NAMESPACE = f"{_SCHEMAS}/2011-11-11/HTMLQuestion.xsd"
EXTERNAL_NAMESPACE = f"{_SCHEMAS}/2006-07-14/ExternalQuestion.xsd"
ANSWERS_NAMESPACE = f"{_SCHEMAS}/2005-10-01/QuestionFormAnswers.xsd"

# What XML 1.0 cannot say, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Question:
    """What the frame shows: a page of its own (`html`), another server's (`url`) or a form; exactly one is set.

    `frame_height` is in pixels; 0 lets the page say.
    """

    frame_height: int
    html: str | None = None
    url: str | None = None
    form: QuestionForm | None = None


def parse_question(xml: str) -> Question:
    """Read a question; raises RequestRefused (XMLParseError or InvalidParameterValue) with the reason."""
    root = _parsed(xml, "Question")
    if FORM_NAMESPACE.fullmatch(root.tag):
        return Question(0, form=read_form(root))
    if root.tag == f"{{{HTML_NAMESPACE}}}HTMLQuestion":
        html = _text(root, HTML_NAMESPACE, "HTMLContent")
        return Question(_frame_height(root, HTML_NAMESPACE), html=html)
    if root.tag == f"{{{EXTERNAL_NAMESPACE}}}ExternalQuestion":
        url = _text(root, EXTERNAL_NAMESPACE, "ExternalURL").strip()
        _require_safe(url)
        return Question(_frame_height(root, EXTERNAL_NAMESPACE), url=url)
    raise RequestRefused(
        f"Question is {root.tag!r}, which is no HTMLQuestion, ExternalQuestion or QuestionForm",
        "XMLParseError",
    )


def parse_test(xml: str) -> QuestionForm:
    """Read a qualification's test, which is a QuestionForm; raises RequestRefused as `parse_question` does."""
    form = read_form(_parsed(xml, "Test"))
    if form.upload_bytes:
        raise RequestRefused("Test: FileUploadAnswer is for HITs only", "XMLParseError")
    return form


def _parsed(xml: str, what: str) -> Element:
    if len(xml.encode()) > LONGEST_QUESTION:
        raise RequestRefused(
            f"{what} is {len(xml.encode()):,} bytes long; the most is {LONGEST_QUESTION:,}",
            "InvalidParameterValue",
        )
    try:
        root: Element = fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise RequestRefused(f"{what} is not well-formed XML: {error}", "XMLParseError") from error
    return root


def _text(root: Element, namespace: str, name: str) -> str:
    found = root.findall(f"{{{namespace}}}{name}")
    if len(found) != 1 or not (found[0].text or "").strip():
        raise RequestRefused(f"Question needs one {name} with text in it", "XMLParseError")
    return found[0].text or ""


def _frame_height(root: Element, namespace: str) -> int:
    text = _text(root, namespace, "FrameHeight").strip()
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise RequestRefused(f"FrameHeight {text[:40]!r} is no number of pixels", "InvalidParameterValue")
    return int(text)


def _require_safe(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise RequestRefused(f"ExternalURL {url[:200]!r} is no address", "InvalidParameterValue") from error
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        raise RequestRefused(f"ExternalURL {url[:200]!r} must be https", "InvalidParameterValue")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def answers_xml(fields: Iterable[tuple[str, str]]) -> str:
    """The fields of a submitted form as QuestionFormAnswers; repeated names are joined with `|`, as MTurk did."""
    joined: dict[str, str] = {}
    for name, value in fields:
        clean_name, clean = clean_text(name), clean_text(value)
        joined[clean_name] = f"{joined[clean_name]}|{clean}" if clean_name in joined else clean
    root = Element("QuestionFormAnswers", {"xmlns": ANSWERS_NAMESPACE})
    for name, value in joined.items():
        answer = SubElement(root, "Answer")
        SubElement(answer, "QuestionIdentifier").text = name
        SubElement(answer, "FreeText").text = value
    return answers_document(root)


def clean_text(text: str) -> str:
    """The text with what XML cannot say replaced."""
    return _NOT_XML.sub("\ufffd", text)


def answers_document(root: Element) -> str:
    """An answers element as the document that requesters get."""
    body: str = tostring(root, encoding="unicode", short_empty_elements=False)
    return f'<?xml version="1.0" encoding="UTF-8" standalone="no"?>{body}'
