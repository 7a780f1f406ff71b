"""Dawid and Skene's model on crowds whose truth is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from hits.consensus import ABSTAINED, NO, UNKNOWN, YES, DawidSkene, Votes, calibration, rule
from hits.consensus.dawid_skene import fit
from hits.consensus.fitting import Fitting
from hits.consensus.precision import borne_out, decided_at
from hits.consensus.workers import digamma
from tests.simulated_crowd import SimulatedCrowd, simulated_crowd


def accuracy(probability: NDArray[np.float64], crowd: SimulatedCrowd) -> float:
    unknown = crowd.votes.truth() == UNKNOWN
    return float(np.mean(probability.argmax(axis=1)[unknown] == crowd.truth[unknown]))


def log_loss(probability: NDArray[np.float64], crowd: SimulatedCrowd) -> float:
    unknown = np.flatnonzero(crowd.votes.truth() == UNKNOWN)
    return float(-np.log(probability[unknown, crowd.truth[unknown]]).mean())


def calibration_error(probability: NDArray[np.float64], crowd: SimulatedCrowd) -> float:
    unknown = crowd.votes.truth() == UNKNOWN
    sure = probability[unknown].max(axis=1)
    right = probability[unknown].argmax(axis=1) == crowd.truth[unknown]
    bins = np.minimum((sure * 10).astype(int), 9)
    gap = np.abs(np.bincount(bins, sure, 10) - np.bincount(bins, right, 10))
    return float(gap.sum() / sure.size)


@pytest.mark.parametrize("prevalence", [(0.6, 0.4), (0.85, 0.15), (0.3, 0.3, 0.2, 0.2)])
def test_workers_accuracies_are_recovered(prevalence: tuple[float, ...]) -> None:
    crowd = simulated_crowd(seed=1, n_tasks=4000, votes_a_task=5, prevalence=prevalence)
    found = fit(crowd.votes).confusion
    labels = np.arange(len(prevalence))
    error = np.abs(found - crowd.confusion)[:, labels, labels]
    assert error.mean() < 0.05
    assert (
        np.corrcoef(found[:, labels, labels].ravel(), crowd.confusion[:, labels, labels].ravel())[0, 1] > 0.85
    )


def test_it_is_righter_than_the_majority_where_workers_differ() -> None:
    leads = []
    for seed in range(6):
        crowd = simulated_crowd(seed=seed, n_tasks=2000, accuracy=(0.5, 0.98))
        ours = accuracy(fit(crowd.votes).probability, crowd)
        leads.append(ours - accuracy(rule("majority").decide(crowd.votes).probability, crowd))
    assert min(leads) > 0
    assert np.mean(leads) > 0.01


@pytest.mark.parametrize("prevalence", [(0.6, 0.4), (0.25, 0.25, 0.25, 0.25)])
def test_probabilities_are_calibrated_when_votes_err_alone(prevalence: tuple[float, ...]) -> None:
    crowd = simulated_crowd(seed=2, n_tasks=4000, prevalence=prevalence)
    assert calibration_error(fit(crowd.votes).probability, crowd) < 0.03


def test_controls_keep_probabilities_calibrated_when_workers_are_misled_together() -> None:
    crowd = simulated_crowd(seed=3, n_tasks=4000, votes_a_task=7, together=0.2, controls=0.125)
    with_controls = fit(crowd.votes)
    without = fit(dataclasses.replace(crowd.votes, known=None))
    # A coin misleads every second time.
    assert with_controls.misled == pytest.approx(0.1, abs=0.03)
    assert calibration_error(with_controls.probability, crowd) < 0.05
    assert log_loss(with_controls.probability, crowd) < log_loss(without.probability, crowd)


def test_controls_say_whether_workers_are_as_good_on_every_label() -> None:
    four = (0.25, 0.25, 0.25, 0.25)
    shares, leads = [], []
    for seed in range(4):
        crowd = simulated_crowd(
            seed=seed,
            n_tasks=600,
            n_workers=60,
            prevalence=four,
            accuracy=(0.3, 0.9),
            controls=0.2,
            tied=True,
        )
        found, fitting = fit(crowd.votes), Fitting(crowd.votes)
        free = fitting.fit(fitting.free_workers()).probability
        shares.append(found.tied)
        leads.append(accuracy(found.probability, crowd) - accuracy(free, crowd))
    assert np.mean(shares) > 0.7
    assert np.mean(leads) > 0.005
    loose = simulated_crowd(seed=1, n_tasks=2000, votes_a_task=5, accuracy=(0.4, 0.98), controls=0.2)
    assert fit(loose.votes).tied < 0.05
    assert fit(dataclasses.replace(loose.votes, known=None)).tied == 0


@pytest.mark.parametrize("seed", range(3))
def test_single_votes_do_not_confirm_themselves(seed: int) -> None:
    crowd = simulated_crowd(seed=seed, n_tasks=500, n_workers=30, votes_a_task=1, accuracy=(0.6, 0.95))
    said = fit(crowd.votes).probability
    # One vote each says nothing of who is right: it is as good as its label's, and neither label swallows the other.
    assert accuracy(said, crowd) > accuracy(rule("majority").decide(crowd.votes).probability, crowd) - 0.05
    assert abs(said[:, YES].mean() - crowd.truth.mean()) < 0.15


def test_temper_and_misleading_tasks_are_told_apart() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 2, 6000)
    odds = generator.normal(1.5, 1.5, 6000)
    # Half of the log-odds are true; and one task in ten shows the other label.
    right = generator.random(6000) < 1 / (1 + np.exp(-0.5 * odds))
    seen = np.where(generator.random(6000) < 0.1, 1 - truth, truth)
    signed = np.where((seen == YES) == right, odds, -odds)
    scores = np.column_stack([np.zeros(6000), signed])
    found = calibration.from_controls(scores, truth, np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert found.temper == pytest.approx(0.5, abs=0.08)
    assert found.misled == pytest.approx(0.1, abs=0.03)


def test_what_misleads_is_taken_for_what_single_workers_mistake_it_for() -> None:
    counts = np.array([[90.0, 9.0, 0.0], [8.0, 90.0, 1.0], [0.0, 1.0, 98.0]])
    mistaken = calibration.mistaken_for(counts)
    np.testing.assert_allclose(mistaken.sum(axis=1), 1)
    assert mistaken.argmax(axis=1).tolist() == [1, 0, 1]
    said = calibration.corrected(np.array([[1.0, 0.0, 0.0]]), 0.1, mistaken)
    np.testing.assert_allclose(said, [[0.9, 0.1 * mistaken[0, 1], 0.1 * mistaken[0, 2]]])


def test_without_controls_the_votes_themselves_show_that_they_err_together() -> None:
    alone = simulated_crowd(seed=4, n_tasks=3000, votes_a_task=9)
    # Every picture is as hard for all: on half of them workers are near chance, on the others near certain.
    generator = np.random.default_rng(4)
    hard = generator.random(3000) < 0.5
    right = np.where(hard, 0.55, 0.97)[alone.votes.task]
    truth = alone.truth[alone.votes.task]
    label = np.where(generator.random(truth.size) < right, truth, 1 - truth)
    together = dataclasses.replace(alone.votes, label=label)
    assert fit(alone.votes).temper > 0.85
    assert fit(together).temper < 0.8


def test_what_is_said_of_a_control_owes_nothing_to_its_known_label() -> None:
    crowd = simulated_crowd(seed=5, n_tasks=300, controls=0.3)
    known = crowd.votes.truth()
    control = int(np.flatnonzero(known != UNKNOWN)[0])
    flipped = known.copy()
    flipped[control] = 1 - flipped[control]
    one, other = (
        fit(dataclasses.replace(crowd.votes, known=truth)).probability[control] for truth in (known, flipped)
    )
    # Only the little that one control in ninety tells of its workers' other tasks may differ.
    np.testing.assert_allclose(one, other, atol=0.06)


def test_controls_chosen_half_and_half_do_not_bend_prevalence() -> None:
    crowd = simulated_crowd(seed=6, n_tasks=4000, prevalence=(0.9, 0.1), accuracy=(0.75, 0.95))
    known = np.full(4000, UNKNOWN)
    for label in (NO, YES):
        known[np.flatnonzero(crowd.truth == label)[:150]] = label
    found = fit(dataclasses.replace(crowd.votes, known=known))
    left = crowd.truth[known == UNKNOWN]
    assert abs(found.prevalence[0, YES] - left.mean()) < 0.03


def test_categories_have_prevalences_of_their_own() -> None:
    crowd = simulated_crowd(seed=7, n_tasks=3000, accuracy=(0.7, 0.9))
    # Sorted by truth into two categories: 10 % and 90 % of them true.
    generator = np.random.default_rng(7)
    group = np.where(generator.random(3000) < 0.9, crowd.truth, 1 - crowd.truth)
    found = fit(dataclasses.replace(crowd.votes, group=group))
    for category in (0, 1):
        assert found.prevalence[category, YES] == pytest.approx(
            crowd.truth[group == category].mean(), abs=0.06
        )
    assert accuracy(found.probability, crowd) > accuracy(fit(crowd.votes).probability, crowd)


def test_not_sure_is_evidence_where_doubt_comes_with_one_label() -> None:
    crowd = simulated_crowd(seed=8, n_tasks=3000, accuracy=(0.7, 0.9), controls=0.125)
    generator = np.random.default_rng(8)
    doubt = generator.random(crowd.votes.task.size) < np.where(crowd.truth[crowd.votes.task] == NO, 0.4, 0.05)
    unsure = dataclasses.replace(crowd.votes, label=np.where(doubt, ABSTAINED, crowd.votes.label))
    dropped = unsure.chosen(~doubt)
    heard, ignored = (fit(votes).probability for votes in (unsure, dropped))
    assert accuracy(heard, crowd) > accuracy(ignored, crowd) + 0.01
    assert log_loss(heard, crowd) < log_loss(ignored, crowd) - 0.03
    assert fit(unsure).confusion.shape == (40, 2, 3)


def test_a_worker_who_always_says_yes_tells_nothing() -> None:
    crowd = simulated_crowd(seed=9, n_tasks=1000, n_workers=30, accuracy=(0.8, 0.95))
    spammer = 30
    votes = dataclasses.replace(
        crowd.votes,
        task=np.append(crowd.votes.task, np.arange(1000)),
        worker=np.append(crowd.votes.worker, np.full(1000, spammer)),
        label=np.append(crowd.votes.label, np.full(1000, YES)),
    )
    assert accuracy(fit(votes).probability, crowd) > accuracy(fit(crowd.votes).probability, crowd) - 0.01
    assert fit(votes).confusion[spammer, :, YES].min() > 0.9


@pytest.mark.parametrize("stated", [0.9, 0.95])
def test_a_stated_precision_is_kept(stated: float) -> None:
    crowd = simulated_crowd(seed=10, n_tasks=6000, controls=0.125)
    found = DawidSkene(precision=stated).decide(crowd.votes)
    kept = found.decided & (crowd.votes.truth() == UNKNOWN)
    share = np.mean(found.label[kept] == crowd.truth[kept])
    assert 0.2 < kept.mean() < 0.95
    assert abs(share - stated) < 3 * (stated * (1 - stated) / kept.sum()) ** 0.5 + 0.01


def test_the_surest_are_taken_until_the_precision_is_used_up_and_ties_are_left() -> None:
    yes = np.array([0.99, 0.9, 0.7, 0.5, 0.2])
    probability = np.column_stack([1 - yes, yes])
    assert decided_at(probability, 0.0).tolist() == [True, True, True, False, True]
    assert decided_at(probability, 0.94).tolist() == [True, True, False, False, False]
    assert decided_at(probability, 0.98).tolist() == [True, False, False, False, False]
    assert decided_at(probability, 0.94, np.array([False, True, True, True, True])).sum() == 0


def test_controls_that_do_not_bear_a_precision_out_make_it_stricter() -> None:
    yes = np.linspace(0.5, 1.0, 20_001)[1:]
    probability = np.column_stack([1 - yes, yes])
    everybody = np.ones(20_000, dtype=bool)
    nothing_known = np.full(20_000, UNKNOWN)
    plain = decided_at(probability, 0.85)
    np.testing.assert_array_equal(borne_out(probability, 0.85, everybody, nothing_known), plain)
    generator = np.random.default_rng(0)

    def controls(chance: NDArray[np.float64]) -> NDArray[np.int64]:
        truth = (generator.random(20_000) < chance).astype(np.int64)
        return np.where(np.arange(20_000) % 2 == 0, truth, UNKNOWN)

    honest = borne_out(probability, 0.85, everybody, controls(yes))
    assert honest.sum() == pytest.approx(plain.sum(), rel=0.15)
    # Where the model says 1, 0.9 is right: fewer are stood by, and these are right about as often as was stated.
    less = 0.5 + 0.8 * (yes - 0.5)
    assert less[plain].mean() < 0.79
    strict = borne_out(probability, 0.85, everybody, controls(less))
    assert 0 < strict.sum() < 0.7 * plain.sum()
    assert less[strict].mean() == pytest.approx(0.845, abs=0.02)
    assert not borne_out(probability, 0.95, everybody, controls(0.5 + 0 * yes)).any()


def test_few_controls_have_to_show_a_precision_with_more_to_spare_than_many() -> None:
    yes = np.linspace(0.5, 1.0, 10_001)[1:]
    probability = np.column_stack([1 - yes, yes])
    everybody = np.ones(10_000, dtype=bool)

    def stood_by(every: int) -> int:
        """How many, where the controls are every so many tasks and as often right as the model says."""
        control = np.arange(10_000) % every == 0
        truth = np.full(10_000, UNKNOWN)
        truth[control] = (np.cumsum(1 - yes[control]) % 1 >= 1 - yes[control]).astype(np.int64)
        return int(borne_out(probability, 0.85, everybody, truth).sum())

    plain = int(decided_at(probability, 0.85).sum())
    assert stood_by(100) < 0.9 * plain
    assert stood_by(100) < stood_by(2) <= plain


@pytest.mark.parametrize("precision", [-0.1, 1.0, float("nan")])
def test_a_precision_that_is_none_is_refused(precision: float) -> None:
    with pytest.raises(ValueError, match="precision"):
        DawidSkene(precision=precision)


def test_the_fit_is_the_same_to_the_last_bit_whatever_the_order_of_votes() -> None:
    crowd = simulated_crowd(seed=11, n_tasks=200)
    order = np.random.default_rng(11).permutation(crowd.votes.task.size)
    shuffled = Votes(
        crowd.votes.task[order],
        crowd.votes.worker[order],
        crowd.votes.label[order],
        200,
        known=crowd.votes.known,
    )
    np.testing.assert_array_equal(fit(shuffled).probability, fit(crowd.votes).probability)


def test_digamma_agrees_with_scipy() -> None:
    x = np.concatenate([np.linspace(0.01, 12, 500), [50.0, 1e4]])
    np.testing.assert_allclose(digamma(x), special.digamma(x), atol=1e-8)
