"""Where the pictures of a release came from, as the store knows it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from imagenet_builder.records import Rights

from .tables import candidates, questions, verdicts

# SQLite takes at most 32,766 bound values a statement.
IMAGES_AT_ONCE = 5_000


class Provenance(NamedTuple):
    """Where a picture came from, and the verdict that its label rests on; times are aware UTC."""

    source: str
    url: str
    page_url: str | None
    title: str | None
    rights: Rights
    retrieved_at: datetime
    rule: str
    probability: float | None
    yes: int
    no: int
    unsure: int
    broken: int
    report: int


def provenance(
    connection: sa.Connection, labelled: Sequence[tuple[str, str]], licences: Sequence[str]
) -> dict[tuple[str, str], Provenance]:
    """(category, SHA-256) → where the image came from and its current verdict; without those that have no candidate.

    Of several candidates with the same bytes, the first found for the category is named; with `licences`, the first
    that has one of them.
    """
    wanted = set(labelled)
    shas = sorted({sha256 for _, sha256 in labelled})
    found: dict[tuple[str, str], Provenance] = {}
    for start in range(0, len(shas), IMAGES_AT_ONCE):
        chunk = shas[start : start + IMAGES_AT_ONCE]
        first, any_of = _first_candidates(connection, chunk, licences)
        for wnid, sha256, *verdict in connection.execute(
            sa.select(
                questions.c.wnid,
                questions.c.sha256,
                verdicts.c.rule,
                verdicts.c.probability,
                verdicts.c.yes,
                verdicts.c.no,
                verdicts.c.unsure,
                verdicts.c.broken,
                verdicts.c.report,
            )
            .join_from(questions, verdicts, verdicts.c.question_id == questions.c.id)
            .where(questions.c.sha256.in_(chunk), verdicts.c.superseded_at.is_(None))
        ).all():
            label = (wnid, sha256)
            origin = first.get(label) or any_of.get(sha256)
            if label in wanted and origin is not None:
                found[label] = Provenance(*origin, *verdict)
    return found


Origin = tuple[str, str, str | None, str | None, Rights, datetime]


def _first_candidates(
    connection: sa.Connection, chunk: Sequence[str], licences: Sequence[str]
) -> tuple[dict[tuple[str, str], Origin], dict[str, Origin]]:
    """(category, SHA-256) → its first candidate, and SHA-256 → the first of any category."""
    columns = candidates.c
    statement = (
        sa.select(
            columns.wnid,
            columns.sha256,
            columns.source,
            columns.original_url,
            columns.url,
            columns.page_url,
            columns.title,
            columns.licence,
            columns.licence_version,
            columns.licence_url,
            columns.author,
            columns.credit,
            columns.ended_at,
        )
        .where(columns.sha256.in_(chunk))
        .order_by(columns.id)
    )
    if licences:
        statement = statement.where(columns.licence.in_(licences))
    first: dict[tuple[str, str], Origin] = {}
    any_of: dict[str, Origin] = {}
    rights_of: dict[tuple[Any, ...], Rights] = {}
    for wnid, sha256, source, original, url, page, title, *told, ended_at in connection.execute(
        statement
    ).all():
        named = tuple(told)
        rights = rights_of.get(named) or rights_of.setdefault(named, Rights(*named))
        origin = (source, original or url, page, title, rights, ended_at)
        first.setdefault((wnid, sha256), origin)
        any_of.setdefault(sha256, origin)
    return first, any_of
