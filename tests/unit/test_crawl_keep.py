"""Batches of pictures on their way into the image store."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from imagenet_builder.crawl.keep import GATHER_BYTES, Keeper
from imagenet_builder.errors import ImageStoreError
from imagenet_builder.executors.shared import PAGE, SharedMemory
from imagenet_builder.images import ImageStore, open_image_store


class CountingStore(ImageStore):
    """A real folder that counts how often it is written to."""

    batches: list[int]

    def put_all(self, contents: Mapping[str, bytes | memoryview]) -> None:
        self.batches.append(len(contents))
        super().put_all(contents)


def open_counting(folder: Path) -> CountingStore:
    images = open_image_store("images", relative_to=folder)
    images.__class__ = CountingStore
    assert isinstance(images, CountingStore)
    images.batches = []
    return images


def named(content: bytes) -> tuple[str, bytes]:
    return hashlib.sha256(content).hexdigest(), content


async def test_what_comes_together_is_written_together_and_is_there_afterwards(tmp_path: Path) -> None:
    images = open_counting(tmp_path)
    keeper = Keeper(images)
    contents = [named(b"picture %d" % number) for number in range(40)]
    await asyncio.gather(*(keeper.put(*content) for content in contents))
    assert images.batches == [40]
    for sha256, content in contents:
        assert images.get(sha256) == content


async def test_enough_bytes_are_written_without_waiting_for_more(tmp_path: Path) -> None:
    images = open_counting(tmp_path)
    keeper = Keeper(images)
    contents = [named(bytes([number]) * (GATHER_BYTES // 4)) for number in range(10)]
    await asyncio.gather(*(keeper.put(*content) for content in contents))
    assert sorted(images.batches) == [2, 4, 4]
    assert set(images) == {sha256 for sha256, _ in contents}


async def test_a_store_that_fails_fails_every_picture_of_the_batch_and_not_the_next_batch(
    tmp_path: Path,
) -> None:
    images = open_image_store("images", relative_to=tmp_path)
    (tmp_path / "images").rmdir()
    (tmp_path / "images").write_text("not a folder")
    keeper = Keeper(images)
    found = await asyncio.gather(
        *(keeper.put(*named(b"%d" % number)) for number in range(3)), return_exceptions=True
    )
    assert [type(error) for error in found] == [ImageStoreError] * 3
    (tmp_path / "images").unlink()
    sha256, content = named(b"later")
    await keeper.put(sha256, content)
    assert images.get(sha256) == content


async def test_one_that_is_cancelled_takes_nothing_from_the_others(tmp_path: Path) -> None:
    images = open_image_store("images", relative_to=tmp_path)
    keeper = Keeper(images)
    first, second = named(b"first"), named(b"second")
    cancelled = asyncio.create_task(keeper.put(*first))
    kept = asyncio.create_task(keeper.put(*second))
    await asyncio.sleep(0)
    cancelled.cancel()
    await kept
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert images.get(second[0]) == b"second"


async def test_memory_is_kept_for_a_write_that_goes_on_after_its_call_was_cancelled(tmp_path: Path) -> None:
    images = open_image_store("images", relative_to=tmp_path)
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    class SlowStore(ImageStore):
        def put_all(self, contents: Mapping[str, bytes | memoryview]) -> None:
            begun.set()
            go_on.wait(60)
            super().put_all(contents)
            ended.set()

    images.__class__ = SlowStore
    memory = SharedMemory(PAGE, PAGE)
    sha256, content = named(b"picture")
    slot = memory.take(len(content))
    assert slot is not None
    slot.view[:] = content
    putting = asyncio.create_task(Keeper(images).put(sha256, slot.view, slot))
    del slot
    await asyncio.to_thread(begun.wait, 60)
    # As at the end of a run: every task is cancelled, and the thread goes on.
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    del putting, task
    await asyncio.sleep(0)
    assert memory.take(1) is None
    go_on.set()
    await asyncio.to_thread(ended.wait, 60)
    assert images.get(sha256) == content
    deadline = asyncio.get_running_loop().time() + 60
    # A call that was cancelled is in a circle with its error.
    gc.collect()
    while memory.take(1) is None:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
        gc.collect()
