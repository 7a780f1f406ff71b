"""Real servers and programs that tests run against: found, started on loopback, stopped again."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

Found = TypeVar("Found")

POSTGRES_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def absent(part: str, remedy: str) -> NoReturn:
    """Skip the test because `part` cannot be had here; in CI that is a failure."""
    message = f"real part missing: {part} ({remedy})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def need(
    part: str, found: Found | None, remedy: str = "run `make test` as root once: it installs it"
) -> Found:
    """Return `found`, or skip by name (fail in CI) when the real part is missing."""
    if found is None:
        absent(part, remedy)
    return found


# Not those that the system gives to connections, which could take one before its server starts, nor Ray's.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def chromium_path() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def wordnet_folder() -> Path | None:
    for folder in (Path("/usr/share/wordnet"),):
        if (folder / "data.noun").is_file():
            return folder
    return None


@contextmanager
def postgres_cluster() -> Iterator[str]:
    """A throwaway PostgreSQL cluster; yields the URL of its maintenance database."""
    folder = need("postgresql", POSTGRES_FOLDERS[0] if POSTGRES_FOLDERS else None)
    base = Path(tempfile.mkdtemp(prefix="postgres-"))
    as_root = os.geteuid() == 0
    if as_root:  # PostgreSQL refuses to run as root.
        shutil.chown(base, "postgres")

    def run(*command: str) -> None:
        prefix = ["runuser", "-u", "postgres", "--"] if as_root else []
        done = subprocess.run([*prefix, *command], capture_output=True, text=True, cwd=base, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    port = free_port()
    # Sockets live in the cluster's own folder: the system's /run/postgresql may belong to a real server.
    options = f"-p {port} -h 127.0.0.1 -k {base} -c fsync=off -c full_page_writes=off -c max_connections=200"
    try:
        run(
            f"{folder}/initdb",
            "-D",
            f"{base}/cluster",
            "-U",
            "builder",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        )
        run(
            f"{folder}/pg_ctl",
            "-D",
            f"{base}/cluster",
            "-w",
            "-o",
            options,
            "-l",
            f"{base}/server.log",
            "start",
        )
        try:
            yield f"postgresql+psycopg://builder@127.0.0.1:{port}/postgres"
        finally:
            run(f"{folder}/pg_ctl", "-D", f"{base}/cluster", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def fresh_postgres_database(maintenance_url: str) -> Iterator[str]:
    """An empty database of its own on the cluster, dropped afterwards."""
    import sqlalchemy as sa

    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(maintenance_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield maintenance_url.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
