"""Which schema a store has, and its migrations by Alembic, which is imported only where it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from .errors import DatabaseError, SchemaMismatch
from .store_failures import translated


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
