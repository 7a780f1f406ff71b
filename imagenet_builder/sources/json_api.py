"""Asking a documented JSON API politely: an interval between requests, Retry-After, bounded retries.

No error quotes a key.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from imagenet_builder.crawl.politeness import backoff, retry_after_seconds
from imagenet_builder.errors import SourceError

if TYPE_CHECKING:
    import aiohttp

ATTEMPTS = 5
LONGEST_WAIT = 60.0
Parameters = Mapping[str, str | int]


class JsonApi:
    """One service. `interval` is the least number of seconds between the starts of two requests, `most` their number
    in a run.

    `remedy` says what to correct when the service refuses the caller. Parameters and headers, which may hold keys,
    never get into an error. `sleep`, `clock` and `random_number` are stand-ins in tests.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        interval: float,
        remedy: str,
        most: int | None = None,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        random_number: Callable[[], float] = random.random,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.interval = interval
        self._remedy = remedy
        self._left = most
        self._attempts = attempts
        self._sleep = sleep
        self._clock = clock
        self._random_number = random_number
        self._next_start = clock()

    async def get(
        self,
        session: aiohttp.ClientSession,
        path: str,
        parameters: Parameters,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer to a GET of `path` (joined to the endpoint); raises SourceError."""
        return await self._ask(session, "GET", path, {"params": parameters, "headers": headers or {}})

    async def post_form(
        self, session: aiohttp.ClientSession, path: str, form: Mapping[str, str]
    ) -> dict[str, Any]:
        """The answer to a form posted to `path`; raises SourceError."""
        return await self._ask(session, "POST", path, {"data": form})

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, path: str, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        trouble, wait = "", 0.0
        for attempt in range(1, self._attempts + 1):
            await self._wait_for_turn()
            answer, trouble, wait = await self._once(session, method, self.endpoint + path, request)
            if answer is not None:
                return answer
            if wait > LONGEST_WAIT:
                trouble = f"{trouble}, and asks to come back in {wait:.0f} s"
                break
            if attempt < self._attempts:
                await self._sleep(max(wait, backoff(attempt, self._random_number())))
        raise SourceError(f"{self.endpoint} does not answer: {trouble}; run the command again later")

    async def _wait_for_turn(self) -> None:
        if self._left is not None:
            if self._left <= 0:
                raise SourceError(
                    f"{self.endpoint} was asked as often as it allows in a day; run the command again tomorrow"
                )
            self._left -= 1
        now = self._clock()
        start = max(now, self._next_start)
        self._next_start = start + self.interval
        if start > now:
            await self._sleep(start - now)

    async def _once(
        self, session: aiohttp.ClientSession, method: str, url: str, request: Mapping[str, Any]
    ) -> tuple[dict[str, Any] | None, str, float]:
        """An answer; or None with what passing trouble there was and the seconds to wait."""
        import aiohttp

        try:
            # A redirect could carry a key to another host.
            async with session.request(method, url, allow_redirects=False, **request) as response:
                if response.status == 429 or response.status >= 500:
                    wait = retry_after_seconds(response.headers.get("Retry-After"))
                    return None, f"HTTP {response.status}", wait
                if response.status != 200:
                    raise self._refused(response.status, await response.text(errors="replace"))
                answer = await response.json(content_type=None)
        except TimeoutError:
            return None, "no answer in time", 0.0
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            cause = error.os_error.strerror if isinstance(error, aiohttp.ClientConnectorError) else None
            return None, cause or type(error).__name__, 0.0
        except (aiohttp.ClientError, ValueError) as error:
            # Some of these errors quote the whole address, and with it a key.
            raise SourceError(
                f"{self.endpoint} does not answer as its API does: {type(error).__name__}"
            ) from None
        if not isinstance(answer, dict):
            raise SourceError(f"{self.endpoint} does not answer as its API does: no object")
        return answer, "", 0.0

    def _refused(self, status: int, body: str) -> SourceError:
        said = f"HTTP {status}"
        if status in (401, 403):
            return SourceError(f"{self.endpoint} refused the search: {said}; {self._remedy}")
        words = " ".join(body.split())[:200]
        return SourceError(f"{self.endpoint} refused the search: {said}{f': {words}' if words else ''}")


def read_position(continuation: str | None, source: str) -> dict[str, int]:
    """The numbers of a continuation written by `json.dumps`; raises SourceError for anything else."""
    if continuation is None:
        return {}
    try:
        position = json.loads(continuation)
    except ValueError as error:
        raise SourceError(f"the store's continuation of a {source} search is unreadable") from error
    if not isinstance(position, dict) or not all(type(value) is int for value in position.values()):
        raise SourceError(f"the store's continuation of a {source} search is unreadable")
    return position
