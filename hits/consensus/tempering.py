"""How much the votes on one task are worth together: they err together, so that independence overstates them.

All log-likelihoods of tasks are raised to one power, the temper, in (0, 1]. It is learned from controls or, where
there are none, from how well the other votes on a task foretell each vote.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_TEMPER = 0.1
# Standard deviation of log temper, firm: it feeds back into the fit.
SPREAD = 0.25
GRID = np.linspace(0.2, 1.0, 17)
NEWTON_STEPS = 12


def softmax(scores: Floats) -> Floats:
    """Rows of log-weights as probabilities; quick where the rows of a column lie together."""
    columns = scores.T
    shares: Floats = np.exp(columns - columns.max(axis=0))
    shares /= shares.sum(axis=0)
    return shares.T


def from_controls(scores: Floats, truth: NDArray[np.int64]) -> float:
    """Return the temper under which held-out log-likelihoods (controls, labels) fit the controls' `truth` best.

    Penalised maximum likelihood: log temper has a normal prior about 0 with standard deviation SPREAD. The
    controls' own balance of labels is their prior, so that controls chosen half and half mislead nobody
    (bias-corrected calibration under label shift, Alexandari et al. 2020).
    """
    rows, labels = scores.shape
    balance = np.log((np.bincount(truth, minlength=labels) + 1.0) / (rows + labels))
    scores = scores - scores.max(axis=1, keepdims=True)
    said = scores[np.arange(rows), truth]
    log_temper = 0.0
    for _ in range(NEWTON_STEPS):
        temper = float(np.exp(log_temper))
        share = softmax(temper * scores + balance)
        expected = (share * scores).sum(axis=1)
        slope = temper * float((said - expected).sum()) - log_temper / SPREAD**2
        variance = float((share * scores**2).sum() - (expected**2).sum())
        step = float(np.clip(slope / (temper**2 * variance + 1 / SPREAD**2), -0.3, 0.3))
        log_temper = float(np.clip(log_temper + step, np.log(LEAST_TEMPER), 0.0))
        if abs(step) < 1e-4:
            break
    return float(np.exp(log_temper))


def from_votes(others: Floats, likelihood: Floats, prior: Floats) -> float:
    """Return the temper under which the other votes on a task foretell each vote best; of GRID.

    For each vote: `others` is the log-likelihood of the other votes on its task, `likelihood` that of the vote
    itself, `prior` the share of each label; all (votes, labels), each row up to a constant.
    """
    if not others.size:
        return 1.0
    others = others - others.max(axis=1, keepdims=True)
    chance = np.exp(likelihood)
    gains = []
    for temper in GRID:
        weights = prior * np.exp(temper * others)
        gains.append(float(np.log((weights * chance).sum(axis=1) / weights.sum(axis=1)).mean()))
    # The last of equals: nothing to tell means nothing to temper (single votes foretell nothing).
    best = len(gains) - 1 - int(np.argmax(np.round(gains[::-1], 9)))
    return float(GRID[best])
