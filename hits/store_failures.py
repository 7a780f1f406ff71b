"""What it means that a store failed, in one line with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from .errors import DatabaseError


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Turn the driver's operational errors (disk full, read-only, gone) into one-line DatabaseErrors."""
    try:
        yield
    except (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.ProgrammingError):
        raise  # The fault of a statement, not of the store.
    except sa.exc.DatabaseError as error:
        cause = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
        where = engine.url.render_as_string(hide_password=True)
        raise DatabaseError(f"the store {where} failed: {cause}; {_remedy(cause)}") from error


def _remedy(cause: str) -> str:
    lowered = cause.lower()
    if "disk is full" in lowered or "no space" in lowered:
        return "free some disk space and run the command again: nothing committed is lost"
    if "disk i/o error" in lowered:
        return "check that its disk is neither full nor failing and run the command again"
    if "readonly" in lowered or "read-only" in lowered or "unable to open" in lowered:
        return "check that the folder exists and that you may write to it"
    if "no such table" in lowered or "no such column" in lowered or "does not exist" in lowered:
        return "run `imagenet-builder db upgrade`"
    if "not a database" in lowered or "malformed" in lowered:
        return "the file is damaged or no store: restore it from a backup, or correct the store's address"
    if "locked" in lowered:
        return "another program holds the store; try again later"
    return "check that the store can be reached and run the command again"
