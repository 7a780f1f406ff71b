"""The records of crowd verification: pages of questions, answers, votes and verdicts. Pure values, no I/O."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

CELL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Answer(StrEnum):
    """What a worker said of one picture: the five kinds of vote."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"
    BROKEN = "broken"
    REPORT = "report"


class ReportReason(StrEnum):
    """Why a worker reported a picture."""

    PRIVATE = "private"
    OFFENSIVE = "offensive"
    ILLEGAL = "illegal"


class Decision(StrEnum):
    """What the votes say of a question."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


class Exclusion(StrEnum):
    """Why a worker gets no new work."""

    INACCURATE = "inaccurate"
    TOO_FAST = "too_fast"
    SAME_ANSWER = "same_answer"
    UNREADABLE = "unreadable"
    REQUESTER = "requester"


@dataclass(frozen=True, slots=True)
class Concept:
    """What a page tells a worker about its category; `counting` are kinds of it, which count too."""

    name: str
    synonyms: tuple[str, ...]
    definition: str
    parents: tuple[str, ...]
    wikipedia_url: str
    not_counting: tuple[str, ...] = ()
    counting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of a page: `name` identifies it in the answer and says nothing of what it is.

    Raises ValueError for a name that is not of CELL_NAME's letters, or an address that is not http(s).
    """

    name: str
    picture_url: str

    def __post_init__(self) -> None:
        _check_cell_name(self.name)
        if not self.picture_url.startswith(("http://", "https://")):
            raise ValueError(f"the picture of cell {self.name} has no http(s) address: {self.picture_url!r}")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of questions on one concept, as a worker sees it.

    `examples` are addresses of pictures that show the concept, `counter_examples` of some that show a sibling. On a
    `sensitive` page workers are warned, and every picture is blurred until they choose to see it.
    """

    concept: Concept
    cells: tuple[Cell, ...]
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class CellAnswer:
    """One worker's answer to one cell; ValueError unless `reason` is set for a REPORT and only then."""

    name: str
    answer: Answer
    reason: ReportReason | None = None

    def __post_init__(self) -> None:
        _check_cell_name(self.name)
        if (self.answer is Answer.REPORT) != (self.reason is not None):
            raise ValueError(f"cell {self.name}: a report, and only a report, has a reason")


@dataclass(frozen=True, slots=True)
class PageAnswers:
    """Everything one submitted page says; `seconds` is the time that the page measured, None if unknown.

    Raises ValueError for a cell that is answered twice and for seconds that no clock shows.
    """

    cells: tuple[CellAnswer, ...]
    seconds: float | None = None

    def __post_init__(self) -> None:
        if len({cell.name for cell in self.cells}) != len(self.cells):
            raise ValueError("a cell is answered twice")
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ValueError(f"seconds must be a number from 0 up, not {self.seconds!r}")


class HitStatus(StrEnum):
    """The protocol's HIT states."""

    ASSIGNABLE = "Assignable"
    UNASSIGNABLE = "Unassignable"
    REVIEWABLE = "Reviewable"
    REVIEWING = "Reviewing"
    DISPOSED = "Disposed"


@dataclass(frozen=True, slots=True)
class PublishedHit:
    """A HIT as the platform knows it; reward in US cents, times aware UTC.

    `reviewed` assignments are approved or rejected.
    """

    hit_id: str
    annotation: str
    status: HitStatus
    max_assignments: int
    reward_cents: int
    created_at: datetime
    expires_at: datetime
    reviewed: int


class AssignmentStatus(StrEnum):
    """The protocol's assignment states."""

    SUBMITTED = "Submitted"
    APPROVED = "Approved"
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One worker's finished page, as the platform reports it; times are aware UTC."""

    assignment_id: str
    hit_id: str
    worker_id: str
    status: AssignmentStatus
    accepted_at: datetime
    submitted_at: datetime
    answer_xml: str


@dataclass(frozen=True, slots=True)
class HitTerms:
    """What a HIT offers its workers. Money is in US cents; durations in seconds.

    Who holds one of the qualification types in `barred` cannot accept it, and sees that type's name as the reason; nor
    can who has less than the value of one in `required`.
    """

    title: str
    description: str
    keywords: tuple[str, ...]
    reward_cents: int
    assignment_duration: int
    lifetime: int
    auto_approval_delay: int
    max_assignments: int
    barred: tuple[str, ...] = ()
    required: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes on one question that count, by answer."""

    yes: int = 0
    no: int = 0
    unsure: int = 0
    broken: int = 0
    report: int = 0

    @property
    def total(self) -> int:
        return self.yes + self.no + self.unsure + self.broken + self.report


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision on one question with its support; `probability` is P(accepted is right), or None."""

    decision: Decision
    rule: str
    probability: float | None
    votes: int
    parameters: dict[str, str | int | float] = field(default_factory=dict)


def _check_cell_name(name: str) -> None:
    if not CELL_NAME.fullmatch(name):
        raise ValueError(f"a cell cannot be named {name[:80]!r}: 1 to 64 letters, digits, _ and - only")
