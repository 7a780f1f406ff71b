"""From votes to verdicts, without a store."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.consensus import LEARNING
from hits.model import Answer, Decision
from imagenet_builder.policy import Policy, Rounds
from imagenet_builder.verdicts import (
    ANSWERS,
    DECISIONS,
    NO_CONTROLS,
    PROVISIONAL,
    Asked,
    Ballots,
    Controls,
    Evidence,
    Finality,
    decide,
    latest_asked,
)

MAJORITY = Policy("majority", 3)
YES, NO, UNSURE, BROKEN = (
    ANSWERS.index(one) for one in (Answer.YES, Answer.NO, Answer.UNSURE, Answer.BROKEN)
)
answers = st.lists(st.sampled_from(Answer), max_size=7)
Said = tuple[Decision, float | None, dict[str, int], bool, bool]


def integers(numbers: Sequence[Any]) -> Any:
    return np.array(numbers, dtype=np.int64)


def asked(policies: Mapping[int, Policy], waiting: Sequence[int] = ()) -> Asked:
    """Questions of one category, each with its policy."""
    ids, distinct = sorted(policies), list(dict.fromkeys(policies.values()))
    return Asked(
        question=integers(ids),
        policy=integers([distinct.index(policies[one]) for one in ids]),
        waiting=np.array([one in waiting for one in ids], dtype=bool),
        category=np.ones(len(ids), dtype=np.int64),
        policies=distinct,
    )


def ballots(cast: Sequence[tuple[int, int, int]]) -> Ballots:
    question, worker, answer = integers(cast).reshape(-1, 3).T if cast else integers([]).reshape(0, 3).T
    return Ballots(question, worker, answer)


def cast_on(question: int, said: Sequence[Answer]) -> list[tuple[int, int, int]]:
    return [(question, worker, ANSWERS.index(answer)) for worker, answer in enumerate(said)]


def verdicts(
    questions: Asked,
    cast: Sequence[tuple[int, int, int]],
    finality: Finality = PROVISIONAL,
    **evidence: object,
) -> dict[int, Said]:
    """Question → decision, probability, tally, final, wanting."""
    found: dict[int, Said] = {}
    for one in decide(questions, Evidence(ballots(cast), **evidence), finality):  # type: ignore[arg-type]
        for row, question in enumerate(one.question.tolist()):
            probability = float(one.probability[row])
            tally = {answer.value: int(one.tally[row, place]) for place, answer in enumerate(ANSWERS)}
            found[question] = (
                DECISIONS[one.decision[row]],
                None if np.isnan(probability) else probability,
                tally,
                bool(one.final[row]),
                bool(one.wanting[row]),
            )
    return found


def expected_decision(said: list[Answer], needed: int) -> Decision:
    """Majority in words: more than half of the votes asked for, and more than the other side has."""
    yes, no = said.count(Answer.YES), said.count(Answer.NO)
    if 2 * yes > needed and yes > no:
        return Decision.ACCEPTED
    if 2 * no > needed and no > yes:
        return Decision.REJECTED
    return Decision.UNDECIDED


@given(said=answers, needed=st.integers(1, 6))
def test_a_verdict_is_the_majority_of_the_votes_asked_for(said: list[Answer], needed: int) -> None:
    found = verdicts(asked({7: Policy("majority", needed)}), cast_on(7, said))
    decision, probability, tally, final, _ = found[7]
    assert decision is expected_decision(said, needed)
    assert tally == {answer.value: said.count(answer) for answer in Answer}
    assert final
    if not tally["yes"] + tally["no"]:
        assert probability is None
    elif decision is not Decision.UNDECIDED:
        assert probability is not None
        assert 0 < probability < 1
        assert (probability > 0.5) == (decision is Decision.ACCEPTED)


@given(tables=st.dictionaries(st.integers(1, 40), answers, max_size=12), order=st.randoms())
def test_verdicts_do_not_depend_on_the_order_of_votes_and_votes_on_other_questions_change_nothing(
    tables: dict[int, list[Answer]], order: random.Random
) -> None:
    questions = asked(
        {one: Policy("majority", 1 + one % 4) for one in tables}, [one for one in tables if one % 2]
    )
    votes = [vote for question, said in tables.items() for vote in cast_on(question, said)]
    straight = verdicts(questions, votes)
    order.shuffle(votes)
    assert verdicts(questions, [*votes, (0, 1, YES), (99, 1, NO)]) == straight


def test_a_question_that_waits_for_its_first_vote_has_no_verdict_and_a_final_one_is_undecided() -> None:
    assert verdicts(asked({1: MAJORITY}, waiting=[1]), []) == {}
    decision, probability, _, final, _ = verdicts(asked({1: MAJORITY}), [])[1]
    assert (decision, probability, final) == (Decision.UNDECIDED, None, True)


def test_an_unknown_rule_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(ValueError, match="oracle"):
        verdicts(asked({1: Policy("oracle", 3)}), cast_on(1, [Answer.YES]))


def test_a_question_is_decided_as_its_latest_page_was_published_and_waits_for_every_open_one() -> None:
    three, five = Policy("majority", 3), Policy("majority", 5)
    pairs = [(1, 20), (1, 10), (2, 20), (3, 10), (4, 20), (4, 30)]
    question, hit = integers(pairs).T
    found = latest_asked(
        question, hit, hit == 20, integers([one for one, _ in pairs]), {10: three, 20: five, 30: three}
    )
    assert found.question.tolist() == found.category.tolist() == [1, 2, 3, 4]
    assert [found.policies[number] for number in found.policy] == [five, five, three, three]
    assert found.waiting.tolist() == [True, True, False, True]


def crowd_of(truth: dict[int, bool], workers: int = 3) -> list[tuple[int, int, int]]:
    """Everybody is right, but for worker 0, who says yes to everything."""
    return [
        (question, worker, YES if shows or worker == 0 else NO)
        for question, shows in truth.items()
        for worker in range(workers)
    ]


@pytest.mark.parametrize("rule", sorted(LEARNING))
def test_a_rule_that_learns_is_provisional_until_it_was_fitted_to_all_votes(rule: str) -> None:
    votes = cast_on(1, [Answer.YES] * 3)
    closed, open_still = asked({1: Policy(rule, 3)}), asked({1: Policy(rule, 3)}, waiting=[1])
    assert not verdicts(closed, votes)[1][3]
    assert verdicts(closed, votes, Finality(fitted=True))[1][3]
    assert not verdicts(open_still, votes, Finality(fitted=True))[1][3]
    assert verdicts(open_still, votes, Finality(fitted=True, everything=True))[1][3]


@pytest.mark.parametrize("rule", sorted(LEARNING))
def test_rules_that_learn_see_all_votes_whatever_number_was_asked_for(rule: str) -> None:
    truth = {question: question % 3 == 0 for question in range(1, 61)}
    questions = asked({question: Policy(rule, 1 + question % 5) for question in truth})
    found = verdicts(questions, crowd_of(truth, workers=4))
    accepted = {question for question, said in found.items() if said[0] is Decision.ACCEPTED}
    assert accepted == {question for question, shows in truth.items() if shows}


def controls(cast: Sequence[tuple[int, int, int, int]]) -> Controls:
    question, worker, answer, known = integers(cast).T
    return Controls(question, worker, answer, known, np.ones(len(cast), dtype=np.int64))


def test_controls_tell_a_rule_that_learns_whom_to_believe() -> None:
    # On the questions two careless workers outvote a good one; only controls show who is who.
    truth = {question: question % 2 == 0 for question in range(1, 31)}
    questions = asked({question: Policy("dawid-skene", 3) for question in truth})
    votes = [
        (question, worker, YES if (shows == (worker == 0)) else NO)
        for question, shows in truth.items()
        for worker in range(3)
    ]
    known = [
        (100 + n, worker, YES if (n % 2 == 0) == (worker == 0) else NO, YES if n % 2 == 0 else NO)
        for n in range(40)
        for worker in range(3)
    ]

    def share_right(with_controls: Controls) -> float:
        found = verdicts(questions, votes, controls=with_controls)
        return sum((found[one][0] is Decision.ACCEPTED) == shows for one, shows in truth.items()) / len(truth)

    assert share_right(controls(known)) > 0.9
    assert share_right(NO_CONTROLS) < 0.1


def test_a_workers_first_answer_to_a_control_counts_and_controls_get_no_verdict() -> None:
    votes = [(1, 7, YES), (1, 8, YES), (1, 9, BROKEN)]
    known = [(5, 7, said, YES) for said in (YES, NO, NO, NO)]
    questions = asked({1: Policy("dawid-skene", 3)})
    once = verdicts(questions, votes, controls=controls(known[:1]))
    assert verdicts(questions, votes, controls=controls(known)) == once
    assert list(once) == [1]
    assert once[1][2] == {"yes": 2, "no": 0, "unsure": 0, "broken": 1, "report": 0}


def test_majority_takes_no_notice_of_controls() -> None:
    votes = cast_on(1, [Answer.YES, Answer.YES])
    with_control = verdicts(asked({1: MAJORITY}), votes, controls=controls([(5, 7, NO, YES)]))
    assert with_control == verdicts(asked({1: MAJORITY}), votes)


def test_votes_of_ignored_workers_stay_in_the_tally_and_decide_nothing() -> None:
    votes = cast_on(1, [Answer.YES, Answer.YES, Answer.NO])
    (found,) = decide(asked({1: MAJORITY}), Evidence(ballots(votes), ignored=integers([1])))
    assert DECISIONS[found.decision[0]] is Decision.UNDECIDED
    assert found.tally[0].sum() == 3
    assert found.parameters == {"needed": 3, "excluded_workers": "ignored"}
    (subset,) = decide(asked({1: Policy("dynamic", 3)}), Evidence(ballots(votes), ignored=integers([1])))
    assert subset.parameters["excluded_workers"] == "ignored"
    (every,) = decide(asked({1: Policy("dynamic", 3)}), Evidence(ballots(votes)))
    assert subset.probability[0] < every.probability[0]
    (heard,) = decide(asked({1: Policy("dawid-skene", 3)}), Evidence(ballots(votes), ignored=integers([1])))
    assert "excluded_workers" not in heard.parameters


@pytest.mark.parametrize(
    ("said", "decision", "wanting"),
    [
        ([Answer.YES, Answer.YES], Decision.ACCEPTED, False),
        ([Answer.NO, Answer.NO], Decision.REJECTED, False),
        ([Answer.YES, Answer.NO], Decision.UNDECIDED, True),
        ([Answer.YES, Answer.UNSURE], Decision.UNDECIDED, True),
        ([Answer.YES, Answer.NO, Answer.YES], Decision.ACCEPTED, False),
        ([Answer.YES, Answer.NO, Answer.UNSURE], Decision.UNDECIDED, False),
        ([Answer.UNSURE, Answer.BROKEN], Decision.UNDECIDED, False),
    ],
)
def test_a_majority_in_rounds_wants_votes_only_while_they_can_decide(
    said: list[Answer], decision: Decision, wanting: bool
) -> None:
    policy = Policy("majority", 2, Rounds(target=0.9, most=3))
    found = verdicts(asked({1: policy}), cast_on(1, said))[1]
    assert (found[0], found[4]) == (decision, wanting)
    assert found[3] is not wanting
    # While a page is out that may bring the vote, nothing more is wanted.
    assert not verdicts(asked({1: policy}, waiting=[1]), cast_on(1, said))[1][4]


def test_the_dynamic_rules_subset_wants_ten_votes_however_sure_it_is() -> None:
    policy = Policy("dynamic", 1, Rounds(target=0.95, most=10))
    assert policy.subset is not None
    truth = {question: question % 2 == 0 for question in range(1, 41)}
    votes = [
        (question, worker, YES if shows else NO) for question, shows in truth.items() for worker in range(5)
    ]
    found = verdicts(asked(dict.fromkeys(truth, policy.subset)), votes, Finality(fitted=True))
    assert all(said[4] and not said[3] for said in found.values())
    votes += [(question, worker + 5, answer) for question, worker, answer in votes]
    found = verdicts(asked(dict.fromkeys(truth, policy.subset)), votes, Finality(fitted=True))
    assert not any(said[4] for said in found.values())


def test_within_a_mean_of_votes_what_is_not_asked_now_stays_open_until_the_mean_is_spent() -> None:
    policy = Policy("dawid-skene", 1, Rounds(target=0.95, most=5, mean=2.0))
    generator = np.random.default_rng(0)
    truth = generator.random(80) < 0.5
    said = [
        [(question, worker, YES if truth[question] != wrong else NO) for worker, wrong in enumerate(wrongs)]
        for question, wrongs in enumerate(generator.random((80, 5)) < 0.3)
    ]
    cast = [votes[0] for votes in said]
    policies = dict.fromkeys(range(80), policy)
    found = verdicts(asked(policies), cast, Finality(fitted=True))
    wanted = {question for question, one in found.items() if one[4]}
    assert len(wanted) == 40
    assert not any(one[3] for one in found.values())
    # While these are out nothing else is asked, and nothing ends.
    found = verdicts(asked(policies, waiting=sorted(wanted)), cast, Finality(fitted=True))
    assert not any(one[4] or one[3] for one in found.values())
    for _ in range(10):
        cast += [said[question][found[question][2]["yes"] + found[question][2]["no"]] for question in wanted]
        found = verdicts(asked(policies), cast, Finality(fitted=True))
        wanted = {question for question, one in found.items() if one[4]}
        if not wanted:
            break
    assert len(cast) == 160
    assert all(one[3] for one in found.values())
    # Another rule may decide what was asked so; it has no use for the mean.
    by_majority = dict.fromkeys(range(80), dataclasses.replace(policy, rule="majority"))
    assert set(verdicts(asked(by_majority), cast)) == set(range(80))


def test_ids_that_are_scattered_widely_are_found_too() -> None:
    far = 10**15
    votes = [*cast_on(1, [Answer.YES] * 3), *cast_on(far, [Answer.NO] * 3), *cast_on(far - 1, [Answer.NO])]
    found = verdicts(asked({1: MAJORITY, far: MAJORITY}), votes)
    assert {question: one[0] for question, one in found.items()} == {
        1: Decision.ACCEPTED,
        far: Decision.REJECTED,
    }
