"""Memory that workers see too: slots never overlap, and nobody gets one that somebody still looks at."""

from __future__ import annotations

import gc
import mmap
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.executors.shared import PAGE, SharedMemory, Slot

PAGES = 16


@given(st.lists(st.tuples(st.integers(0, 5 * PAGE), st.integers(0, 30)), max_size=60))
def test_slots_never_overlap_and_all_of_it_is_free_again_when_they_are_gone(
    turns: list[tuple[int, int]],
) -> None:
    memory = SharedMemory(PAGES * PAGE, PAGES * PAGE)
    held: list[tuple[Slot, bytes]] = []
    for number, (length, leaver) in enumerate(turns):
        slot = memory.take(length)
        if slot is not None:
            assert slot.offset % PAGE == 0
            assert len(slot.view) == length
            mark = bytes([number]) * length
            slot.view[:] = mark
            held.append((slot, mark))
        elif not held:
            pytest.fail("nothing is held and nothing is free")
        if leaver < len(held):
            del held[leaver]
        del slot
        assert all(bytes(slot.view) == mark for slot, mark in held)
    held.clear()
    whole = memory.take(PAGES * PAGE)
    assert whole is not None
    memory.close()


def test_what_does_not_fit_gets_nothing_until_there_is_room() -> None:
    memory = SharedMemory(4 * PAGE, 3 * PAGE)
    assert memory.take(3 * PAGE + 1) is None
    first, second = memory.take(2 * PAGE + 1), memory.take(0)
    assert first is not None
    assert second is not None
    assert memory.take(1) is None
    del first
    again = memory.take(PAGE)
    assert again is not None
    assert again.offset == 0
    memory.close()


def test_a_slot_is_kept_for_the_thread_that_still_looks_at_it() -> None:
    memory = SharedMemory(PAGE, PAGE)
    slot = memory.take(PAGE)
    assert slot is not None
    slot.view[:] = b"a" * PAGE
    go_on, seen = threading.Event(), []

    def write_slowly(kept: list[Slot]) -> None:
        go_on.wait(60)
        seen.append(bytes(kept[0].view))
        kept.clear()

    thread = threading.Thread(target=write_slowly, args=([slot],))
    thread.start()
    del slot
    gc.collect()
    assert memory.take(PAGE) is None
    go_on.set()
    thread.join()
    assert seen == [b"a" * PAGE]
    assert memory.take(PAGE) is not None
    memory.close()


def test_who_gets_the_descriptor_sees_all_and_can_write_nothing() -> None:
    memory = SharedMemory(2 * PAGE, PAGE)
    slot = memory.take(5)
    assert slot is not None
    slot.view[:] = b"whole"
    other = os.dup(memory.descriptor)
    assert os.pread(other, 5, slot.offset) == b"whole"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(other, b"x", 0)
    with pytest.raises(PermissionError):
        mmap.mmap(other, 2 * PAGE)
    os.close(other)
    memory.close()
