"""The demo's processes: commands run as a user would run them, and servers that end with the demo."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from imagenet_builder.errors import BuilderError

STOP_SECONDS = 10


class CommandFailed(BuilderError):
    """A command of the demo left with an exit code that it should not have."""


def free_port(preferred: int = 0) -> int:
    """`preferred` if it is free on loopback, else any port that is."""
    for port in (preferred, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = listener.getsockname()[1]
            return chosen
    raise BuilderError("no free port on 127.0.0.1; stop another server and try again")


def run_command(
    project: Path, arguments: list[str], say: Callable[[str], None], *, allowed: tuple[int, ...] = (0,)
) -> str:
    """Run `imagenet-builder` with `arguments` in `project`, echo the command and its output, return its stdout.

    Raises CommandFailed for an exit code that is not in `allowed`.
    """
    say(f"$ imagenet-builder {shlex.join(arguments)}")
    done = subprocess.run(
        [sys.executable, "-m", "imagenet_builder", *arguments],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None,
        text=True,
        check=False,
    )
    if done.stdout:
        say(done.stdout.rstrip())
    if done.returncode not in allowed:
        raise CommandFailed(
            f"`imagenet-builder {shlex.join(arguments)}` left with {done.returncode}; see above"
        )
    return done.stdout


def start_command(project: Path, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start `imagenet-builder` with `arguments` in the background, its output going to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "imagenet_builder", *arguments],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def server(start: Callable[[], subprocess.Popen[bytes]]) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that is asked to stop, and stopped, when the block is left however it is left."""
    running = start()
    try:
        yield running
    finally:
        if running.stdin is not None:
            running.stdin.close()
        running.terminate()
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if running.stdout is not None:
            running.stdout.close()


@contextmanager
def stop_on_termination() -> Iterator[None]:
    """Turn SIGTERM into SystemExit meanwhile, so that servers are stopped when the demo is."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def wait_for_port(port: int, running: subprocess.Popen[bytes], log: Path, *, seconds: float = 30) -> None:
    """Return when `port` accepts connections; raises CommandFailed if the server ends or takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if running.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] if log.exists() else []
    raise CommandFailed(
        f"the server on port {port} did not start: {''.join(last) or 'it said nothing'} (see {log})"
    )


def start_picture_site(
    *, port: int, seed: int, classes: list[str], per_class: int, truth: Path, log: Path
) -> tuple[subprocess.Popen[bytes], str]:
    """Start the offline picture site as its own process; returns it and the URL that it printed."""
    with log.open("ab") as errors:
        running = subprocess.Popen(
            [
                *(sys.executable, "-m", "imagenet_builder.demo.picture_site"),
                *("--port", str(port), "--seed", str(seed), "--per-class", str(per_class)),
                *("--classes", ",".join(classes), "--truth", str(truth)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    assert running.stdout is not None
    url = running.stdout.readline().decode().strip()
    if not url.startswith("http"):
        running.kill()
        running.wait()
        raise CommandFailed(f"the picture site did not start; see {log}")
    return running, url
