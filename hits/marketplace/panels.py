"""People from panels: studies, and the sessions in which somebody does a study's pages for one payment.

A panel such as Prolific sends people to an address with PROLIFIC_PID, STUDY_ID and SESSION_ID and takes them
back with a completion code (https://researcher-help.prolific.com, "URL parameters", "Completion paths"). It
pays them itself and charges its fee. So the pages that are done in a session cost their HITs nothing: what they
held goes back to the requester, and the session's price (the panel's reward and fee) is held when it starts, goes to
the account `panel:prolific` when it is completed, and back if the person returns or runs out of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import surveying, writing
from ..errors import HitsError
from . import ledger
from .identifiers import new_entity_id, new_person_id, new_token
from .ledger import Transfer
from .pace import hourly, seconds_between
from .people import Worker
from .settings import MarketplaceSettings
from .store import insert_unless_there, lock_worker
from .tables import ACCEPTED, STARTED, assignments, requesters, studies, study_sessions, workers

PROLIFIC = "prolific"
PARAMETERS = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
_COMPLETION = "https://app.prolific.com/submissions/complete?cc="
ACCOUNT = "panel:prolific"


@dataclass(frozen=True, slots=True)
class Study:
    """A study of a panel: so many pages in so many seconds are one submission there. Money is in cents."""

    number: int
    study_id: str
    requester_id: str
    entry: str
    completion_code: str
    pages: int
    reward_cents: int
    fee_cents: int
    seconds: int

    @property
    def completion_url(self) -> str:
        """Where a person goes back to the panel, which takes the code there."""
        return _COMPLETION + self.completion_code


@dataclass(frozen=True, slots=True)
class StudySession:
    """One person's submission to a study; `done` of its pages were submitted, after `seconds_worked` in all."""

    number: int
    study: Study
    worker_id: str
    state: str
    account: str
    deadline: datetime
    done: int
    seconds_worked: float

    @property
    def hourly_cents(self) -> int | None:
        """What the panel's reward is for an hour of that work; None where no time was measured."""
        return hourly(self.study.reward_cents, self.seconds_worked)


def create_study(
    engine: Engine,
    requester: str,
    study_id: str,
    completion_code: str,
    *,
    pages: int,
    reward_cents: int,
    fee_cents: int,
    seconds: int,
    now: datetime,
) -> Study:
    """Make a study of a requester, by name; raises HitsError for one that exists or cannot be meant."""
    for what, text in (("study id", study_id), ("completion code", completion_code)):
        if not (text.isascii() and text.isalnum() and len(text) <= 64):
            raise HitsError(f"the {what} {text[:80]!r} is none: it has 1 to 64 letters and digits")
    values = {
        "panel": PROLIFIC, "study_id": study_id, "entry": new_token(), "completion_code": completion_code,
        "pages": pages, "reward_cents": reward_cents, "fee_cents": fee_cents, "seconds": seconds,
    }  # fmt: skip
    try:
        with writing(engine) as connection:
            requester_id = connection.scalar(
                sa.select(requesters.c.requester_id).where(requesters.c.name == requester)
            )
            if requester_id is None:
                raise HitsError(f"there is no requester {requester!r} on this marketplace")
            ledger.open_account(connection, ACCOUNT)
            connection.execute(studies.insert().values(requester_id=requester_id, created_at=now, **values))
            return _study(connection, studies.c.study_id == study_id)
    except sa.exc.IntegrityError as error:
        raise HitsError(
            f"study {study_id} is here already, or its pages and prices are not above 0"
        ) from error


def entry_url(settings: MarketplaceSettings, study: Study) -> str:
    """The address for the panel's field "study URL": the panel fills the three parameters in."""
    query = "&".join(f"{name}={{{{%{name}%}}}}" for name in PARAMETERS)
    return f"{settings.public_url}/panel/{study.entry}?{query}"


def find_study(engine: Engine, entry: str) -> Study | None:
    """The study behind an address, or None."""
    with surveying(engine) as connection:
        row = connection.execute(sa.select(studies).where(studies.c.entry == entry)).one_or_none()
        return None if row is None else study_from(row)


def arrive(engine: Engine, study: Study, participant_id: str, session_id: str, now: datetime) -> Worker:
    """The worker who comes from a panel; she is made at the first time, under a pseudonym that tells nothing.

    The session itself starts with `begin`, once she has consented. Raises HitsError for a session of another person.
    """
    with writing(engine) as connection:
        worker_id = new_person_id()
        insert_unless_there(
            connection,
            workers,
            worker_id=worker_id,
            pseudonym=f"guest-{worker_id[1:9].lower()}",
            participant_id=participant_id,
            invited_at=now,
        )
        row = connection.execute(sa.select(workers).where(workers.c.participant_id == participant_id)).one()
        owner = connection.scalar(
            sa.select(study_sessions.c.worker_id).where(
                study_sessions.c.study_number == study.number, study_sessions.c.session_id == session_id
            )
        )
        if owner is not None and owner != row.worker_id:
            raise HitsError("this session is another person's")
        ledger.open_account(connection, ledger.worker_account(row.worker_id))
    return Worker(row.worker_id, row.pseudonym, row.consented_at)


