"""Review policies as pure functions: their parameters checked, answers in, scores and wishes out.

ScoreMyKnownAnswers/2011-09-01 looks at each submission, SimplePlurality/2011-09-01 at a HIT once it is reviewable
("Assignment Review Policies" and "HIT Review Policies" in the MTurk Requester API reference).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import RequestRefused

_LONGEST_COMPARED = 256
KNOWN_ANSWERS = "ScoreMyKnownAnswers/2011-09-01"
PLURALITY = "SimplePlurality/2011-09-01"
Level = Literal["Assignment", "HIT"]
Answers = Mapping[str, tuple[str, ...]]

_PERCENT, _YEAR = (0, 101), 365 * 86400
_EXTENDING = ("ExtendMaximumAssignments", "ExtendMinimumTimeInSeconds")
_NUMBERS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    KNOWN_ANSWERS: {
        "ApproveIfKnownAnswerScoreIsAtLeast": _PERCENT,
        "RejectIfKnownAnswerScoreIsLessThan": _PERCENT,
        "ExtendIfKnownAnswerScoreIsLessThan": _PERCENT,
        "ExtendMaximumAssignments": (2, 25),
        "ExtendMinimumTimeInSeconds": (60, _YEAR),
    },
    PLURALITY: {
        "QuestionAgreementThreshold": _PERCENT,
        "DisregardAssignmentIfKnownAnswerScoreIsLessThan": _PERCENT,
        "ExtendIfHITAgreementScoreIsLessThan": _PERCENT,
        "ApproveIfWorkerAgreementScoreIsAtLeast": _PERCENT,
        "RejectIfWorkerAgreementScoreIsLessThan": _PERCENT,
        "ExtendMaximumAssignments": (2, 1_000_000_000),
        "ExtendMinimumTimeInSeconds": (3600, _YEAR),
    },
}
# What SimplePlurality must be told, ScoreMyKnownAnswers takes for granted.
_DEFAULTS = {"ExtendMaximumAssignments": 5, "ExtendMinimumTimeInSeconds": 0}
_BOOLEANS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
_TEXTS = {KNOWN_ANSWERS: {"ApproveReason", "RejectReason"}, PLURALITY: {"ApproveReason", "RejectReason"}}
_LEVELS: Mapping[Level, str] = {"Assignment": KNOWN_ANSWERS, "HIT": PLURALITY}


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy's parameters: numbers, texts, the known answers or the questions to agree on."""

    name: str
    numbers: Mapping[str, int]
    texts: Mapping[str, str]
    answer_key: Mapping[str, tuple[str, ...]]
    question_ids: tuple[str, ...]
    disregard_rejected: bool = False

    def below(self, parameter: str, score: int) -> bool:
        """Whether the score is less than this parameter, where it is given."""
        return parameter in self.numbers and score < self.numbers[parameter]

    def reaches(self, parameter: str, score: int) -> bool:
        """Whether the score is at least this parameter, where it is given."""
        return parameter in self.numbers and score >= self.numbers[parameter]


@dataclass(frozen=True, slots=True)
class Agreed:
    """A question's agreed answer, and the percentage of workers who gave it."""

    answer: str
    score: int


@dataclass(frozen=True, slots=True)
class Conformity:
    """How many of the agreed answers an assignment has, and how many not."""

    correct: int
    incorrect: int

    @property
    def score(self) -> int:
        """The Worker Agreement Score in percent; 0 where nothing was agreed on."""
        every = self.correct + self.incorrect
        return 100 * self.correct // every if every else 0


@dataclass(frozen=True, slots=True)
class Agreement:
    """What SimplePlurality finds: agreed answers by question, the HIT's score, and each assignment's conformity."""

    agreed: Mapping[str, Agreed]
    hit_score: int
    workers: Mapping[str, Conformity]


def parse_policy(level: Level, document: Mapping[str, Any]) -> Policy:
    """A ReviewPolicy of a request; raises RequestRefused (InvalidParameterValue)."""
    name, wanted = document["PolicyName"], _LEVELS[level]
    if name != wanted:
        raise _bad(f"the {level} level has the policy {wanted}, not {name}")
    numbers: dict[str, int] = {}
    texts: dict[str, str] = {}
    key: dict[str, tuple[str, ...]] = {}
    questions: tuple[str, ...] = ()
    disregard = False
    for parameter in document.get("Parameters", []):
        parameter_name, values = parameter.get("Key", ""), parameter.get("Values", [])
        if parameter_name in _NUMBERS[name]:
            numbers[parameter_name] = _number(parameter_name, values, *_NUMBERS[name][parameter_name])
        elif parameter_name in _TEXTS[name]:
            texts[parameter_name] = _single(parameter_name, values)
        elif parameter_name == "AnswerKey" and name == KNOWN_ANSWERS:
            key = {
                entry.get("Key", ""): tuple(entry.get("Values", []))
                for entry in parameter.get("MapEntries", [])
            }
        # The reference's own example writes it in the second way.
        elif parameter_name in {"QuestionIds", "QuestionIDs"} and name == PLURALITY:
            questions = _question_ids(values)
        elif parameter_name == "DisregardAssignmentIfRejected" and name == PLURALITY:
            disregard = _boolean(parameter_name, values)
        else:
            raise _bad(f"{name} has no parameter {parameter_name!r}")
    if name == KNOWN_ANSWERS:
        numbers = {**_DEFAULTS, **numbers}
    policy = Policy(name, numbers, texts, key, questions, disregard)
    _check(policy)
    return policy


