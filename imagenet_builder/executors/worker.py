"""What a worker process does. Light: each imports it, and what it works with was imported where it was forked from."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import signal
import socket
import struct
import traceback
from collections.abc import Callable
from pathlib import Path

# Answers are preceded by their length.
LENGTH_BYTES = 8
# A question: where in shared memory its content begins (OWN: in the worker's own), and how long it is.
QUESTION = struct.Struct("=qq")
OWN = -1
MEBIBYTE = 2**20
# Memory that a worker alone shares with who gives it work: kept and mapped up to here.
KEPT_BYTES = 4 * MEBIBYTE


def serve(end: socket.socket, work: Callable[[bytes | memoryview], object], memory: int) -> None:
    """A worker's life: answer until the socket closes, as it also does when the other process is killed."""
    # Ctrl-C reaches the whole group of processes; the one that runs the crawl decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The worker's own memory, and what all of them see, if there is any.
    _, (own, *common), _, _ = socket.recv_fds(end, 1, 2)
    kept = memoryview(mmap.mmap(own, 0, prot=mmap.PROT_READ))
    shared = memoryview(mmap.mmap(common[0], 0, prot=mmap.PROT_READ)) if common else kept
    # What is there now stays: to look through it again and again would only take time.
    gc.freeze()
    _limit_memory(memory)
    with contextlib.suppress(OSError):
        end.sendall(b"\0")
        while question := end.recv(QUESTION.size, socket.MSG_WAITALL):
            offset, length = QUESTION.unpack(question)
            answer: tuple[bool, object]
            try:
                if offset != OWN:
                    answer = (True, work(shared[offset : offset + length]))
                elif length <= KEPT_BYTES:
                    answer = (True, work(kept[:length]))
                else:
                    answer = (True, work(os.pread(own, length, 0)))
            except Exception:  # noqa: BLE001  It is raised again in the process that asked.
                answer = (False, traceback.format_exc())
            message = pickle.dumps(answer)
            end.sendall(len(message).to_bytes(LENGTH_BYTES) + message)


def _limit_memory(headroom: int) -> None:
    """Let this process allocate `headroom` bytes more than it has; nothing where the system cannot say."""
    import resource

    status = Path("/proc/self/status")
    if not status.exists():
        return
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    used = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), None)
    if used is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = used + headroom
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
