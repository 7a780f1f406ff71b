"""What people put into a QuestionForm: checked against the form, written as QuestionFormAnswers, read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from xml.etree.ElementTree import Element, ParseError, SubElement

import regex
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ..errors import HitsError
from .forms import Choice, FileUpload, FormQuestion, FreeText, QuestionForm
from .questions import ANSWERS_NAMESPACE, answers_document, clean_text
from .uploads import IncomingFile

LONGEST_MATCH_SECONDS = 0.1
_FLAGS = {"i": regex.IGNORECASE, "m": regex.MULTILINE, "s": regex.DOTALL}

OTHER = ":other"
"""What follows a question's identifier in the name of its field for another answer."""


class AnswersRefused(HitsError):
    """Answers do not fit their form; `problems` says why, by question identifier."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = dict(problems)


def form_answers_xml(
    form: QuestionForm, fields: Iterable[tuple[str, str]], files: Mapping[str, IncomingFile] | None = None
) -> str:
    """A posted form's fields and files as QuestionFormAnswers; raises AnswersRefused if any does not fit."""
    came = files or {}
    given: dict[str, list[str]] = {}
    for name, value in fields:
        given.setdefault(name, []).append(clean_text(value))
    problems: dict[str, str] = {}
    root = Element("QuestionFormAnswers", {"xmlns": ANSWERS_NAMESPACE})
    for question in form.questions:
        problem = _answer(root, question, given, came)
        if problem:
            problems[question.identifier] = problem
    if problems:
        # A browser does not send a file again that was chosen for the form before.
        for question in form.questions:
            if isinstance(question.answer, FileUpload) and question.identifier in came:
                problems.setdefault(question.identifier, "choose the file again")
        raise AnswersRefused(problems)
    return answers_document(root)


def _answer(
    root: Element,
    question: FormQuestion,
    given: Mapping[str, list[str]],
    files: Mapping[str, IncomingFile],
) -> str | None:
    answer = SubElement(root, "Answer")
    SubElement(answer, "QuestionIdentifier").text = clean_text(question.identifier)
    if isinstance(question.answer, FileUpload):
        return _file_problem(answer, question, question.answer, files.get(question.identifier))
    values = given.get(question.identifier, [])
    if isinstance(question.answer, FreeText):
        text = values[0].strip() if values else ""
        SubElement(answer, "FreeText").text = text
        return _text_problem(question.answer, text, question.required)
    other = next((value.strip() for value in given.get(question.identifier + OTHER, [])), "")
    return _choice_problem(answer, question, question.answer, [value for value in values if value], other)


def _file_problem(
    answer: Element, question: FormQuestion, wanted: FileUpload, file: IncomingFile | None
) -> str | None:
    if file is None:
        return "choose a file" if question.required else None
    SubElement(answer, "UploadedFileSizeInBytes").text = str(file.size)
    SubElement(answer, "UploadedFileKey").text = file.key
    if not wanted.least <= file.size <= wanted.most:
        return f"choose a file of {wanted.least:,} to {wanted.most:,} bytes; this one has {file.size:,}"
    return None


def _choice_problem(
    answer: Element, question: FormQuestion, choice: Choice, chosen: list[str], other: str
) -> str | None:
    known = {selection.identifier for selection in choice.selections}
    if not set(chosen) <= known or len(set(chosen)) < len(chosen) or (other and choice.other is None):
        return "choose from the answers that are offered"
    for identifier in chosen:
        SubElement(answer, "SelectionIdentifier").text = clean_text(identifier)
    if other:
        SubElement(answer, "OtherSelectionText").text = other
    count = len(chosen) + bool(other)
    if count == 0 and not question.required:
        return None
    # A question that must be answered takes at least one answer, whatever its form says.
    least = max(choice.least, 1 if question.required else 0)
    if not least <= count <= choice.most:
        if choice.most == 1:
            return "choose one answer"
        return (
            f"choose {least} to {choice.most} answers" if least < choice.most else f"choose {least} answers"
        )
    return _text_problem(choice.other, other, False) if other and choice.other else None


def _text_problem(field: FreeText, text: str, required: bool) -> str | None:
    if not text:
        return "give an answer" if required else None
    if len(text) < field.least_length:
        return f"write at least {field.least_length} characters"
    if field.most_length is not None and len(text) > field.most_length:
        return f"write at most {field.most_length} characters"
    if field.pattern and not _matches(field.pattern, field.pattern_flags, text):
        wanted = field.pattern_text.strip().rstrip(".") or "the answer has another form than is asked for"
        return f"mind this: {wanted}"
    if not field.numeric:
        return None
    try:
        number = float(text)
    except ValueError:
        return "write a number"
    if number != number or (field.least is not None and number < field.least):
        return f"write a number from {field.least} on" if field.least is not None else "write a number"
    if field.most is not None and number > field.most:
        return f"write a number up to {field.most}"
    return None


def _matches(pattern: str, flags: str, text: str) -> bool:
    """Whether a requester's expression matches; one that cannot be read, or takes too long, stops no worker."""
    expression = _compiled(pattern, flags)
    if expression is None:
        return True
    try:
        return expression.search(text, timeout=LONGEST_MATCH_SECONDS, concurrent=True) is not None
    except TimeoutError:
        return True


@lru_cache(maxsize=256)
def _compiled(pattern: str, flags: str) -> regex.Pattern[str] | None:
    """A JavaScript expression, of which nearly all mean the same here; None for those that do not."""
    # As in JavaScript, \d and \w are of ASCII only.
    chosen = regex.ASCII
    for flag in flags:
        chosen |= _FLAGS.get(flag, 0)
    try:
        return regex.compile(pattern, chosen)
    except (regex.error, RecursionError):
        return None


def read_answers(xml: str) -> dict[str, tuple[str, ...]]:
    """The answers in QuestionFormAnswers by question: the selections, or the text; unreadable XML has none."""
    try:
        root: Element = fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for answer in root.findall(f"{{{ANSWERS_NAMESPACE}}}Answer"):
        parts = [(part.tag.rpartition("}")[2], part.text or "") for part in answer]
        name = next((text for kind, text in parts if kind == "QuestionIdentifier"), "")
        found[name] = tuple(text for kind, text in parts if kind != "QuestionIdentifier" and text)
    return found
