"""Engine set-up that both stores share: pragmas, transactions, locks; `schema` has the migrations.

Both stores run on SQLite (WAL) and PostgreSQL. SQLite write transactions begin IMMEDIATE, so that two
writers queue on the busy timeout instead of failing half way with SQLITE_BUSY.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from .column_types import UtcDateTime, choice
from .errors import DatabaseError, LockHeld
from .schema import (
    alembic_config,
    current_revision,
    downgrade,
    head_revision,
    known_revisions,
    require_schema,
    upgrade,
)
from .store_failures import translated

__all__ = [
    "NAMING_CONVENTION",
    "UtcDateTime",
    "alembic_config",
    "choice",
    "current_revision",
    "downgrade",
    "exclusive_lock",
    "glancing",
    "head_revision",
    "known_revisions",
    "open_engine",
    "reading",
    "require_schema",
    "surveying",
    "translated",
    "upgrade",
    "writing",
    "writing_at_once",
]

NAMING_CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

BUSY_TIMEOUT_SECONDS = 30
IDLE_SECONDS = 5.0
KEPT_CONNECTIONS = 16
_USED_AT = "used_at"


def open_engine(url: str, *, echo: bool = False) -> Engine:
    """Return an engine for `url` (sqlite:///path or postgresql+psycopg://…) with this project's set-up.

    Nothing is connected yet. Raises DatabaseError for a URL that cannot be used.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in {"postgres", "postgresql"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        backend = parsed.get_backend_name()
        if backend not in {"sqlite", "postgresql"}:
            raise DatabaseError(f"cannot use a {backend} store: only sqlite and postgresql are supported")
        options: dict[str, Any] = (
            {"connect_args": {"timeout": BUSY_TIMEOUT_SECONDS}} if backend == "sqlite" else {}
        )
        # Kept open: more threads than connections would open and close one for every request.
        engine = sa.create_engine(parsed, echo=echo, pool_size=KEPT_CONNECTIONS, **options)
    except (sa.exc.ArgumentError, ImportError) as error:
        raise DatabaseError(
            f"cannot use the store address {_hide_password(url)}: {error}; "
            "PostgreSQL needs `pip install imagenet-builder[postgres]`"
        ) from error
    if backend == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "checkout", _ping_after_idleness)
        event.listen(engine, "checkin", _note_use)
    return engine


def _ping_after_idleness(connection: Any, entry: ConnectionPoolEntry, _proxy: Any) -> None:
    # SQLAlchemy's own pre-ping asks at every use, which costs more than most statements.
    if time.monotonic() - entry.info.get(_USED_AT, -IDLE_SECONDS) < IDLE_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except Exception as error:
        raise sa.exc.DisconnectionError("the connection was lost while nobody used it") from error


def _note_use(_connection: Any, entry: ConnectionPoolEntry) -> None:
    entry.info[_USED_AT] = time.monotonic()


def _hide_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return "(unreadable)"


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # The driver's own BEGIN comes too late (at the first write) and is deferred: take transactions over.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("alone"):
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN DEFERRED")


_ALONE: Mapping[str, Mapping[str, Any]] = {
    "postgresql": {"isolation_level": "AUTOCOMMIT"},
    "sqlite": {"alone": True},
}


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection in a read transaction (a snapshot on SQLite); nothing is committed."""
    with translated(engine), engine.connect() as connection:
        yield connection


@contextmanager
def glancing(engine: Engine) -> Iterator[Connection]:
    """A connection to read by in single statements, each a snapshot of its own: no transaction is around them.

    On PostgreSQL a transaction costs two more round trips than its one statement.
    """
    with translated(engine), engine.connect().execution_options(**_ALONE[engine.dialect.name]) as connection:
        yield connection


@contextmanager
def surveying(engine: Engine) -> Iterator[Connection]:
    """A connection to read by in several statements: one snapshot on SQLite, a glance each on PostgreSQL.

    There a transaction would be no snapshot either, and psycopg forgets what a connection has prepared at its ROLLBACK.
    """
    with glancing(engine) if engine.dialect.name == "postgresql" else reading(engine) as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection in a write transaction: committed on leaving, rolled back on an exception.

    Keep it short, and call nothing over HTTP inside.
    """
    with (
        translated(engine),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def writing_at_once(engine: Engine) -> Iterator[Connection]:
    """A connection for a change that is one statement on PostgreSQL, and there a transaction of its own.

    On SQLite, where it may be several, it is as `writing`.
    """
    with glancing(engine) if engine.dialect.name == "postgresql" else writing(engine) as connection:
        yield connection


@contextmanager
def exclusive_lock(engine: Engine, name: str) -> Iterator[None]:
    """Hold the lock `name` of this store, or raise LockHeld at once if another process holds it.

    A PostgreSQL advisory lock, or a lock file beside the SQLite file. Either ends with its process.
    """
    if engine.url.get_backend_name() == "postgresql":
        with _advisory_lock(engine, name):
            yield
        return
    database = engine.url.database
    if not database or database == ":memory:":
        yield
        return
    path = Path(database).with_name(f".{Path(database).name}.{name}.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DatabaseError(f"cannot create the lock file {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(f"another {name} is running on this store; try again later") from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _advisory_lock(engine: Engine, name: str) -> Iterator[None]:
    key = int.from_bytes(hashlib.sha256(f"imagenet-builder:{name}".encode()).digest()[:8], "big", signed=True)
    with translated(engine), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
            raise LockHeld(f"another {name} is running on this store; try again later")
        try:
            yield
        finally:
            connection.scalar(sa.select(sa.func.pg_advisory_unlock(key)))
