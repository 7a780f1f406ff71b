"""AnswerKey: how the answers to a qualification test become a score (MTurk's AnswerKey.xsd, 2005-10-01).

A question's score is that of the option whose selections are exactly those chosen, else its default. The sum
becomes the qualification's value as it is, as a percentage, multiplied, or by ranges.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ..errors import RequestRefused

_ROOT = re.compile(
    r"(\{http://mechanicalturk\.amazonaws\.com/AWSMechanicalTurkDataSchemas/"
    r"2005-10-01/AnswerKey\.xsd\})AnswerKey"
)
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class KeyQuestion:
    """The scores of one question: by exact set of selections, and for any other answer."""

    identifier: str
    options: Mapping[frozenset[str], int]
    default: int


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """A key; `value_of` makes the qualification's value of the summed scores."""

    questions: tuple[KeyQuestion, ...]
    value_of: Callable[[int], int]

    def score(self, answers: Mapping[str, tuple[str, ...]]) -> int:
        """The value that these answers (selections by question) earn."""
        total = 0
        for question in self.questions:
            chosen = frozenset(answers.get(question.identifier, ()))
            total += question.options.get(chosen, question.default)
        return max(-_LARGEST, min(_LARGEST, self.value_of(total)))


def parse_answer_key(xml: str) -> AnswerKey:
    """Read a key; raises RequestRefused (XMLParseError)."""
    try:
        root: Element = fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise _bad(f"it is not well-formed XML: {error}") from error
    found = _ROOT.fullmatch(root.tag)
    if found is None:
        raise _bad(f"{root.tag!r} is not an AnswerKey")
    prefix = found[1]
    questions = tuple(_question(prefix, element) for element in root.findall(f"{prefix}Question"))
    if not questions:
        raise _bad("there is no Question in it")
    mapping = root.find(f"{prefix}QualificationValueMapping")
    return AnswerKey(questions, _sum if mapping is None else _mapping(prefix, mapping))


def _bad(reason: str) -> RequestRefused:
    return RequestRefused(f"AnswerKey: {reason}", "XMLParseError")


def _question(prefix: str, element: Element) -> KeyQuestion:
    identifier = (element.findtext(f"{prefix}QuestionIdentifier") or "").strip()
    if not identifier:
        raise _bad("a Question has no QuestionIdentifier")
    options: dict[frozenset[str], int] = {}
    for option in element.findall(f"{prefix}AnswerOption"):
        chosen = [(found.text or "").strip() for found in option.findall(f"{prefix}SelectionIdentifier")]
        options[frozenset(chosen)] = _integer(prefix, option, "AnswerScore")
    default = element.find(f"{prefix}DefaultScore")
    return KeyQuestion(
        identifier, options, 0 if default is None else _integer(prefix, element, "DefaultScore")
    )


def _integer(prefix: str, element: Element, name: str) -> int:
    text = (element.findtext(prefix + name) or "").strip()
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise _bad(f"{name} must be a whole number, not {text[:40]!r}")
    return int(text)


def _sum(total: int) -> int:
    return total


def _mapping(prefix: str, element: Element) -> Callable[[int], int]:
    if (percentage := element.find(f"{prefix}PercentageMapping")) is not None:
        most = _integer(prefix, percentage, "MaximumSummedScore")
        if most < 1:
            raise _bad("MaximumSummedScore must be at least 1")
        return lambda total: round(100 * total / most)
    if (scale := element.find(f"{prefix}ScaleMapping")) is not None:
        text = (scale.findtext(f"{prefix}SummedScoreMultiplier") or "").strip()
        if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", text):
            raise _bad(f"SummedScoreMultiplier must be a number, not {text[:40]!r}")
        factor = float(text)
        return lambda total: round(total * factor)
    if (ranges := element.find(f"{prefix}RangeMapping")) is not None:
        return _ranges(prefix, ranges)
    raise _bad("QualificationValueMapping needs PercentageMapping, ScaleMapping or RangeMapping")


def _ranges(prefix: str, element: Element) -> Callable[[int], int]:
    names = ("InclusiveLowerBound", "InclusiveUpperBound", "QualificationValue")
    steps = [
        tuple(_integer(prefix, found, name) for name in names)
        for found in element.findall(f"{prefix}SummedScoreRange")
    ]
    outside = _integer(prefix, element, "OutOfRangeQualificationValue")
    return lambda total: next((value for low, high, value in steps if low <= total <= high), outside)
