"""What publishing reads and writes: pending pictures, intended HITs, their questions, the platform's ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hits.model import Answer, Decision

from . import ledger
from .chunks import chunks
from .controls import know_borrowed
from .tables import candidates, controls, hit_questions, hits, questions, verdicts
from .tombstones import is_taken_down

OPEN = ("intended", "published")


@dataclass(frozen=True, slots=True)
class IntendedSlot:
    """One place on a page: a picture under the name that only this HIT shows it under.

    `known` is the answer of a control.
    """

    sha256: str
    is_control: bool
    picture_name: str
    known: Answer | None = None


@dataclass(frozen=True, slots=True)
class HitIntent:
    """A HIT as it is committed before the platform hears of it. Money in US cents, for one assignment."""

    wnid: str
    token: str
    endpoint: str
    live: bool
    votes: int
    rule: str
    reward_cents: int
    fee_cents: int
    slots: tuple[IntendedSlot, ...]
    rounds: dict[str, Any] | None = None

    @property
    def promised_cents(self) -> int:
        """What the HIT costs if every assignment is answered, fees included."""
        return self.votes * (self.reward_cents + self.fee_cents)


@dataclass(frozen=True, slots=True)
class StoredHit:
    """A HIT's row; `platform_hit_id` is None until the platform has answered."""

    id: int
    wnid: str
    token: str
    endpoint: str
    live: bool
    votes: int
    reward_cents: int
    fee_cents: int
    intended_at: datetime
    platform_hit_id: str | None
    bar_type_id: str | None


@dataclass(frozen=True, slots=True)
class LatestPage:
    """A question's picture, its category, and the latest HIT that asked it."""

    sha256: str
    wnid: str
    hit_id: int


def pending_pictures(connection: sa.Connection, wnid: str, *, again: bool) -> list[str]:
    """Stored pictures of a category that nobody is asked about and that have no verdict, by SHA-256.

    Controls are not among them. With `again`, pictures whose final verdict is "undecided" are.
    """
    verdict = sa.exists().where(verdicts.c.question_id == questions.c.id)
    if again:
        verdict = verdict.where(~sa.and_(verdicts.c.decision == Decision.UNDECIDED, verdicts.c.final))
    settled = sa.exists().where(
        questions.c.sha256 == candidates.c.sha256,
        questions.c.wnid == candidates.c.wnid,
        sa.or_(verdict, _is_asked(OPEN), sa.exists().where(controls.c.question_id == questions.c.id)),
    )
    stored = sa.select(candidates.c.sha256).where(
        candidates.c.wnid == wnid, candidates.c.state == "stored", ~settled
    )
    return list(connection.scalars(stored.distinct().order_by(candidates.c.sha256)))


def _is_asked(states: Collection[str]) -> sa.Exists:
    """Whether a question stands, not as a control, on a HIT in one of `states`."""
    return sa.exists().where(
        hit_questions.c.question_id == questions.c.id,
        ~hit_questions.c.as_control,
        hits.c.id == hit_questions.c.hit_id,
        hits.c.state.in_(states),
    )


def count_hits(connection: sa.Connection, wnid: str) -> int:
    """How many HITs a category ever had."""
    return connection.scalar(sa.select(sa.func.count()).select_from(hits).where(hits.c.wnid == wnid)) or 0


def intend(connection: sa.Connection, intents: Iterable[HitIntent], now: datetime) -> None:
    """Write HITs that are about to be created, with their questions and the money that is set aside for them.

    One transaction: all of them or none.
    """
    for intent in intents:
        known = add_questions(connection, intent.wnid, [slot.sha256 for slot in intent.slots], now)
        hit_id = connection.execute(
            hits.insert()
            .values(
                wnid=intent.wnid,
                token=intent.token,
                endpoint=intent.endpoint,
                live=intent.live,
                state="intended",
                votes_wanted=intent.votes,
                rule=intent.rule,
                rounds=intent.rounds,
                reward_cents=intent.reward_cents,
                fee_cents=intent.fee_cents,
                intended_at=now,
            )
            .returning(hits.c.id)
        ).scalar_one()
        ledger.reserve(connection, hit_id, intent.promised_cents, now)
        answers = {known[slot.sha256]: slot.known for slot in intent.slots if slot.known is not None}
        know_borrowed(connection, answers, now)
        connection.execute(
            hit_questions.insert(),
            [
                {
                    "hit_id": hit_id,
                    "position": position,
                    "question_id": known[slot.sha256],
                    "as_control": slot.is_control,
                    "picture_name": slot.picture_name,
                }
                for position, slot in enumerate(intent.slots)
            ],
        )


def add_questions(
    connection: sa.Connection, wnid: str, pictures: Sequence[str], now: datetime
) -> dict[str, int]:
    """Make sure that there is a question for each picture of a category; returns SHA-256 → question id."""
    asked = (
        sa.select(questions.c.sha256, questions.c.id)
        .where(questions.c.wnid == wnid)
        .where(questions.c.sha256.in_(pictures))
    )
    known = dict(connection.execute(asked).all())
    new = [sha256 for sha256 in dict.fromkeys(pictures) if sha256 not in known]
    if new:
        connection.execute(
            questions.insert(), [{"sha256": sha256, "wnid": wnid, "asked_at": now} for sha256 in new]
        )
        known = dict(connection.execute(asked).all())
    return known


