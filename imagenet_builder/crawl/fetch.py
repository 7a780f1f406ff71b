"""Fetching one picture: what was downloaded, or a named reason why not. Nothing here raises for a bad server."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType

import aiohttp
from yarl import URL

from imagenet_builder.config import CrawlSettings
from imagenet_builder.records import Failed, Reason, Rejected
from imagenet_builder.sources import FileSource, Source
from imagenet_builder.store.crawl import PendingCandidate

from .addresses import AddressGuard, ForbiddenAddress
from .answers import classified, expected_bytes, one_line, read_body, read_file, refused
from .download import NO_CONDITIONS, Download, Elsewhere, Stopped, conditions_of, is_conditional
from .permission import ROBOTS_BYTES, KnownRobots, Robots, RobotsFile, RobotsState, opt_out
from .politeness import LONGEST_PAUSE, Host, HostPaused, Hosts, backoff, retry_after_seconds
from .room import Room

MOST_REDIRECTS = 5
# After enough of these in a row a host counts as down.
SIGNS_OF_ILLNESS = (Reason.UNREACHABLE, Reason.TIMEOUT, Reason.INTERRUPTED, Reason.SERVER_ERROR)
CONNECT_SECONDS = 10.0
# Idle connections count as open files: of a crawl of many hosts there are this many seconds' worth.
IDLE_SECONDS = 5.0
# A name in DNS (as ASCII), an IPv4 address, or an IPv6 address without its brackets.
_HOST = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?")
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Fetcher:
    """Fetches candidates over HTTP, host by host, and the files that a FileSource vouches for.

    Used as an async context manager, within one event loop. Setting `stopping` lets no request begin any more.
    `hosts` and `robots` keep what is learnt of sites for fetchers that come after one another. Redirects of pictures to
    a URL that `owns` denies are not followed.
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
    ) -> None:
        self._settings = settings
        self._agent = agent
        self._sources = sources
        self._accept = accept
        self._owns = owns or (lambda url: True)
        self._guard = AddressGuard(settings.allow_addresses)
        self._robots = Robots(self._fetch_robots, robots)
        self._connections = asyncio.Semaphore(settings.connections)
        self._room = Room(settings.bytes_in_flight)
        if hosts is None:
            hosts = Hosts(settings.per_host, settings.host_delay, clock=asyncio.get_running_loop().time)
        self._hosts = hosts
        self._session: aiohttp.ClientSession
        self.stopping = False

    async def __aenter__(self) -> Fetcher:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, resolver=self._guard, ttl_dns_cache=300, keepalive_timeout=IDLE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Pictures are compressed already; a coding could only be a bomb.
            headers={"User-Agent": self._agent, "Accept": self._accept, "Accept-Encoding": "identity"},
            # The time for all of it is kept in `_get`, where it stops while room is waited for.
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=min(CONNECT_SECONDS, self._settings.timeout)
            ),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._guard.close()

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
                address = URL(url)
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
                url = str(address.join(URL(download.location)))
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
        if not for_robots:
            state, failure = await self._robots.judge(str(address.origin()), str(address))
            robots = state.value
            if failure is not None:
                failure = dataclasses.replace(failure, detail=f"robots.txt: {failure.detail}")
                return Download(refusal=failure, robots=robots)
            if state is RobotsState.DISALLOWED:
                return Download(refusal=Rejected(Reason.ROBOTS, str(address.origin())), robots=robots)
        try:
            async with self._hosts[f"{host}:{port}"].turn():
                download = await self._in_turn(
                    lambda: self._get(address, most_bytes, conditions, robots, cut=for_robots)
                )
                _note_health(self._hosts[f"{host}:{port}"], download)
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

    async def _get(
        self, address: URL, most_bytes: int, conditions: Mapping[str, str], robots: str | None, *, cut: bool
    ) -> Download:
        begun, reserved = Download(robots=robots), 0
        clock = asyncio.get_running_loop().time
        try:
            started = clock()
            async with (
                asyncio.timeout(self._settings.timeout) as limit,
                self._session.get(address, headers=conditions, allow_redirects=False) as response,
            ):
                begun = self._judge_headers(response, address, clock() - started, robots)
                if begun.refusal is not None or begun.location is not None or begun.unchanged:
                    return begun
                wanted = expected_bytes(response, most_bytes)
                if not self._room.take_now(wanted):
                    left = (limit.when() or 0.0) - clock()
                    limit.reschedule(None)
                    await self._room.take(wanted)
                    limit.reschedule(clock() + left)
                reserved = wanted
                content = await read_body(response, most_bytes, cut=cut)
            if isinstance(content, bytes):
                kept, reserved = reserved, 0
                return dataclasses.replace(begun, content=content, address=str(address), reserved=kept)
            return dataclasses.replace(begun, refusal=content)
        except TimeoutError:
            failed = Failed(Reason.TIMEOUT, True, f"not done after {self._settings.timeout:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            failed = classified(error, body_begun=begun.http_status is not None)
        except ValueError as error:
            failed = Failed(Reason.BAD_URL, False, one_line(error))
        finally:
            self._room.give_back(reserved)
        return dataclasses.replace(begun, refusal=failed)

    @property
    def hosts(self) -> Hosts:
        """The hosts met so far."""
        return self._hosts

    @property
    def bytes_in_flight(self) -> int:
        """Bytes that downloads hold now."""
        return self._room.taken

    def let_next(self, download: Download) -> None:
        """Let another begin in place of a download: fetching must not run far ahead of inspection."""
        if download.content is not None:
            self._connections.release()

    def release(self, download: Download) -> None:
        """Let go of the room that a download's bytes take: call it when they are no longer needed."""
        self._room.give_back(download.reserved)

    def _let_go(self, download: Download) -> None:
        self.let_next(download)
        self.release(download)

    def _judge_headers(
        self, response: aiohttp.ClientResponse, address: URL, seconds: float, robots: str | None
    ) -> Download:
        """What is known before the body: status, validators, opt-outs; with a refusal if it will not be read."""
        status, headers = response.status, response.headers
        seen = Download(
            http_status=status,
            robots=robots,
            etag=headers.get("ETag"),
            last_modified=headers.get("Last-Modified"),
        )
        host = self._hosts[f"{address.raw_host}:{address.port}"]
        if status in (429, 503) or (status >= 500 and "Retry-After" in headers):
            host.troubled(retry_after_seconds(headers.get("Retry-After")), too_fast=status == 429)
        elif status < 400:
            host.satisfied(seconds)
        if status in REDIRECTS and "Location" in headers:
            return dataclasses.replace(seen, location=headers["Location"])
        # Only who asked with a condition is told that nothing has changed.
        unchanged = status == 304 and is_conditional(response.request_info.headers)
        if status not in (200, 203) and not unchanged:
            return dataclasses.replace(seen, refusal=refused(status))
        stated = opt_out(headers.getall("X-Robots-Tag", []), headers)
        if stated:
            return dataclasses.replace(seen, opt_out=stated, refusal=Rejected(Reason.OPT_OUT, stated))
        return dataclasses.replace(seen, unchanged=True) if unchanged else seen

    async def _fetch_robots(self, url: str) -> RobotsFile:
        download = await self._with_retries(url, ROBOTS_BYTES, for_robots=True)
        self._let_go(download)
        if download.content is not None:
            return RobotsFile(download.content.decode("utf-8-sig", "replace"))
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
