"""From votes to verdicts: pure, on arrays, through the rules of `hits.consensus`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hits import consensus
from hits.consensus.dynamic import SUBSET_VOTES
from hits.model import Answer, Decision

from .policy import Policy, wanting

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

ANSWERS = tuple(Answer)
DECISIONS = tuple(Decision)
# "Unsure" is evidence to the rules that take it; a picture that did not load or was reported says nothing of its label.
LABELS = {Answer.YES: consensus.YES, Answer.NO: consensus.NO, Answer.UNSURE: consensus.ABSTAINED}
UNSAID = -2
# As narrow as labels are: there is one for each of millions of votes.
LABEL_OF_ANSWER = np.array([LABELS.get(answer, UNSAID) for answer in ANSWERS], dtype=np.int8)

TABLE_FOR_EACH = 4

NOBODY: Integers = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Questions by their id, ascending: `policy` is each one's place in `policies`, the latest page's.

    `waiting` questions stand on pages that may still bring votes. `category` numbers them.
    """

    question: Integers
    policy: Integers
    waiting: Mask
    category: Integers
    policies: Sequence[Policy]


@dataclass(frozen=True, slots=True, eq=False)
class Ballots:
    """Votes that count: question and worker by their ids, the answer by its place in ANSWERS."""

    question: Integers
    worker: NDArray[np.integer[Any]]
    answer: NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Controls:
    """Votes on questions whose answer is known, in the order in which they were stored; as Ballots."""

    question: Integers
    worker: Integers
    answer: Integers
    known: Integers
    category: Integers


NO_CONTROLS = Controls(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY)


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """Verdicts by one rule: the decision by its place in DECISIONS, the probability of "yes" (NaN: no vote says).

    `tally` has a column an answer, in the order of ANSWERS. `wanting` questions are to get another vote now.
    """

    rule: str
    parameters: Mapping[str, str | int | float]
    question: Integers
    decision: Integers
    probability: NDArray[np.float64]
    tally: Integers
    final: Mask
    wanting: Mask

    def chosen(self, rows: Integers) -> Decided:
        """These rows alone."""
        return replace(
            self,
            question=self.question[rows],
            decision=self.decision[rows],
            probability=self.probability[rows],
            tally=self.tally[rows],
            final=self.final[rows],
            wanting=self.wanting[rows],
        )


@dataclass(frozen=True, slots=True)
class Finality:
    """When a verdict is final: no more votes are awaited, and for rules that learn all votes were taken (`fitted`).

    With `everything`, whatever is awaited.
    """

    fitted: bool = False
    everything: bool = False


