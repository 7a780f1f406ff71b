"""The worker site as a program sees it: sign in, take a page, look at its pictures, submit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from .answers import compose
from .errors import SimulationError
from .model import PageAnswers

if TYPE_CHECKING:
    from aiohttp import ClientSession

REQUEST_TIMEOUT_SECONDS = 60
# As many as a browser opens.
CONNECTIONS_PER_HOST = 6
# How often in a row an offered HIT may be gone before it is accepted: beyond that the site is wrong, not busy.
MAX_REFUSALS = 100
LONGEST_WAIT_SECONDS = 60


class Visit:
    """One worker's browser: its session cookie and the pages of the site that it uses.

    Every method raises SimulationError when the site is not reached or behaves otherwise than its contract.
    """

    def __init__(self, session: ClientSession, invitation_url: str) -> None:
        self._session = session
        self._invitation_url = invitation_url

    @classmethod
    @asynccontextmanager
    async def of(cls, invitation_url: str) -> AsyncIterator[Visit]:
        """A visit by the worker to whom this link was sent; its connections end with the block."""
        import aiohttp

        session = aiohttp.ClientSession(
            # Sites on an address without a name have cookies too.
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
            connector=aiohttp.TCPConnector(limit_per_host=CONNECTIONS_PER_HOST),
        )
        async with session:
            yield cls(session, invitation_url)

    async def sign_in(self) -> None:
        """Follow the invitation and consent; the session's cookie is kept."""
        form = _elements(await self.read(self._invitation_url))
        await self.read(self._invitation_url, {"csrf": _csrf(form), "consent": "yes"})

    async def take_page(self, choice: random.Random) -> str | None:
        """Accept a HIT, or go on with one in hand, and return its frame's address; None when none is offered."""
        for _ in range(MAX_REFUSALS):
            listed = _elements(await self.read(self._address("/hits")))
            in_hand = [found["data-assignment-id"] for found in listed if found.get("data-assignment-id")]
            if in_hand:
                frame_url = _frame_url(await self.read(self._address(f"/assignments/{in_hand[0]}")))
                if frame_url is not None:
                    return frame_url
                continue
            offered = [found["data-hit-id"] for found in listed if found.get("data-hit-id")]
            if not offered:
                return None
            status, page = await self._fetch(
                self._address(f"/hits/{choice.choice(offered)}/accept"), {"csrf": _csrf(listed)}
            )
            if status == 200:
                frame_url = _frame_url(page)
                if frame_url is not None:
                    return frame_url
            elif status != 409:
                raise SimulationError(f"the worker site refused to give a HIT (HTTP {status})")
        raise SimulationError(f"the worker site offered {MAX_REFUSALS} HITs and gave none")

    async def loads(self, picture_url: str) -> bool:
        """Whether a picture can be fetched."""
        import aiohttp

        try:
            async with self._session.get(picture_url) as response:
                return response.status == 200 and len(await response.read()) > 0
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def submit(self, frame_url: str, answers: PageAnswers) -> bool:
        """Send the answers as the page's form does; False when the assignment's time was over."""
        query = parse_qs(urlsplit(frame_url).query)
        target = query["turkSubmitTo"][0].rstrip("/") + "/mturk/externalSubmit"
        status, _ = await self._fetch(target, {"assignmentId": query["assignmentId"][0], **compose(answers)})
        if status not in {200, 409}:
            raise SimulationError(f"the worker site did not take an answer (HTTP {status})")
        return status == 200

    async def read(self, url: str, form: Mapping[str, str] | None = None) -> str:
        """The page at `url`, or the answer to a form sent there."""
        status, text = await self._fetch(url, form)
        if status != 200:
            # The first part of the path only: what follows may be an invitation's secret.
            place = urlsplit(url).path.split("/")[1]
            raise SimulationError(f"the worker site answered HTTP {status} for /{place}")
        return text

    async def _fetch(self, url: str, form: Mapping[str, str] | None = None) -> tuple[int, str]:
        import aiohttp

        try:
            while True:
                method = "GET" if form is None else "POST"
                async with self._session.request(method, url, data=form) as response:
                    if response.status != 429:
                        return response.status, await response.text()
                    wait = response.headers.get("Retry-After", "")
                # As a person who is told to wait.
                await asyncio.sleep(min(int(wait) if wait.isdecimal() else 1, LONGEST_WAIT_SECONDS))
        except (aiohttp.ClientError, TimeoutError) as error:
            parts = urlsplit(url)
            raise SimulationError(
                f"the worker site {parts.scheme}://{parts.netloc} does not answer "
                f"({type(error).__name__}); start it with `imagenet-builder marketplace serve`"
            ) from error

    def _address(self, path: str) -> str:
        return self._invitation_url.rpartition("/invitation/")[0] + path


class _Elements(HTMLParser):
    """Every element's attributes, in the order of the document."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append({name: value or "" for name, value in attrs})


def _elements(page: str) -> list[dict[str, str]]:
    parser = _Elements()
    parser.feed(page)
    return parser.found


def _frame_url(page: str) -> str | None:
    """The address of an assignment's question; None once it is no longer held."""
    for found in _elements(page):
        if found.get("id") == "question" and found.get("src"):
            return found["src"]
    return None


def _csrf(elements: Sequence[Mapping[str, str]]) -> str:
    for found in elements:
        if found.get("name") == "csrf":
            return found.get("value", "")
    raise SimulationError("a page of the worker site has no form to answer with")
