"""The builder's store: one table a word of the vocabulary. Money is US cents, times are UTC, sizes are bytes.

A change here needs a migration in `migrations/builder` (a test compares the two) and a new SCHEMA.
"""

from __future__ import annotations

from .answers import (
    assignments,
    exclusions,
    outbox,
    rulings,
    superseded_verdicts,
    verdicts,
    votes,
    watermarks,
    workers,
)
from .pages import controls, hit_questions, hits, questions, reservations
from .pictures import TOMBSTONE_KINDS, candidates, categories, images, queries, renditions, tombstones
from .releases import release_images, releases
from .shared import ROW_ID, SHA256, WNID, metadata

__all__ = [
    "ROW_ID",
    "SCHEMA",
    "SHA256",
    "TOMBSTONE_KINDS",
    "WNID",
    "assignments",
    "candidates",
    "categories",
    "controls",
    "exclusions",
    "hit_questions",
    "hits",
    "images",
    "metadata",
    "outbox",
    "queries",
    "questions",
    "release_images",
    "releases",
    "renditions",
    "reservations",
    "rulings",
    "superseded_verdicts",
    "tombstones",
    "verdicts",
    "votes",
    "watermarks",
    "workers",
]

SCHEMA = "0001"