def begin(engine: Engine, study: Study, worker_id: str, session_id: str, now: datetime) -> StudySession:
    """Start a session, or find the one that this worker has there, and hold its price.

    Raises RequestRefused (InsufficientFunds) and HitsError for a worker who is in another study.
    """
    with writing(engine) as connection:
        lock_worker(connection, worker_id)
        known = sa.and_(
            study_sessions.c.study_number == study.number, study_sessions.c.session_id == session_id
        )
        number = connection.scalar(sa.select(study_sessions.c.number).where(known))
        if number is not None:
            return _session(connection, number)
        if _running(connection, worker_id) is not None:
            raise HitsError("you are in another study here: finish or leave that first")
        account = f"study:{new_entity_id()}"
        connection.execute(
            study_sessions.insert().values(
                study_number=study.number,
                session_id=session_id,
                worker_id=worker_id,
                state="Started",
                account=account,
                started_at=now,
                deadline=now + timedelta(seconds=study.seconds),
            )
        )
        ledger.open_account(connection, account)
        price = study.reward_cents + study.fee_cents
        ledger.post(
            connection, now, Transfer("hold", ledger.requester_account(study.requester_id), account, price)
        )
        return _session(
            connection, connection.execute(sa.select(study_sessions.c.number).where(known)).scalar_one()
        )


def running_session(connection: Connection, worker_id: str) -> StudySession | None:
    """The session in which a worker works now, or None."""
    number = _running(connection, worker_id)
    return None if number is None else _session(connection, number)


def held_page(connection: Connection, session: StudySession) -> str | None:
    """The assignment that a session's worker holds, or None."""
    return connection.scalar(
        sa.select(assignments.c.assignment_id)
        .where(assignments.c.session_number == session.number, ACCEPTED)
        .limit(1)
    )


def last_session(engine: Engine, worker_id: str) -> StudySession | None:
    """A worker's latest session, whatever became of it; None for who did not come from a panel."""
    with surveying(engine) as connection:
        number = connection.scalar(
            sa.select(sa.func.max(study_sessions.c.number)).where(study_sessions.c.worker_id == worker_id)
        )
        return None if number is None else _session(connection, number)


def complete(connection: Connection, session: StudySession, now: datetime) -> None:
    """End a running session as completed: its price goes to the panel."""
    _close(connection, session, "Completed", now)
    study = session.study
    ledger.post(
        connection,
        now,
        Transfer("reward", session.account, ACCOUNT, study.reward_cents),
        Transfer("fee", session.account, ACCOUNT, study.fee_cents),
    )


def give_up(connection: Connection, session: StudySession, state: str, now: datetime) -> None:
    """End a running session without completing it: its price goes back to the requester."""
    _close(connection, session, state, now)
    price = session.study.reward_cents + session.study.fee_cents
    payer = ledger.requester_account(session.study.requester_id)
    ledger.post(connection, now, Transfer("refund", session.account, payer, price))


def _close(connection: Connection, session: StudySession, state: str, now: datetime) -> None:
    connection.execute(
        study_sessions.update()
        .where(study_sessions.c.number == session.number, STARTED)
        .values(state=state, ended_at=now)
    )


def session_numbered(connection: Connection, number: int) -> StudySession:
    """A session by its row number."""
    return _session(connection, number)


def lock_session(connection: Connection, number: int) -> StudySession:
    """A session by its row number, locked: after a HIT's lock and before the ledger's, where both are taken."""
    connection.execute(
        sa.select(study_sessions.c.number).where(study_sessions.c.number == number).with_for_update()
    ).one()
    return _session(connection, number)


def _running(connection: Connection, worker_id: str) -> int | None:
    return connection.scalar(
        sa.select(study_sessions.c.number).where(study_sessions.c.worker_id == worker_id, STARTED)
    )


def _session(connection: Connection, number: int) -> StudySession:
    row = connection.execute(sa.select(study_sessions).where(study_sessions.c.number == number)).one()
    worked = seconds_between(connection.dialect.name, assignments.c.accepted_at, assignments.c.submitted_at)
    done, seconds = connection.execute(
        sa.select(sa.func.count(), sa.func.sum(worked)).where(
            assignments.c.session_number == number, assignments.c.submitted_at.is_not(None)
        )
    ).one()
    study = _study(connection, studies.c.number == row.study_number)
    return StudySession(
        number, study, row.worker_id, row.state, row.account, row.deadline, int(done), float(seconds or 0)
    )


def _study(connection: Connection, condition: sa.ColumnElement[bool]) -> Study:
    return study_from(connection.execute(sa.select(studies).where(condition)).one())


def study_from(row: sa.Row[Any]) -> Study:
    return Study(
        row.number,
        row.study_id,
        row.requester_id,
        row.entry,
        row.completion_code,
        row.pages,
        row.reward_cents,
        row.fee_cents,
        row.seconds,
    )
