"""Dawid and Skene's model (1979) with priors on workers: every worker has a confusion matrix of their own.

What is added to it, each for a reason:

- Workers have a prior that the set itself teaches (`workers.Free`): most workers answer little. Where there are
  controls, a second model (`workers.Tied`) has workers be about as good on every label, and the two are averaged by
  how well each foretells the controls.
- A task is judged by what its workers said of *other* tasks: its own share is taken out of their counts (as in
  collapsed variational inference, CVB0: Teh et al. 2006, Asuncion et al. 2009). That keeps certainty honest, and
  what is said of a control owes nothing to its known label.
- Likelihoods are tempered, because votes on one task err together, and some tasks mislead everybody (`calibration`).
- Controls are certain while workers are measured; they also teach calibration and, if fair, prevalence.
- "Not sure" is a response like any other: where doubt comes with one of the labels, it tells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from . import calibration
from .fitting import Fitted, Fitting, some
from .majority import count
from .precision import borne_out
from .votes import ABSTAINED, UNKNOWN, Consensus, Parameters, Votes, respecting_known

Floats = NDArray[np.float64]

# Free workers have explained the votes better wherever that was looked at: controls have to say otherwise.
FREE_ODDS = 4.0
# A model with less of a say is not fitted.
LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What the models say; `probability` (tasks, labels) is of every task without its own known label.

    `confusion` (workers, true label, response) is each worker's expected confusion matrix, rows summing to one;
    its last response is "not sure" if anybody said so. `prevalence` is (groups, labels). `temper` and `misled` are
    those of `calibration`. `vote_weight` is how far a typical vote moves the log-odds of a task. `rounds` counts the
    iterations, `tied` is the weight of the model with tied workers. `fair` says whether controls are like other tasks.
    """

    probability: Floats
    confusion: Floats
    prevalence: Floats
    temper: float
    misled: float
    vote_weight: float
    rounds: int
    tied: float
    fair: bool


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """Weighs each vote by what its worker's other votes and the controls say of that worker.

    With `precision` above 0 it stands by as many labels as it can while those that it stands by are right that
    often, in expectation and on the controls; else by every likeliest label. Raises ValueError for a precision
    outside 0 … 1.
    """

    precision: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.precision < 1:
            raise ValueError(f"a precision is at least 0 and below 1, not {self.precision!r}")

    @property
    def name(self) -> str:
        return "dawid-skene"

    @property
    def parameters(self) -> Parameters:
        return {"precision": self.precision}

    def decide(self, votes: Votes) -> Consensus:
        """Return what the fitted model says of each task; O(rounds × votes × labels)."""
        found = fit(votes)
        named = count(votes).sum(axis=1)
        voted = named > 0
        truth = votes.truth() if found.fair else np.full(votes.n_tasks, UNKNOWN)
        return respecting_known(
            votes,
            Consensus(
                label=np.where(voted, found.probability.argmax(axis=1), ABSTAINED),
                probability=found.probability,
                decided=voted & borne_out(found.probability, self.precision, voted, truth),
                votes=named,
            ),
        )


def fit(votes: Votes) -> Fit:
    """Fit the model to all votes, abstentions included; the same votes in any order give the same fit."""
    # First, so that the arrays of two fittings are never there together.
    tied_share = _share_of_tied(votes) if (votes.truth() != UNKNOWN).any() else 0.0
    fitting = Fitting(votes)
    belief = fitting.free_workers()
    free = fitting.fit(belief)
    weight = _vote_weight(belief.belief[:, : fitting.n_labels])
    if tied_share < LEAST_SHARE:
        return _averaged(free, free, 0.0, weight, fair=fitting.controls_are_fair)
    return _averaged(
        free, fitting.fit(fitting.tied_workers()), tied_share, weight, fair=fitting.controls_are_fair
    )


def _share_of_tied(votes: Votes) -> float:
    """How far tied workers are to be believed, by how well each model foretells controls that it did not know.

    Even a control's workers' other answers tell of its label, where it is known and they answered little.
    """
    blind = Fitting(replace(votes, known=None))
    truth = votes.truth()
    controls = some(np.flatnonzero(truth != UNKNOWN))
    fits = []
    for belief in (blind.free_workers(), blind.tied_workers()):
        found = blind.fit(belief)
        fits.append(calibration.from_controls(found.scores[controls], truth[controls], found.mistaken).fits)
    return float(1 / (1 + FREE_ODDS * np.exp(np.clip(fits[0] - fits[1], -500, 500))))


def _averaged(free: Fitted, tied: Fitted, share: float, weight: float, *, fair: bool) -> Fit:
    """The word of two models, `share` of it the second's."""

    def mixed(one: Floats, other: Floats) -> Floats:
        return one if share == 0 else (1 - share) * one + share * other

    temper = (1 - share) * free.calibration.temper + share * tied.calibration.temper
    return Fit(
        probability=mixed(free.probability, tied.probability),
        confusion=mixed(free.confusion, tied.confusion),
        prevalence=mixed(free.prevalence, tied.prevalence),
        temper=temper,
        misled=(1 - share) * free.calibration.misled + share * tied.calibration.misled,
        vote_weight=temper * weight,
        rounds=max(free.rounds, tied.rounds),
        tied=share,
        fair=fair,
    )


def _vote_weight(belief: Floats) -> float:
    """By how much a typical worker's answer makes its label likelier than another one, in log-odds."""
    chance = belief / belief.sum(axis=1, keepdims=True)
    labels = len(chance)
    right = np.diag(chance)
    wrong = (chance.sum(axis=0) - right) / (labels - 1)
    return float(np.log(right / wrong).mean())
