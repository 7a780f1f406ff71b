"""Qualifications that keep workers from pages on which they would vote a second time."""

from __future__ import annotations

import sqlalchemy as sa

from .tables import hit_questions, hits, votes, workers


def earlier_voters(connection: sa.Connection, hit_id: int) -> list[str]:
    """The platform's ids of the workers, on a HIT's endpoint, whose votes on most of its questions would be repeats.

    Most, not any: a worker who knows a few of the pictures can still say something new of the others.
    """
    asked = sa.select(hit_questions.c.question_id).where(
        hit_questions.c.hit_id == hit_id, ~hit_questions.c.as_control
    )
    number = connection.scalar(sa.select(sa.func.count()).select_from(asked.subquery())) or 0
    endpoint = sa.select(hits.c.endpoint).where(hits.c.id == hit_id).scalar_subquery()
    known = (
        sa.select(workers.c.platform_worker_id)
        .select_from(votes.join(workers))
        .where(votes.c.question_id.in_(asked), votes.c.counts, workers.c.endpoint == endpoint)
        .group_by(workers.c.platform_worker_id)
        .having(2 * sa.func.count() > number)
    )
    return sorted(connection.scalars(known))


def record_bar(connection: sa.Connection, hit_id: int, type_id: str | None) -> None:
    """Write down the qualification type whose holders a HIT keeps out; None when it is deleted."""
    connection.execute(hits.update().where(hits.c.id == hit_id).values(bar_type_id=type_id))


def bars_to_delete(connection: sa.Connection, endpoint: str) -> list[tuple[int, str]]:
    """(HIT, qualification type) of ended HITs on an endpoint that kept earlier voters out."""
    ended = sa.select(hits.c.id, hits.c.bar_type_id).where(
        hits.c.endpoint == endpoint,
        hits.c.bar_type_id.is_not(None),
        hits.c.state.in_(("collected", "abandoned")),
    )
    return [(hit_id, type_id) for hit_id, type_id in connection.execute(ended)]
