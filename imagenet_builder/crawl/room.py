"""Room for bytes: downloads in memory take it before they are read, and give it back when they are done with."""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """`size` bytes in all, in one event loop. Who waits is served in turn; one larger than all of it goes alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """Bytes that are taken now."""
        return self._taken

    def take_now(self, count: int) -> bool:
        """Take `count` bytes if they fit and nobody waits."""
        if self._waiting or not self._fits(count):
            return False
        self._taken += count
        return True

    async def take(self, count: int) -> None:
        """Wait until `count` bytes fit, and take them."""
        if self.take_now(count):
            return
        served = asyncio.get_running_loop().create_future()
        self._waiting.append((count, served))
        try:
            await served
        except asyncio.CancelledError:
            if served.cancelled():
                # Those behind it may fit now.
                self._serve()
            else:
                self.give_back(count)
            raise

    def give_back(self, count: int) -> None:
        """Give `count` bytes back."""
        self._taken -= count
        self._serve()

    def _fits(self, count: int) -> bool:
        return self._taken + count <= self._size or self._taken == 0

    def _serve(self) -> None:
        while self._waiting:
            count, served = self._waiting[0]
            if not served.cancelled():
                if not self._fits(count):
                    return
                self._taken += count
                served.set_result(None)
            self._waiting.popleft()
