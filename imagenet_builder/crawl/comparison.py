"""Comparing what was inspected with what is not wanted, in an event loop."""

from __future__ import annotations

import asyncio

from imagenet_builder.records import Inspected, Rejected
from imagenet_builder.unwanted import Unwanted

# Pictures that come within so many seconds of each other are compared together.
TOGETHER_SECONDS = 0.02


class Comparison:
    """Asks `unwanted` about pictures, those of about the same time together."""

    def __init__(self, unwanted: Unwanted) -> None:
        self._unwanted = unwanted
        self._waiting: list[tuple[Inspected, asyncio.Future[Rejected | None]]] = []

    async def refuse(self, image: Inspected) -> Rejected | None:
        """Why `image` is not stored; None if it may be."""
        if not self._unwanted.compares:
            return self._unwanted.refuse([image])[0]
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Rejected | None] = loop.create_future()
        if not self._waiting:
            loop.call_later(TOGETHER_SECONDS, self._compare)
        self._waiting.append((image, answer))
        return await answer

    def _compare(self) -> None:
        waiting, self._waiting = self._waiting, []
        asking = [(image, answer) for image, answer in waiting if not answer.done()]
        try:
            refusals = self._unwanted.refuse([image for image, _ in asking])
        except Exception as error:  # noqa: BLE001  Whoever waits for an answer raises it, and so ends the run.
            for _, answer in asking:
                answer.set_exception(error)
            return
        for (_, answer), refusal in zip(asking, refusals, strict=True):
            answer.set_result(refusal)
