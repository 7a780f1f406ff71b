"""What search tells fetching while both go on."""

from __future__ import annotations

import asyncio


class Arrivals:
    """How many usable candidates the search has recorded so far, and whether more may come; for one event loop."""

    def __init__(self) -> None:
        self.count = 0
        self.is_over = False
        self._news = asyncio.Event()

    def add(self, count: int) -> None:
        """Tell that `count` candidates are committed and wait to be fetched."""
        if count:
            self.count += count
            self._news.set()

    def end(self) -> None:
        """Tell that no more will come."""
        self.is_over = True
        self._news.set()

    def wake(self) -> None:
        """End the waiting, whether or not something came."""
        self._news.set()

    async def wait(self) -> None:
        """Wait until something came since the last call, or none will any more."""
        await self._news.wait()
        self._news.clear()
