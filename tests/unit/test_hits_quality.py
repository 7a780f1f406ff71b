"""How far workers can be trusted, and how far a crowd agrees."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.agreement import krippendorff_alpha
from hits.consensus import ABSTAINED, UNKNOWN, Votes
from hits.model import Exclusion
from hits.quality import Conduct, Pages, measure, verdict_on

SLOW = 2.0


def crowd(
    accuracies: list[tuple[float, float]], *, tasks: int = 300, controls: int = 60, seed: int = 0
) -> tuple[Votes, np.ndarray]:
    """Everybody answers everything; each with a yes-accuracy and a no-accuracy. Also returns the truth."""
    generator = np.random.default_rng(seed)
    truth = (np.arange(tasks) % 2).astype(np.int64)
    task = np.tile(np.arange(tasks), len(accuracies))
    worker = np.repeat(np.arange(len(accuracies)), tasks)
    right = np.array([[no, yes] for yes, no in accuracies])[worker, truth[task]]
    label = np.where(generator.random(task.size) < right, truth[task], 1 - truth[task])
    known = np.where(np.arange(tasks) < controls, truth, UNKNOWN)
    return Votes(task, worker, label, n_tasks=tasks, known=known), truth


def conducts(votes: Votes, seconds: dict[int, list[float]] | None = None) -> list[Conduct]:
    n_workers = int(votes.worker.max()) + 1
    timed = seconds or {worker: [SLOW] * 3 for worker in range(n_workers)}
    pages = [(worker, one) for worker, each in timed.items() for one in each]
    return measure(
        votes,
        Pages(np.array([one for one, _ in pages]), np.array([one for _, one in pages])),
        np.zeros(n_workers, dtype=np.int64),
    )


def test_both_accuracies_are_found_within_their_intervals() -> None:
    accuracies = [(0.95, 0.9), (0.7, 0.98), (0.98, 0.6), (0.9, 0.9)]
    votes, _ = crowd(accuracies, tasks=2000, controls=1000)
    for conduct, (yes, no) in zip(conducts(votes), accuracies, strict=True):
        assert conduct.yes.low - 0.02 < yes < conduct.yes.high + 0.02
        assert conduct.no.low - 0.02 < no < conduct.no.high + 0.02
        assert conduct.yes.high - conduct.yes.low < 0.1


def test_only_the_workers_asked_about_are_measured_and_by_everybodys_answers() -> None:
    votes, _ = crowd([(0.95, 0.9), (0.7, 0.98), (0.5, 0.5), (0.9, 0.9)], tasks=400, controls=50)
    pages = Pages(np.array([0, 1, 2, 3]), np.full(4, SLOW))
    nobody_twice = np.zeros(4, dtype=np.int64)
    every = measure(votes, pages, nobody_twice)
    of_two = measure(votes, Pages(np.array([0, 1]), np.full(2, SLOW)), nobody_twice[:2])
    assert of_two == every[:2]
    alone = votes.chosen(votes.worker < 2)
    assert measure(alone, Pages(np.array([0, 1]), np.full(2, SLOW)), nobody_twice[:2]) != of_two


@pytest.mark.parametrize(
    ("accuracies", "controls", "reasons"),
    [
        (
            [(0.95, 0.9), (0.5, 0.5), (0.8, 0.8), (0.9, 0.9)],
            20,
            {1: Exclusion.INACCURATE, 2: Exclusion.TOO_FAST, 3: Exclusion.UNREADABLE},
        ),
        (
            [(1.0, 0.0), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5)],
            0,
            {0: Exclusion.SAME_ANSWER, 2: Exclusion.TOO_FAST, 3: Exclusion.UNREADABLE},
        ),
    ],
)
def test_suspects_are_those_with_a_reason_against_them(
    accuracies: list[tuple[float, float]], controls: int, reasons: dict[int, Exclusion]
) -> None:
    votes, _ = crowd(accuracies, tasks=60, controls=controls)
    pages = Pages(np.repeat(np.arange(4), 3), np.repeat([SLOW, SLOW, 0.1, SLOW], 3))
    nobody_twice, unreadable = np.zeros(4, dtype=np.int64), np.array([0, 0, 0, 9])
    every = measure(votes, pages, nobody_twice, unreadable=unreadable)
    suspects = measure(votes, pages, nobody_twice, unreadable=unreadable, suspects=True)
    found = {one.worker: verdict_on(one) for one in suspects}
    assert found == {one.worker: verdict_on(one) for one in every if verdict_on(one)}
    assert {worker: why[0] for worker, why in found.items() if why} == reasons
    assert all(np.isnan(one.yes.low) and one.yes.mean == every[one.worker].yes.mean for one in suspects)


def test_without_answers_the_interval_is_wide_and_nobody_is_excluded() -> None:
    votes, _ = crowd([(0.0, 0.0)], tasks=4, controls=4)
    (conduct,) = conducts(votes)
    assert conduct.yes.high - conduct.yes.low > 0.5
    assert verdict_on(conduct) is None


def test_agreement_measures_workers_who_met_no_control() -> None:
    votes, _ = crowd([(0.95, 0.95), (0.95, 0.95), (0.95, 0.95), (0.5, 0.5)], controls=0)
    good, *_, bad = conducts(votes)
    assert good.balanced.low > 0.8
    assert bad.balanced.high < 0.65
    assert verdict_on(bad) is not None
    assert verdict_on(good) is None


@pytest.mark.parametrize("bad", [(0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (0.1, 0.1)])
def test_guessing_lying_and_one_answer_for_all_are_told_from_work(bad: tuple[float, float]) -> None:
    votes, _ = crowd([(0.9, 0.9), (0.85, 0.9), (0.9, 0.8), bad])
    reasons = [verdict_on(conduct) for conduct in conducts(votes)]
    assert reasons[:3] == [None, None, None]
    assert reasons[3] is not None
    assert reasons[3][0] is Exclusion.INACCURATE


def test_pages_without_a_readable_answer_measure_nobody() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert measure(Votes(nothing, nothing, nothing, 0), Pages(nothing, np.zeros(0)), nothing) == []


def test_not_sure_is_neither_right_nor_wrong() -> None:
    votes, truth = crowd([(1.0, 1.0), (1.0, 1.0)], tasks=40, controls=40)
    label = votes.label.copy()
    label[votes.worker == 1] = ABSTAINED
    silent = conducts(Votes(votes.task, votes.worker, label, votes.n_tasks, known=truth))[1]
    assert (silent.yes.evidence, silent.no.evidence, silent.votes) == (0, 0, 40)


def test_haste_counts_only_where_accuracy_is_not_shown() -> None:
    hasty, slow = [0.1, 0.1, 0.1, 3.0], [0.1, 2.0, 2.0, 2.0]
    votes, _ = crowd([(0.8, 0.8), (0.8, 0.8), (0.99, 0.99)], controls=20, tasks=20)
    first, second, third = conducts(votes, {0: hasty, 1: slow, 2: slow})
    assert verdict_on(first) == (Exclusion.TOO_FAST, "3 of 4 pages took less than 0.25 seconds a picture")
    assert verdict_on(second) is None
    assert first.seconds == pytest.approx(0.1)
    votes, _ = crowd([(0.99, 0.99)], tasks=400, controls=400)
    assert verdict_on(conducts(votes, {0: hasty})[0]) is None
    assert third.hasty_pages == 1


@pytest.mark.parametrize(
    ("readable", "unreadable", "excluded"),
    [(0, 2, False), (0, 3, True), (2, 3, True), (3, 3, False), (40, 3, False), (40, 41, True)],
)
def test_three_unreadable_pages_and_more_than_half_of_all_are_a_reason(
    readable: int, unreadable: int, excluded: bool
) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    (conduct,) = measure(
        Votes(nothing, nothing, nothing, 0),
        Pages(np.zeros(readable, dtype=np.int64), np.full(readable, SLOW)),
        np.zeros(1, dtype=np.int64),
        unreadable=np.array([unreadable]),
    )
    assert (conduct.pages, conduct.unreadable_pages) == (readable, unreadable)
    assert isinstance(conduct.balanced.evidence, float)
    words = f"{unreadable} of {readable + unreadable} pages cannot be read"
    assert verdict_on(conduct) == ((Exclusion.UNREADABLE, words) if excluded else None)


def test_unreadable_pages_are_those_of_their_worker_and_no_haste() -> None:
    votes, _ = crowd([(0.95, 0.9), (0.9, 0.9)])
    pages = Pages(np.array([0, 0, 0, 1, 1, 1]), np.full(6, SLOW))
    none = np.zeros(2, dtype=np.int64)
    without = measure(votes, pages, none)
    found = measure(votes, pages, none, unreadable=np.array([0, 4]))
    assert [one.unreadable_pages for one in found] == [0, 4]
    assert [dataclasses.replace(one, unreadable_pages=0) for one in found] == without
    assert verdict_on(found[0]) is None
    assert verdict_on(found[1]) == (Exclusion.UNREADABLE, "4 of 7 pages cannot be read")


def test_one_answer_for_all_is_seen_without_controls_where_others_differ() -> None:
    # Three who hardly agree with each other: agreement says little, sameness does.
    votes, _ = crowd([(1.0, 0.0), (0.55, 0.5), (0.5, 0.55)], tasks=100, controls=0)
    same = conducts(votes)[0]
    assert same.same_share == 1.0
    assert same.others_share < 0.7
    found = verdict_on(same)
    assert found is not None
    votes, _ = crowd([(1.0, 0.0)], tasks=100, controls=0)
    assert verdict_on(conducts(votes)[0]) is None


def test_alpha_is_krippendorffs_own_example() -> None:
    # Krippendorff 2011, the reliability data matrix of four observers and twelve units: alpha nominal is 0.743.
    matrix = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
    values = np.array(matrix)
    counts = np.array([[(values[:, unit] == value).sum() for value in range(1, 6)] for unit in range(12)])
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=0.0005)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 4)), min_size=1, max_size=20))
def test_a_row_that_stands_for_several_units_is_these_units(rows: list[tuple[int, int, int]]) -> None:
    counts = np.array([[yes, no] for yes, no, _ in rows])
    times = [number for *_, number in rows]
    assert krippendorff_alpha(counts, times) == pytest.approx(
        krippendorff_alpha(np.repeat(counts, times, axis=0))
    )


def test_alpha_is_one_in_agreement_about_nought_by_chance_and_nothing_without_choice() -> None:
    assert krippendorff_alpha(np.array([[3, 0], [0, 3]])) == 1.0
    assert krippendorff_alpha(np.array([[3, 0], [2, 0]])) is None
    generator = np.random.default_rng(1)
    by_chance = generator.binomial(3, 0.4, size=4000)
    assert krippendorff_alpha(np.stack([by_chance, 3 - by_chance], axis=1)) == pytest.approx(0, abs=0.05)