def _check(policy: Policy) -> None:
    if policy.name == KNOWN_ANSWERS and not policy.answer_key:
        raise _bad(f"{policy.name} needs AnswerKey with MapEntries")
    if policy.name != PLURALITY:
        return
    if not policy.question_ids:
        raise _bad(f"{policy.name} needs QuestionIds")
    if "QuestionAgreementThreshold" not in policy.numbers:
        raise _bad(f"{policy.name} needs QuestionAgreementThreshold")
    extends = "ExtendIfHITAgreementScoreIsLessThan" in policy.numbers
    if extends and not policy.numbers.keys() >= set(_EXTENDING):
        raise _bad(f"{policy.name}: ExtendIfHITAgreementScoreIsLessThan needs {' and '.join(_EXTENDING)}")


def _bad(reason: str) -> RequestRefused:
    return RequestRefused(f"review policy: {reason}", "InvalidParameterValue")


def _single(name: str, values: Sequence[str]) -> str:
    if len(values) != 1:
        raise _bad(f"{name} takes one value, not {len(values)}")
    return values[0]


def _number(name: str, values: Sequence[str], least: int, most: int) -> int:
    text = _single(name, values)
    if not re.fullmatch("[0-9]{1,10}", text) or not least <= int(text) <= most:
        raise _bad(f"{name} must be from {least} to {most}, not {text[:40]!r}")
    return int(text)


def _boolean(name: str, values: Sequence[str]) -> bool:
    text = _single(name, values)
    if text.lower() not in _BOOLEANS:
        raise _bad(f"{name} must be T or F, not {text[:40]!r}")
    return _BOOLEANS[text.lower()]


def _question_ids(values: Sequence[str]) -> tuple[str, ...]:
    """One value a question, or several in one with commas between them."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def known_answers(policy: Policy, answers: Answers) -> tuple[dict[str, bool], int]:
    """Which known answers a submission has right, and its score in percent."""
    # A question that is not answered never matches, nor one whose key is empty.
    right = {
        question: bool(_values(key)) and _values(answers.get(question, ())) == _values(key)
        for question, key in policy.answer_key.items()
    }
    return right, 100 * sum(right.values()) // len(right)


def plurality(policy: Policy, submissions: Mapping[str, Answers]) -> Agreement:
    """What the submissions (by assignment) agree on: a question's most frequent answer, if the percentage of workers
    who gave it is greater than the threshold. Ties agree on nothing.

    A worker's score is the share of the agreed answers that were hers; the HIT's is the share of questions that
    were agreed on.
    """
    threshold = policy.numbers["QuestionAgreementThreshold"]
    given = {
        assignment: {question: _comparable(answers.get(question, ())) for question in policy.question_ids}
        for assignment, answers in submissions.items()
    }
    agreed: dict[str, Agreed] = {}
    for question in policy.question_ids:
        counts = Counter(own[question] for own in given.values() if own[question]).most_common(2)
        if not counts or (len(counts) > 1 and counts[0][1] == counts[1][1]):
            continue
        answer, count = counts[0]
        score = 100 * count // len(given)
        if score > threshold:
            agreed[question] = Agreed(answer, score)
    conformity = {}
    for assignment, own in given.items():
        correct = sum(own[question] == found.answer for question, found in agreed.items())
        conformity[assignment] = Conformity(correct, len(agreed) - correct)
    return Agreement(agreed, 100 * len(agreed) // len(policy.question_ids), conformity)


def _values(answer: Sequence[str]) -> frozenset[str]:
    """The values of an answer without white space around them; a form's boxes come joined with `|`."""
    parts = (part.strip() for value in answer for part in value.split("|"))
    return frozenset(part for part in parts if part)


def _comparable(answer: Sequence[str]) -> str:
    """An answer such that those with the same values are equal; empty for one too long to be compared."""
    said = "|".join(sorted(_values(answer)))
    return said if len(said) <= _LONGEST_COMPARED else ""
