"""Qualification requirements as pure functions: what the protocol allows, and whether a worker meets them.

The rules are those of "QualificationRequirement" in the MTurk Requester API reference (2017-01-17). A worker
who does not have a qualification meets no comparison with it, only DoesNotExist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..errors import RequestRefused

PERCENT_APPROVED = "000000000000000000L0"
NUMBER_APPROVED = "00000000000000000040"
LOCALE = "00000000000000000071"
ADULT = "00000000000000000060"
MASTERS = "2F1QJWKUDD8XADTFD2Q0G6UTO95ALH"
SANDBOX_MASTERS = "2ARFPLSP75KLA8M8DH1HTEQVJT3SY6"

SYSTEM_TYPES: Mapping[str, tuple[str, str]] = {
    PERCENT_APPROVED: (
        "HIT approval rate (%)",
        "The share of a worker's decided work that was approved; 100 until 100 HITs are submitted.",
    ),
    NUMBER_APPROVED: ("Number of HITs approved", "How many of a worker's HITs were approved."),
    LOCALE: ("Location", "The country, and where known the state, that a worker gave."),
    ADULT: ("Adult content", "1 for workers who agreed to see content for adults, 0 for others."),
    MASTERS: (
        "Masters",
        "Workers whom this marketplace’s operator named Masters; HITs for them cost 5 % more.",
    ),
    SANDBOX_MASTERS: (
        "Masters (sandbox)",
        "The same as Masters, under the id that MTurk’s sandbox had for it.",
    ),
}
"""Names and descriptions of the qualifications that the marketplace itself computes, by their fixed ids."""

MOST_REQUIREMENTS = 10
MOST_INTEGERS = 15
MOST_LOCALES = 30
IS_MASTER = 1
RATE_SAMPLE = 100
"""From so many submissions on the approval rate is a worker's own."""


class Guard(StrEnum):
    """What an unmet requirement keeps a worker from."""

    ACCEPT = "Accept"
    PREVIEW = "PreviewAndAccept"
    DISCOVER = "DiscoverPreviewAndAccept"


@dataclass(frozen=True, slots=True)
class Locale:
    """A country (ISO 3166, two letters) and, where known or asked for, its subdivision."""

    country: str
    subdivision: str | None = None

    def covers(self, other: Locale) -> bool:
        """Whether a worker at `other` is within this locale."""
        return self.country == other.country and self.subdivision in {None, other.subdivision}

    def __str__(self) -> str:
        return f"{self.country}-{self.subdivision}" if self.subdivision else self.country


Value = int | Locale


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement of a HIT type; `values` is empty for Exists and DoesNotExist."""

    qualification_type_id: str
    comparator: str
    values: tuple[Value, ...]
    guard: Guard


def asks_for_masters(requirements: Sequence[Requirement]) -> bool:
    """Whether Masters alone can meet the requirements: their HITs cost more."""
    return any(
        requirement.qualification_type_id in {MASTERS, SANDBOX_MASTERS}
        and not meets(requirement, None)
        and meets(requirement, IS_MASTER)
        for requirement in requirements
    )


_COUNTS = {"Exists": (0, 0), "DoesNotExist": (0, 0), "In": (1, None), "NotIn": (1, None)}
_OF_LOCALES = {"EqualTo", "NotEqualTo", "In", "NotIn", "Exists", "DoesNotExist"}


def parse_requirements(request: Sequence[Mapping[str, Any]]) -> tuple[Requirement, ...]:
    """A request's QualificationRequirements, checked; raises RequestRefused (InvalidParameterValue)."""
    if len(request) > MOST_REQUIREMENTS:
        raise RequestRefused(
            f"QualificationRequirements has {len(request)} entries; the most is {MOST_REQUIREMENTS}",
            "InvalidParameterValue",
        )
    return tuple(_requirement(entry) for entry in request)


