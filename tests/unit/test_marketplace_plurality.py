"""What the review policies count as equal and as agreed, by the API reference's pages on them."""

from __future__ import annotations

import pytest

from hits.marketplace.policies import Agreed, Agreement, Policy, known_answers, parse_policy, plurality


def parsed(*questions: str, threshold: int = 50) -> Policy:
    return parse_policy(
        "HIT",
        {
            "PolicyName": "SimplePlurality/2011-09-01",
            "Parameters": [
                {"Key": "QuestionIds", "Values": list(questions)},
                {"Key": "QuestionAgreementThreshold", "Values": [str(threshold)]},
            ],
        },
    )


def agreement(threshold: int, *answers: str) -> Agreement:
    submissions = {f"A{number}": {"q": (answer,)} for number, answer in enumerate(answers)}
    return plurality(parsed("q", threshold=threshold), submissions)


def agreed(threshold: int, *answers: str) -> list[str]:
    return [found.answer for found in agreement(threshold, *answers).agreed.values()]


def test_the_example_of_the_reference_comes_out_as_it_stands_there() -> None:
    answers = {
        "A": ("coat", "sweater", "coat"),
        "B": ("blue", "blue", "green"),
        "C": ("large", "large", "large"),
        "D": ("Furry", "fur", "furr"),
    }
    submissions = {
        f"Worker{place + 1}": {name: (said[place],) for name, said in answers.items()} for place in range(3)
    }
    found = plurality(parsed("A,B", "C", "D"), submissions)
    assert found.agreed == {"A": Agreed("coat", 66), "B": Agreed("blue", 66), "C": Agreed("large", 100)}
    assert found.hit_score == 75
    assert [one.score for one in found.workers.values()] == [100, 66, 66]
    assert [(one.correct, one.incorrect) for one in found.workers.values()] == [(3, 0), (2, 1), (2, 1)]


@pytest.mark.parametrize(("threshold", "expected"), [(49, ["yes"]), (50, []), (51, [])])
def test_the_share_must_be_greater_than_the_threshold(threshold: int, expected: list[str]) -> None:
    assert agreed(threshold, "yes", "yes", "no", "perhaps") == expected


def test_white_space_around_answers_is_nothing_and_case_is_something() -> None:
    assert agreed(50, " yes\n", "yes", "no") == ["yes"]
    assert agreed(50, "Yes", "yes", "no") == []


def test_answers_with_several_values_agree_if_all_of_them_do() -> None:
    assert agreed(50, "A|B", "B|A", "A") == ["A|B"]
    assert agreed(50, "A|B", "A", "B") == []


def test_answers_of_more_than_256_characters_agree_with_nobody() -> None:
    assert agreed(50, "a" * 256, "a" * 256) == ["a" * 256]
    assert agreed(50, "a" * 257, "a" * 257) == []


@pytest.mark.parametrize(
    ("key", "answer", "right"),
    [
        (["A"], ("A",), True),
        ([" A "], ("A\n",), True),
        (["A"], ("a",), False),
        (["A", "B"], ("A|B",), True),
        (["A", "B"], ("B", "A"), True),
        (["A", "B"], ("A",), False),
        (["A"], ("A", "B"), False),
        (["A"], (), False),
        ([], (), False),
        ([" "], ("",), False),
        ([], ("A",), False),
    ],
)
def test_a_known_answer_is_right_if_all_its_values_are_there_and_no_other(
    key: list[str], answer: tuple[str, ...], right: bool
) -> None:
    policy = parse_policy(
        "Assignment",
        {
            "PolicyName": "ScoreMyKnownAnswers/2011-09-01",
            "Parameters": [{"Key": "AnswerKey", "MapEntries": [{"Key": "q", "Values": key}]}],
        },
    )
    assert known_answers(policy, {"q": answer}) == ({"q": right}, 100 * right)


def test_the_parameters_of_the_references_own_example_are_taken() -> None:
    known = parse_policy(
        "Assignment",
        {
            "PolicyName": "ScoreMyKnownAnswers/2011-09-01",
            "Parameters": [
                {"Key": "AnswerKey", "MapEntries": [{"Key": "QuestionId1", "Values": ["B"]}]},
                {"Key": "ApproveIfKnownAnswerScoreIsAtLeast", "Values": ["79"]},
                {"Key": "ExtendIfKnownAnswerScoreIsLessThan", "Values": ["79"]},
                {"Key": "ExtendMaximumAssignments", "Values": ["3"]},
            ],
        },
    )
    assert (known.numbers["ExtendMaximumAssignments"], known.numbers["ExtendMinimumTimeInSeconds"]) == (3, 0)
    shared = parse_policy(
        "HIT",
        {
            "PolicyName": "SimplePlurality/2011-09-01",
            "Parameters": [
                {"Key": "QuestionIDs", "Values": ["questionid1", "questionid2"]},
                {"Key": "QuestionAgreementThreshold", "Values": ["100"]},
                {"Key": "DisregardAssignmentIfRejected", "Values": ["T"]},
            ],
        },
    )
    assert (shared.question_ids, shared.disregard_rejected) == (("questionid1", "questionid2"), True)