def count_published(connection: sa.Connection) -> int:
    """How many HITs are out."""
    return connection.scalar(sa.select(sa.func.count()).where(hits.c.state == "published")) or 0


def hits_in_state(
    connection: sa.Connection, state: str, *, endpoint: str | None = None, live: bool | None = None
) -> list[StoredHit]:
    """The HITs in a state, oldest first; of one endpoint and kind if they are given."""
    chosen = sa.select(hits).where(hits.c.state == state)
    if endpoint is not None:
        chosen = chosen.where(hits.c.endpoint == endpoint)
    if live is not None:
        chosen = chosen.where(hits.c.live == live)
    return [
        StoredHit(
            id=row.id,
            wnid=row.wnid,
            token=row.token,
            endpoint=row.endpoint,
            live=row.live,
            votes=row.votes_wanted,
            reward_cents=row.reward_cents,
            fee_cents=row.fee_cents,
            intended_at=row.intended_at,
            platform_hit_id=row.platform_hit_id,
            bar_type_id=row.bar_type_id,
        )
        for row in connection.execute(chosen.order_by(hits.c.id))
    ]


def latest_pages(connection: sa.Connection, question_ids: Collection[int]) -> dict[int, LatestPage]:
    """Where each question was asked last."""
    latest = sa.func.max(hit_questions.c.hit_id)
    query = (
        sa.select(questions.c.id, questions.c.sha256, questions.c.wnid, latest)
        .select_from(questions.join(hit_questions))
        .where(~hit_questions.c.as_control)
        .group_by(questions.c.id, questions.c.sha256, questions.c.wnid)
    )
    return {
        question_id: LatestPage(*page)
        for some in chunks(question_ids)
        for question_id, *page in connection.execute(query.where(questions.c.id.in_(some)))
    }


def hits_on(connection: sa.Connection, endpoint: str, *, live: bool) -> set[int]:
    """The HITs of an endpoint, with play money or live."""
    return set(
        connection.scalars(sa.select(hits.c.id).where(hits.c.endpoint == endpoint, hits.c.live == live))
    )


def platform_hit_ids(connection: sa.Connection, endpoint: str) -> set[str]:
    """The platform's ids of all HITs that were ever published on an endpoint."""
    known = sa.select(hits.c.platform_hit_id).where(
        hits.c.endpoint == endpoint, hits.c.platform_hit_id.is_not(None)
    )
    return set(connection.scalars(known))


def categories_at_work(connection: sa.Connection) -> set[str]:
    """The categories with open HITs."""
    return set(connection.scalars(sa.select(hits.c.wnid).where(hits.c.state.in_(OPEN)).distinct()))


def categories_with_rule(connection: sa.Connection, rule: str, votes_wanted: int) -> set[str]:
    """The categories with a HIT of this rule in rounds that asked for so many votes, given up ones aside."""
    published = sa.select(hits.c.wnid).where(
        hits.c.rule == rule,
        hits.c.votes_wanted == votes_wanted,
        hits.c.rounds.is_not(None),
        hits.c.state != "abandoned",
    )
    return set(connection.scalars(published.distinct()))


def page_pictures(connection: sa.Connection, hit_id: int) -> list[tuple[str, str]]:
    """A HIT's (picture name, SHA-256), in the order of its page."""
    slots = (
        sa.select(hit_questions.c.picture_name, questions.c.sha256)
        .select_from(hit_questions.join(questions))
        .where(hit_questions.c.hit_id == hit_id)
        .order_by(hit_questions.c.position)
    )
    return [(name, sha256) for name, sha256 in connection.execute(slots)]


def record_published(
    connection: sa.Connection, hit_id: int, platform_hit_id: str, published_at: datetime
) -> None:
    """Write down what the platform calls a HIT that was intended."""
    connection.execute(
        hits.update()
        .where(hits.c.id == hit_id, hits.c.state == "intended")
        .values(state="published", platform_hit_id=platform_hit_id, published_at=published_at)
    )


def record_abandoned(connection: sa.Connection, hit_ids: Collection[int], now: datetime) -> None:
    """Give HITs up: their questions without a verdict may be asked again, their money spent on others."""
    for hit_id in hit_ids:
        connection.execute(hits.update().where(hits.c.id == hit_id).values(state="abandoned"))
    ledger.settle(connection, hit_ids, now)


def picture_named(connection: sa.Connection, picture_name: str) -> str | None:
    """The SHA-256 of the picture that some HIT shows under a name; None if no HIT does, or it was taken down."""
    shown = sa.select(questions.c.sha256).select_from(questions.join(hit_questions))
    return connection.scalar(
        shown.where(hit_questions.c.picture_name == picture_name, ~is_taken_down(questions.c.sha256))
    )


def picture_names(connection: sa.Connection) -> list[tuple[str, str, str]]:
    """(picture name, SHA-256, wnid) of every picture on every HIT: for simulations that know the truth."""
    columns = (hit_questions.c.picture_name, questions.c.sha256, questions.c.wnid)
    shown = sa.select(*columns).select_from(hit_questions.join(questions))
    return [(name, sha256, wnid) for name, sha256, wnid in connection.execute(shown)]
