"""When a question has votes enough: Deng's confidence table, and the stopping rule."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hits.consensus import NO, UNKNOWN, YES, Dynamic, Stopping, Votes, rule
from hits.consensus.dawid_skene import fit
from hits.consensus.dynamic import SUBSET_VOTES, VOTES_A_HIT, confidences, first_subset
from hits.consensus.majority import count
from hits.consensus.stopping import may_change
from tests.simulated_crowd import SimulatedCrowd, simulated_crowd


def first_votes(votes: Votes, wanted: np.ndarray) -> Votes:
    """The first `wanted` votes of each task; the simulated votes lie task by task."""
    rank = np.arange(votes.task.size) - np.searchsorted(votes.task, votes.task)
    return votes.chosen(rank < wanted[votes.task])


def easy_and_hard() -> tuple[SimulatedCrowd, np.ndarray]:
    """Two categories, one easy and one hard for the same workers; ten votes a task."""
    crowd = simulated_crowd(seed=1, n_tasks=1200, votes_a_task=10, accuracy=(0.95, 0.99))
    group = np.arange(1200) % 2
    generator = np.random.default_rng(1)
    misled = (generator.random(crowd.votes.task.size) < 0.3) & (group[crowd.votes.task] == 1)
    label = np.where(misled, 1 - crowd.votes.label, crowd.votes.label)
    return dataclasses.replace(crowd, votes=dataclasses.replace(crowd.votes, label=label, group=group)), group


def test_the_first_subset_is_random_within_each_category_and_all_of_a_small_one() -> None:
    group = np.array([0] * 50 + [1] * 3 + [2] * 20)
    chosen = first_subset(group, 10, np.random.default_rng(0))
    assert np.bincount(group[chosen]).tolist() == [10, 3, 10]
    other = first_subset(group, 10, np.random.default_rng(1))
    assert (chosen != other).any()
    assert 2 * VOTES_A_HIT == SUBSET_VOTES


def test_the_confidence_table_is_what_counting_says() -> None:
    crowd, group = easy_and_hard()
    subset = first_subset(group, 300, np.random.default_rng(2))
    votes = first_votes(crowd.votes, np.where(subset, 10, 2))
    table = confidences(votes, count(votes))
    counts = count(votes)
    for category in (0, 1):
        two_yes = ~subset & (group == category) & (counts[:, YES] == 2)
        assert table[two_yes, YES].mean() == pytest.approx(crowd.truth[two_yes].mean(), abs=0.07)
    # The same two votes mean more in the easy category.
    easy, hard = (table[~subset & (group == one) & (counts[:, YES] == 2), YES][0] for one in (0, 1))
    assert easy > hard + 0.05


def test_a_known_label_teaches_the_table_more_than_its_majority() -> None:
    crowd = simulated_crowd(seed=3, n_tasks=300, votes_a_task=10, accuracy=(0.8, 0.9))
    # Everybody is wrong about a third of the yes pictures; only controls can tell.
    wrong = (crowd.truth == NO) & (np.arange(300) % 3 == 0)
    label = np.where(wrong[crowd.votes.task], YES, crowd.votes.label)
    votes = dataclasses.replace(crowd.votes, label=label)
    with_controls = confidences(dataclasses.replace(votes, known=crowd.truth), count(votes))
    assert with_controls[wrong, YES].mean() < confidences(votes, count(votes))[wrong, YES].mean() - 0.1


def test_voting_until_the_threshold_costs_less_than_ten_votes_and_keeps_its_word() -> None:
    crowd, group = easy_and_hard()
    dynamic = Dynamic(threshold=0.95)
    subset = first_subset(group, 100, np.random.default_rng(4))
    wanted = np.where(subset, 10, 1)
    for _ in range(10):
        votes = first_votes(crowd.votes, wanted)
        more = dynamic.wanting(votes)
        if not more.any():
            break
        wanted = wanted + more
    found = dynamic.decide(first_votes(crowd.votes, wanted))
    rest = ~subset
    assert wanted[rest].mean() < 4.5
    assert wanted[rest & (group == 0)].mean() < wanted[rest & (group == 1)].mean()
    assert np.mean(found.label[rest & found.decided] == crowd.truth[rest & found.decided]) > 0.95


@pytest.mark.parametrize(
    "parameters", [{"threshold": 0.5}, {"threshold": 1.0}, {"most": 0}, {"most": 2.5}, {"most": True}]
)
def test_dynamic_refuses_nonsense(parameters: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        rule("dynamic", **parameters)


def test_stopping_asks_where_a_verdict_can_still_change_and_nowhere_else() -> None:
    yes = np.array([0.5, 0.8, 0.97, 0.8, 0.55])
    probability = np.column_stack([1 - yes, yes])
    left = np.array([1, 1, 1, 0, 2])
    assert may_change(probability, left, target=0.95, vote_weight=1.0).tolist() == [
        True,
        False,
        False,
        False,
        True,
    ]
    # A stronger vote could overturn the second; nothing can be asked of the fourth.
    assert may_change(probability, left, target=0.95, vote_weight=1.5).tolist() == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_stopping_knows_that_no_votes_make_a_misleading_task_sure() -> None:
    yes = np.array([0.93, 0.93, 0.55])
    probability = np.column_stack([1 - yes, yes])
    left = np.array([3, 3, 3])
    able = may_change(probability, left, target=0.95, vote_weight=0.5, ceiling=0.99)
    assert able.tolist() == [True, True, True]
    # Above what is ever reached, only a label that may still change is worth a vote.
    given_up = may_change(probability, left, target=0.95, vote_weight=0.5, ceiling=0.94)
    assert given_up.tolist() == [False, False, True]


@pytest.mark.parametrize("seed", range(3))
def test_asking_one_by_one_without_controls_finds_both_labels(seed: int) -> None:
    crowd = simulated_crowd(seed=seed, n_tasks=460, n_workers=76, votes_a_task=6, accuracy=(0.6, 0.9))
    wanted = np.ones(460, dtype=np.int64)
    for _ in range(6):
        votes = first_votes(crowd.votes, wanted)
        more = Stopping(target=0.7, most=6).wanting(votes)
        if not more.any():
            break
        wanted = wanted + more
    found = fit(votes).probability.argmax(axis=1)
    three = rule("majority").decide(first_votes(crowd.votes, np.full(460, 3))).label
    assert np.mean(found == crowd.truth) > np.mean(three == crowd.truth) - 0.05
    assert abs(found.mean() - crowd.truth.mean()) < 0.15
    assert wanted.mean() < 3


def test_stopping_gives_every_unknown_task_a_first_vote_and_known_tasks_none() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    votes = Votes(nothing, nothing, nothing, 3, known=np.array([-1, YES, -1]))
    assert Stopping().wanting(votes).tolist() == [True, False, True]
    crowd = simulated_crowd(seed=5, n_tasks=50)
    unvoted = dataclasses.replace(crowd.votes, n_tasks=51, known=None)
    assert Stopping().wanting(unvoted)[50]


@pytest.mark.parametrize("seed", range(3))
def test_stopping_is_righter_than_three_votes_and_a_majority_for_fewer_votes(seed: int) -> None:
    crowd = simulated_crowd(seed=seed, n_tasks=1000, votes_a_task=7, accuracy=(0.6, 0.95), controls=0.125)
    stopping = Stopping(target=0.8, most=7)
    wanted = np.ones(1000, dtype=np.int64)
    for _ in range(10):
        votes = first_votes(crowd.votes, wanted)
        more = stopping.wanting(votes)
        if not more.any():
            break
        wanted = wanted + more
    assert wanted.max() <= 7
    unknown = crowd.votes.truth() == -1
    ours = np.mean(fit(votes).probability.argmax(axis=1)[unknown] == crowd.truth[unknown])
    three = rule("majority").decide(first_votes(crowd.votes, np.full(1000, 3))).label
    assert wanted[unknown].mean() < 3
    assert ours > np.mean(three[unknown] == crowd.truth[unknown]) + 0.01


@pytest.mark.parametrize("seed", range(3))
def test_a_mean_of_votes_is_kept_to_and_goes_where_tasks_are_least_sure(seed: int) -> None:
    crowd = simulated_crowd(seed=seed, n_tasks=800, votes_a_task=7, accuracy=(0.6, 0.9), controls=0.125)
    unknown = crowd.votes.truth() == UNKNOWN
    stopping = Stopping(target=0.95, most=7, mean=2.3)
    wanted = np.where(unknown, 1, 3)
    rounds = 0
    while True:
        votes = first_votes(crowd.votes, wanted)
        wants = stopping.wants(votes)
        if not wants.now.any():
            break
        sure = fit(votes).probability.max(axis=1)
        assert not wants.later.any() or sure[wants.now].max() <= sure[wants.later].min()
        assert not (wants.now & wants.later).any()
        wanted = wanted + wants.now
        rounds += 1
        assert wanted[unknown].mean() <= 2.3
    assert not wants.later.any()
    assert 3 <= rounds <= 10
    assert wanted[unknown].mean() > 2.25
    assert wanted[unknown].max() > 3
    assert (wanted[~unknown] == 3).all()
    ours = np.mean(fit(votes).probability.argmax(axis=1)[unknown] == crowd.truth[unknown])
    three = rule("majority").decide(first_votes(crowd.votes, np.full(800, 3))).label
    assert ours > np.mean(three[unknown] == crowd.truth[unknown])


def test_a_larger_mean_and_a_higher_target_ask_about_the_same_tasks_and_more() -> None:
    crowd = simulated_crowd(seed=4, n_tasks=600, votes_a_task=2, accuracy=(0.6, 0.9), controls=0.1)
    before = np.zeros(600, dtype=np.bool_)
    for mean in (2.0, 2.1, 2.5, 3.0, 5.0):
        asked = Stopping(target=0.95, most=7, mean=mean).wanting(crowd.votes)
        assert asked[before].all()
        assert asked.sum() > before.sum() or mean == 2.0
        before = asked
    without = Stopping(target=0.95, most=7).wanting(crowd.votes)
    assert without[before].all()
    before = np.zeros(600, dtype=np.bool_)
    probability = fit(crowd.votes).probability
    for target in (0.6, 0.7, 0.8, 0.9, 0.99):
        asked = may_change(probability, np.full(600, 50), target=target, vote_weight=1.0)
        assert asked[before].all()
        assert not asked[probability.max(axis=1) >= target].any()
        before = asked


def test_votes_on_their_way_count_for_the_mean_and_are_not_asked_for_twice() -> None:
    crowd = simulated_crowd(seed=6, n_tasks=600, votes_a_task=8, accuracy=(0.6, 0.9))
    votes = first_votes(crowd.votes, np.ones(600, dtype=np.int64))
    stopping = Stopping(target=0.95, most=7, mean=2.0)
    first = stopping.wants(votes)
    assert first.now.sum() == 300
    # Asked again before anybody has answered, nothing more is asked, and nothing is given up.
    again = stopping.wants(votes, waiting=first.now)
    assert not again.now.any()
    assert again.later.any()
    # Each time that some answers are there, more are asked for; never more than the mean allows.
    wanted, waiting = np.ones(600, dtype=np.int64), first.now
    while waiting.any():
        arrived = waiting & (np.cumsum(waiting) <= 100)
        wanted = wanted + arrived
        waiting = waiting & ~arrived
        now = stopping.wants(first_votes(crowd.votes, wanted), waiting=waiting).now
        assert not (now & waiting).any()
        waiting = waiting | now
        assert wanted.sum() + waiting.sum() <= 1200
    assert wanted.sum() == 1200


def test_votes_that_say_nothing_of_the_label_are_paid_for_too() -> None:
    crowd = simulated_crowd(seed=7, n_tasks=100, votes_a_task=1)
    cast = np.full(100, 2)
    assert Stopping(target=0.95, most=5, mean=2.0).wanting(crowd.votes).any()
    assert not Stopping(target=0.95, most=5, mean=2.0).wants(crowd.votes, cast=cast).now.any()
    assert not Stopping(target=0.95, most=2).wants(crowd.votes, cast=cast).now.any()
    unvoted = dataclasses.replace(crowd.votes, n_tasks=101, known=None)
    shown = np.append(cast, 1)
    assert np.flatnonzero(Stopping(most=5, mean=2.0).wants(unvoted, cast=shown).now).tolist() == [100]


def test_the_last_few_votes_of_a_mean_are_asked_for_at_once() -> None:
    crowd = simulated_crowd(seed=9, n_tasks=400, votes_a_task=9, accuracy=(0.5, 0.7))
    wanted = np.ones(400, dtype=np.int64)
    asked = []
    while (more := Stopping(target=0.99, most=9, mean=2.0).wanting(first_votes(crowd.votes, wanted))).any():
        asked.append(int(more.sum()))
        wanted = wanted + more
    assert asked == [200, 100, 50, 25, 25]


def test_a_mean_of_one_asks_for_first_votes_alone() -> None:
    crowd = simulated_crowd(seed=8, n_tasks=50, votes_a_task=1)
    assert not Stopping(mean=1.0).wanting(crowd.votes).any()
    unvoted = dataclasses.replace(crowd.votes, n_tasks=53, known=None)
    assert np.flatnonzero(Stopping(mean=1.0).wanting(unvoted)).tolist() == [50, 51, 52]


@pytest.mark.parametrize(
    ("target", "most", "mean"),
    [
        (0.5, 5, None),
        (1.0, 5, None),
        (0.9, 0, None),
        (0.9, 1.5, None),
        (0.9, 5, 0.9),
        (0.9, 5, 5.1),
        (0.9, 5, float("nan")),
    ],
)
def test_stopping_refuses_nonsense(target: float, most: int, mean: float | None) -> None:
    with pytest.raises(ValueError):
        Stopping(target, most, mean)
