"""What the marketplace's benchmark has in its store: open HITs with verification pages, and very many small ones."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from hits.database import UtcDateTime, writing
from hits.marketplace import publishing
from hits.marketplace.publishing import HitOrder, HitTypeTerms
from hits.marketplace.settings import utc_now
from hits.marketplace.tables import hits, requesters
from hits.model import Cell, Concept, Page
from hits.page import render

BATCH = 50_000


def question(number: int) -> str:
    """A verification page of 48 pictures."""
    concept = Concept("umbrella", ("gamp",), "a lightweight handheld collapsible canopy", ("canopy",), "")
    cells = tuple(
        Cell(f"p{number}-{place}", f"http://127.0.0.1:9/pictures/{number:08x}{place:024x}.jpg")
        for place in range(48)
    )
    return render(Page(concept, cells))


def terms(title: str) -> HitTypeTerms:
    return HitTypeTerms(title, "Look at 48 pictures.", "pictures", 35, 3600, 86400)


def fill_open(engine: Engine, count: int) -> None:
    """Open HITs of ten types with three assignments each, and the workers."""
    now = utc_now()
    with engine.connect() as connection:
        requester_id = connection.execute(sa.select(requesters.c.requester_id)).scalar_one()
    pages = [question(number) for number in range(50)]
    for number in range(count):
        order = HitOrder(pages[number % len(pages)], 3, 14 * 86400)
        publishing.create_hit(engine, requester_id, terms(f"Umbrellas {number % 10}"), order, now)


# The same on both engines; numbers that are scattered, as the ids of real HITs are.
_SERIES = """
WITH RECURSIVE series (n) AS (SELECT CAST(:first AS BIGINT) UNION ALL SELECT n + 1 FROM series WHERE n < :last),
small AS (SELECT number, row_number() OVER (ORDER BY number) - 1 AS place FROM hit_types WHERE title LIKE 'Small %'),
crew AS (SELECT worker_id, row_number() OVER (ORDER BY worker_id) - 1 AS place FROM workers)
"""
_ID = "'3{}' || CAST(10000000000 + (n * 2654435761) % 4294967296 AS TEXT)"
_HITS = f"""
INSERT INTO hits (number, hit_id, type_number, requester_id, question_digest, is_form, unseen, max_assignments,
  fee_cents, pending, submitted, approved, rejected, reviewing, created_at, expires_at, changed_at)
{_SERIES}
SELECT n, {_ID.format("HIT")}, small.number, model.requester_id, model.question_digest, model.is_form, model.unseen, 1,
  7, 0, 0, CASE WHEN n % 19 = 0 THEN 0 ELSE 1 END, 0, model.reviewing, model.created_at, model.expires_at,
  model.changed_at
FROM series JOIN small ON small.place = n % 20 JOIN hits AS model ON model.number = 1
"""
_ASSIGNMENTS = f"""
INSERT INTO assignments (assignment_id, hit_number, type_number, worker_id, state, reward_cents, fee_cents,
  accepted_at, deadline, ended_at, submitted_at, approved_at, answer)
{_SERIES}
SELECT {_ID.format("WORK")}, n, small.number, crew.worker_id, 'Approved', 35, 7, :begun, :now, :submitted, :submitted,
  :now, '<x/>'
FROM series JOIN small ON small.place = n % 20 JOIN crew ON crew.place = n % (SELECT count(*) FROM workers)
WHERE n % 19 > 0
"""
_ESCROWS = f"""
INSERT INTO accounts (name, cents) {_SERIES} SELECT 'escrow:' || {_ID.format("HIT")}, 0 FROM series
"""


def fill_stored(engine: Engine, count: int) -> None:
    """Small HITs of twenty other types, eighteen in nineteen of them done and approved, the rest open."""
    now = utc_now()
    with engine.connect() as connection:
        requester_id = connection.execute(sa.select(requesters.c.requester_id)).scalar_one()
        first = connection.execute(sa.select(sa.func.max(hits.c.number))).scalar_one() + 1
    for number in range(20):
        publishing.create_hit_type(engine, requester_id, terms(f"Small {number}"), now)
    begun = now - timedelta(hours=2)
    moments = {"now": now, "begun": begun, "submitted": begun + timedelta(seconds=90)}
    types = [sa.bindparam(name, type_=UtcDateTime) for name in moments]
    for start in range(first, first + count, BATCH):
        bounds = {"first": start, "last": min(start + BATCH, first + count) - 1}
        with writing(engine) as connection:
            connection.execute(sa.text(_HITS), bounds)
            connection.execute(sa.text(_ASSIGNMENTS).bindparams(*types), bounds | moments)
            connection.execute(sa.text(_ESCROWS), bounds)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # As autovacuum does by itself within a minute, then among what is measured.
            connection.execute(sa.text("VACUUM ANALYZE"))
            # Rows that came with numbers moved no sequence.
            place = "pg_get_serial_sequence('hits', 'number')"
            connection.execute(sa.text(f"SELECT setval({place}, max(number)) FROM hits"))
