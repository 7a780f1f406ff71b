"""How often each label is true, by category: from the votes, and from controls where these are a fair sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A category borrows from the whole set as if it had so many tasks more.
BORROWED_TASKS = 10.0
# What the votes say of prevalence counts like so many controls: the model behind it is never quite right.
VOTES_IN_CONTROLS = 50.0
# Controls are a fair sample unless the votes on them differ by more than so many standard errors.
FAIR = 2.0


def controls_are_fair(shares: Floats, is_control: NDArray[np.bool_]) -> bool:
    """Whether votes fall on controls as on other tasks; `shares` is each voted task's share of votes a label.

    Controls that were drawn at random tell how often a label is true; controls that were chosen half and half
    do not. Nobody has to say which: the votes on them show it.
    """
    ours, others = shares[is_control], shares[~is_control]
    if len(ours) < 2 or len(others) < 2:
        return False
    error = np.sqrt(ours.var(axis=0, ddof=1) / len(ours) + others.var(axis=0, ddof=1) / len(others))
    return bool(np.all(np.abs(ours.mean(axis=0) - others.mean(axis=0)) <= FAIR * error + 1e-12))


def by_group(probability: Floats, group: NDArray[np.int64], n_groups: int, controls: Floats | None) -> Floats:
    """Return the share of each label in each group, (groups, labels), rows summing to one.

    `probability` and `group` are those of the tasks whose label is unknown; `controls` counts fair controls by
    label, None if there are none.
    """
    labels = probability.shape[1]
    if n_groups == 1:
        sums = probability.sum(axis=0)[None, :]
    else:
        columns = [np.bincount(group, column, minlength=n_groups) for column in probability.T]
        sums = np.stack(columns, axis=1)
    whole = (sums.sum(axis=0) + 1.0) / (len(probability) + labels)
    share = sums + BORROWED_TASKS * whole if n_groups > 1 else whole[None, :]
    if controls is not None:
        corrected = (controls + VOTES_IN_CONTROLS * whole) / (controls.sum() + VOTES_IN_CONTROLS)
        share = share * (corrected / whole)
    shares: Floats = share / share.sum(axis=1, keepdims=True)
    return shares