def _requirement(entry: Mapping[str, Any]) -> Requirement:
    type_id, comparator = str(entry["QualificationTypeId"]), str(entry["Comparator"])
    where = f"QualificationRequirement {type_id}"
    integers, locales = entry.get("IntegerValues", []), entry.get("LocaleValues", [])
    of_locale = type_id == LOCALE
    if (integers and of_locale) or (locales and not of_locale):
        wanted = "LocaleValues" if of_locale else "IntegerValues"
        raise RequestRefused(f"{where} takes {wanted} only", "InvalidParameterValue")
    if of_locale and comparator not in _OF_LOCALES:
        raise RequestRefused(
            f"{where} is a locale, which {comparator} cannot compare", "InvalidParameterValue"
        )
    values: tuple[Value, ...] = (
        tuple(Locale(value["Country"], value.get("Subdivision")) for value in locales)
        if of_locale
        else tuple(integers)
    )
    least, most = _COUNTS.get(comparator, (1, 1))
    most = (MOST_LOCALES if of_locale else MOST_INTEGERS) if most is None else most
    if not least <= len(values) <= most:
        wanted = "no values" if most == 0 else "one value" if most == 1 else f"1 to {most} values"
        raise RequestRefused(
            f"{where}: {comparator} takes {wanted}, not {len(values)}", "InvalidParameterValue"
        )
    return Requirement(type_id, comparator, values, _guard(entry, where))


def _guard(entry: Mapping[str, Any], where: str) -> Guard:
    # RequiredToPreview is what ActionsGuarded replaced.
    older = Guard.PREVIEW if entry.get("RequiredToPreview") else None
    newer = Guard(entry["ActionsGuarded"]) if "ActionsGuarded" in entry else None
    if older is not None and newer is Guard.ACCEPT:
        raise RequestRefused(
            f"{where} is RequiredToPreview, yet ActionsGuarded is Accept", "InvalidParameterValue"
        )
    return newer or older or Guard.ACCEPT


def requirement_answer(requirement: Requirement) -> dict[str, Any]:
    """A requirement in the protocol's terms."""
    locales = [
        {"Country": value.country} | ({"Subdivision": value.subdivision} if value.subdivision else {})
        for value in requirement.values
        if isinstance(value, Locale)
    ]
    integers = [value for value in requirement.values if isinstance(value, int)]
    return {
        "QualificationTypeId": requirement.qualification_type_id,
        "Comparator": requirement.comparator,
        "IntegerValues": integers or None,
        "LocaleValues": locales or None,
        "RequiredToPreview": requirement.guard is not Guard.ACCEPT,
        "ActionsGuarded": requirement.guard.value,
    }


def stored_requirements(requirements: Sequence[Requirement]) -> str:
    """Requirements as the text that the store keeps; equal requirements make equal texts."""
    return json.dumps(
        [
            {name: value for name, value in requirement_answer(requirement).items() if value is not None}
            for requirement in requirements
        ],
        sort_keys=True,
    )


def read_requirements(text: str) -> tuple[Requirement, ...]:
    """What `stored_requirements` wrote."""
    return parse_requirements(json.loads(text)) if text != "[]" else ()


def meets(requirement: Requirement, value: Value | None) -> bool:
    """Whether a worker with this value, or None for none, meets the requirement."""
    comparator, values = requirement.comparator, requirement.values
    if comparator == "DoesNotExist":
        return value is None
    if value is None:
        return False
    if comparator == "Exists":
        return True
    if isinstance(value, Locale):
        within = any(isinstance(wanted, Locale) and wanted.covers(value) for wanted in values)
        return within if comparator in {"EqualTo", "In"} else not within
    integers = [wanted for wanted in values if isinstance(wanted, int)]
    if comparator in {"In", "EqualTo"}:
        return value in integers
    if comparator in {"NotIn", "NotEqualTo"}:
        return value not in integers
    return _ordered(comparator, value, integers[0])


def _ordered(comparator: str, value: int, wanted: int) -> bool:
    return {
        "LessThan": value < wanted,
        "LessThanOrEqualTo": value <= wanted,
        "GreaterThan": value > wanted,
        "GreaterThanOrEqualTo": value >= wanted,
    }[comparator]


_WORDS = {
    "LessThan": "less than {}",
    "LessThanOrEqualTo": "at most {}",
    "GreaterThan": "more than {}",
    "GreaterThanOrEqualTo": "at least {}",
    "EqualTo": "{}",
    "NotEqualTo": "anything but {}",
    "In": "one of {}",
    "NotIn": "none of {}",
    "Exists": "that you have it",
    "DoesNotExist": "that you do not have it",
}


def wanted_words(requirement: Requirement) -> str:
    """What a requirement wants of a value, in words for the worker."""
    return _WORDS[requirement.comparator].format(", ".join(map(str, requirement.values)))


def approval_rate(submitted: int, approved: int, rejected: int) -> int:
    """The system's approval percentage: of what was decided, and 100 until 100 submissions."""
    if submitted < RATE_SAMPLE or approved + rejected == 0:
        return 100
    return 100 * approved // (approved + rejected)
