"""Pictures that verification pages show as examples."""

from __future__ import annotations

import sqlalchemy as sa

from hits.model import Decision

from .tables import controls, questions, verdicts
from .tombstones import is_taken_down


def accepted_pictures(
    connection: sa.Connection, wnid: str, most: int, *, beside: str | None = None
) -> list[str]:
    """Up to `most` finally accepted pictures of a category (SHA-256), the surest first.

    No control of any category is among them, nor a picture that the category `beside` has a question on: an example
    must not answer what workers are asked.
    """
    asked = questions.alias("asked")
    telling: sa.ColumnElement[bool] = sa.exists().where(controls.c.question_id == asked.c.id)
    if beside is not None:
        telling = sa.or_(telling, asked.c.wnid == beside)
    accepted = (
        sa.select(questions.c.sha256)
        .select_from(questions.join(verdicts, verdicts.c.question_id == questions.c.id))
        .where(
            questions.c.wnid == wnid,
            verdicts.c.decision == Decision.ACCEPTED,
            verdicts.c.final,
            ~sa.exists().where(asked.c.sha256 == questions.c.sha256, telling),
            ~is_taken_down(questions.c.sha256),
        )
        .order_by(sa.func.coalesce(verdicts.c.probability, 0).desc(), questions.c.sha256)
    )
    return list(connection.scalars(accepted.limit(most)))
