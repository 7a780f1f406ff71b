"""A page's answers on the wire: the form field that it submits, and the QuestionFormAnswers XML that comes back."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from .errors import AnswersUnreadable
from .model import Answer, CellAnswer, PageAnswers, ReportReason

Word = TypeVar("Word", Answer, ReportReason)

FIELD = "answers"
VERSION = 1
MAX_CHARACTERS = 1_000_000
NAMESPACE = (
    "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2005-10-01/QuestionFormAnswers.xsd"
)


def compose(answers: PageAnswers) -> dict[str, str]:
    """Return the form fields with which a page submits `answers`; whoever submits adds the assignmentId."""
    cells: dict[str, str | list[str]] = {
        cell.name: cell.answer.value if cell.reason is None else [cell.answer.value, cell.reason.value]
        for cell in answers.cells
    }
    document = {"v": VERSION, "seconds": answers.seconds, "cells": cells}
    return {FIELD: json.dumps(document, separators=(",", ":"))}


def parse(answer_xml: str) -> PageAnswers:
    """Return what a page said, from an assignment's QuestionFormAnswers XML (schema of 2005-10-01).

    The XML comes from a stranger: anything but the one FreeText field that the page sends, in its form, raises
    AnswersUnreadable with one line. Whether the cells are the HIT's own is the caller's to check.
    """
    if len(answer_xml) > MAX_CHARACTERS:
        raise AnswersUnreadable(f"an answer of {len(answer_xml)} characters is too long to be a page's")
    document = _load(_free_text(answer_xml))
    try:
        return PageAnswers(_cells(document["cells"]), _seconds(document["seconds"]))
    except ValueError as error:
        raise AnswersUnreadable(f"an answer cannot be read: {error}") from error


def _free_text(answer_xml: str) -> str:
    """The text of the only field."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException, ElementTree

    try:
        root = ElementTree.fromstring(answer_xml, forbid_dtd=True)
    except DefusedXmlException as error:
        raise AnswersUnreadable("an answer holds a document type or entities, which no page sends") from error
    except (ParseError, ValueError) as error:
        raise AnswersUnreadable(f"an answer is not XML: {error}") from error
    if root.tag != f"{{{NAMESPACE}}}QuestionFormAnswers":
        raise AnswersUnreadable(f"an answer is not QuestionFormAnswers but {root.tag[:120]!r}")
    if len(root) != 1 or root[0].tag != f"{{{NAMESPACE}}}Answer":
        raise AnswersUnreadable(f"an answer must have one field, not {len(root)}")
    parts = [(part.tag, part.text or "") for part in root[0]]
    if len(parts) != 2 or parts[0] != (f"{{{NAMESPACE}}}QuestionIdentifier", FIELD):
        raise AnswersUnreadable(f"an answer's field is not the text called {FIELD!r}")
    tag, text = parts[1]
    if tag != f"{{{NAMESPACE}}}FreeText" or len(root[0][1]):
        raise AnswersUnreadable(f"the field {FIELD!r} of an answer is not free text")
    return str(text)


def _load(text: str) -> dict[str, Any]:
    """The JSON object in the field, with exactly the keys of this version."""
    try:
        document = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise AnswersUnreadable(f"the field {FIELD!r} of an answer is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise AnswersUnreadable(f"the field {FIELD!r} of an answer is not a JSON object")
    version = document.get("v")
    if type(version) is not int or version != VERSION:
        raise AnswersUnreadable(f"an answer has the version {_shown(version)}, this program reads {VERSION}")
    if document.keys() != {"v", "seconds", "cells"}:
        raise AnswersUnreadable(
            f"an answer has the keys {_shown(sorted(document))}, not v, seconds and cells"
        )
    return document


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a key comes twice")
    return unique


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _cells(cells: object) -> tuple[CellAnswer, ...]:
    if not isinstance(cells, dict):
        raise ValueError(f"cells must be an object, not {_shown(cells)}")
    return tuple(_cell(name, said) for name, said in cells.items())


def _cell(name: str, said: object) -> CellAnswer:
    match said:
        case str():
            return CellAnswer(name, _word(Answer, said))
        case [str(answer), str(reason)]:
            return CellAnswer(name, _word(Answer, answer), _word(ReportReason, reason))
        case _:
            raise ValueError(f"{_shown(said)} is no answer to a picture")


def _word(words: type[Word], said: str) -> Word:
    try:
        return words(said)
    except ValueError:
        raise ValueError(f"{_shown(said)} is not one of {', '.join(words)}") from None


def _seconds(seconds: object) -> float | None:
    match seconds:
        case None:
            return None
        case bool():
            raise ValueError(f"seconds must be a number, not {seconds}")
        case int() | float():
            try:
                return float(seconds)
            except OverflowError:
                raise ValueError("seconds must be a number that a clock can show") from None
        case _:
            raise ValueError(f"seconds must be a number, not {_shown(seconds)}")


def _shown(value: object) -> str:
    """A stranger's value, short and on one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
