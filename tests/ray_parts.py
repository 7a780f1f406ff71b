"""Ray on this machine for tests: a small cluster, and its workers' processes, found and killed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from .real_parts import absent


@contextlib.contextmanager
def cluster_of_this_machine(*, processors: int) -> Iterator[str]:
    """A cluster of this machine alone, connected to this process; yields its address."""
    try:
        import ray
    except ImportError:
        absent("ray", "pip install imagenet-builder[ray]")
    ray.init(
        address="local",
        num_cpus=processors,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        log_to_driver=False,
    )
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


@contextlib.contextmanager
def cluster_of_two_nodes() -> Iterator[str]:
    """Two nodes on this machine, a processor each, that nobody is connected to; yields their address."""
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        absent("ray", "pip install imagenet-builder[ray]")
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        yield cluster.address
    finally:
        cluster.shutdown()


def worker_pids() -> list[int]:
    """The processes of crawl workers, of all clusters on this machine that this process or a child of it started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                title = (entry / "cmdline").read_bytes()
                if title.startswith(b"ray::CrawlWorker") and os.getpid() in _ancestors(int(entry.name)):
                    found.append(int(entry.name))
    return sorted(found)


def kill_worker() -> None:
    """Kill one crawl worker with SIGKILL."""
    os.kill(worker_pids()[0], signal.SIGKILL)


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pid = int(fields[1])
        yield pid
