"""Bytes on their way into the image store: those that come at about the same time are written together."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from imagenet_builder.executors.shared import Slot
from imagenet_builder.images import ImageStore

# A call into a thread costs more than writing a small picture; so does waking the thread that runs the loop.
GATHER_SECONDS = 0.05
GATHER_BYTES = 8_000_000


@dataclass(slots=True)
class _Batch:
    contents: dict[str, bytes | memoryview] = field(default_factory=dict)
    # What keeps the contents' memory: for as long as the batch is being written, whoever is cancelled meanwhile.
    slots: list[Slot | None] = field(default_factory=list)
    byte_count: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    writing: asyncio.Task[None] | None = None


class Keeper:
    """Puts contents into `images`, in batches of GATHER_BYTES or of what comes within GATHER_SECONDS."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._open: _Batch | None = None

    async def put(self, sha256: str, content: bytes | memoryview, slot: Slot | None = None) -> None:
        """Store `content`, whose SHA-256 the caller knows; it is durable when this returns. `slot` keeps its memory.

        Raises ImageStoreError. Cancelling this does not keep `content` from being stored.
        """
        batch = self._open
        if batch is None:
            batch = self._open = _Batch()
            batch.writing = asyncio.create_task(self._write(batch))
        batch.contents[sha256] = content
        batch.slots.append(slot)
        batch.byte_count += len(content)
        if batch.byte_count >= GATHER_BYTES:
            self._open = None
            batch.enough.set()
        assert batch.writing is not None
        await asyncio.shield(batch.writing)

    async def _write(self, batch: _Batch) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(batch.enough.wait(), GATHER_SECONDS)
        if self._open is batch:
            self._open = None
        await asyncio.to_thread(self._put_all, batch)

    def _put_all(self, batch: _Batch) -> None:
        self._images.put_all(batch.contents)
