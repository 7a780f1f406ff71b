"""The Ray cluster that a crawl runs on: connected to, and looked at."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO, cast

from imagenet_builder.errors import ProjectError
from imagenet_builder.project import Project

logger = logging.getLogger(__name__)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
OBJECT_STORE_BYTES = 128 * 2**20
ANSWER_SECONDS = 10.0


def connect(address: str) -> None:
    """Connect this process to the cluster at `address`, or start one of this machine; raises ProjectError."""
    import ray

    # It announces what is none of the user's business, such as who has the handler of SIGTERM.
    logging.getLogger("ray").setLevel(logging.ERROR)
    address = address or os.environ.get("RAY_ADDRESS", "")
    if address.startswith("ray://"):
        raise ProjectError(
            f"the crawl does not run through Ray's client ({address}): run it on a machine of the cluster, with "
            'address = "auto" under [ray]'
        )
    _require_answer(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if not address or address == "local":
        quiet |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        ray.init(address=address or "local", **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ProjectError(
            f"cannot reach the Ray cluster {address or '(one of this machine)'}: {cause(error)}; correct "
            "`address` under [ray]"
        ) from error


@contextlib.contextmanager
def signal_handlers_kept() -> Iterator[None]:
    """Put this process's handlers back: Ray's own of SIGTERM aborts the process three seconds later."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def standard_output_kept() -> Iterator[None]:
    """Log what Ray's own threads print: whoever reads this program's standard output wants its answer alone."""
    with contextlib.redirect_stdout(cast(TextIO, _OthersOutput(sys.stdout))):
        yield


class _OthersOutput:
    """Standard output but for Ray's threads, which have no setting for where they write."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout = stdout

    def write(self, text: str) -> int:
        if not threading.current_thread().name.startswith("ray_"):
            return self._stdout.write(text)
        if line := _COLOUR.sub("", text).strip():
            logger.info("%s", line)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stdout, name)


def _require_answer(address: str) -> None:
    """Raise ProjectError where nothing listens at `address`: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        raise ProjectError(
            f"nothing answers at the Ray cluster's address {address}: {error.strerror or error}; correct "
            "`address` under [ray]"
        ) from error


def machine_count() -> int:
    """How many machines the cluster has now."""
    import ray

    return sum(bool(node["Alive"]) for node in ray.nodes())


def require_shared_places(project: Project) -> None:
    """Raise ProjectError where the cluster has several machines and the project's places are on one."""
    machines = machine_count()
    if machines == 1:
        return
    if project.images.is_folder:
        raise ProjectError(
            f"the cluster has {machines} machines, and they do not share the folder {project.images.name}: set "
            'url = "s3://…" under [images]'
        )
    if project.engine.url.get_backend_name() == "sqlite":
        raise ProjectError(
            f"the cluster has {machines} machines: a crawl of that size needs PostgreSQL; set [store] url"
        )


def cause(error: Exception) -> str:
    """The first line of an error's text: Ray writes many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
