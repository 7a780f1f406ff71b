"""What a submitted page says, without a store."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.sax.saxutils import escape

from hypothesis import given
from hypothesis import strategies as st

from hits.answers import FIELD, NAMESPACE, compose
from hits.model import Answer, Assignment, AssignmentStatus, CellAnswer, PageAnswers, ReportReason
from imagenet_builder.answering import read_page
from imagenet_builder.store.aggregate import AskedSlot

NOW = datetime(2026, 5, 4, tzinfo=UTC)
SLOTS = {
    "a": AskedSlot(1, False, None),
    "b": AskedSlot(2, False, None),
    "c": AskedSlot(3, True, Answer.YES),
    "d": AskedSlot(4, True, Answer.NO),
}


def assignment(text: str) -> Assignment:
    xml = (
        f'<QuestionFormAnswers xmlns="{NAMESPACE}"><Answer><QuestionIdentifier>{FIELD}</QuestionIdentifier>'
        f"<FreeText>{escape(text)}</FreeText></Answer></QuestionFormAnswers>"
    )
    return Assignment("3A", "3H", "A1", AssignmentStatus.SUBMITTED, NOW, NOW, xml)


def submitted(*cells: CellAnswer, seconds: float | None = 9.5) -> Assignment:
    return assignment(compose(PageAnswers(cells, seconds))[FIELD])


def test_answers_become_votes_and_controls_are_scored() -> None:
    page = read_page(
        5,
        SLOTS,
        submitted(
            CellAnswer("a", Answer.YES),
            CellAnswer("b", Answer.REPORT, ReportReason.ILLEGAL),
            CellAnswer("c", Answer.YES),
            CellAnswer("d", Answer.UNSURE),
        ),
    )
    collected = page.collected
    assert [(vote.question_id, vote.answer, vote.is_control) for vote in collected.votes] == [
        (1, Answer.YES, False),
        (2, Answer.REPORT, False),
        (3, Answer.YES, True),
        (4, Answer.UNSURE, True),
    ]
    assert collected.votes[1].reason is ReportReason.ILLEGAL
    assert (collected.controls_right, collected.controls_shown, collected.page_seconds) == (1, 2, 9.5)
    assert (page.unknown, page.missing, collected.unreadable) == (0, 0, None)


def test_a_control_that_was_left_out_was_shown_and_not_right() -> None:
    page = read_page(5, SLOTS, submitted(CellAnswer("a", Answer.NO), CellAnswer("d", Answer.NO)))
    assert (page.collected.controls_right, page.collected.controls_shown, page.missing) == (1, 2, 2)


def test_names_of_other_pages_are_counted_and_a_page_of_nothing_else_is_unreadable() -> None:
    mixed = read_page(5, SLOTS, submitted(CellAnswer("a", Answer.NO), CellAnswer("z", Answer.NO)))
    assert (mixed.unknown, len(mixed.collected.votes)) == (1, 1)
    alien = read_page(5, SLOTS, submitted(CellAnswer("z", Answer.NO)))
    assert alien.collected.unreadable is not None
    assert (alien.collected.votes, alien.collected.controls_shown) == ((), 0)


def test_a_page_without_any_answer_is_unreadable() -> None:
    empty = read_page(5, SLOTS, submitted()).collected
    assert (empty.votes, empty.unreadable) == ((), "it answers no picture")


@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))))
def test_whatever_a_stranger_sends_is_a_value_with_a_reason(text: str) -> None:
    collected = read_page(5, SLOTS, assignment(text)).collected
    assert collected.votes == ()
    assert collected.unreadable
    assert "\n" not in collected.unreadable
