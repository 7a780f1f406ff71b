"""What one submitted page says: its votes, how its controls went, or why it cannot be read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hits.answers import parse
from hits.errors import AnswersUnreadable
from hits.model import Assignment

from .store.aggregate import AskedSlot, CastVote, CollectedAssignment


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page as it is stored, and what was odd about it.

    `unknown` answers name pictures that are not on the HIT; `missing` pictures of the HIT have no answer.
    """

    collected: CollectedAssignment
    unknown: int = 0
    missing: int = 0


def read_page(hit_id: int, slots: Mapping[str, AskedSlot], assignment: Assignment) -> ReadPage:
    """Return what an assignment of the HIT with `slots` (picture name → slot) says; nothing is raised."""
    try:
        answers = parse(assignment.answer_xml)
    except AnswersUnreadable as error:
        return _unreadable(hit_id, assignment, str(error))
    known = [cell for cell in answers.cells if cell.name in slots]
    unknown = len(answers.cells) - len(known)
    if not known:
        reason = "none of the pictures it names is on its page" if unknown else "it answers no picture"
        return _unreadable(hit_id, assignment, reason, unknown)
    votes = tuple(
        CastVote(slots[cell.name].question_id, cell.answer, cell.reason, slots[cell.name].is_control)
        for cell in known
    )
    right = sum(slots[cell.name].known == cell.answer for cell in known)
    scored = sum(slot.known is not None for slot in slots.values())
    collected = CollectedAssignment(hit_id, assignment, votes, answers.seconds, right, scored)
    return ReadPage(collected, unknown, len(slots) - len(known))


def _unreadable(hit_id: int, assignment: Assignment, reason: str, unknown: int = 0) -> ReadPage:
    return ReadPage(CollectedAssignment(hit_id, assignment, (), None, 0, 0, reason), unknown)
