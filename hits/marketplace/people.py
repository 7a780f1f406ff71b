"""Requesters with their keys, workers with their invitations and sessions. The command line calls these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import surveying, writing
from ..errors import HitsError
from . import ledger
from .identifiers import digest, new_access_key, new_person_id, new_token
from .ledger import Transfer
from .settings import MarketplaceSettings, utc_now
from .store import insert_unless_there
from .tables import accounts, assignments, invitations, requesters, secrets, sessions, workers
from .tables import requester_keys as key_table

SANDBOX_BALANCE_CENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class RequesterKeys:
    """What boto3 signs with; the secret stays out of `repr` and so out of logs."""

    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"RequesterKeys(access_key={self.access_key!r}, secret_key=…)"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A sign-in link's token for one worker; it is shown once and stored only as a digest."""

    worker_id: str
    pseudonym: str
    token: str


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as the site knows her; `consented_at` is None until she has accepted the invitation."""

    worker_id: str
    pseudonym: str
    consented_at: datetime | None
    from_panel: bool = False


@dataclass(frozen=True, slots=True)
class WorkerSummary:
    """A worker and her work so far; money in cents."""

    worker_id: str
    pseudonym: str
    invited_at: datetime
    consented_at: datetime | None
    submitted: int
    approved: int
    rejected: int
    earned_cents: int
    master: bool = False


def create_requester(engine: Engine, name: str, balance_cents: int = SANDBOX_BALANCE_CENTS) -> RequesterKeys:
    """Make a requester with play money and a pair of keys; raises HitsError if the name is taken."""
    if not 1 <= len(name) <= 128 or balance_cents < 0:
        raise HitsError("a requester needs a name of 1 to 128 characters and a balance of 0 or more")
    now = utc_now()
    requester_id, keys = new_person_id(), RequesterKeys(new_access_key(), new_token())
    try:
        with writing(engine) as connection:
            connection.execute(
                requesters.insert().values(requester_id=requester_id, name=name, created_at=now)
            )
            connection.execute(
                key_table.insert().values(
                    access_key=keys.access_key,
                    requester_id=requester_id,
                    secret_key=keys.secret_key,
                    created_at=now,
                )
            )
            account = ledger.requester_account(requester_id)
            for account_name in (ledger.FEES, ledger.GRANTS, account):
                ledger.open_account(connection, account_name)
            ledger.post(connection, now, Transfer("grant", ledger.GRANTS, account, balance_cents))
    except sa.exc.IntegrityError as error:
        raise HitsError(f"there is a requester {name!r} already; choose another name") from error
    return keys


def requester_keys(engine: Engine, name: str) -> RequesterKeys | None:
    """The newest keys of the requester with this name, or None if there is no such requester."""
    with surveying(engine) as connection:
        row = connection.execute(
            sa.select(key_table.c.access_key, key_table.c.secret_key)
            .select_from(key_table.join(requesters))
            .where(requesters.c.name == name)
            .order_by(key_table.c.created_at.desc())
            .limit(1)
        ).one_or_none()
    return None if row is None else RequesterKeys(row.access_key, row.secret_key)


def invite(engine: Engine, pseudonym: str) -> Invitation:
    """Make a sign-in link for the worker of this pseudonym, who is made if new; her older links end."""
    if not 1 <= len(pseudonym) <= 128 or not pseudonym.isprintable():
        raise HitsError("a pseudonym needs 1 to 128 printable characters")
    now, token = utc_now(), new_token()
    with writing(engine) as connection:
        insert_unless_there(
            connection, workers, worker_id=new_person_id(), pseudonym=pseudonym, invited_at=now
        )
        worker_id = connection.execute(
            sa.select(workers.c.worker_id).where(workers.c.pseudonym == pseudonym)
        ).scalar_one()
        ledger.open_account(connection, ledger.worker_account(worker_id))
        connection.execute(invitations.delete().where(invitations.c.worker_id == worker_id))
        connection.execute(
            invitations.insert().values(token_digest=digest(token), worker_id=worker_id, created_at=now)
        )
    return Invitation(worker_id, pseudonym, token)


def invitation_url(settings: MarketplaceSettings, token: str) -> str:
    """The link to send to a worker."""
    return f"{settings.public_url}/invitation/{token}"


def list_workers(engine: Engine) -> tuple[WorkerSummary, ...]:
    """Every worker with counts of work and earnings, in the order of invitation."""

    def count(state: str) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((assignments.c.state == state, 1), else_=0)), 0)

    earned = (
        sa.select(accounts.c.cents)
        .where(accounts.c.name == sa.literal("worker:") + workers.c.worker_id)
        .scalar_subquery()
    )
    query = (
        sa.select(
            workers,
            count("Submitted").label("submitted"),
            count("Approved").label("approved"),
            count("Rejected").label("rejected"),
            sa.func.coalesce(earned, 0).label("earned_cents"),
        )
        .select_from(workers.outerjoin(assignments))
        .group_by(workers.c.worker_id)
        .order_by(workers.c.invited_at, workers.c.worker_id)
    )
    with surveying(engine) as connection:
        return tuple(
            WorkerSummary(
                row.worker_id,
                row.pseudonym,
                row.invited_at,
                row.consented_at,
                int(row.submitted),
                int(row.approved),
                int(row.rejected),
                int(row.earned_cents),
                row.master_since is not None,
            )
            for row in connection.execute(query)
        )


def name_master(engine: Engine, worker_id: str, now: datetime | None) -> None:
    """Count a worker among the Masters from `now` on, or with None no longer."""
    with writing(engine) as connection:
        connection.execute(workers.update().where(workers.c.worker_id == worker_id).values(master_since=now))


# --- sign-in -------------------------------------------------------------------------------------------


def invited_worker(engine: Engine, token: str) -> Worker | None:
    """Who an invitation is for, or None."""
    with surveying(engine) as connection:
        return _worker_behind(connection, invitations, invitations.c.token_digest == digest(token))


def sign_in(engine: Engine, worker: Worker, days: int, now: datetime) -> str:
    """Open a session for a worker who consents, and return the token for her cookie."""
    token = new_token()
    with writing(engine) as connection:
        connection.execute(
            workers.update()
            .where(workers.c.worker_id == worker.worker_id, workers.c.consented_at.is_(None))
            .values(consented_at=now)
        )
        connection.execute(sessions.delete().where(sessions.c.expires_at <= now))
        connection.execute(
            sessions.insert().values(
                token_digest=digest(token),
                worker_id=worker.worker_id,
                created_at=now,
                expires_at=now + timedelta(days=days),
            )
        )
    return token


def sign_out(engine: Engine, token: str) -> None:
    """End a session; harmless if there is none."""
    with writing(engine) as connection:
        connection.execute(sessions.delete().where(sessions.c.token_digest == digest(token)))


def _worker_behind(
    connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]
) -> Worker | None:
    row = connection.execute(
        sa.select(workers.c.worker_id, workers.c.pseudonym, workers.c.consented_at)
        .select_from(table.join(workers))
        .where(condition)
    ).one_or_none()
    return None if row is None else Worker(row.worker_id, row.pseudonym, row.consented_at)


def site_secret(engine: Engine) -> str:
    """The secret that signs forms, frames and page tokens, made at first use and kept in the store."""
    with writing(engine) as connection:
        insert_unless_there(connection, secrets, name="site", value=new_token())
        value: str = connection.execute(
            sa.select(secrets.c.value).where(secrets.c.name == "site")
        ).scalar_one()
        return value
