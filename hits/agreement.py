"""How far a crowd agrees; arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def krippendorff_alpha(counts: NDArray[np.int64], times: Sequence[int] | None = None) -> float | None:
    """Return Krippendorff's alpha for nominal values with missing votes; None where nothing could disagree.

    `counts` is (units, values): how many gave each value to each unit; a row stands for `times` such units. Units with
    fewer than two votes say nothing. (Krippendorff 2011, "Computing Krippendorff's alpha-reliability".)
    """
    weight = np.ones(len(counts)) if times is None else np.asarray(times, dtype=np.float64)
    number = counts.sum(axis=1)
    paired = number >= 2
    counts, number, weight = counts[paired], number[paired], weight[paired]
    totals = (counts * weight[:, None]).sum(axis=0)
    every = totals.sum()
    expected = every**2 - (totals**2).sum()
    if not expected:
        return None
    observed = ((number**2 - (counts**2).sum(axis=1)) * weight / (number - 1)).sum()
    return float(1 - (every - 1) * observed / expected)
