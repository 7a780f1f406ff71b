"""Asking a MediaWiki action API politely: `maxlag`, Retry-After, bounded retries, errors inside HTTP 200."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from imagenet_builder.crawl.politeness import backoff, retry_after_seconds
from imagenet_builder.errors import SourceError

if TYPE_CHECKING:
    import aiohttp

ATTEMPTS = 5
LONGEST_WAIT = 60.0
# Seconds of replication lag beyond which the wiki is to refuse: https://www.mediawiki.org/wiki/Manual:Maxlag_parameter
MAXLAG = 5
# Errors that mean "later", from MediaWiki's own list of API errors.
PASSING_ERRORS = ("maxlag", "ratelimited", "readonly", "internal_api_error_DBConnectionError")


class MediaWikiApi:
    """One wiki's `api.php`.

    `sleep` and `random_number` are the clock's and the generator's stand-ins in tests.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        attempts: int = ATTEMPTS,
        maxlag: int = MAXLAG,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random_number: Callable[[], float] = random.random,
    ) -> None:
        self.endpoint = endpoint
        self._attempts = attempts
        self._maxlag = maxlag
        self._sleep = sleep
        self._random_number = random_number

    async def ask(
        self, session: aiohttp.ClientSession, parameters: Mapping[str, str | int]
    ) -> dict[str, Any]:
        """The API's answer to `parameters`, as JSON (formatversion 2).

        Raises SourceError for an error that waiting does not cure, or when the attempts are used up.
        """
        asked = {**parameters, "format": "json", "formatversion": 2, "maxlag": self._maxlag}
        trouble, wait = "", 0.0
        for attempt in range(1, self._attempts + 1):
            answer, trouble, wait = await self._once(session, asked)
            if answer is not None:
                return answer
            if wait > LONGEST_WAIT:
                trouble = f"{trouble}, and asks to come back in {wait:.0f} s"
                break
            if attempt < self._attempts:
                await self._sleep(max(wait, backoff(attempt, self._random_number())))
        raise SourceError(f"{self.endpoint} does not answer: {trouble}; run the command again later")

    async def _once(
        self, session: aiohttp.ClientSession, parameters: Mapping[str, str | int]
    ) -> tuple[dict[str, Any] | None, str, float]:
        """An answer; or None with what passing trouble there was and the seconds to wait."""
        import aiohttp

        try:
            async with session.get(self.endpoint, params=parameters) as response:
                wait = retry_after_seconds(response.headers.get("Retry-After"))
                if response.status == 429 or response.status >= 500:
                    return None, f"HTTP {response.status}", wait
                if response.status != 200:
                    raise SourceError(
                        f"{self.endpoint} refused the search: HTTP {response.status}; is it the wiki's api.php?"
                    )
                answer = await response.json(content_type=None)
        except TimeoutError:
            return None, "no answer in time", 0.0
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            return None, str(error) or type(error).__name__, 0.0
        except (aiohttp.ClientError, ValueError) as error:
            raise SourceError(f"{self.endpoint} is not a MediaWiki API: {error}") from error
        if not isinstance(answer, dict):
            raise SourceError(f"{self.endpoint} is not a MediaWiki API: its answer is not an object")
        problem = answer.get("error")
        if problem is None:
            return answer, "", 0.0
        code, words = str(problem.get("code", "")), " ".join(str(problem.get("info", "")).split())
        if code in PASSING_ERRORS:
            return None, f"{code}: {words}", wait
        raise SourceError(f"{self.endpoint} refused the search: {code}: {words}")
