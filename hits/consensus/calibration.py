"""Making probabilities as sure as they are right, by controls: how much votes are worth, how often they mislead.

Two numbers. The *temper* raises likelihoods to a power, because votes on one task err together (`tempering`). The share
*misled* of tasks shows its workers something that it is not: then all of them may say a label that single workers
mistake its own for, however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .tempering import LEAST_TEMPER, softmax

Floats = NDArray[np.float64]

# Standard deviation of log temper.
SPREAD = 1.0
# As if of so many controls one had been misleading.
FIRST_CONTROLS = 20.0
STEPS = 40
SETTLED = 1e-4


@dataclass(frozen=True, slots=True)
class Calibration:
    """`temper` and `misled`, and `fits`: the log-probability that they give the controls' labels, summed."""

    temper: float
    misled: float = 0.0
    fits: float = 0.0


def mistaken_for(counts: Floats) -> Floats:
    """Return P(what it is | somebody who errs says so), (label said, true label), from counts (true label, said)."""
    wrong = counts.T + 1.0
    np.fill_diagonal(wrong, 0.0)
    shares: Floats = wrong / wrong.sum(axis=1, keepdims=True)
    return shares


def corrected(probability: Floats, misled: float, mistaken: Floats) -> Floats:
    """Return probabilities (tasks, labels) that allow for misleading tasks."""
    if not misled:
        return probability
    return (1 - misled) * probability + misled * (probability @ mistaken)


def from_controls(scores: Floats, truth: NDArray[np.int64], mistaken: Floats) -> Calibration:
    """Return the calibration under which held-out log-likelihoods (controls, labels) fit the controls' `truth` best.

    Penalised maximum likelihood: log temper is normal about 0, `misled` is Beta with a mean of one in FIRST_CONTROLS.
    The controls' own balance of labels is their prior, so that controls chosen half and half mislead nobody
    (bias-corrected calibration under label shift, Alexandari et al. 2020).
    """
    number, labels = scores.shape
    each = np.arange(number)
    balance = np.log((np.bincount(truth, minlength=labels) + 1.0) / (number + labels))
    scores = scores - scores.max(axis=1, keepdims=True)
    log_temper, misled = 0.0, 1 / FIRST_CONTROLS
    for _ in range(STEPS):
        temper = float(np.exp(log_temper))
        plain = softmax(temper * scores + balance)
        lies = (plain @ mistaken)[each, truth]
        said = (1 - misled) * plain[each, truth] + misled * lies
        by_temper = temper * plain * (scores - (plain * scores).sum(axis=1, keepdims=True))
        slopes = ((1 - misled) * by_temper[each, truth] + misled * (by_temper @ mistaken)[each, truth]) / said
        # Gauss and Newton's step for the temper, expectation and maximisation for the share.
        step = (slopes.sum() - log_temper / SPREAD**2) / ((slopes**2).sum() + 1 / SPREAD**2)
        moved = log_temper
        log_temper = float(np.clip(log_temper + np.clip(step, -0.3, 0.3), np.log(LEAST_TEMPER), 0.0))
        share = float((1.0 + (misled * lies / said).sum()) / (FIRST_CONTROLS + number))
        moved, misled = abs(moved - log_temper) + abs(share - misled), share
        if moved < SETTLED:
            break
    temper = float(np.exp(log_temper))
    found = corrected(softmax(temper * scores + balance), misled, mistaken)[each, truth]
    return Calibration(temper, misled, float(np.log(found).sum()))
