"""From votes to verdicts, without a store."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.consensus import LEARNING
from hits.model import Answer, Decision, Tally
from imagenet_builder.store.verdicts import Asking, ControlVote, CountedVote
from imagenet_builder.verdicts import Awaited, Context, Policy, awaited, decide, differs

MAJORITY = Policy("majority", 3)
answers = st.lists(st.sampled_from(Answer), max_size=7)


def votes_on(question_id: int, said: list[Answer]) -> list[CountedVote]:
    return [CountedVote(question_id, worker, answer) for worker, answer in enumerate(said)]


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
    (found,) = decide([Awaited(7, Policy("majority", needed), True)], votes_on(7, said))
    assert found.verdict.decision is expected_decision(said, needed)
    assert found.tally == Tally(**{answer.value: said.count(answer) for answer in Answer})
    assert found.tally.total == len(said)
    assert found.verdict.votes == found.tally.yes + found.tally.no
    assert found.verdict.parameters == {"needed": needed}


@given(tables=st.dictionaries(st.integers(1, 40), answers, max_size=12), order=st.randoms())
def test_verdicts_do_not_depend_on_the_order_of_questions_and_votes(
    tables: dict[int, list[Answer]], order: object
) -> None:
    import random

    assert isinstance(order, random.Random)
    questions = [
        Awaited(question_id, Policy("majority", 1 + question_id % 4), question_id % 2 == 0)
        for question_id in tables
    ]
    votes = [vote for question_id, said in tables.items() for vote in votes_on(question_id, said)]
    straight = {one.question_id: one for one in decide(questions, votes)}
    order.shuffle(questions)
    order.shuffle(votes)
    assert {one.question_id: one for one in decide(questions, votes)} == straight


@given(said=answers)
def test_the_probability_leans_to_the_side_that_won(said: list[Answer]) -> None:
    (found,) = decide([Awaited(1, MAJORITY, True)], votes_on(1, said))
    named = [answer for answer in said if answer in {Answer.YES, Answer.NO}]
    if not named:
        assert found.verdict.probability is None
        return
    assert found.verdict.probability is not None
    assert 0 < found.verdict.probability < 1
    if found.verdict.decision is Decision.ACCEPTED:
        assert found.verdict.probability > 0.5
    if found.verdict.decision is Decision.REJECTED:
        assert found.verdict.probability < 0.5


def test_a_question_that_waits_for_its_first_vote_has_no_verdict_and_a_final_one_is_undecided() -> None:
    assert decide([Awaited(1, MAJORITY, False)], []) == []
    (found,) = decide([Awaited(1, MAJORITY, True)], [])
    assert (found.verdict.decision, found.verdict.probability, found.final) == (
        Decision.UNDECIDED,
        None,
        True,
    )


def test_an_unknown_rule_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(ValueError, match="oracle"):
        decide([Awaited(1, Policy("oracle", 3), True)], votes_on(1, [Answer.YES]))


def test_a_question_is_decided_as_its_latest_page_was_published_and_waits_for_every_open_one() -> None:
    asked = [
        Asking(question_id=1, hit_id=10, is_open=False, votes=3, rule="majority"),
        Asking(question_id=1, hit_id=20, is_open=True, votes=5, rule="majority"),
        Asking(question_id=2, hit_id=20, is_open=True, votes=5, rule="majority"),
        Asking(question_id=3, hit_id=10, is_open=False, votes=3, rule="majority"),
    ]

    def finals(completed: set[int], finalise: bool = False) -> dict[int, bool]:
        found = awaited(asked, completed, rule=None, finalise=finalise)
        return {one.question_id: one.final for one in found}

    assert finals(set()) == {1: False, 2: False, 3: True}
    assert finals({20}) == {1: True, 2: True, 3: True}
    assert finals(set(), finalise=True) == {1: True, 2: True, 3: True}
    policies = {one.question_id: one.policy for one in awaited(asked, set(), rule=None, finalise=False)}
    assert policies[1] == Policy("majority", 5)
    assert policies[3] == Policy("majority", 3)


def test_being_final_alone_is_no_other_verdict() -> None:
    (found,) = decide([Awaited(1, MAJORITY, False)], votes_on(1, [Answer.YES, Answer.YES]))
    assert not differs(dataclasses.replace(found, final=True), found)
    (other,) = decide([Awaited(1, MAJORITY, False)], votes_on(1, [Answer.YES, Answer.YES, Answer.NO]))
    assert differs(other, found)
    assert differs(found, None)


def crowd_of(truth: dict[int, bool], workers: int = 3) -> list[CountedVote]:
    """Everybody is right, but for worker 0, who says yes to everything."""
    return [
        CountedVote(question, worker, Answer.YES if shows or worker == 0 else Answer.NO)
        for question, shows in truth.items()
        for worker in range(workers)
    ]


@pytest.mark.parametrize("rule", sorted(LEARNING))
def test_a_rule_that_learns_is_provisional_until_all_is_decided_for_good(rule: str) -> None:
    asked = [Asking(question_id=1, hit_id=10, is_open=False, votes=3, rule=rule)]
    assert not awaited(asked, set(), rule=None, finalise=False)[0].final
    assert awaited(asked, set(), rule=None, finalise=True)[0].final
    assert awaited(asked, set(), rule="majority", finalise=False)[0].final


@pytest.mark.parametrize("rule", sorted(LEARNING))
def test_rules_that_learn_see_all_votes_whatever_number_was_asked_for(rule: str) -> None:
    truth = {question: question % 3 == 0 for question in range(1, 61)}
    questions = [Awaited(question, Policy(rule, 1 + question % 5), True) for question in truth]
    found = decide(questions, crowd_of(truth, workers=4))
    accepted = {one.question_id for one in found if one.verdict.decision is Decision.ACCEPTED}
    assert accepted == {question for question, shows in truth.items() if shows}


def test_controls_tell_a_rule_that_learns_whom_to_believe() -> None:
    # On the questions two careless workers outvote a good one; only controls show who is who.
    questions = [Awaited(question, Policy("dawid-skene", 3), True) for question in range(1, 31)]
    truth = {question: question % 2 == 0 for question in range(1, 31)}
    votes = [
        CountedVote(question, worker, Answer.YES if (shows == (worker == 0)) else Answer.NO)
        for question, shows in truth.items()
        for worker in range(3)
    ]
    controls = [
        ControlVote(
            100 + n,
            "n1",
            worker,
            Answer.YES if (n % 2 == 0) == (worker == 0) else Answer.NO,
            Answer.YES if n % 2 == 0 else Answer.NO,
        )
        for n in range(40)
        for worker in range(3)
    ]

    def share_right(context: Context) -> float:
        found = decide(questions, votes, context)
        right = [(one.verdict.decision is Decision.ACCEPTED) == truth[one.question_id] for one in found]
        return sum(right) / len(right)

    assert share_right(Context(controls, dict.fromkeys(truth, "n1"))) > 0.9
    assert share_right(Context()) < 0.1


def test_a_workers_first_answer_to_a_control_counts_and_controls_get_no_verdict() -> None:
    votes = [CountedVote(1, 7, Answer.YES), CountedVote(1, 8, Answer.YES), CountedVote(1, 9, Answer.BROKEN)]
    controls = [
        ControlVote(5, "n1", 7, said, Answer.YES) for said in (Answer.YES, Answer.NO, Answer.NO, Answer.NO)
    ]
    questions = [Awaited(1, Policy("dawid-skene", 3), True)]
    once = decide(questions, votes, Context(controls[:1], {1: "n1"}))
    again = decide(questions, votes, Context(controls, {1: "n1"}))
    assert again == once
    assert [one.question_id for one in again] == [1]
    assert again[0].tally == Tally(yes=2, broken=1)


def test_majority_takes_no_notice_of_controls() -> None:
    votes = [CountedVote(1, 7, Answer.YES), CountedVote(1, 8, Answer.YES)]
    questions = [Awaited(1, MAJORITY, True)]
    context = Context([ControlVote(5, "n1", 7, Answer.NO, Answer.YES)], {1: "n1"})
    assert decide(questions, votes, context) == decide(questions, votes)