PROVISIONAL = Finality()


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What there is to decide by. The votes of `ignored` workers count for no rule that weighs all votes alike."""

    ballots: Ballots
    controls: Controls = NO_CONTROLS
    ignored: Integers = field(default_factory=lambda: NOBODY)


def decide(asked: Asked, evidence: Evidence, finality: Finality = PROVISIONAL) -> list[Decided]:
    """Return verdicts on the questions that have votes or are final; one without votes stays undecided.

    Votes on other questions are left aside. Raises ValueError for an unknown rule.
    """
    found: list[Decided] = []
    ballots = evidence.ballots
    place = _places(asked.question, ballots.question)
    there = place >= 0
    policies = [policy.deciding for policy in asked.policies]
    numbered = {policy: number for number, policy in enumerate(dict.fromkeys(policies))}
    group_of_policy = np.array([numbered[policy] for policy in policies], dtype=np.int64)
    group = group_of_policy[asked.policy]
    for policy, number in numbered.items():
        mine = group == number
        if not mine.any():
            continue
        chosen = there if len(numbered) == 1 else there & mine[place]
        where, worker, answer = _marked(chosen, place, ballots.worker, ballots.answer)
        task = where if mine.all() else (np.cumsum(mine) - 1)[where]
        members = _Members(
            asked.question[mine],
            asked.category[mine],
            asked.waiting[mine],
            np.array([one.in_subset for one in asked.policies])[asked.policy[mine]],
        )
        cast = Ballots(task, worker, answer)
        found.append(_decide_group(policy, members, cast, evidence, finality))
    return found


def _marked(marks: Mask, *columns: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """The marked rows of each column; where all are marked the columns themselves: copies of all votes are large."""
    return columns if marks.all() else tuple(column[marks] for column in columns)


def _places(ids: Integers, wanted: Integers) -> Integers:
    """Where each wanted id stands among `ids`, which ascend; -1 where it is not among them."""
    last = int(ids[-1]) if ids.size else -1
    # A table is quicker than searching, as long as ids are not scattered over far more numbers.
    if last < TABLE_FOR_EACH * (ids.size + wanted.size):
        table = np.full(last + 2, -1, dtype=np.int64)
        table[ids] = np.arange(ids.size)
        return table[np.minimum(wanted, last + 1)]
    place = np.minimum(np.searchsorted(ids, wanted), ids.size - 1)
    return np.where(ids[place] == wanted, place, -1)


@dataclass(frozen=True, slots=True, eq=False)
class _Members:
    question: Integers
    category: Integers
    waiting: Mask
    in_subset: Mask


def _decide_group(
    policy: Policy, members: _Members, cast: Ballots, evidence: Evidence, finality: Finality
) -> Decided:
    """Verdicts by one policy; the questions of `cast` are places in `members`."""
    rule = policy.build()
    n_questions, n_answers = members.question.size, len(ANSWERS)
    tally = np.bincount(cast.question * n_answers + cast.answer, minlength=n_questions * n_answers)
    tally = tally.reshape(n_questions, n_answers)
    parameters = dict(rule.parameters)
    if evidence.ignored.size and not policy.weighs:
        heard = ~np.isin(cast.worker, evidence.ignored)
        cast = Ballots(cast.question[heard], cast.worker[heard], cast.answer[heard])
        parameters["excluded_workers"] = "ignored"
    votes = _with_controls(members, cast, evidence.controls) if policy.learns else _votes(cast, n_questions)
    said = rule.decide(votes)
    # What a rule that learns still wants shows only when it was fitted to all votes.
    may_end = finality.fitted or not policy.learns
    wants = consensus.Wants(np.zeros_like(members.waiting), np.zeros_like(members.waiting))
    if may_end:
        wants = _wants(policy, members, votes, said, tally.sum(axis=1))
    label, named = said.label[:n_questions], said.votes[:n_questions]
    decision = np.full(n_questions, DECISIONS.index(Decision.UNDECIDED), dtype=np.int64)
    stands = said.decided[:n_questions]
    decision[stands & (label == consensus.YES)] = DECISIONS.index(Decision.ACCEPTED)
    decision[stands & (label == consensus.NO)] = DECISIONS.index(Decision.REJECTED)
    ended = may_end & ~members.waiting & ~wants.now & ~wants.later
    final = np.full(n_questions, finality.everything) | ended
    kept = final | (tally.sum(axis=1) > 0)
    return Decided(
        rule=rule.name,
        parameters=parameters,
        question=members.question[kept],
        decision=decision[kept],
        probability=np.where(named > 0, said.probability[:n_questions, consensus.YES], np.nan)[kept],
        tally=tally[kept],
        final=final[kept],
        wanting=wants.now[kept],
    )


def _wants(
    policy: Policy, members: _Members, votes: consensus.Votes, said: consensus.Consensus, cast: Integers
) -> consensus.Wants:
    """Which questions want another vote; `votes` may have more tasks, the controls, after them."""
    more = (0, votes.n_tasks - cast.size)
    found = wanting(policy, votes, said, np.pad(cast, more), np.pad(members.waiting, more))
    now = found.now[: cast.size] | (members.in_subset & ~members.waiting & (cast < SUBSET_VOTES))
    return consensus.Wants(now, found.later[: cast.size])


def _votes(cast: Ballots, n_tasks: int) -> consensus.Votes:
    said = LABEL_OF_ANSWER[cast.answer]
    task, worker, label = _marked(said != UNSAID, cast.question, cast.worker, said)
    return consensus.Votes(task, worker, label, n_tasks=n_tasks)


def _with_controls(members: _Members, cast: Ballots, controls: Controls) -> consensus.Votes:
    """The votes on the questions, which are the first tasks, and on the controls after them."""
    n_questions = members.question.size
    ids, first, place = np.unique(controls.question, return_index=True, return_inverse=True)
    task = np.concatenate([cast.question, n_questions + place])
    worker = np.concatenate([cast.worker, controls.worker])
    label = LABEL_OF_ANSWER[np.concatenate([cast.answer, controls.answer])]
    said = label != UNSAID
    task, worker, label = task[said], worker[said], label[said]
    # A worker meets a control on many pages: the first answer counts, as everywhere.
    number = np.unique(worker, return_inverse=True)[1].astype(np.int32)
    n_workers = int(number.max()) + 1 if number.size else 1
    counting = np.unique(task * n_workers + number, return_index=True)[1]
    known = np.full(n_questions + ids.size, consensus.UNKNOWN, dtype=np.int64)
    known[n_questions:] = LABEL_OF_ANSWER[controls.known[first]]
    return consensus.Votes(
        task[counting],
        number[counting],
        label[counting],
        n_tasks=known.size,
        known=known,
        group=np.concatenate([members.category, controls.category[first]]),
    )


def latest_asked(
    question: Integers, hit: Integers, waiting: Mask, category: Integers, policy_of_hit: Mapping[int, Policy]
) -> Asked:
    """The questions of (question, HIT) pairs: each as its latest HIT asks it, waiting while any of them is open."""
    order = np.lexsort((hit, question))
    question, hit = question[order], hit[order]
    last = np.append(question[1:] != question[:-1], True) if question.size else np.zeros(0, dtype=np.bool_)
    ids = question[last]
    open_pages = np.bincount(np.searchsorted(ids, question), waiting[order], minlength=ids.size)
    hits, place = np.unique(hit[last], return_inverse=True)
    policies = list(dict.fromkeys(policy_of_hit[int(one)] for one in hits))
    number = {policy: at for at, policy in enumerate(policies)}
    of_hit = np.array([number[policy_of_hit[int(one)]] for one in hits], dtype=np.int64)
    return Asked(
        question=ids,
        policy=of_hit[place] if hits.size else NOBODY,
        waiting=open_pages > 0,
        category=category[order][last],
        policies=policies,
    )
