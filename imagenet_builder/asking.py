"""What is to be asked next: new pictures, and questions whose verdict another vote can still make or change."""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sqlalchemy as sa

from hits import database

from .config import VerificationSettings
from .errors import ProjectError
from .policy import Policy, Rounds
from .store import publish as publish_store
from .store import verdicts as store
from .store import workers as worker_store
from .verdicts import NO_CONTROLS, Evidence, Finality, decide


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures (SHA-256) of one category to ask about under a policy; `first` if nobody was asked before."""

    policy: Policy
    pictures: Sequence[str]
    first: bool


def policy_of(settings: VerificationSettings) -> Policy:
    """How new pictures are asked about and decided. Raises ProjectError for settings that no rule takes."""
    rounds = None
    if settings.rounds:
        # A majority gives a question up when so many votes have made none; the other rules have no such number.
        most = settings.votes if settings.rule == "majority" else settings.most_votes
        if settings.mean_votes and settings.rule != "dawid-skene":
            raise ProjectError(f"[verification] mean_votes is for the rule dawid-skene, not {settings.rule}")
        rounds = Rounds(settings.target, most, settings.mean_votes or None)
    policy = Policy(settings.rule, settings.votes, rounds)
    try:
        policy.build()
    except ValueError as error:
        raise ProjectError(f"[verification] cannot be: {error}") from error
    return replace(policy, votes=policy.first_votes)


def first_batches(
    policy: Policy, pending: Sequence[str], *, room: int, subset_asked: bool, key: bytes
) -> list[Batch]:
    """How new pictures of a category are asked about.

    Under the dynamic rule its first page of them, drawn by `key`, is the subset that makes the category's table.
    """
    subset: Sequence[str] = ()
    if policy.subset is not None and not subset_asked:
        drawn = sorted(pending, key=lambda sha256: hmac.digest(key, sha256.encode(), hashlib.sha256))
        subset = drawn[:room]
    rest = sorted(set(pending).difference(subset))
    batches = [Batch(policy, rest, True)]
    if policy.subset is not None and subset:
        batches.insert(0, Batch(policy.subset, subset, True))
    return [batch for batch in batches if batch.pictures]


def next_batches(
    engine: sa.Engine, endpoint: str, *, live: bool, ignore_excluded: bool
) -> dict[str, list[Batch]]:
    """Category → the questions that want another vote, those of one earlier page together.

    Only what was last asked on the same endpoint, for the same kind of money: play never turns into spending.

    Judged as `aggregate` judges: by each question's own policy and the votes that are stored, those of excluded workers
    too unless a rule is to `ignore_excluded`. What stands on an open page waits for it; what was decided for good is
    left.
    """
    with database.reading(engine) as connection:
        if not store.any_rounds(connection):
            return {}
        unsettled = store.unsettled_questions(connection)
        asked = store.asked(connection)
        learning = any(policy.learns for policy in asked.policies)
        evidence = Evidence(
            store.ballots(connection),
            store.control_ballots(connection) if learning else NO_CONTROLS,
            worker_store.left_out(connection, ignoring=ignore_excluded),
        )
        found = decide(asked, evidence, Finality(fitted=True))
        wanting = [one.question[one.wanting] for one in found]
        chosen = np.intersect1d(np.concatenate(wanting), unsettled) if wanting else unsettled[:0]
        here = publish_store.hits_on(connection, endpoint, live=live)
        latest = publish_store.latest_pages(connection, chosen.tolist())
    pages = {question: page for question, page in latest.items() if page.hit_id in here}
    policies = {
        int(question): asked.policies[number]
        for question, number in zip(asked.question, asked.policy, strict=True)
        if question in pages
    }
    return _batched(pages, policies)


def _batched(
    pages: Mapping[int, publish_store.LatestPage], policies: Mapping[int, Policy]
) -> dict[str, list[Batch]]:
    grouped: dict[tuple[str, Policy], list[int]] = defaultdict(list)
    for question, page in pages.items():
        policy = policies[question]
        # The dynamic rule's subset gets its second five votes; everything else one more.
        votes = policy.votes if policy.in_subset else 1
        grouped[page.wnid, replace(policy, votes=votes)].append(question)
    batches: dict[str, list[Batch]] = defaultdict(list)
    for (wnid, policy), questions in grouped.items():
        # Those of one page had the same voters: a page of them can keep these out.
        questions.sort(key=lambda question: (pages[question].hit_id, question))
        batches[wnid].append(Batch(policy, [pages[question].sha256 for question in questions], False))
    return batches


def full_pages(batch: Batch, room: int) -> Batch:
    """The batch cut to pages without free places: the rest waits for company while more votes may bring it."""
    return replace(batch, pictures=batch.pictures[: len(batch.pictures) // room * room])
