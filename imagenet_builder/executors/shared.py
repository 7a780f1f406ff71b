"""Memory that worker processes see too: what is received into it reaches them, and a disk, without being copied."""

from __future__ import annotations

import bisect
import mmap
import os
from collections import deque

MEBIBYTE = 2**20
PAGE = mmap.PAGESIZE


class Slot:
    """A stretch of shared memory: `view` begins with a page. It is free again once nothing refers to the slot.

    So neither a call that was cancelled nor a write that goes on in its thread can be given another's bytes.
    """

    __slots__ = ("_freed", "_taken", "offset", "view")

    def __init__(self, offset: int, taken: int, view: memoryview, freed: deque[tuple[int, int]]) -> None:
        self.offset = offset
        self.view = view
        self._taken = taken
        self._freed = freed

    def __del__(self) -> None:
        # In whatever thread let it go last: appending to a deque is atomic.
        self._freed.append((self.offset, self._taken))


class SharedMemory:
    """`size` bytes, of which only what was used takes memory; `most` is the longest slot. For one thread.

    `descriptor` is for who may only read it.
    """

    def __init__(self, size: int, most: int) -> None:
        self.size = size
        self._most = most
        writable = os.memfd_create("contents")
        try:
            os.ftruncate(writable, size)
            self._view = memoryview(mmap.mmap(writable, size))
            self.descriptor = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(writable)
        # Offset and length of what is free, by offset; neighbours are joined.
        self._free = [(0, size)]
        self._freed: deque[tuple[int, int]] = deque()

    def take(self, length: int) -> Slot | None:
        """A slot of `length` bytes, as far to the beginning as can be; None if it does not fit."""
        while self._freed:
            self._join(*self._freed.popleft())
        wanted = max(1, -(-length // PAGE)) * PAGE
        if length > self._most:
            return None
        for place, (offset, free) in enumerate(self._free):
            if free >= wanted:
                if free == wanted:
                    del self._free[place]
                else:
                    self._free[place] = (offset + wanted, free - wanted)
                return Slot(offset, wanted, self._view[offset : offset + length], self._freed)
        return None

    def close(self) -> None:
        """Let nobody have it any more who has not got it; slots stay what they are."""
        os.close(self.descriptor)

    def _join(self, offset: int, length: int) -> None:
        place = bisect.bisect(self._free, (offset, 0))
        if place < len(self._free) and self._free[place][0] == offset + length:
            length += self._free.pop(place)[1]
        if place and sum(self._free[place - 1]) == offset:
            before, other = self._free[place - 1]
            self._free[place - 1] = (before, other + length)
        else:
            self._free.insert(place, (offset, length))
