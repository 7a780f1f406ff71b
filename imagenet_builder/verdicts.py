"""From votes to verdicts: pure, through the rules of `hits.consensus`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hits import consensus
from hits.model import Answer, Decision, Tally, Verdict

from .store.verdicts import Asking, CountedVote, QuestionVerdict

LABELS = {Answer.YES: consensus.YES, Answer.NO: consensus.NO}


@dataclass(frozen=True, slots=True)
class Policy:
    """How a question is decided: a rule of `hits.consensus`, and how many votes were asked for."""

    rule: str
    votes: int

    def build(self) -> consensus.Rule:
        """The rule. Raises ValueError if there is none of that name."""
        if self.rule == "majority":
            return consensus.rule(self.rule, needed=self.votes)
        return consensus.rule(self.rule)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A question to decide; `final` when all votes that were asked for have come or never will."""

    question_id: int
    policy: Policy
    final: bool


def awaited(
    askings: Iterable[Asking], completed: Collection[int], *, rule: str | None, finalise: bool
) -> list[Awaited]:
    """Say how each question is decided: as the latest HIT that asks it was published, or by `rule`.

    `completed` HITs bring no more votes. With `finalise` no question waits for more.
    """
    latest: dict[int, Asking] = {}
    waiting: set[int] = set()
    for asking in askings:
        latest[asking.question_id] = asking
        if asking.is_open and asking.hit_id not in completed:
            waiting.add(asking.question_id)
    return [
        Awaited(
            question_id, Policy(rule or asking.rule, asking.votes), finalise or question_id not in waiting
        )
        for question_id, asking in latest.items()
    ]


def decide(questions: Sequence[Awaited], votes: Iterable[CountedVote]) -> list[QuestionVerdict]:
    """Return a verdict on each question that has votes or is final; one without votes stays undecided.

    "Unsure", "broken" and "report" abstain. The probability is that of "yes". Raises ValueError for an unknown
    rule.
    """
    cast: dict[int, list[CountedVote]] = defaultdict(list)
    for vote in votes:
        cast[vote.question_id].append(vote)
    groups: dict[Policy, list[Awaited]] = defaultdict(list)
    for question in questions:
        if question.final or cast[question.question_id]:
            groups[question.policy].append(question)
    return [
        verdict for policy, group in groups.items() for verdict in _decide_group(policy.build(), group, cast)
    ]


def _decide_group(
    rule: consensus.Rule, group: Sequence[Awaited], cast: Mapping[int, Sequence[CountedVote]]
) -> Iterable[QuestionVerdict]:
    # In one order, whatever the store gave: the same votes make the same arrays.
    rows = sorted(
        (task, vote.worker_id, LABELS.get(vote.answer, consensus.ABSTAINED))
        for task, question in enumerate(group)
        for vote in cast[question.question_id]
    )
    task, worker, label = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    found = rule.decide(consensus.Votes(task, worker, label, n_tasks=len(group)))
    for number, question in enumerate(group):
        named = int(found.votes[number])
        yield QuestionVerdict(
            question.question_id,
            Verdict(
                decision=_decision(bool(found.decided[number]), int(found.label[number])),
                rule=rule.name,
                probability=float(found.probability[number, consensus.YES]) if named else None,
                votes=named,
                parameters=rule.parameters,
            ),
            _tally(cast[question.question_id]),
            question.final,
        )


def _decision(decided: bool, label: int) -> Decision:
    if not decided:
        return Decision.UNDECIDED
    return Decision.ACCEPTED if label == consensus.YES else Decision.REJECTED


def _tally(votes: Iterable[CountedVote]) -> Tally:
    counts = Counter(vote.answer for vote in votes)
    return Tally(**{answer.value: counts[answer] for answer in Answer})


def differs(new: QuestionVerdict, standing: QuestionVerdict | None) -> bool:
    """Whether a verdict says something else than the one that stands; being final is not something else."""
    return standing is None or replace(new, final=True) != replace(standing, final=True)
