"""The pool of worker processes: results, deaths, hangs, and no orphans."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagenet_builder.crawl.inspect import inspect
from imagenet_builder.crawl.limits import Limits
from imagenet_builder.executors.local import ProcessPool, WorkerLost
from imagenet_builder.executors.shared import SharedMemory
from imagenet_builder.executors.worker import KEPT_BYTES, MEBIBYTE
from imagenet_builder.records import Inspected, Reason, Rejected
from tests.mediawiki_server import picture


def obey(shared: bytes | memoryview) -> str:
    """Does what its content says: what a decoder might do."""
    content = bytes(shared)
    order, _, argument = content.decode().partition(" ")
    if order == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif order == "exit":
        os._exit(3)
    elif order == "hang":
        time.sleep(600)
    elif order == "raise":
        raise ValueError(argument)
    elif order == "grow":
        return str(len(bytearray(int(argument) * MEBIBYTE)))
    elif order == "length":
        return "x" * int(argument.rstrip())
    elif order == "digest":
        return hashlib.sha256(content).hexdigest()
    elif order == "threads":
        return str(sum(1 for _ in Path("/proc/self/task").iterdir()))
    elif order == "pid":
        return str(os.getpid())
    return argument


async def test_many_calls_give_their_own_results() -> None:
    with ProcessPool(obey, workers=2) as pool:
        answers = await asyncio.gather(*(pool.run(f"say {number}".encode()) for number in range(200)))
    assert answers == [str(number) for number in range(200)]


async def test_contents_and_answers_of_any_length_come_over_whole() -> None:
    lengths = [0, 1, 3 * KEPT_BYTES, 10, KEPT_BYTES, KEPT_BYTES + 1, 5]
    contents = [b"digest " + os.urandom(1).hex().encode() * length for length in lengths]
    with ProcessPool(obey, workers=1) as pool:
        for content in contents:
            assert await pool.run(content) == hashlib.sha256(content).hexdigest()
        assert await pool.run(b"length 5000000") == "x" * 5_000_000


async def test_shared_memory_reaches_every_worker_as_it_is_then() -> None:
    memory = SharedMemory(8 * MEBIBYTE, 8 * MEBIBYTE)
    first, second = memory.take(10), memory.take(5 * MEBIBYTE)
    assert first is not None
    assert second is not None
    with ProcessPool(obey, workers=2, shared=memory) as pool:
        for turn in range(3):
            first.view[:] = b"say what %d" % turn
            second.view[:] = b"digest ".ljust(5 * MEBIBYTE, b"%d" % turn)
            answers = await asyncio.gather(
                *(pool.run(content) for content in (first, second, b"say own") * 4)
            )
            assert answers == [f"what {turn}", hashlib.sha256(second.view).hexdigest(), "own"] * 4
    memory.close()


async def test_a_call_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    with ProcessPool(obey, workers=1) as pool:
        hanging = asyncio.create_task(pool.run(b"hang"))
        waiting = asyncio.create_task(pool.run(b"say next"))
        await asyncio.sleep(0.2)
        hanging.cancel()
        assert await waiting == "next"


async def test_a_worker_has_one_thread_and_this_process_keeps_its_environment() -> None:
    before = dict(os.environ)
    with ProcessPool(obey, workers=4, preload=("numpy",)) as pool:
        assert await asyncio.gather(*(pool.run(b"threads") for _ in range(4))) == ["1"] * 4
    assert dict(os.environ) == before


async def test_a_worker_that_dies_takes_only_its_own_call_along() -> None:
    with ProcessPool(obey, workers=2) as pool:
        orders = [b"die" if number % 5 == 0 else f"say {number}".encode() for number in range(20)]
        answers = await asyncio.gather(*(pool.run(order) for order in orders), return_exceptions=True)
        assert await pool.run(b"say still here") == "still here"
    for number, answer in enumerate(answers):
        if number % 5 == 0:
            assert isinstance(answer, WorkerLost)
            assert "exit code -11" in str(answer)
        else:
            assert answer == str(number)


async def test_a_worker_that_died_while_it_was_idle_costs_the_next_call_only() -> None:
    with ProcessPool(obey, workers=1) as pool:
        pid = int(await pool.run(b"pid"))
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(wait_for_the_end_of, {pid})
        with pytest.raises(WorkerLost, match="exit code -9"):
            await pool.run(b"say lost")
        assert await pool.run(b"say on") == "on"


async def test_a_call_that_hangs_is_ended_and_its_worker_replaced() -> None:
    with ProcessPool(obey, workers=1, seconds=0.5) as pool:
        with pytest.raises(WorkerLost, match=r"not done after 0 s|not done after 1 s"):
            await pool.run(b"hang")
        assert await pool.run(b"say on") == "on"


async def test_an_error_in_the_work_is_a_defect_with_its_traceback() -> None:
    with ProcessPool(obey, workers=1) as pool:
        with pytest.raises(RuntimeError, match="ValueError: broken"):
            await pool.run(b"raise broken")
        assert await pool.run(b"say on") == "on"


async def test_a_worker_may_not_take_more_memory_than_it_is_given() -> None:
    with ProcessPool(obey, workers=1, memory=64 * MEBIBYTE) as pool:
        assert await pool.run(b"grow 16") == str(16 * MEBIBYTE)
        with pytest.raises(RuntimeError, match="MemoryError"):
            await pool.run(b"grow 1024")
        assert await pool.run(b"say on") == "on"


async def test_closing_ends_even_a_worker_that_hangs() -> None:
    pool: ProcessPool[str] = ProcessPool(obey, workers=1)
    pid = int(await pool.run(b"pid"))
    hanging = asyncio.create_task(pool.run(b"hang"))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(pool.close)
    with pytest.raises((WorkerLost, asyncio.CancelledError)):
        await hanging
    assert not Path(f"/proc/{pid}").exists()


async def test_inspection_in_a_worker_gives_what_inspection_here_gives() -> None:
    limits = Limits()
    contents = [picture(1), picture(2)[:5000], b"", b"<html>", picture(3, 50, 50)]
    with ProcessPool(limits.inspect, workers=2) as pool:
        found = await asyncio.gather(*(pool.run(content) for content in contents))
    assert found == [inspect(content, limits) for content in contents]
    assert isinstance(found[0], Inspected)
    assert isinstance(found[1], Rejected)
    assert found[1].reason is Reason.DAMAGED


def test_workers_end_when_the_process_that_uses_them_is_killed() -> None:
    code = (
        "import asyncio\n"
        "from imagenet_builder.executors.local import ProcessPool\n"
        "from tests.integration.test_crawl_process_pool import obey\n"
        "async def main():\n"
        "    pool = ProcessPool(obey, workers=2)\n"
        "    print(*await asyncio.gather(pool.run(b'pid'), pool.run(b'pid')), flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root
    ) as program:
        assert program.stdout is not None
        pids = {int(word) for word in program.stdout.readline().split()}
        program.kill()
    assert pids
    wait_for_the_end_of(pids)


def wait_for_the_end_of(pids: set[int]) -> None:
    deadline = time.monotonic() + 30
    while any(_is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"{pids} did not end"
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
