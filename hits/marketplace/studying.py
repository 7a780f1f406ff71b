"""What ends a session of a study: its last page, its person, its time, or the panel's own list."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from ..database import surveying, writing
from . import panels
from .offers import open_groups
from .panels import StudySession
from .tables import ACCEPTED, assignments
from .working import NotHeld, give_back


def leave(engine: Engine, session: StudySession, state: str, now: datetime) -> None:
    """End a running session unfinished: what its person holds goes back to the list, its price to the requester."""
    with surveying(engine) as connection:
        held = connection.scalars(
            sa.select(assignments.c.assignment_id).where(
                assignments.c.session_number == session.number, ACCEPTED
            )
        ).all()
    for assignment_id in held:
        try:
            give_back(engine, assignment_id, session.worker_id, now)
        except NotHeld:
            continue  # Submitted or overdue meanwhile: not in her hands any more either.
    with writing(engine) as connection:
        locked = panels.lock_session(connection, session.number)
        if locked.state == "Started":
            panels.give_up(connection, locked, state, now)


def finish(engine: Engine, session: StudySession, now: datetime) -> bool:
    """Complete a running session that has pages done and none to do; False if there is something to do still."""
    if next_page(engine, session, now) is not None:
        return False
    with writing(engine) as connection:
        locked = panels.lock_session(connection, session.number)
        holding = connection.scalar(
            sa.select(sa.func.count()).where(assignments.c.session_number == session.number, ACCEPTED)
        )
        if locked.state != "Started" or locked.done == 0 or holding:
            return locked.state == "Completed"
        panels.complete(connection, locked, now)
        return True


def next_page(engine: Engine, session: StudySession, now: datetime) -> str | None:
    """The HIT to do next in a session, or None."""
    groups = open_groups(engine, session.worker_id, now, requester_id=session.study.requester_id)
    return next((group.hit_id for group in groups if not group.missing), None)


def end_sessions(engine: Engine, ending: Iterable[tuple[int, str]], now: datetime) -> int:
    """End sessions as the panel says, given by number and state, and return how many were running."""
    ended = 0
    for number, state in ending:
        with surveying(engine) as connection:
            session = panels.session_numbered(connection, number)
        if session.state == "Started":
            leave(engine, session, state, now)
            ended += 1
    return ended
