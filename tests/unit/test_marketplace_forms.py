"""QuestionForm, FormattedContent, answers and answer keys: what is read, what is refused, what is harmless."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.errors import RequestRefused
from hits.marketplace.answer_keys import parse_answer_key
from hits.marketplace.form_answers import AnswersRefused, form_answers_xml, read_answers
from hits.marketplace.forms import Choice, FreeText
from hits.marketplace.questions import parse_question, parse_test
from hits.marketplace.xhtml import clean_xhtml

from ..marketplace_programs import answer_key, form_question, question_form, selections

NUMERIC = '<FreeTextAnswer><Constraints><IsNumeric minValue="1" maxValue="9"/></Constraints></FreeTextAnswer>'
SHORT = (
    '<FreeTextAnswer><Constraints><Length minLength="2" maxLength="4"/></Constraints>'
    "<NumberOfLinesSuggestion>3</NumberOfLinesSuggestion></FreeTextAnswer>"
)
PATTERN = "<FreeTextAnswer><Constraints><AnswerFormatRegex {}/></Constraints></FreeTextAnswer>"
OTHER = "<OtherSelection><Constraints/></OtherSelection>"


def problems(form: str, *fields: tuple[str, str]) -> dict[str, str]:
    with pytest.raises(AnswersRefused) as refused:
        form_answers_xml(parse_test(form), fields)
    return refused.value.problems


# --- forms ---------------------------------------------------------------------------------------------


def test_a_form_is_read_in_its_order_with_its_constraints() -> None:
    overview = "<Overview><Title>Umbrellas</Title><List><ListItem>a &lt; b</ListItem></List></Overview>"
    form = parse_question(
        question_form(overview, form_question("q", selections("x", "y", most=2)), form_question("t", SHORT))
    ).form
    assert form is not None
    choice, text = (question.answer for question in form.questions)
    assert isinstance(choice, Choice)
    assert ([s.identifier for s in choice.selections], choice.most) == (["x", "y"], 2)
    assert isinstance(text, FreeText)
    assert (text.least_length, text.most_length, text.lines) == (2, 4, 3)
    assert len(form.parts) == 3


@pytest.mark.parametrize(
    "form",
    [
        question_form(),
        question_form("<Overview><Text>Only words</Text></Overview>"),
        question_form(form_question("", "<FreeTextAnswer/>")),
        question_form(form_question("a", "<FreeTextAnswer/>"), form_question("a", "<FreeTextAnswer/>")),
        question_form(form_question("a", "<FileUploadAnswer/>")),
        question_form(form_question("a", "")),
        question_form(form_question("a", selections())),
        question_form(form_question("a", selections("x", "x"))),
        question_form(form_question("a", selections("x", most=0))),
        question_form(form_question("a", "<FreeTextAnswer/>", "<Application><JavaApplet/></Application>")),
        question_form("<Surprise/>"),
        question_form(form_question("a", "<FreeTextAnswer/>")).replace("2017-11-06", "1999-01-01"),
        question_form(
            form_question(
                "a",
                "<FreeTextAnswer/>",
                "<Binary><MimeType><Type>image</Type></MimeType><DataURL>javascript:alert(1)</DataURL></Binary>",
            )
        ),
    ],
)
def test_forms_that_cannot_be_shown_are_refused(form: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse_question(form)
    assert refused.value.code == "XMLParseError"


# --- answers -------------------------------------------------------------------------------------------


def test_answers_come_back_as_the_form_asked_for_them() -> None:
    form = parse_test(
        question_form(
            form_question("one", selections("x", "y", more=OTHER)),
            form_question("many", selections("1", "2", "3", most=2)),
            form_question("text", "<FreeTextAnswer/>", needed=False),
        )
    )
    xml = form_answers_xml(
        form, [("one:other", "neither & nor"), ("many", "3"), ("many", "1"), ("text", " "), ("stray", "x")]
    )
    assert read_answers(xml) == {"one": ("neither & nor",), "many": ("3", "1"), "text": ()}
    assert "<OtherSelectionText>neither &amp; nor</OtherSelectionText>" in xml
    assert "<SelectionIdentifier>3</SelectionIdentifier>" in xml
    assert "stray" not in xml


def test_what_does_not_fit_is_said_by_question() -> None:
    form = question_form(
        form_question("one", selections("x", "y")),
        form_question("number", NUMERIC),
        form_question("text", SHORT),
    )
    assert set(problems(form)) == {"one", "number", "text"}
    assert set(problems(form, ("one", "z"), ("number", "5"), ("text", "abc"))) == {"one"}
    assert set(problems(form, ("one", "x"), ("one", "y"), ("number", "5"), ("text", "abc"))) == {"one"}
    for number in ("ten", "0", "10", "nan", "inf"):
        assert set(problems(form, ("one", "x"), ("number", number), ("text", "abc"))) == {"number"}
    for text in ("a", "abcde"):
        assert set(problems(form, ("one", "x"), ("number", "5"), ("text", text))) == {"text"}
    assert "<FreeText>5.5</FreeText>" in form_answers_xml(
        parse_test(form), [("one", "x"), ("number", "5.5"), ("text", "abc")]
    )


@given(st.text(), st.text())
def test_any_text_makes_xml_that_reads_back(name: str, text: str) -> None:
    form = parse_test(question_form(form_question("q", "<FreeTextAnswer/>", needed=False)))
    xml = form_answers_xml(form, [("q", text), (name, text)])
    ElementTree.fromstring(xml)
    assert set(read_answers(xml)) == {"q"}


def test_answers_that_are_no_xml_are_none() -> None:
    assert read_answers("<a>") == read_answers("") == {}


# --- formatted content ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "clean"),
    [
        ("<p>a <b>b</b> &amp; c&nbsp;d &eacute;</p>", "<p>a <b>b</b> &amp; c\xa0d é</p>"),
        ("<script>alert(1)</script><p>x</p>", "<p>x</p>"),
        ('<p onclick="alert(1)" style="position:fixed" class="top">x</p>', "<p>x</p>"),
        ('<a href="javascript:alert(1)">x</a>', "<a>x</a>"),
        ('<a href=" JaVaScRiPt:alert(1)">x</a>', "<a>x</a>"),
        ('<img src="data:image/svg+xml,x" alt="y"/>', '<img alt="y">'),
        ('<img src="https://e.org/?a=1&amp;b=&quot;" />', '<img src="https://e.org/?a=1&amp;b=&#34;">'),
        ("<form action='/'><input/></form><blink>x</blink>", "x"),
        ("<iframe src='https://e.org'>y</iframe><object>z</object>", ""),
        ('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', ""),
        ("&lt;script&gt;", "&lt;script&gt;"),
        ("<!-- <script> --><p>x</p>", "<p>x</p>"),
        ("<br/><hr/>", "<br><hr>"),
        ("&unknown;", "&amp;unknown;"),
    ],
)
def test_formatted_content_keeps_form_and_loses_what_can_act(source: str, clean: str) -> None:
    assert str(clean_xhtml(source)) == clean


@pytest.mark.parametrize("source", ["<p>", "<b><i></b></i>", "a & b", "<b>" * 200 + "</b>" * 200])
def test_formatted_content_that_is_no_xhtml_is_refused(source: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        clean_xhtml(source)
    assert refused.value.code == "XHTMLParseError"


@given(st.text(alphabet="<>/=\"'&;!- abcilnoprstx"))
def test_no_source_becomes_a_script_or_fails_otherwise(source: str) -> None:
    try:
        clean = clean_xhtml(source).lower()
    except RequestRefused:
        return
    assert "<script" not in clean
    assert " on" not in "".join(clean.split(">")[::2]).partition("<")[2]


# --- answer keys ---------------------------------------------------------------------------------------

PERCENT = "<PercentageMapping><MaximumSummedScore>8</MaximumSummedScore></PercentageMapping>"
SCALE = "<ScaleMapping><SummedScoreMultiplier>2.5</SummedScoreMultiplier></ScaleMapping>"
RANGE = (
    "<RangeMapping><SummedScoreRange><InclusiveLowerBound>3</InclusiveLowerBound>"
    "<InclusiveUpperBound>5</InclusiveUpperBound><QualificationValue>10</QualificationValue></SummedScoreRange>"
    "<OutOfRangeQualificationValue>-1</OutOfRangeQualificationValue></RangeMapping>"
)


@pytest.mark.parametrize(
    ("mapping", "value"), [("", 4), (PERCENT, 50), (SCALE, 10), (RANGE, 10)]
)  # fmt: skip
def test_a_key_sums_exact_matches_and_maps_the_sum(mapping: str, value: int) -> None:
    key = parse_answer_key(answer_key({"a": {"yes": 1}, "b": {"1+2": 3, "1": 1}}, mapping))
    assert key.score({"a": ("yes",), "b": ("2", "1")}) == value
    plain = parse_answer_key(answer_key({"a": {"yes": 1}, "b": {"1+2": 3, "1": 1}}))
    assert plain.score({"a": ("yes", "no"), "b": ("1",)}) == 1
    assert plain.score({"b": ("1", "2", "3")}) == 0


def test_a_questions_default_score_is_for_any_other_answer() -> None:
    xml = answer_key({"a": {"yes": 5}}).replace("</Question>", "<DefaultScore>-2</DefaultScore></Question>")
    assert parse_answer_key(xml).score({}) == -2
    ranged = parse_answer_key(answer_key({"a": {"yes": 9}}, RANGE))
    assert ranged.score({"a": ("yes",)}) == -1


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<AnswerKey/>",
        answer_key({}),
        answer_key({"": {"yes": 1}}),
        answer_key({"a": {"yes": 1}}).replace("<AnswerScore>1", "<AnswerScore>one"),
        answer_key({"a": {"yes": 1}}, "<PercentageMapping/>"),
        answer_key({"a": {"yes": 1}}, PERCENT.replace("8", "0")),
        answer_key({"a": {"yes": 1}}, SCALE.replace("2.5", "lots")),
        answer_key({"a": {"yes": 1}}, "<Guess/>"),
    ],
)
def test_keys_that_cannot_score_are_refused(xml: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse_answer_key(xml)
    assert refused.value.code == "XMLParseError"


# --- expressions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "fits", "does_not"),
    [
        ('regex="\\S"', "two words", ""),
        ('regex="^[0-9]{4}$"', "2026", "the 2026"),
        ('regex="^[0-9]{4}$"', "1999", "٢٠٢٦"),
        ('regex="\\d"', "a 1", "٢"),
        ('regex="^(yes|no)$" flags="i"', "YES", "maybe"),
        ('regex="^(yes|no)$"', "no", "NO"),
    ],
)
def test_an_expression_must_match_somewhere_in_the_answer(attributes: str, fits: str, does_not: str) -> None:
    form = question_form(form_question("q", PATTERN.format(attributes)))
    assert form_answers_xml(parse_test(form), [("q", fits)])
    assert problems(form, ("q", does_not)).keys() == {"q"}


def test_the_requesters_own_words_say_what_an_expression_wants() -> None:
    form = question_form(form_question("q", PATTERN.format('regex="^[A-Z]+$" errorText="Capitals only."')))
    assert problems(form, ("q", "abc")) == {"q": "mind this: Capitals only"}
    plain = question_form(form_question("q", PATTERN.format('regex="^[A-Z]+$"')))
    assert problems(plain, ("q", "abc")) == {"q": "mind this: the answer has another form than is asked for"}


@pytest.mark.parametrize("expression", ["^(a|aa)+$", "(unclosed"])
def test_an_expression_that_cannot_be_tried_stops_nobody(expression: str) -> None:
    form = question_form(form_question("q", PATTERN.format(f'regex="{expression}"')))
    assert form_answers_xml(parse_test(form), [("q", "a" * 200 + "b")])
