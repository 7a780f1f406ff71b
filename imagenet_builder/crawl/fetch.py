"""Fetching one picture: what was downloaded, or a named reason why not. Nothing here raises for a bad server."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType

from yarl import URL

from imagenet_builder.config import CrawlSettings
from imagenet_builder.executors.shared import SharedMemory
from imagenet_builder.records import Failed, Reason, Rejected
from imagenet_builder.sources import FileSource, Source
from imagenet_builder.store.crawl import PendingCandidate

from .addresses import AddressGuard, ForbiddenAddress
from .answers import read_file
from .asking import Asker
from .download import NO_CONDITIONS, Download, Elsewhere, Stopped, conditions_of
from .permission import ROBOTS_BYTES, KnownRobots, Robots, RobotsFile, RobotsState
from .politeness import LONGEST_PAUSE, Host, HostPaused, Hosts, backoff
from .urls import parse_url

MOST_REDIRECTS = 5
# After enough of these in a row a host counts as down.
SIGNS_OF_ILLNESS = (Reason.UNREACHABLE, Reason.TIMEOUT, Reason.INTERRUPTED, Reason.SERVER_ERROR)
# A name in DNS (as ASCII), an IPv4 address, or an IPv6 address without its brackets.
_HOST = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?")


class Fetcher:
    """Fetches candidates over HTTP, host by host, and the files that a FileSource vouches for.

    Used as an async context manager, within one event loop. Setting `stopping` lets no request begin any more.
    `hosts` and `robots` keep what is learnt of sites for fetchers that come after one another. Redirects of pictures to
    a URL that `owns` denies are not followed. Contents are received in `memory`, where that is given and they fit.
    """

    def __init__(
        self,
        settings: CrawlSettings,
        agent: str,
        sources: Mapping[str, Source],
        *,
        accept: str = "image/*",
        hosts: Hosts | None = None,
        robots: KnownRobots | None = None,
        owns: Callable[[str], bool] | None = None,
        memory: SharedMemory | None = None,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._owns = owns or (lambda url: True)
        self._guard = AddressGuard(settings.allow_addresses)
        self._robots = Robots(self._fetch_robots, robots)
        self._connections = asyncio.Semaphore(settings.connections)
        if hosts is None:
            hosts = Hosts(settings.per_host, settings.host_delay, clock=asyncio.get_running_loop().time)
        self._hosts = hosts
        # Pictures are compressed already; a coding could only be a bomb.
        headers = {"User-Agent": agent, "Accept": accept, "Accept-Encoding": "identity"}
        self._asker = Asker(settings, self._guard.resolve, headers, memory)
        self.stopping = False

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._asker.close()
        self._guard.close()

    async def fetch(self, candidate: PendingCandidate) -> Download:
        """Download a candidate's picture, trying again where that may help.

        Raises Stopped when `stopping`, and Elsewhere where a redirect leads to another owner's host.
        Call `let_next` once the content was inspected, and `release` once it is stored.
        """
        if candidate.url.startswith("file:"):
            source = self._sources.get(candidate.source)
            path = source.file(candidate.url) if isinstance(source, FileSource) else None
            return await self._in_turn(lambda: self._read(path))
        download = await self._with_retries(
            candidate.url,
            self._settings.max_bytes,
            for_robots=False,
            redirects=candidate.redirects,
            attempt=candidate.attempts + 1,
            conditions=conditions_of(candidate.known),
        )
        if download.location is None:
            return download
        raise Elsewhere(
            dataclasses.replace(
                candidate,
                url=download.location,
                redirects=download.redirects,
                attempts=download.attempts - 1,
            )
        )

    async def fetch_page(self, url: str, most_bytes: int) -> Download:
        """Download what is at `url`, within robots.txt as for a picture; `address` is where it was found."""
        download = await self._with_retries(url, most_bytes, for_robots=False)
        self._let_go(download)
        return download

    async def _with_retries(
        self,
        url: str,
        most_bytes: int,
        *,
        for_robots: bool,
        redirects: int = 0,
        attempt: int = 1,
        conditions: Mapping[str, str] = NO_CONDITIONS,
    ) -> Download:
        while True:
            download = await self._follow(url, most_bytes, redirects, conditions, for_robots=for_robots)
            refusal = download.refusal
            worth_it = (
                isinstance(refusal, Failed)
                and refusal.retryable
                # Asked for once a run: it fails again at once. A long pause does not end within the run.
                and download.robots != RobotsState.UNREACHABLE
                and self._pause(url) <= LONGEST_PAUSE
            )
            if not worth_it or attempt >= self._settings.attempts:
                return download if attempt == 1 else dataclasses.replace(download, attempts=attempt)
            await asyncio.sleep(backoff(attempt, random.random()))
            attempt += 1

    def _pause(self, url: str) -> float:
        address = URL(url)
        return self._hosts[f"{address.raw_host}:{address.port}"].pause

    async def _follow(
        self, url: str, most_bytes: int, redirects: int, conditions: Mapping[str, str], *, for_robots: bool
    ) -> Download:
        """One attempt: over redirects, each of which is judged as if it had been proposed itself.

        `redirects` were followed before. A `location` in what is returned has another owner.
        """
        for number in range(redirects, MOST_REDIRECTS + 1):
            try:
                address = parse_url(url)
                if address.scheme not in ("http", "https") or not address.port:
                    raise ValueError("not an http or https address")
                if not _HOST.fullmatch(address.raw_host or ""):
                    raise ValueError(f"{address.raw_host!r} cannot be a host")
            except (ValueError, UnicodeError) as error:
                return Download(refusal=Failed(Reason.BAD_URL, False, f"{url[:200]}: {error}"))
            # A robots.txt is asked for once a run, wherever its site keeps it.
            if number and not for_robots and not self._owns(url):
                return Download(location=url, redirects=number)
            download = await self._hop(address, most_bytes, conditions, for_robots=for_robots)
            if download.location is None:
                return download
            try:
                url = str(address.join(parse_url(download.location)))
            except ValueError as error:
                return Download(refusal=Failed(Reason.BAD_URL, False, f"redirect: {error}"))
        return Download(refusal=Failed(Reason.TOO_MANY_REDIRECTS, False, f"over {MOST_REDIRECTS}"))

    async def _hop(
        self, address: URL, most_bytes: int, conditions: Mapping[str, str], *, for_robots: bool
    ) -> Download:
        host, port = str(address.raw_host), int(address.port or 0)
        try:
            self._guard.check_literal(host, port)
        except ForbiddenAddress as error:
            return Download(refusal=Failed(Reason.FORBIDDEN_ADDRESS, False, str(error)))
        robots: str | None = None
        there = self._hosts[f"{host}:{port}"]
        if not for_robots:
            origin = str(address.origin())
            state, failure = await self._robots.judge(origin, str(address))
            robots = state.value
            if failure is not None:
                failure = dataclasses.replace(failure, detail=f"robots.txt: {failure.detail}")
                return Download(refusal=failure, robots=robots)
            if state is RobotsState.DISALLOWED:
                return Download(refusal=Rejected(Reason.ROBOTS, origin), robots=robots)
            there.keep_apart(self._robots.crawl_delay(origin))
        try:
            async with there.turn():
                download = await self._in_turn(
                    lambda: self._asker.ask(address, there, most_bytes, conditions, robots, cut=for_robots)
                )
                _note_health(there, download)
                return download
        except HostPaused as error:
            reason = Reason.HOST_DOWN if error.down else Reason.RATE_LIMITED
            return Download(refusal=Failed(reason, True, str(error)), robots=robots)

    async def _in_turn(self, get: Callable[[], Awaitable[Download]]) -> Download:
        """What `get` gives once a connection is free. A download with content keeps it: see `let_next`."""
        await self._connections.acquire()
        kept = False
        try:
            if self.stopping:
                raise Stopped
            download = await get()
            kept = download.content is not None
        finally:
            if not kept:
                self._connections.release()
        return download

    async def _read(self, path: Path | None) -> Download:
        found = await asyncio.to_thread(read_file, path, self._settings.max_bytes)
        return Download(content=found) if isinstance(found, bytes) else Download(refusal=found)

    @property
    def hosts(self) -> Hosts:
        """The hosts met so far."""
        return self._hosts

    @property
    def bytes_in_flight(self) -> int:
        """Bytes that downloads hold now."""
        return self._asker.room.taken

    def let_next(self, download: Download) -> None:
        """Let another begin in place of a download: fetching must not run far ahead of inspection."""
        if download.content is not None:
            self._connections.release()

    def release(self, download: Download) -> None:
        """Let go of the room that a download's bytes take: call it when they are no longer needed."""
        self._asker.room.give_back(download.reserved)

    def _let_go(self, download: Download) -> None:
        self.let_next(download)
        self.release(download)

    async def _fetch_robots(self, url: str) -> RobotsFile:
        download = await self._with_retries(url, ROBOTS_BYTES, for_robots=True)
        self._let_go(download)
        if download.content is not None:
            return RobotsFile(bytes(download.content).decode("utf-8-sig", "replace"))
        unavailable = (Reason.NOT_FOUND, Reason.REFUSED, Reason.TOO_MANY_REDIRECTS)
        if isinstance(download.refusal, Failed) and download.refusal.reason not in unavailable:
            return RobotsFile(failure=download.refusal)
        return RobotsFile()


def _note_health(host: Host, download: Download) -> None:
    refusal = download.refusal
    if isinstance(refusal, Failed) and refusal.reason in SIGNS_OF_ILLNESS:
        host.failed()
    elif download.http_status is not None:
        host.answered()
