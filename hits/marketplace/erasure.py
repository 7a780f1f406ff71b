"""Erasing a worker on request: what tells who she is goes, her answers stay under her worker id alone."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import surveying, writing
from ..errors import HitsError
from . import uploads
from .identifiers import new_token
from .panels import running_session
from .studying import leave
from .tables import (
    ACCEPTED,
    assignments,
    invitations,
    messages,
    qualification_requests,
    sessions,
    study_sessions,
    worker_blocks,
    workers,
)
from .working import NotHeld, give_back


def erase(engine: Engine, worker_id: str, now: datetime) -> None:
    """Erase a worker: name, panel's ids, profile, messages, tests, files, links and sessions.

    What she holds goes back first. Her submissions, and what they earned, stay under the worker id, which nothing
    connects with a person any more; she cannot sign in again, and an invitation of the same name makes another worker.
    Raises HitsError if there is no such worker.
    """
    with surveying(engine) as connection:
        known = connection.scalar(sa.select(workers.c.worker_id).where(workers.c.worker_id == worker_id))
        session = running_session(connection, worker_id)
        held = connection.scalars(
            sa.select(assignments.c.assignment_id).where(assignments.c.worker_id == worker_id, ACCEPTED)
        ).all()
    if known is None:
        raise HitsError(f"there is no worker {worker_id}")
    if session is not None:
        leave(engine, session, "Returned", now)
    for assignment_id in held:
        try:
            give_back(engine, assignment_id, worker_id, now)
        except NotHeld:
            continue  # It went back with the study, or in another window.
    with writing(engine) as connection:
        _forget(connection, worker_id, now)


def _forget(connection: Connection, worker_id: str, now: datetime) -> None:
    uploads.delete_of_worker(connection, worker_id)
    for table in (invitations, sessions, messages):
        connection.execute(table.delete().where(table.c.worker_id == worker_id))
    connection.execute(
        qualification_requests.update()
        .where(qualification_requests.c.worker_id == worker_id)
        .values(answer=None, reason=None)
    )
    connection.execute(
        worker_blocks.update().where(worker_blocks.c.worker_id == worker_id).values(reason="erased")
    )
    connection.execute(
        study_sessions.update().where(study_sessions.c.worker_id == worker_id).values(session_id=None)
    )
    connection.execute(
        workers.update()
        .where(workers.c.worker_id == worker_id)
        .values(
            pseudonym=f"erased-{new_token()}",
            participant_id=None,
            country=None,
            subdivision=None,
            adult=None,
            master_since=None,
            erased_at=now,
        )
    )


def find_worker(engine: Engine, name: str) -> str:
    """The id of the worker with this pseudonym or id; raises HitsError."""
    with surveying(engine) as connection:
        found = connection.scalar(
            sa.select(workers.c.worker_id).where(
                sa.or_(workers.c.pseudonym == name, workers.c.worker_id == name)
            )
        )
    if found is None:
        raise HitsError(f"there is no worker {name!r}")
    return str(found)
