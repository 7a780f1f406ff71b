"""Which labels to stand by, if so many of them are to be right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .votes import UNKNOWN

Mask = NDArray[np.bool_]

# The model's own probabilities count like so many controls when the two are asked how often a label is right.
MODEL_IN_CONTROLS = 20.0
# Controls have to show the precision with so many standard errors to spare: the first demand that they bear out is one
# of several that were tried, and luck picks it.
STANDARD_ERRORS = 1.0
# Each time that controls do not bear it out, so much of what is left to certainty is demanded more.
STRICTER = 0.1
TRIES = 40
# Then the least demand that they bear out is looked for between the last two, in so many halvings.
FINER = 3


def borne_out(
    probability: NDArray[np.float64], precision: float, among: Mask, truth: NDArray[np.int64]
) -> Mask:
    """Mark the tasks to stand by at `precision`: by `decided_at`, as strictly as the controls make necessary.

    `truth` is the label of each control, UNKNOWN elsewhere; `probability` must owe nothing to it. Nothing is marked
    where no demand is strict enough.
    """
    known = truth != UNKNOWN
    right = probability.argmax(axis=1) == truth if len(probability) else known
    most = probability.max(axis=1) if len(probability) else np.zeros(0)

    def bears_out(decided: Mask) -> bool:
        shown = decided & known
        if not precision or not shown.any():
            return True
        evidence = MODEL_IN_CONTROLS + int(shown.sum())
        share = (MODEL_IN_CONTROLS * float(most[decided].mean()) + int(right[shown].sum())) / evidence
        return bool(share - STANDARD_ERRORS * (share * (1 - share) / evidence) ** 0.5 >= precision)

    too_lax, demand = precision, precision
    for _ in range(TRIES):
        found = decided_at(probability, demand, among)
        if bears_out(found):
            break
        too_lax, demand = demand, demand + STRICTER * (1 - demand)
    else:
        return np.zeros(len(probability), dtype=np.bool_)
    for _ in range(FINER if demand > precision else 0):
        between = (too_lax + demand) / 2
        tried = decided_at(probability, between, among)
        if bears_out(tried):
            demand, found = between, tried
        else:
            too_lax = between
    return found


def decided_at(probability: NDArray[np.float64], precision: float, among: Mask | None = None) -> Mask:
    """Mark the tasks whose likeliest label can be stood by at `precision`; `probability` is (tasks, labels).

    For each label on its own, as many tasks as possible, the surest first, such that their mean probability is at
    least `precision`. Where two labels are equally likely neither is stood by. Only tasks marked in `among`
    count. The precision holds as far as the probabilities are calibrated.
    """
    tasks = len(probability)
    decided = np.zeros(tasks, dtype=np.bool_)
    if not tasks:
        return decided
    most = probability.max(axis=1)
    # Rounding in the sums must not make a winner of a tie.
    alone = (probability >= most[:, None] - 1e-12).sum(axis=1) == 1
    eligible: Mask = alone if among is None else alone & among
    if not precision:
        return eligible
    likeliest = probability.argmax(axis=1)
    for label in range(probability.shape[1]):
        rows = np.flatnonzero(eligible & (likeliest == label))
        # Equally sure tasks go the same way: the cut is made between probabilities, not between rows.
        levels, sizes = np.unique(np.round(most[rows], 12), return_counts=True)
        sums, sizes = np.cumsum((levels * sizes)[::-1]), np.cumsum(sizes[::-1])
        enough = np.flatnonzero(sums >= precision * sizes - 1e-12)
        if enough.size:
            decided[rows] = np.round(most[rows], 12) >= levels[::-1][enough[-1]]
    return decided
