"""Answers on the wire: what a page sends is read back, and nothing else is."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.answers import NAMESPACE, compose, parse
from hits.errors import AnswersUnreadable
from hits.model import Answer, CellAnswer, PageAnswers, ReportReason

names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
cell_answers = st.one_of(
    st.builds(CellAnswer, names, st.sampled_from([answer for answer in Answer if answer != Answer.REPORT])),
    st.builds(CellAnswer, names, st.just(Answer.REPORT), st.sampled_from(ReportReason)),
)
page_answers = st.builds(
    PageAnswers,
    st.lists(cell_answers, unique_by=lambda cell: cell.name, max_size=60).map(tuple),
    st.none() | st.floats(0, 1e6),
)


def answer_xml(text: str, identifier: str = "answers", fields: int = 1) -> str:
    field = (
        f"<Answer><QuestionIdentifier>{identifier}</QuestionIdentifier>"
        f"<FreeText>{escape(text)}</FreeText></Answer>"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
        f'<QuestionFormAnswers xmlns="{NAMESPACE}">{field * fields}</QuestionFormAnswers>'
    )


def cells_xml(cells: str, seconds: str = "12") -> str:
    return answer_xml(f'{{"v":1,"seconds":{seconds},"cells":{cells}}}')


@given(page_answers)
def test_what_is_composed_is_parsed_back(answers: PageAnswers) -> None:
    assert parse(answer_xml(compose(answers)["answers"])) == answers


def test_the_field_is_the_compact_json_that_the_page_sends() -> None:
    answers = PageAnswers(
        (CellAnswer("a", Answer.YES), CellAnswer("b", Answer.REPORT, ReportReason.PRIVATE)), 12.0
    )
    assert compose(answers) == {
        "answers": '{"v":1,"seconds":12.0,"cells":{"a":"yes","b":["report","private"]}}'
    }


BILLION_LAUGHS = """<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<l>&b;</l>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/hostname">]><l>&x;</l>"""


@pytest.mark.parametrize(
    "unreadable",
    [
        pytest.param("", id="empty"),
        pytest.param("not xml", id="no XML"),
        pytest.param(BILLION_LAUGHS, id="entity bomb"),
        pytest.param(OUTSIDE, id="external entity"),
        pytest.param("<QuestionFormAnswers/>", id="no namespace"),
        pytest.param(answer_xml("{}", fields=0), id="no field"),
        pytest.param(answer_xml('{"v":1,"seconds":1,"cells":{}}', fields=2), id="the field twice"),
        pytest.param(answer_xml('{"v":1,"seconds":1,"cells":{}}', identifier="other"), id="another field"),
        pytest.param(answer_xml("{}").replace("FreeText", "SelectionIdentifier"), id="a selection"),
        pytest.param(answer_xml("yes"), id="no JSON"),
        pytest.param(answer_xml("[]"), id="an array"),
        pytest.param(answer_xml("[" * 100_000), id="deep JSON"),
        pytest.param("<a>" * 100_000 + "</a>" * 100_000, id="deep XML"),
        pytest.param(answer_xml('{"seconds":1,"cells":{}}'), id="no version"),
        pytest.param(answer_xml('{"v":2,"seconds":1,"cells":{}}'), id="another version"),
        pytest.param(answer_xml('{"v":true,"seconds":1,"cells":{}}'), id="a version that is true"),
        pytest.param(answer_xml('{"v":1,"cells":{}}'), id="no seconds"),
        pytest.param(answer_xml('{"v":1,"seconds":1,"cells":{},"more":1}'), id="another key"),
        pytest.param(cells_xml('{"a":"maybe"}'), id="an unknown word"),
        pytest.param(cells_xml('{"a":"YES"}'), id="upper case"),
        pytest.param(cells_xml('{"a":true}'), id="a boolean answer"),
        pytest.param(cells_xml('{"a":null}'), id="a null answer"),
        pytest.param(cells_xml('{"a":"report"}'), id="a report without reason"),
        pytest.param(cells_xml('{"a":["yes","private"]}'), id="a reason without report"),
        pytest.param(cells_xml('{"a":["report","dull"]}'), id="an unknown reason"),
        pytest.param(cells_xml('{"a":["report"]}'), id="a report in an array of one"),
        pytest.param(cells_xml('{"a":"yes","a":"no"}'), id="a cell twice"),
        pytest.param(cells_xml('{"":"yes"}'), id="a cell without name"),
        pytest.param(cells_xml('{"a b":"yes"}'), id="a name with a space"),
        pytest.param(cells_xml('{"\\ud800":"yes"}'), id="half a character as a name"),
        pytest.param(cells_xml(json.dumps({"a" * 65: "yes"})), id="a name too long"),
        pytest.param(cells_xml("[]"), id="cells in an array"),
        pytest.param(cells_xml("{}", seconds='"1"'), id="seconds in a string"),
        pytest.param(cells_xml("{}", seconds="true"), id="seconds that are true"),
        pytest.param(cells_xml("{}", seconds="-1"), id="seconds below zero"),
        pytest.param(cells_xml("{}", seconds="NaN"), id="seconds that are no number"),
        pytest.param(cells_xml("{}", seconds="1e999"), id="endless seconds"),
        pytest.param(cells_xml("{}", seconds="9" * 400), id="too many digits for a float"),
        pytest.param(cells_xml("{}", seconds="9" * 5000), id="too many digits for an int"),
        pytest.param(answer_xml("x" * 1_000_001), id="more than a megabyte"),
    ],
)
def test_anything_else_is_refused_in_one_line(unreadable: str) -> None:
    with pytest.raises(AnswersUnreadable) as refusal:
        parse(unreadable)
    message = str(refusal.value)
    assert message
    assert "\n" not in message
    assert len(message) < 400


@given(st.text(max_size=200))
def test_random_text_is_refused_and_never_crashes(text: str) -> None:
    for answer in (text, answer_xml(text)):
        with pytest.raises(AnswersUnreadable):
            parse(answer)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda children: st.lists(children, max_size=3) | st.dictionaries(names, children, max_size=3),
        max_leaves=6,
    )
)
def test_cells_of_any_json_are_read_or_refused(cells: object) -> None:
    try:
        answers = parse(cells_xml(json.dumps(cells)))
    except AnswersUnreadable:
        return
    assert isinstance(cells, dict)
    assert [cell.name for cell in answers.cells] == list(cells)
