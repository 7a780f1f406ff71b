"""What SimplePlurality counts as agreement, by the API reference's page "HIT Review Policies"."""

from __future__ import annotations

import pytest

from hits.marketplace.policies import Agreement, parse_policy, plurality


def agreement(threshold: int, *answers: str) -> Agreement:
    policy = parse_policy(
        "HIT",
        {
            "PolicyName": "SimplePlurality/2011-09-01",
            "Parameters": [
                {"Key": "QuestionIds", "Values": ["q"]},
                {"Key": "QuestionAgreementThreshold", "Values": [str(threshold)]},
            ],
        },
    )
    return plurality(policy, {f"A{number}": {"q": (answer,)} for number, answer in enumerate(answers)})


@pytest.mark.parametrize(("threshold", "agreed"), [(49, {"q": "yes"}), (50, {}), (51, {})])
def test_the_share_must_be_greater_than_the_threshold(threshold: int, agreed: dict[str, str]) -> None:
    assert agreement(threshold, "yes", "yes", "no", "perhaps").agreed == agreed


def test_white_space_around_answers_is_nothing_and_case_is_something() -> None:
    assert agreement(50, " yes\n", "yes", "no").agreed == {"q": "yes"}
    assert agreement(50, "Yes", "yes", "no").agreed == {}


def test_answers_of_more_than_256_characters_agree_with_nobody() -> None:
    assert agreement(50, "a" * 256, "a" * 256).agreed == {"q": "a" * 256}
    assert agreement(50, "a" * 257, "a" * 257).agreed == {}
