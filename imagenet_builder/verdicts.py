"""From votes to verdicts: pure, through the rules of `hits.consensus`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hits import consensus
from hits.model import Answer, Decision, Tally, Verdict

from .store.verdicts import Asking, ControlVote, CountedVote, QuestionVerdict

# "Unsure" is evidence to the rules that take it; a picture that did not load or was reported says nothing of its label.
LABELS = {Answer.YES: consensus.YES, Answer.NO: consensus.NO, Answer.UNSURE: consensus.ABSTAINED}


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

    `completed` HITs bring no more votes. With `finalise` no question waits for more; without it a rule that
    learns from all votes together is never final, since later votes on other questions may still change it.
    """
    latest: dict[int, Asking] = {}
    waiting: set[int] = set()
    for asking in askings:
        latest[asking.question_id] = asking
        if asking.is_open and asking.hit_id not in completed:
            waiting.add(asking.question_id)
    decided_by = {question_id: rule or asking.rule for question_id, asking in latest.items()}
    return [
        Awaited(
            question_id,
            Policy(decided_by[question_id], asking.votes),
            finalise or (question_id not in waiting and decided_by[question_id] not in consensus.LEARNING),
        )
        for question_id, asking in latest.items()
    ]


@dataclass(frozen=True, slots=True)
class Context:
    """What rules that learn go by beside the votes: votes on controls, and the category of each question."""

    controls: Sequence[ControlVote] = ()
    categories: Mapping[int, str] = field(default_factory=dict)


NO_CONTEXT = Context()


def decide(
    questions: Sequence[Awaited], votes: Iterable[CountedVote], context: Context = NO_CONTEXT
) -> list[QuestionVerdict]:
    """Return a verdict on each question that has votes or is final; one without votes stays undecided.

    "Broken" and "report" say nothing of the label; "unsure" does to the rules that learn. The probability is that
    of "yes". Raises ValueError for an unknown rule.
    """
    cast: dict[int, list[CountedVote]] = defaultdict(list)
    for vote in votes:
        cast[vote.question_id].append(vote)
    # By rule, not by policy: whatever number of votes was asked for, a rule that learns sees all of them.
    groups: dict[consensus.Rule, list[Awaited]] = defaultdict(list)
    for question in questions:
        if question.final or cast[question.question_id]:
            groups[question.policy.build()].append(question)
    return [
        verdict for rule, group in groups.items() for verdict in _decide_group(rule, group, cast, context)
    ]


def _decide_group(
    rule: consensus.Rule,
    group: Sequence[Awaited],
    cast: Mapping[int, Sequence[CountedVote]],
    context: Context,
) -> Iterable[QuestionVerdict]:
    # In one order, whatever the store gave: the same votes make the same arrays.
    group = sorted(group, key=lambda question: question.question_id)
    found = rule.decide(_votes(group, cast, context if rule.name in consensus.LEARNING else NO_CONTEXT))
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


def _votes(
    group: Sequence[Awaited], cast: Mapping[int, Sequence[CountedVote]], context: Context
) -> consensus.Votes:
    """The votes on the questions, which are the first tasks, and on the controls of `context` after them."""
    controls = {vote.question_id: vote for vote in context.controls}
    task_of_control = {question_id: len(group) + n for n, question_id in enumerate(sorted(controls))}
    rows = [
        (task, vote.worker_id, LABELS[vote.answer])
        for task, question in enumerate(group)
        for vote in cast[question.question_id]
        if vote.answer in LABELS
    ]
    # A worker meets a control on many pages: the first answer counts, as everywhere.
    first: dict[tuple[int, int], int] = {}
    for vote in context.controls:
        if vote.answer in LABELS:
            first.setdefault((task_of_control[vote.question_id], vote.worker_id), LABELS[vote.answer])
    rows += [(task, worker, label) for (task, worker), label in first.items()]
    task, worker, label = np.array(sorted(rows), dtype=np.int64).reshape(-1, 3).T
    known = [consensus.UNKNOWN] * len(group) + [LABELS[controls[key].known] for key in sorted(controls)]
    wnids = [context.categories.get(question.question_id, "") for question in group]
    wnids += [controls[question_id].wnid for question_id in sorted(controls)]
    numbers = {wnid: number for number, wnid in enumerate(sorted(set(wnids)))}
    return consensus.Votes(
        task,
        np.unique(worker, return_inverse=True)[1].astype(np.int64),
        label,
        n_tasks=len(known),
        known=np.array(known, dtype=np.int64),
        group=np.array([numbers[wnid] for wnid in wnids], dtype=np.int64),
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
