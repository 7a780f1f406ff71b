"""The command line as a user, a script or cron calls it: the installed console script in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(sys.executable).with_name("imagenet-builder")
# Generous: the machine may be busy with other tests.
PATIENCE = 240


@dataclass(frozen=True)
class Ended:
    """A command that has left: its exit code and what it said."""

    code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.output)

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.output}\n--- stderr\n{self.errors}"


def start(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start `imagenet-builder` with `arguments` in `folder`; `environment` is added to this process's own."""
    return subprocess.Popen(
        [str(SCRIPT), *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end, whatever that is."""
    running = start(folder, *arguments, environment=environment)
    try:
        output, errors = running.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        running.kill()
        output, errors = running.communicate()
        raise AssertionError(f"{arguments} does not end; so far it said\n{output}{errors}") from None
    return Ended(running.returncode, output, errors)


def done(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command that must succeed."""
    ended = run(folder, *arguments, environment=environment)
    assert ended.code == 0, f"{arguments}: {ended}"
    assert "Traceback" not in ended.errors, f"{arguments}: {ended}"
    return ended


def refused(
    folder: Path,
    *arguments: str,
    code: int = 1,
    environment: Mapping[str, str] | None = None,
    quiet: bool = True,
) -> str:
    """The one line with which a command refuses to go on, without its `Error: `.

    Nothing else is on stderr, unless it is not `quiet`: a command that had begun its work may have talked of it.
    """
    ended = run(folder, *arguments, environment=environment)
    assert ended.code == code, f"{arguments}: {ended}"
    assert "Traceback" not in ended.errors + ended.output, f"{arguments}: {ended}"
    lines = ended.errors.splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == lines[-1:], f"{arguments}: {ended}"
    if quiet:
        assert len(lines) == 1, f"{arguments}: {ended}"
    return lines[-1].removeprefix("Error: ")


@contextmanager
def served(folder: Path, *arguments: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """A server of the command line on `port`, stopped with SIGTERM as systemd stops it."""
    log = folder / f"served-{port}.log"
    with log.open("a", encoding="utf-8") as said:
        server = subprocess.Popen(
            [str(SCRIPT), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            text=True,
        )
    try:
        await_port(port, server, log)
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            raise
    assert server.returncode == 0, log.read_text(encoding="utf-8")


def await_port(port: int, server: subprocess.Popen[str], log: Path) -> None:
    """Return when `port` answers; AssertionError if the server ends or takes too long."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.1)


def store_dump(project: Path, name: str = "store.sqlite3") -> list[str]:
    """Everything in a project's SQLite store as SQL; renditions, which are a cache, apart."""
    with closing(sqlite3.connect(project / name)) as connection:
        return [line for line in connection.iterdump() if not line.startswith('INSERT INTO "renditions"')]


def marketplace_settings(port: int) -> dict[str, object]:
    """The settings section of a project whose own marketplace answers on `port`."""
    return {"endpoint": f"http://127.0.0.1:{port}"}
