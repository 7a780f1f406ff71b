"""Work in processes of this machine, each of which may die without taking anything else along."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import multiprocessing
import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from types import TracebackType
from typing import Any, Generic, TypeVar

from imagenet_builder.errors import BuilderError

from .shared import SharedMemory, Slot
from .worker import KEPT_BYTES, LENGTH_BYTES, MEBIBYTE, OWN, QUESTION, serve

Result = TypeVar("Result")
Content = bytes | memoryview | Slot

MOST_WORKERS = 16
START_SECONDS = 120.0
# Held by who changes the environment, which belongs to the whole process.
_ENVIRONMENT = threading.Lock()
_THREAD_SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


class WorkerLost(Exception):
    """The process that had the work died of it, or did not finish it in time."""


def worker_count() -> int:
    """One worker a processor that this process may use, up to MOST_WORKERS."""
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)))


class ProcessPool(Generic[Result]):
    """Runs `work` on bytes in `workers` processes, from one event loop; slots of `shared` reach them as they are.

    `work` must be importable (or a functools.partial of such). A call takes at most `seconds` and
    `memory` bytes beyond what an idle worker has. Processes start at first need, are replaced when they die, and
    end when this process does, however it ends.
    """

    def __init__(
        self,
        work: Callable[[bytes | memoryview], Result],
        *,
        workers: int,
        seconds: float = 60.0,
        memory: int = 448 * MEBIBYTE,
        preload: tuple[str, ...] = (),
        shared: SharedMemory | None = None,
    ) -> None:
        self._work = work
        self._seconds = seconds
        self._memory = memory
        self._shared = shared
        # Forking this process would copy its threads' locks in whatever state they are.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([serve.__module__, *preload])
        self._line = asyncio.Semaphore(workers)
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._alive: set[_Worker] = set()
        self._closed = False

    async def run(self, content: Content) -> Result:
        """The result of `work(content)`; waits for its turn.

        Raises WorkerLost if the worker died or took too long, BuilderError if workers cannot start at all.
        """
        async with self._line:
            worker = self._idle.pop() if self._idle else await asyncio.to_thread(self._start)
            self._busy.add(worker)
            try:
                done, answer = await worker.ask(content, self._seconds)
            except BaseException:
                # Also of a call that was cancelled: its worker is still at it.
                self._alive.discard(worker)
                worker.stop()
                raise
            finally:
                self._busy.discard(worker)
            self._idle.append(worker)
        if not done:
            raise RuntimeError(f"a worker's code failed:\n{answer}")
        result: Result = answer
        return result

    def close(self) -> None:
        """End the workers at once; a call that is still running gets WorkerLost."""
        self._closed = True
        for worker in tuple(self._alive):
            if worker in self._busy:
                worker.kill()
            else:
                worker.stop()

    def __enter__(self) -> ProcessPool[Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> _Worker:
        with _ENVIRONMENT, _one_thread_each():
            forkserver.ensure_running()
        worker = _Worker(self._context, self._work, self._memory, self._shared)
        self._alive.add(worker)
        if self._closed:
            worker.kill()
        return worker


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start meanwhile get no threads for linear algebra: there is a worker for every processor."""
    usual = {name: os.environ.get(name) for name in _THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(_THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for name, value in usual.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Worker:
    """One process, a socket to it, and memory that both see: content never goes through the socket.

    What is not in memory that all of them see is copied into the worker's own.
    """

    def __init__(
        self,
        context: Any,
        work: Callable[[bytes | memoryview], object],
        memory: int,
        shared: SharedMemory | None,
    ) -> None:
        self._socket, end = socket.socketpair()
        self._own = os.memfd_create("content")
        os.ftruncate(self._own, KEPT_BYTES)
        self._memory = mmap.mmap(self._own, KEPT_BYTES)
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None
        # The one that reads the socket, from the first question on.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = context.Process(target=serve, args=(end, work, memory), daemon=True)
        try:
            with end:
                self._process.start()
            descriptors = [self._own] if shared is None else [self._own, shared.descriptor]
            socket.send_fds(self._socket, [b"\0"], descriptors)
            # It speaks first: a process that dies before has not died of any work.
            self._socket.settimeout(START_SECONDS)
            ready = self._socket.recv(1)
        except TimeoutError as error:
            self.stop()
            raise BuilderError(f"worker processes do not start within {START_SECONDS:.0f} s") from error
        except (OSError, EOFError) as error:
            self.stop()
            raise BuilderError(_NO_START.format(error)) from error
        if not ready:
            self.stop()
            raise BuilderError(_NO_START.format("they end at once"))
        self._socket.setblocking(False)

    async def ask(self, content: Content, seconds: float) -> tuple[bool, Any]:
        """(True, result), or (False, traceback text) where the work itself raised."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._socket, self._read)
        self._answer = self._loop.create_future()
        try:
            async with asyncio.timeout(seconds):
                # The worker waits for it, so that there is always room for it in the socket.
                self._socket.send(QUESTION.pack(*self._hand_over(content)))
                answer: tuple[bool, Any] = pickle.loads(await self._answer)
        except TimeoutError as error:
            raise WorkerLost(f"not done after {seconds:.0f} s") from error
        except (OSError, EOFError) as error:
            await asyncio.to_thread(self._process.join, 5)
            raise WorkerLost(f"its worker died (exit code {self._process.exitcode})") from error
        if isinstance(content, bytes | memoryview) and len(content) > KEPT_BYTES:
            os.ftruncate(self._own, KEPT_BYTES)
        return answer

    def _hand_over(self, content: Content) -> tuple[int, int]:
        """Let the worker see `content`: where it is, and its length."""
        if isinstance(content, Slot):
            return content.offset, len(content.view)
        if len(content) <= KEPT_BYTES:
            self._memory[: len(content)] = content
            return OWN, len(content)
        written = 0
        while written < len(content):
            written += os.pwrite(self._own, memoryview(content)[written:], written)
        return OWN, len(content)

    def _read(self) -> None:
        """Called whenever the socket has something, be it its end."""
        try:
            part = self._socket.recv(MEBIBYTE)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            self._stop_reading()
        self._received += part
        answer = self._answer
        if answer is None or answer.done():
            # Nobody waits any more: this worker is being stopped.
            return
        if not part:
            answer.set_exception(EOFError())
        elif len(self._received) == LENGTH_BYTES + int.from_bytes(self._received[:LENGTH_BYTES]):
            answer.set_result(self._received[LENGTH_BYTES:])
            self._received = b""

    def _stop_reading(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket)

    def kill(self) -> None:
        """End the process, whatever it is doing; whoever waits for its answer learns it from the socket."""
        self._process.kill()
        self._process.join()

    def stop(self) -> None:
        """End the process and let go of what is shared with it; nobody may be waiting for an answer."""
        if self._process.pid is not None:
            self.kill()
        self._stop_reading()
        self._socket.close()
        self._memory.close()
        os.close(self._own)


_NO_START = (
    "worker processes cannot start: {}; is there memory left, and does the program that calls this run under "
    "`if __name__ == '__main__'`?"
)
