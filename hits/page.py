"""The verification page: one self-contained HTML document inside an HTMLQuestion."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .errors import PageTooLarge
from .model import Cell, Concept, Page

if TYPE_CHECKING:
    from jinja2 import Template

NAMESPACE = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2011-11-11/HTMLQuestion.xsd"
MAX_QUESTION_BYTES = 65_535

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MANIFEST = re.compile(r'<script type="application/json" id="manifest">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a page's script, and a simulated worker, know of it."""

    concept_name: str
    cells: tuple[Cell, ...]


def render(page: Page) -> str:
    """Return the HTMLQuestion XML (schema of 2011-11-11) that shows `page`; its frame sizes itself.

    Raises PageTooLarge above the protocol's 65,535 bytes of UTF-8, and ValueError for a page without cells, with
    a name twice, or with an address of Wikipedia or an example that is not http(s).
    """
    _check(page)
    document = _template().render(
        concept=_printable(page.concept),
        examples=page.examples,
        counter_examples=page.counter_examples,
        sensitive=page.sensitive,
        manifest=_embedded(page),
    )
    # The one sequence that ends a CDATA section is split over two of them.
    content = document.replace("]]>", "]]]]><![CDATA[>")
    question = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<HTMLQuestion xmlns="{NAMESPACE}">'
        f"<HTMLContent><![CDATA[{content}]]></HTMLContent><FrameHeight>0</FrameHeight></HTMLQuestion>"
    )
    size = len(question.encode())
    if size > MAX_QUESTION_BYTES:
        raise PageTooLarge(
            f"a page of {len(page.cells)} pictures takes {size} bytes, the protocol allows {MAX_QUESTION_BYTES}; "
            "use fewer pictures a page or shorter picture addresses"
        )
    return question


def manifest(document: str) -> Manifest:
    """Return what the HTML document of a page asks; ValueError if it is not a page of `render`'s."""
    found = _MANIFEST.search(document)
    if found is None:
        raise ValueError("the document has no manifest of a verification page")
    try:
        content = json.loads(found[1])
        cells = tuple(Cell(cell["name"], cell["url"]) for cell in content["cells"])
        return Manifest(str(content["concept"]), cells)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the manifest of a verification page has another form: {error!r}") from error


def _check(page: Page) -> None:
    if not page.cells:
        raise ValueError("a page needs pictures")
    if len({cell.name for cell in page.cells}) != len(page.cells):
        raise ValueError("two cells of a page have one name")
    for address in (*page.examples, *page.counter_examples):
        if not address.startswith(("http://", "https://")) or _NOT_XML.search(address):
            raise ValueError(f"an example has no http(s) address: {address!r}")
    address = page.concept.wikipedia_url
    if address and not address.startswith(("http://", "https://")):
        raise ValueError(f"not an http(s) address: {address!r}")


def _printable(concept: Concept) -> Concept:
    """The concept without characters that XML cannot hold."""

    def clean(text: str) -> str:
        return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

    return replace(
        concept,
        name=clean(concept.name),
        synonyms=tuple(map(clean, concept.synonyms)),
        definition=clean(concept.definition),
        parents=tuple(map(clean, concept.parents)),
        wikipedia_url=clean(concept.wikipedia_url),
        not_counting=tuple(map(clean, concept.not_counting)),
        counting=tuple(map(clean, concept.counting)),
    )


def _embedded(page: Page) -> Any:
    """The manifest as JSON that can end neither its script element nor the CDATA section around it."""
    from markupsafe import Markup

    content = {
        "concept": _printable(page.concept).name,
        **({"sensitive": True} if page.sensitive else {}),
        "cells": [{"name": cell.name, "url": cell.picture_url} for cell in page.cells],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text))


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hits", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("verification.html")
