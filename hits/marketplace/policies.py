"""Review policies as pure functions: their parameters checked, answers in, scores and wishes out.

ScoreMyKnownAnswers/2011-09-01 looks at each submission, SimplePlurality/2011-09-01 at a HIT once it is
reviewable ("Review Policies" in the MTurk Requester API reference).
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

_PERCENT, _MOST, _SECONDS = (0, 101), (2, 25), (3600, 365 * 86400)
_EXTENDING = {"ExtendMaximumAssignments": _MOST, "ExtendMinimumTimeInSeconds": _SECONDS}
_NUMBERS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    KNOWN_ANSWERS: {
        "ApproveIfKnownAnswerScoreIsAtLeast": _PERCENT,
        "RejectIfKnownAnswerScoreIsLessThan": _PERCENT,
        "ExtendIfKnownAnswerScoreIsLessThan": _PERCENT,
        **_EXTENDING,
    },
    PLURALITY: {
        "QuestionAgreementThreshold": _PERCENT,
        "DisregardAssignmentIfKnownAnswerScoreIsLessThan": _PERCENT,
        "ExtendIfHITAgreementScoreIsLessThan": _PERCENT,
        "ApproveIfWorkerAgreementScoreIsAtLeast": _PERCENT,
        "RejectIfWorkerAgreementScoreIsLessThan": _PERCENT,
        **_EXTENDING,
    },
}
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
class Agreement:
    """What SimplePlurality finds: agreed answers by question, the HIT's score and each assignment's."""

    agreed: Mapping[str, str]
    hit_score: int
    worker_scores: Mapping[str, int]


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
        elif parameter_name == "QuestionIds" and name == PLURALITY:
            questions = tuple(values)
        elif parameter_name == "DisregardAssignmentIfRejected" and name == PLURALITY:
            disregard = _single(parameter_name, values).lower() in {"true", "t", "1"}
        else:
            raise _bad(f"{name} has no parameter {parameter_name!r}")
    policy = Policy(name, numbers, texts, key, questions, disregard)
    _check(policy)
    return policy


def _check(policy: Policy) -> None:
    if policy.name == KNOWN_ANSWERS and not policy.answer_key:
        raise _bad(f"{policy.name} needs AnswerKey with MapEntries")
    if policy.name == PLURALITY and not policy.question_ids:
        raise _bad(f"{policy.name} needs QuestionIds")
    if policy.name == PLURALITY and "QuestionAgreementThreshold" not in policy.numbers:
        raise _bad(f"{policy.name} needs QuestionAgreementThreshold")
    extends = any(name.startswith("ExtendIf") for name in policy.numbers)
    if extends != (_EXTENDING.keys() <= policy.numbers.keys()):
        raise _bad(f"{policy.name}: ExtendIf… goes with {' and '.join(_EXTENDING)}")


def _bad(reason: str) -> RequestRefused:
    return RequestRefused(f"review policy: {reason}", "InvalidParameterValue")


def _single(name: str, values: Sequence[str]) -> str:
    if len(values) != 1:
        raise _bad(f"{name} takes one value, not {len(values)}")
    return values[0]


def _number(name: str, values: Sequence[str], least: int, most: int) -> int:
    text = _single(name, values)
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise _bad(f"{name} must be from {least} to {most}, not {text[:40]!r}")
    return int(text)


def known_answers(policy: Policy, answers: Answers) -> tuple[dict[str, bool], int]:
    """Which known answers a submission has right, and its score in percent."""
    # A question that is not answered never matches, nor one whose key is empty.
    right = {
        question: bool(key) and set(answers.get(question, ())) == set(key)
        for question, key in policy.answer_key.items()
    }
    return right, 100 * sum(right.values()) // len(right)


def plurality(policy: Policy, submissions: Mapping[str, Answers]) -> Agreement:
    """What the submissions (by assignment) agree on: a question's most frequent answer, if its share in percent is
    greater than the threshold, as "HIT Review Policies" in the API reference has it. White space around answers and
    answers of more than 256 characters do not count.

    Ties agree on nothing. A worker's score is the share of the agreed answers that were hers; the HIT's is the
    share of questions that were agreed on.
    """
    threshold = policy.numbers["QuestionAgreementThreshold"]
    given = {
        assignment: {question: _comparable(answers.get(question, ())) for question in policy.question_ids}
        for assignment, answers in submissions.items()
    }
    agreed: dict[str, str] = {}
    for question in policy.question_ids:
        counts = Counter(own[question] for own in given.values() if own[question]).most_common(2)
        if not counts or (len(counts) > 1 and counts[0][1] == counts[1][1]):
            continue
        if 100 * counts[0][1] > threshold * len(given):
            agreed[question] = counts[0][0]
    scores = {
        assignment: 100 * sum(own[question] == answer for question, answer in agreed.items()) // len(agreed)
        if agreed
        else 0
        for assignment, own in given.items()
    }
    return Agreement(agreed, 100 * len(agreed) // len(policy.question_ids), scores)


def _comparable(values: Sequence[str]) -> str:
    said = "|".join(sorted(value.strip() for value in values))
    return said if len(said) <= _LONGEST_COMPARED else ""
