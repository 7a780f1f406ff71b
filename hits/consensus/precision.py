"""Which labels to stand by, if so many of them are to be right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def decided_at(
    probability: NDArray[np.float64], precision: float, among: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Mark the tasks whose likeliest label can be stood by at `precision`; `probability` is (tasks, labels).

    For each label on its own, as many tasks as possible, the surest first, such that their mean probability is at
    least `precision`. Where two labels are equally likely neither is stood by. Only tasks marked in `among`
    count. The precision holds as far as the probabilities are calibrated.
    """
    tasks = len(probability)
    decided = np.zeros(tasks, dtype=np.bool_)
    if not tasks:
        return decided
    likeliest = probability.argmax(axis=1)
    most = probability.max(axis=1)
    # Rounding in the sums must not make a winner of a tie.
    alone = (probability >= most[:, None] - 1e-12).sum(axis=1) == 1
    eligible = alone if among is None else alone & among
    for label in range(probability.shape[1]):
        rows = np.flatnonzero(eligible & (likeliest == label))
        # Equally sure tasks go the same way: the cut is made between probabilities, not between rows.
        levels, sizes = np.unique(np.round(most[rows], 12), return_counts=True)
        sums, sizes = np.cumsum((levels * sizes)[::-1]), np.cumsum(sizes[::-1])
        enough = np.flatnonzero(sums >= precision * sizes - 1e-12)
        if enough.size:
            decided[rows] = np.round(most[rows], 12) >= levels[::-1][enough[-1]]
    return decided
