"""How a question is asked and decided; stored with every HIT, so that later settings change nothing of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hits import consensus
from hits.consensus.dynamic import SUBSET_VOTES, VOTES_A_HIT

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Ask for the next vote only where it can matter: until `target` is reached, at most `most` votes a question.

    A majority is asked on until it is decided, whatever the target. With a `mean`, which only dawid-skene heeds, all
    questions together get no more than so many votes each on average, the least sure first.
    """

    target: float
    most: int
    mean: float | None = None

    def stopping(self) -> consensus.Stopping:
        """Which questions dawid-skene asks on about. Raises ValueError for numbers that cannot be."""
        return consensus.Stopping(self.target, self.most, self.mean)


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule of `hits.consensus`, how many votes a page asks for, and how questions go on (None: asked once)."""

    rule: str
    votes: int
    rounds: Rounds | None = None

    @staticmethod
    def stored(rule: str, votes: int, rounds: dict[str, Any] | None) -> Policy:
        """The policy that a HIT was published with."""
        return Policy(rule, votes, Rounds(**rounds) if rounds else None)

    @property
    def document(self) -> dict[str, Any] | None:
        """The rounds as they are stored."""
        if self.rounds is None:
            return None
        return {name: value for name, value in asdict(self.rounds).items() if value is not None}

    @property
    def learns(self) -> bool:
        """Whether what is said of one question depends on the votes on others."""
        return self.rule in consensus.LEARNING

    @property
    def weighs(self) -> bool:
        """Whether a vote counts by what is known of its worker."""
        return self.rule in consensus.WEIGHING

    @property
    def deciding(self) -> Policy:
        """The policy without what only asking needs: questions of one such policy are decided together."""
        if self.learns:
            return Policy(self.rule, 0, self.rounds)
        needed = self.rounds.most if self.rounds else self.votes
        return Policy(self.rule, needed, self.rounds)

    def build(self) -> consensus.Rule:
        """The rule. Raises ValueError if there is none of that name, or a target or number of votes that is none."""
        if self.rule == "majority":
            return consensus.rule(self.rule, needed=self.deciding.votes)
        if self.rule == "dynamic" and self.rounds is not None:
            return consensus.rule(self.rule, threshold=self.rounds.target, most=self.rounds.most)
        if self.rounds is not None:
            self.rounds.stopping()
        return consensus.rule(self.rule)

    @property
    def first_votes(self) -> int:
        """How many votes a question's first page asks for: in rounds, no more than can be needed."""
        if self.rounds is None:
            return self.votes
        return self.rounds.most // 2 + 1 if self.rule == "majority" else 1

    @property
    def subset(self) -> Policy | None:
        """How the dynamic rule's first subset is asked: twice so many votes. None for rules without one."""
        if self.rule == "dynamic" and self.rounds is not None:
            return replace(self, votes=VOTES_A_HIT)
        return None

    @property
    def in_subset(self) -> bool:
        """Whether a page with this policy asks for votes on the dynamic rule's first subset."""
        return self == self.subset

    @property
    def most_votes(self) -> float:
        """How many votes a question gets at most; where a mean is set, on average at most."""
        if self.rounds is None:
            return self.votes
        if self.in_subset:
            return max(SUBSET_VOTES, self.rounds.most)
        return self.rounds.mean or self.rounds.most


def wanting(
    policy: Policy,
    votes: consensus.Votes,
    found: consensus.Consensus,
    cast: NDArray[np.int64],
    waiting: Mask,
) -> consensus.Wants:
    """Say which tasks of `votes` are worth another vote under `policy`; none if it asks once.

    `found` is what the policy's rule says of them. `cast` counts all votes on each, also those that say nothing of
    its label, against the most that it gets: a picture that nobody can see is not asked about for ever. The next
    vote on the tasks `waiting` is on its way.
    """
    none: Mask = np.zeros(votes.n_tasks, dtype=np.bool_)
    if policy.rounds is None:
        return consensus.Wants(none, none)
    if policy.rule == "dawid-skene":
        return policy.rounds.stopping().wants(votes, cast=cast, waiting=waiting)
    left = policy.rounds.most - cast
    unknown: Mask = votes.truth() == consensus.UNKNOWN
    open_still: Mask = unknown & ~found.decided & ~waiting & (left > 0)
    if policy.rule == "dynamic":
        return consensus.Wants(open_still, none)
    # A majority that even all votes that are left cannot make is given up.
    named = votes.label != consensus.ABSTAINED
    most = np.zeros(votes.n_tasks, dtype=np.int64)
    for label in range(votes.n_labels):
        chosen = named & (votes.label == label)
        most = np.maximum(most, np.bincount(votes.task[chosen].astype(np.int64), minlength=votes.n_tasks))
    return consensus.Wants(open_still & (2 * (most + left) > policy.rounds.most), none)
