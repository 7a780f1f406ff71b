"""Work in processes of this machine, each of which may die without taking anything else along."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import queue
import signal
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from imagenet_builder.errors import BuilderError

Result = TypeVar("Result")

MOST_WORKERS = 16
START_SECONDS = 120.0
MEBIBYTE = 2**20


class WorkerLost(Exception):
    """The process that had the work died of it, or did not finish it in time."""


def worker_count() -> int:
    """One worker a processor that this process may use, up to MOST_WORKERS."""
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)))


class ProcessPool(Generic[Result]):
    """Runs `work` on bytes in `workers` processes, from one event loop.

    `work` must be importable (or a functools.partial of such). A call takes at most `seconds` and
    `memory` bytes beyond what an idle worker has. Processes start at first need, are replaced when they die, and
    end when this process does, however it ends.
    """

    def __init__(
        self,
        work: Callable[[bytes], Result],
        *,
        workers: int,
        seconds: float = 60.0,
        memory: int = 1024 * MEBIBYTE,
        preload: tuple[str, ...] = (),
    ) -> None:
        self._work = work
        self._seconds = seconds
        self._memory = memory
        # Forking this process would copy its threads' locks in whatever state they are.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="pool")
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        for _ in range(workers):
            self._idle.put(None)
        # A few wait in line so that no worker idles; more would only hold their bytes in memory.
        self._line = asyncio.Semaphore(2 * workers)
        self._alive: set[_Worker] = set()

    async def run(self, content: bytes) -> Result:
        """The result of `work(content)`; waits for its turn.

        Raises WorkerLost if the worker died or took too long, BuilderError if workers cannot start at all.
        """
        async with self._line:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, content)

    def close(self) -> None:
        """End the workers at once; a call that is still running gets WorkerLost."""
        for worker in tuple(self._alive):
            worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._alive:
            worker.stop()
        self._alive.clear()

    def __enter__(self) -> ProcessPool[Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, content: bytes) -> Result:
        worker = self._idle.get()
        survivor: _Worker | None = None
        try:
            if worker is None:
                worker = _Worker(self._context, self._work, self._memory)
                self._alive.add(worker)
            done, answer = worker.ask(content, self._seconds)
            survivor = worker
        except WorkerLost:
            if worker is not None:
                self._alive.discard(worker)
                worker.stop()
            raise
        finally:
            self._idle.put(survivor)
        if not done:
            raise RuntimeError(f"a worker's code failed:\n{answer}")
        result: Result = answer
        return result


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, context: Any, work: Callable[[bytes], object], memory: int) -> None:
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end, work, memory), daemon=True)
        try:
            self._process.start()
            end.close()
            # It speaks first: a process that dies before has not died of any work.
            ready = self._pipe.poll(START_SECONDS) and self._pipe.recv()
        except (OSError, EOFError) as error:
            self._process.kill()
            raise BuilderError(
                f"worker processes cannot start: {error or 'they end at once'}; is there memory left, and does "
                "the program that calls this run under `if __name__ == '__main__'`?"
            ) from error
        if not ready:
            self.stop()
            raise BuilderError(f"worker processes do not start within {START_SECONDS:.0f} s")

    def ask(self, content: bytes, seconds: float) -> tuple[bool, Any]:
        """(True, result), or (False, traceback text) where the work itself raised."""
        try:
            self._pipe.send_bytes(content)
            if not self._pipe.poll(seconds):
                raise WorkerLost(f"not done after {seconds:.0f} s")
            answer: tuple[bool, Any] = self._pipe.recv()
        except (OSError, EOFError) as error:
            self._process.join(5)
            raise WorkerLost(f"its worker died (exit code {self._process.exitcode})") from error
        return answer

    def kill(self) -> None:
        """End the process, whatever it is doing; whoever waits for its answer learns it from the pipe."""
        self._process.kill()

    def stop(self) -> None:
        """End the process and let go of the pipe; nobody may be waiting for an answer."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection, work: Callable[[bytes], object], memory: int) -> None:
    """A worker's life: answer until the pipe closes, as it also does when the other process is killed."""
    # Ctrl-C reaches the whole group of processes; the one that runs the crawl decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(memory)
    with contextlib.suppress(EOFError, OSError):
        pipe.send(True)
        while True:
            content = pipe.recv_bytes()
            try:
                answer: tuple[bool, object] = (True, work(content))
            except Exception:  # noqa: BLE001  It is raised again in the process that asked.
                answer = (False, traceback.format_exc())
            pipe.send(answer)


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
