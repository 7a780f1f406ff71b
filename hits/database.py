"""Engine set-up that both stores share: pragmas, transactions, locks, migrations.

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
from .errors import DatabaseError, LockHeld, SchemaMismatch
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


# --- migrations ----------------------------------------------------------------------------------------


def alembic_config(engine: Engine, package: str) -> Any:
    """An Alembic Config whose scripts are the package `package` and whose connections come from `engine`."""
    from importlib.resources import files

    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files(package)))
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine, package: str, revision: str = "head") -> None:
    """Migrate the store up to `revision` of the history in `package`, creating it where there is none."""
    from alembic import command

    with translated(engine), _known_revision(engine, package, revision):
        command.upgrade(alembic_config(engine, package), revision)


def downgrade(engine: Engine, package: str, revision: str) -> None:
    """Migrate the store down to `revision` (`base` for an empty store)."""
    from alembic import command

    with translated(engine), _known_revision(engine, package, revision):
        command.downgrade(alembic_config(engine, package), revision)


@contextmanager
def _known_revision(engine: Engine, package: str, wanted: str) -> Iterator[None]:
    """Turn Alembic's complaint about a revision into a line that says which side does not know it."""
    from alembic.util.exc import CommandError

    try:
        yield
    except CommandError as error:
        known = known_revisions(package)
        found = current_revision(engine)
        if found is not None and found not in known:
            raise _mismatch(engine, found, head_revision(package)) from error
        raise DatabaseError(
            f"cannot migrate to {wanted}: {error}; the revisions are base, {', '.join(sorted(known))} and head"
        ) from error


def current_revision(engine: Engine) -> str | None:
    """The revision that the store says it is at; None for an empty store."""
    from alembic.runtime.migration import MigrationContext

    with translated(engine), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head_revision(package: str) -> str:
    """The newest revision that this program knows."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(
        alembic_config(sa.create_engine("sqlite://"), package)
    ).get_current_head()
    if head is None:
        raise DatabaseError(f"no migrations found in {package}: the installation is incomplete")
    return head


def known_revisions(package: str) -> frozenset[str]:
    """Every revision that this program knows."""
    from alembic.script import ScriptDirectory

    directory = ScriptDirectory.from_config(alembic_config(sa.create_engine("sqlite://"), package))
    return frozenset(script.revision for script in directory.walk_revisions())


def require_schema(engine: Engine, expected: str) -> None:
    """Raise SchemaMismatch, with the remedy, unless the store is at revision `expected`.

    `expected` is a constant beside the tables (a test compares it with the history), so that commands
    need not import Alembic to open a store.
    """
    with translated(engine), engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            found: str | None = None
        else:
            found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if found != expected:
        raise _mismatch(engine, found, expected)


def _mismatch(engine: Engine, found: str | None, expected: str) -> SchemaMismatch:
    where = engine.url.render_as_string(hide_password=True)
    if found is None:
        return SchemaMismatch(f"the store {where} is empty; run `imagenet-builder db upgrade`")
    # Revision ids are numbered ("0001"), so that age can be told without loading the history.
    if found < expected:
        return SchemaMismatch(
            f"the store {where} has the older schema {found}, this program needs {expected}; "
            "back it up and run `imagenet-builder db upgrade`"
        )
    return SchemaMismatch(
        f"the store {where} has the newer schema {found}, this program knows {expected}; "
        "update imagenet-builder (pip install --upgrade imagenet-builder)"
    )
