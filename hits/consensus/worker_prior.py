"""What is believed of a worker before any answer: a Dirichlet prior whose strength the set itself teaches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A worker is thought three times as likely right as wrong, on the strength of four answers.
RIGHT, WRONG, UNSURE = 3.0, 1.0, 0.5
# How many workers' worth of evidence the first belief has against the set's own.
FIRST_BELIEF = 30.0


def first_belief(n_labels: int, n_responses: int) -> Floats:
    """Return Dirichlet parameters (true label, response); a response beyond the labels is "not sure"."""
    belief = np.full((n_labels, n_responses), WRONG / (n_labels - 1))
    belief[np.arange(n_labels), np.arange(n_labels)] = RIGHT
    belief[:, n_labels:] = UNSURE
    return belief


def learned(belief: Floats, first: Floats, counts: Floats) -> Floats:
    """Return the belief after one step towards the likeliest for `counts` (workers, true label, response).

    Minka's fixed point for the Dirichlet-multinomial (2000), with FIRST_BELIEF workers' worth of `first`. Being
    right is one parameter for all labels and being wrong another, so that scarce labels borrow strength; "not
    sure" has one for each true label, because doubt may well come with one of them.
    """
    n_labels = belief.shape[0]
    gain = (digamma(counts + belief) - digamma(belief)).sum(axis=0)
    total = belief.sum(axis=1)
    cost = (digamma(counts.sum(axis=2) + total) - digamma(total)).sum(axis=0)
    right = np.eye(n_labels, belief.shape[1], dtype=bool)
    wrong = ~right
    wrong[:, n_labels:] = False
    for tied in (right, wrong):
        gain[tied] = gain[tied].mean()
    costs = np.broadcast_to(cost[:, None], belief.shape).copy()
    costs[:, :n_labels] = cost.mean()
    new: Floats = (belief * gain + FIRST_BELIEF * first) / (costs + FIRST_BELIEF)
    return new


def digamma(x: Floats) -> Floats:
    """The logarithmic derivative of the gamma function for x > 0, to about 1e-9 (Abramowitz & Stegun 6.3.18)."""
    shift = np.zeros_like(x)
    x = x.astype(np.float64, copy=True)
    for _ in range(6):
        small = x < 6
        shift[small] -= 1 / x[small]
        x[small] += 1
    square = 1 / x**2
    tail = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    series: Floats = np.log(x) - 0.5 / x - tail + shift
    return series
