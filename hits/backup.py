"""Copies of a store that is in use: SQLite's own backup, or pg_dump, and back again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import Engine, make_url

from .database import BUSY_TIMEOUT_SECONDS
from .errors import DatabaseError

_PAGES_AT_ONCE = 1000
_SQLITE_HEADER = b"SQLite format 3\x00"


def back_up(engine: Engine, target: Path) -> None:
    """Write a copy of the store, as it is at one moment, to the new file `target`, readable by its owner alone.

    Others go on reading and writing meanwhile. Raises DatabaseError.
    """
    if target.exists():
        raise DatabaseError(f"{target} is there already: a backup overwrites nothing")
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        if engine.dialect.name == "sqlite":
            _copy_sqlite(_file_of(engine), unfinished)
        else:
            _run("pg_dump", engine, "--format=custom", f"--file={unfinished}")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(target)
    except OSError as error:
        raise DatabaseError(f"cannot write the backup {target}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def restore(engine: Engine, source: Path) -> None:
    """Put a backup's contents in the place of the store's, in one transaction; raises DatabaseError.

    Programs that use the store may go on: they wait for it, and see the old contents or the new. What was written
    since the backup is gone.
    """
    try:
        with source.open("rb") as stream:
            is_sqlite = stream.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER
    except OSError as error:
        raise DatabaseError(f"cannot read the backup {source}: {error.strerror}") from error
    if is_sqlite != (engine.dialect.name == "sqlite"):
        kind = "an SQLite" if is_sqlite else "no SQLite"
        raise DatabaseError(f"{source} is {kind} database: it does not fit a store on {engine.dialect.name}")
    if not is_sqlite:
        _run(
            "pg_restore", engine, "--clean", "--if-exists", "--single-transaction", "--no-owner", str(source)
        )
        return
    _require_whole(source)
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(_file_of(engine), timeout=BUSY_TIMEOUT_SECONDS)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise DatabaseError(f"cannot restore from {source}: {error}; nothing was changed") from error


def _require_whole(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as copy:
            problem = copy.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as error:
        raise DatabaseError(f"{path} is damaged: {error}") from error
    if problem != "ok":
        raise DatabaseError(f"{path} is damaged: {problem}")


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new, pages=_PAGES_AT_ONCE)
            # A copy that is carried elsewhere is one file.
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise DatabaseError(f"cannot copy {source}: {error}") from error
    _require_whole(target)


def _file_of(engine: Engine) -> Path:
    database = engine.url.database
    if not database or database == ":memory:":
        raise DatabaseError("a store in memory cannot be backed up")
    return Path(database)


def _run(program: str, engine: Engine, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise DatabaseError(f"{program} is not installed: it comes with the package postgresql-client")
    url = make_url(str(engine.url.render_as_string(hide_password=False))).set(drivername="postgresql")
    # The password goes by the environment: a command line is for all to see.
    environment = {**os.environ, "PGPASSWORD": url.password or ""}
    address = url.set(password=None).render_as_string()
    done = subprocess.run(
        [program, f"--dbname={address}", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise DatabaseError(f"{program} failed: {lines[-1]}")
