"""QuestionForm, the protocol's own XML for forms, as records: MTurk's QuestionForm.xsd (2005-10-01 and later).

FreeTextAnswer, SelectionAnswer and FileUploadAnswer are read; Java and Flash applications are refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from markupsafe import Markup

from ..errors import RequestRefused
from .xhtml import clean_xhtml

FORM_NAMESPACE = re.compile(
    r"\{(http://mechanicalturk\.amazonaws\.com/AWSMechanicalTurkDataSchemas/"
    r"(?:2005-10-01|2017-11-06)/QuestionForm\.xsd)\}QuestionForm"
)

LARGEST_UPLOAD = 100_000_000
"""The most bytes of a file, whatever its form allows."""


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of a form: `kind` is title, text, list, image or html; `entries` are a list's."""

    kind: str
    text: str | Markup = ""
    entries: tuple[str, ...] = ()
    url: str = ""


@dataclass(frozen=True, slots=True)
class FreeText:
    """A field for text; `pattern` is a JavaScript regular expression that must match somewhere in it."""

    default: str = ""
    lines: int = 1
    least_length: int = 0
    most_length: int | None = None
    numeric: bool = False
    least: int | None = None
    most: int | None = None
    pattern: str | None = None
    pattern_flags: str = ""
    pattern_text: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """One of the answers to choose from."""

    identifier: str
    content: Content


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice among selections, of which `least` to `most` are taken; `other` is a field for another answer."""

    selections: tuple[Selection, ...]
    least: int = 1
    most: int = 1
    style: str = ""
    other: FreeText | None = None


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A field for a file of `least` to `most` bytes; MTurk took up to 2 GB, here `LARGEST_UPLOAD` is the most."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class FormQuestion:
    """A question of a form."""

    identifier: str
    name: str
    required: bool
    content: tuple[Content, ...]
    answer: FreeText | Choice | FileUpload


@dataclass(frozen=True, slots=True)
class Overview:
    """Words between questions."""

    content: tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class QuestionForm:
    """A whole form, in its order."""

    parts: tuple[Overview | FormQuestion, ...]

    @property
    def questions(self) -> tuple[FormQuestion, ...]:
        return tuple(part for part in self.parts if isinstance(part, FormQuestion))

    @property
    def upload_bytes(self) -> int:
        """How many bytes all files that the form asks for may have together."""
        return sum(
            question.answer.most for question in self.questions if isinstance(question.answer, FileUpload)
        )


def read_form(root: Element) -> QuestionForm:
    """The form in a QuestionForm element; raises RequestRefused (XMLParseError or XHTMLParseError)."""
    found = FORM_NAMESPACE.fullmatch(root.tag)
    if found is None:
        raise _bad(f"{root.tag!r} is not a QuestionForm")
    return _Reader(found[1]).form(root)


def _bad(reason: str) -> RequestRefused:
    return RequestRefused(f"QuestionForm: {reason}", "XMLParseError")


class _Reader:
    """Reads the elements of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.prefix = f"{{{namespace}}}"

    def name(self, element: Element) -> str:
        return element.tag.removeprefix(self.prefix)

    def child(self, element: Element, name: str) -> Element | None:
        return element.find(self.prefix + name)

    def text(self, element: Element, name: str, default: str | None = None) -> str:
        found = self.child(element, name)
        if found is None:
            if default is None:
                raise _bad(f"{self.name(element)} needs {name}")
            return default
        return (found.text or "").strip()

    def number(self, element: Element, name: str, default: int) -> int:
        text = self.text(element, name, str(default))
        if not re.fullmatch(r"[0-9]{1,6}", text):
            raise _bad(f"{name} {text[:40]!r} is no number")
        return int(text)

    def form(self, root: Element) -> QuestionForm:
        parts: list[Overview | FormQuestion] = []
        for element in root:
            if self.name(element) == "Overview":
                parts.append(Overview(self.contents(element)))
            elif self.name(element) == "Question":
                parts.append(self.question(element))
            else:
                raise _bad(f"{self.name(element)} stands where Overview or Question should")
        form = QuestionForm(tuple(parts))
        names = [question.identifier for question in form.questions]
        if not names:
            raise _bad("there is no Question in it")
        if len(set(names)) < len(names):
            raise _bad("two questions have one QuestionIdentifier")
        return form

    def question(self, element: Element) -> FormQuestion:
        identifier = self.text(element, "QuestionIdentifier")
        if not identifier:
            raise _bad("QuestionIdentifier is empty")
        content, answer = self.child(element, "QuestionContent"), self.child(element, "AnswerSpecification")
        if content is None or answer is None:
            raise _bad(f"question {identifier!r} needs QuestionContent and AnswerSpecification")
        return FormQuestion(
            identifier,
            self.text(element, "DisplayName", ""),
            self.text(element, "IsRequired", "false") in {"true", "1"},
            self.contents(content),
            self.answer(identifier, answer),
        )

    def answer(self, identifier: str, specification: Element) -> FreeText | Choice | FileUpload:
        if (text := self.child(specification, "FreeTextAnswer")) is not None:
            return self.free_text(text)
        if (choice := self.child(specification, "SelectionAnswer")) is not None:
            return self.choice(identifier, choice)
        if (file := self.child(specification, "FileUploadAnswer")) is not None:
            return self.file_upload(identifier, file)
        kinds = ", ".join(self.name(element) for element in specification) or "nothing"
        raise _bad(
            f"question {identifier!r} asks for {kinds}; "
            "FreeTextAnswer, SelectionAnswer and FileUploadAnswer are offered"
        )

    def file_upload(self, identifier: str, element: Element) -> FileUpload:
        sizes = [self.text(element, name) for name in ("MinFileSizeInBytes", "MaxFileSizeInBytes")]
        if not all(re.fullmatch(r"[0-9]{1,12}", size) for size in sizes):
            raise _bad(
                f"question {identifier!r} needs sizes in bytes, not {sizes[0][:20]!r}, {sizes[1][:20]!r}"
            )
        least, most = int(sizes[0]), min(int(sizes[1]), LARGEST_UPLOAD)
        if least > most or most < 1:
            raise _bad(
                f"question {identifier!r} asks for a file of {sizes[0]} to {sizes[1]} bytes; "
                f"files here have up to {LARGEST_UPLOAD:,}"
            )
        return FileUpload(least, most)

    def free_text(self, element: Element) -> FreeText:
        constraints = self.child(element, "Constraints")
        numeric = length = pattern = None
        if constraints is not None:
            numeric, length = self.child(constraints, "IsNumeric"), self.child(constraints, "Length")
            pattern = self.child(constraints, "AnswerFormatRegex")
        bounds: dict[str, str] = {} if numeric is None else dict(numeric.attrib)
        lengths: dict[str, str] = {} if length is None else dict(length.attrib)
        return FreeText(
            default=self.text(element, "DefaultText", ""),
            lines=min(50, max(1, self.number(element, "NumberOfLinesSuggestion", 1))),
            least_length=_bound(lengths, "minLength") or 0,
            most_length=_bound(lengths, "maxLength"),
            numeric=numeric is not None,
            least=_bound(bounds, "minValue"),
            most=_bound(bounds, "maxValue"),
            pattern=None if pattern is None else pattern.get("regex"),
            pattern_flags="" if pattern is None else pattern.get("flags", ""),
            pattern_text="" if pattern is None else pattern.get("errorText", ""),
        )

    def choice(self, identifier: str, element: Element) -> Choice:
        listed = self.child(element, "Selections")
        if listed is None:
            raise _bad(f"question {identifier!r} has no Selections")
        selections = tuple(self.selection(found) for found in listed.findall(f"{self.prefix}Selection"))
        other = self.child(listed, "OtherSelection")
        names = [selection.identifier for selection in selections]
        if not names or len(set(names)) < len(names):
            raise _bad(f"question {identifier!r} needs selections, each with its own identifier")
        least, most = (
            self.number(element, "MinSelectionCount", 1),
            self.number(element, "MaxSelectionCount", 1),
        )
        if least > most or most < 1:
            raise _bad(f"question {identifier!r} cannot take {least} to {most} selections")
        style = self.text(element, "StyleSuggestion", "")
        return Choice(selections, least, most, style, None if other is None else self.free_text(other))

    def selection(self, element: Element) -> Selection:
        content = [part for part in element if self.name(part) != "SelectionIdentifier"]
        if len(content) != 1:
            raise _bad("a Selection needs one Text, FormattedContent or Binary")
        return Selection(self.text(element, "SelectionIdentifier"), self.content(content[0]))

    def contents(self, element: Element) -> tuple[Content, ...]:
        return tuple(self.content(part) for part in element)

    def content(self, element: Element) -> Content:
        kind, text = self.name(element), (element.text or "").strip()
        if kind in {"Title", "Text"}:
            return Content(kind.lower(), text)
        if kind == "List":
            entries = element.findall(f"{self.prefix}ListItem")
            return Content("list", entries=tuple((entry.text or "").strip() for entry in entries))
        if kind == "FormattedContent":
            return Content("html", clean_xhtml(element.text or ""))
        if kind in {"Binary", "MediaContent"}:
            return self.image(element)
        raise _bad(f"{kind} is not offered; Title, Text, List, Binary pictures and FormattedContent are")

    def image(self, element: Element) -> Content:
        kind = self.child(element, "MimeType")
        if kind is None or self.text(kind, "Type") != "image":
            raise _bad("Binary is offered for pictures only")
        url = self.text(element, "DataURL", "") or self.text(element, "Source")
        if urlsplit(url).scheme not in {"http", "https"}:
            raise _bad(f"picture address {url[:100]!r} is not http or https")
        return Content("image", self.text(element, "AltText", ""), url=url)


def _bound(attributes: dict[str, str], name: str) -> int | None:
    text = attributes.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise _bad(f"{name} {text[:40]!r} is no number")
    return int(text)
