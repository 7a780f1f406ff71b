"""What holds for every consensus rule, and what each one promises on its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hits.consensus import ABSTAINED, NO, RULES, UNKNOWN, YES, Consensus, Rule, Votes, rule
from tests.simulated_crowd import simulated_crowd

every_rule = pytest.mark.parametrize("name", sorted(RULES))


@st.composite
def some_votes(draw: st.DrawFn) -> Votes:
    """Random votes with abstentions; a worker votes at most once on a task."""
    n_tasks = draw(st.integers(0, 12))
    n_labels = draw(st.integers(2, 4))
    pairs = st.tuples(st.integers(0, max(n_tasks - 1, 0)), st.integers(0, 6))
    cast = draw(st.lists(pairs, unique=True, max_size=40)) if n_tasks else []
    labels = draw(st.lists(st.integers(ABSTAINED, n_labels - 1), min_size=len(cast), max_size=len(cast)))
    return votes_of(
        [(task, worker, label) for (task, worker), label in zip(cast, labels, strict=True)], n_tasks, n_labels
    )


def votes_of(cast: list[tuple[int, int, int]], n_tasks: int, n_labels: int = 2) -> Votes:
    table = np.array(cast, dtype=np.int64).reshape(-1, 3)
    return Votes(table[:, 0], table[:, 1], table[:, 2], n_tasks, n_labels)


def on_one_task(*labels: int, n_labels: int = 2) -> Votes:
    return votes_of([(0, worker, label) for worker, label in enumerate(labels)], 1, n_labels)


def assert_same(one: Consensus, other: Consensus) -> None:
    np.testing.assert_array_equal(one.label, other.label)
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-9)
    np.testing.assert_array_equal(one.decided, other.decided)
    np.testing.assert_array_equal(one.votes, other.votes)


@every_rule
@settings(deadline=None)
@given(votes=some_votes())
def test_shapes_types_and_rows_that_sum_to_one(name: str, votes: Votes) -> None:
    consensus = rule(name).decide(votes)
    assert consensus.label.shape == consensus.decided.shape == consensus.votes.shape == (votes.n_tasks,)
    assert consensus.probability.shape == (votes.n_tasks, votes.n_labels)
    assert consensus.label.dtype == consensus.votes.dtype == np.int64
    assert consensus.decided.dtype == np.bool_
    assert np.all(consensus.probability >= 0)
    np.testing.assert_allclose(consensus.probability.sum(axis=1), 1.0)
    assert np.all((consensus.label >= ABSTAINED) & (consensus.label < votes.n_labels))


@every_rule
@settings(deadline=None)
@given(votes=some_votes(), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_votes_changes_nothing(name: str, votes: Votes, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(votes.task.size)
    shuffled = Votes(
        votes.task[order], votes.worker[order], votes.label[order], votes.n_tasks, votes.n_labels
    )
    assert_same(rule(name).decide(votes), rule(name).decide(shuffled))


@every_rule
@settings(deadline=None)
@given(votes=some_votes())
def test_a_second_run_says_the_same_and_the_votes_stay_as_they_were(name: str, votes: Votes) -> None:
    before = [votes.task.copy(), votes.worker.copy(), votes.label.copy()]
    assert_same(rule(name).decide(votes), rule(name).decide(votes))
    for array, copy in zip((votes.task, votes.worker, votes.label), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@every_rule
@settings(deadline=None)
@given(votes=some_votes())
def test_tasks_without_a_named_label_are_undecided(name: str, votes: Votes) -> None:
    consensus = rule(name).decide(votes)
    voted = np.isin(np.arange(votes.n_tasks), votes.task[votes.label != ABSTAINED])
    assert not consensus.decided[~voted].any()
    assert np.all(consensus.label[~voted] == ABSTAINED)
    assert np.all(consensus.votes[~voted] == 0)
    assert np.all(consensus.label[voted] != ABSTAINED)


@every_rule
@settings(deadline=None)
@given(votes=some_votes())
def test_votes_count_those_that_name_a_label(name: str, votes: Votes) -> None:
    named = votes.task[votes.label != ABSTAINED]
    expected = [int(np.count_nonzero(named == task)) for task in range(votes.n_tasks)]
    assert rule(name).decide(votes).votes.tolist() == expected


@every_rule
@settings(deadline=None)
@given(votes=some_votes(), seed=st.integers(0, 2**32 - 1))
def test_known_tasks_come_out_as_known_and_the_rest_is_still_a_distribution(
    name: str, votes: Votes, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    known = generator.integers(UNKNOWN, votes.n_labels, votes.n_tasks)
    group = generator.integers(0, 3, votes.n_tasks)
    found = rule(name).decide(dataclasses.replace(votes, known=known, group=group))
    sure = known != UNKNOWN
    np.testing.assert_array_equal(found.label[sure], known[sure])
    assert found.decided[sure].all()
    assert np.all(found.probability[sure, known[sure]] == 1)
    assert np.all(np.isfinite(found.probability))
    np.testing.assert_allclose(found.probability.sum(axis=1), 1.0)


@every_rule
@settings(deadline=None)
@given(votes=some_votes(), seed=st.integers(0, 2**32 - 1))
def test_labels_and_groups_are_names_only(name: str, votes: Votes, seed: int) -> None:
    generator = np.random.default_rng(seed)
    to = generator.permutation(votes.n_labels)
    group = generator.integers(0, 3, votes.n_tasks)
    named = votes.label != ABSTAINED
    label = np.where(named, to[np.where(named, votes.label, 0)], ABSTAINED)
    found = rule(name).decide(dataclasses.replace(votes, group=group))
    other = rule(name).decide(dataclasses.replace(votes, label=label, group=7 - 2 * group))
    np.testing.assert_allclose(other.probability[:, to], found.probability, atol=1e-6)
    np.testing.assert_array_equal(other.votes, found.votes)


@every_rule
def test_workers_are_names_only(name: str) -> None:
    crowd = simulated_crowd(seed=3, n_tasks=60)
    renamed = dataclasses.replace(crowd.votes, worker=1000 - 3 * crowd.votes.worker)
    np.testing.assert_allclose(
        rule(name).decide(renamed).probability, rule(name).decide(crowd.votes).probability, atol=1e-9
    )


@every_rule
@pytest.mark.parametrize("label", [NO, YES])
def test_one_more_vote_of_a_good_worker_never_speaks_against_its_label(name: str, label: int) -> None:
    crowd = simulated_crowd(seed=5, n_tasks=300, accuracy=(0.85, 0.95))
    before = rule(name).decide(crowd.votes).probability[:, label]
    newcomer = int(crowd.votes.worker.max()) + 1
    for task in range(0, 300, 30):
        more = dataclasses.replace(
            crowd.votes,
            task=np.append(crowd.votes.task, task),
            worker=np.append(crowd.votes.worker, newcomer),
            label=np.append(crowd.votes.label, label),
        )
        assert rule(name).decide(more).probability[task, label] >= before[task] - 1e-3


@every_rule
def test_more_votes_of_good_workers_make_more_right(name: str) -> None:
    few = simulated_crowd(seed=8, n_tasks=400, votes_a_task=3)
    many = simulated_crowd(seed=8, n_tasks=400, votes_a_task=9)
    right = [np.mean(rule(name).decide(one.votes).label == one.truth) for one in (few, many)]
    assert right[1] > right[0] + 0.02


@every_rule
@pytest.mark.parametrize("label", [NO, YES])
def test_what_everybody_says_is_decided(name: str, label: int) -> None:
    cast = [(task, worker, label) for task in range(20) for worker in range(3)]
    consensus = rule(name).decide(votes_of(cast, 20))
    assert np.all(consensus.label == label)
    assert consensus.decided.all()
    assert np.all(consensus.probability.argmax(axis=1) == label)


@every_rule
def test_abstentions_alone_decide_nothing(name: str) -> None:
    consensus = rule(name).decide(on_one_task(ABSTAINED, ABSTAINED, ABSTAINED))
    assert not consensus.decided[0]
    assert consensus.label[0] == ABSTAINED


@every_rule
def test_no_tasks_and_no_votes_are_no_error(name: str) -> None:
    assert rule(name).decide(votes_of([], 0)).label.size == 0
    assert not rule(name).decide(votes_of([], 3)).decided.any()


@every_rule
def test_narrow_integer_arrays_do_not_overflow(name: str) -> None:
    task = np.arange(200, dtype=np.uint8).repeat(3)
    worker = np.tile(np.arange(3, dtype=np.int8), 200)
    label = np.full(600, YES, dtype=np.int8)
    consensus = rule(name).decide(Votes(task, worker, label, 200))
    assert np.all(consensus.label == YES)
    assert np.all(consensus.votes == 3)


@every_rule
def test_a_rule_tells_its_name_and_parameters_and_is_made_again_from_them(name: str) -> None:
    made: Rule = rule(name)
    assert made.name == name
    again = rule(made.name, **made.parameters)
    assert again.parameters == made.parameters


def test_unknown_rules_and_parameters_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"coin-toss.*majority"):
        rule("coin-toss")
    with pytest.raises(ValueError, match="quorum"):
        rule("majority", quorum=3)


@pytest.mark.parametrize(
    ("task", "worker", "label"),
    [
        pytest.param([0], [0], [2], id="a label too high"),
        pytest.param([0], [0], [-2], id="a label too low"),
        pytest.param([1], [0], [0], id="a task too high"),
        pytest.param([-1], [0], [0], id="a task too low"),
        pytest.param([0], [-1], [0], id="a worker below zero"),
        pytest.param([0, 0], [0], [0], id="lengths that differ"),
        pytest.param([0], [0], [0.0], id="a float label"),
    ],
)
def test_votes_out_of_range_or_shape_are_refused(
    task: list[int], worker: list[int], label: list[float]
) -> None:
    with pytest.raises(ValueError):
        Votes(np.array(task), np.array(worker), np.array(label), 1)


@pytest.mark.parametrize(
    "named",
    [
        pytest.param({"known": [0]}, id="known for too few tasks"),
        pytest.param({"known": [0, 2]}, id="a known label too high"),
        pytest.param({"known": [0.0, 1.0]}, id="known labels as floats"),
        pytest.param({"group": [0, -1]}, id="a group below zero"),
        pytest.param({"group": [0, 0, 0]}, id="groups for too many tasks"),
    ],
)
def test_known_labels_and_groups_out_of_range_or_shape_are_refused(named: dict[str, list[float]]) -> None:
    (name, values), one = *named.items(), np.array([0])
    wrong: dict[str, Any] = {name: np.array(values)}
    with pytest.raises(ValueError, match=name):
        Votes(one, one, one, 2, **wrong)


# --- majority ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "label", "decided"),
    [
        ([YES], YES, False),
        ([YES, YES], YES, True),
        ([YES, NO], NO, False),
        ([YES, NO, YES], YES, True),
        ([NO, NO, YES], NO, True),
        ([YES, NO, ABSTAINED], NO, False),
        ([YES, YES, ABSTAINED], YES, True),
        ([YES, ABSTAINED, ABSTAINED], YES, False),
        ([YES, YES, NO, NO], NO, False),
        ([YES, YES, YES, NO, NO], YES, True),
    ],
)
def test_majority_decides_on_two_of_three_and_leaves_ties(
    labels: list[int], label: int, decided: bool
) -> None:
    consensus = rule("majority").decide(on_one_task(*labels))
    assert consensus.label[0] == label
    assert consensus.decided[0] == decided


def test_majority_of_five_needs_three() -> None:
    assert not rule("majority", needed=5).decide(on_one_task(YES, YES)).decided[0]
    assert rule("majority", needed=5).decide(on_one_task(YES, YES, YES)).decided[0]


def test_majority_among_three_labels_needs_more_than_half_of_the_votes_asked_for() -> None:
    assert not rule("majority").decide(on_one_task(0, 1, 2, n_labels=3)).decided[0]
    assert rule("majority").decide(on_one_task(2, 1, 2, n_labels=3)).label[0] == 2


def test_majority_of_tasks_taken_a_few_at_a_time_is_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    task, worker = np.divmod(np.arange(100 * 4), 4)
    votes = Votes(task, worker, random.integers(ABSTAINED, 3, task.size), 100, 3)
    at_once = rule("majority").decide(votes)
    for few in (1, 7, 50, 99):
        monkeypatch.setattr("hits.consensus.majority.TASKS_AT_ONCE", few)
        assert_same(rule("majority").decide(votes), at_once)
    assert 0 < at_once.decided.sum() < 100


def test_majority_gives_smoothed_vote_shares_as_probabilities() -> None:
    probability = rule("majority").decide(on_one_task(YES, YES, NO)).probability
    np.testing.assert_allclose(probability, [[0.4, 0.6]])
    np.testing.assert_allclose(rule("majority").decide(votes_of([], 1)).probability, [[0.5, 0.5]])


@pytest.mark.parametrize("needed", [0, -1, 2.5, True, "3"])
def test_majority_refuses_a_number_of_votes_that_is_none(needed: float) -> None:
    with pytest.raises(ValueError, match="positive number of votes"):
        rule("majority", needed=needed)


@settings(deadline=None)
@given(votes=some_votes(), needed=st.integers(1, 7))
def test_majority_agrees_with_counting_by_hand(votes: Votes, needed: int) -> None:
    consensus = rule("majority", needed=needed).decide(votes)
    for task in range(votes.n_tasks):
        cast: NDArray[np.int64] = votes.label[(votes.task == task) & (votes.label != ABSTAINED)]
        counts = [int(np.count_nonzero(cast == label)) for label in range(votes.n_labels)]
        most = max(counts)
        assert consensus.decided[task] == (most * 2 > needed and counts.count(most) == 1)
        assert consensus.label[task] == (counts.index(most) if most else ABSTAINED)
