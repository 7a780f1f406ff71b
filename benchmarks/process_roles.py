"""Which of the processes that run belong to a benchmark of the crawl on Ray, what each is, and its CPU and memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

ROLES = ("driver", "workers", "ray", "postgres", "s3", "nginx")


@dataclass(frozen=True)
class Process:
    """A process at one moment: its role, CPU seconds so far and peak memory in MiB."""

    pid: int
    role: str
    seconds: float
    peak_mib: int


def processes(port: int) -> Iterator[Process]:
    """Every process that is ours, or of the PostgreSQL server at `port`."""
    titles: dict[int, str] = {}
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    peaks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, StopIteration):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                lines = (entry / "status").read_text(errors="replace").splitlines()
                pid = int(entry.name)
                peaks[pid] = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
                titles[pid], parents[pid] = title, int(fields[1])
                seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    for pid in titles:
        role = role_of(pid, titles, parents, f" -p {port} ")
        if role:
            yield Process(pid, role, seconds[pid], peaks[pid])


def role_of(pid: int, titles: dict[int, str], parents: dict[int, int], server: str) -> str:
    """What a process is: by its own title or the nearest above it; "" for one that is not this benchmark's."""
    marks = {
        "ray::CrawlWorker": "workers", "moto.server": "s3", "nginx": "nginx", "ProposingSource": "driver",
        "raylet": "ray", "gcs_server": "ray", "site-packages/ray/": "ray", "ray::": "ray",
    }  # fmt: skip
    role, at = "", pid
    while at > 1 and at != os.getpid():
        title = titles.get(at, "")
        if "bin/postgres" in title and server in title:
            return "postgres"
        role = role or next((name for mark, name in marks.items() if mark in title), "")
        at = parents.get(at, 0)
    return role if at == os.getpid() else ""


def cpu_seconds(engine: sa.Engine) -> float:
    """CPU seconds of this process and of the engine's server so far: unlike wall time, other programs' load does
    not lengthen them.
    """
    served = sum(process.seconds for process in processes(engine.url.port or 0) if process.role == "postgres")
    return time.process_time() + served
