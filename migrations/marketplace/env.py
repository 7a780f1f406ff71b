"""Alembic's entry for the marketplace's store; the engine comes from `hits.database`."""

import stat
from pathlib import Path

from alembic import context

from hits.errors import DatabaseError
from hits.marketplace.tables import metadata
from hits.migrating import run_migrations


def keep_private(database: str) -> None:
    """The store holds requesters' secret keys: its file, and those SQLite makes beside it, are the owner's only."""
    path = Path(database)
    try:
        path.touch(mode=0o600)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise DatabaseError(f"cannot make the store {path} private: {error.strerror}") from error


url = context.config.attributes["engine"].url
if url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}:
    keep_private(url.database)
run_migrations(metadata)
