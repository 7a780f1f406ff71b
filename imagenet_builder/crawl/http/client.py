"""A client of HTTP/1.1 that asks for pictures: kept connections, and bodies received where they are to be."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from yarl import URL

from .connection import Begin, Connection
from .heads import Head

if TYPE_CHECKING:
    import ssl

# What is received before it is known where it goes is copied: so it is not much at a time.
SCRATCH_BYTES = 32_768
# How long the addresses of a name are used.
KNOWN_SECONDS = 300.0
# A connection that does not come about so soon gets company by one to the next address (RFC 8305).
HEAD_START_SECONDS = 0.25

# What socket.getaddrinfo gives.
Address = tuple[int, int, int, str, tuple[Any, ...]]
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


class _Site(NamedTuple):
    is_secure: bool
    host: str
    port: int


class Client:
    """Asks servers at the addresses that `resolve` gives for their names; used within one event loop.

    `headers` go with every request. A connection may take `connect_seconds`; idle ones are kept for `idle_seconds`.
    Content codings are left as they are, redirects not followed, cookies and proxies not known.
    """

    def __init__(
        self,
        resolve: Resolve,
        headers: Mapping[str, str],
        *,
        connect_seconds: float,
        idle_seconds: float,
    ) -> None:
        self._resolve = resolve
        self._headers = _lines(headers)
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        # The longest idle first, with the time since when.
        self._idle: dict[_Site, list[tuple[float, Connection]]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._look_ups: dict[_Site, tuple[float, asyncio.Task[Sequence[Address]]]] = {}
        self._trust: ssl.SSLContext | None = None

    async def get(self, address: URL, headers: Mapping[str, str], begin: Begin) -> Head:
        """Ask for what is at `address` (http or https); the answer's head, once its body is where `begin` wants it.

        Raises BadAnswer, OSError (ssl.SSLError and TimeoutError for connecting among them), ValueError for what
        cannot stand in a request, and whatever `begin` or the resolver raises.
        """
        site = _Site(address.scheme == "https", str(address.raw_host), int(address.port or 0))
        request = self._request(address, headers)
        while (connection := self._kept(site)) is not None:
            try:
                return await self._ask(site, connection, request, begin)
            except OSError:
                # Servers end idle connections when they like; then nothing of an answer comes.
                if connection.is_answering:
                    raise
        return await self._ask(site, await self._connect(site), request, begin)

    def close(self) -> None:
        """End the idle connections; those that are waited for end with who waits."""
        for kept in self._idle.values():
            for _, connection in kept:
                connection.abort()
        self._idle.clear()
        if self._sweep is not None:
            self._sweep.cancel()
        for _, look_up in self._look_ups.values():
            look_up.cancel()

    async def _ask(self, site: _Site, connection: Connection, request: bytes, begin: Begin) -> Head:
        head = await connection.ask(request, begin)
        if connection.is_open:
            self._keep(site, connection)
        return head

    def _request(self, address: URL, headers: Mapping[str, str]) -> bytes:
        host = str(address.raw_host)
        host = f"[{host}]" if ":" in host else host
        if not address.is_default_port():
            host = f"{host}:{address.port}"
        if address.user is not None:
            named = f"{address.user}:{address.password or ''}".encode()
            headers = {**headers, "Authorization": f"Basic {base64.b64encode(named).decode()}"}
        target = address.raw_path_qs
        for part in (host, target):
            if not part.isascii() or not part.isprintable() or " " in part:
                raise ValueError(f"{part[:100]!r} cannot be asked for")
        text = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{self._headers}{_lines(headers)}\r\n"
        return text.encode("utf-8", "surrogateescape")

    def _kept(self, site: _Site) -> Connection | None:
        kept = self._idle.get(site)
        while kept:
            _, connection = kept.pop()
            if connection.is_open:
                return connection
        return None

    def _keep(self, site: _Site, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        self._idle.setdefault(site, []).append((loop.time(), connection))
        if self._sweep is None:
            self._sweep = loop.call_later(self._idle_seconds, self._end_idle)

    def _end_idle(self) -> None:
        """End what was idle for too long; called now and then while anything is idle."""
        loop = asyncio.get_running_loop()
        since = loop.time() - self._idle_seconds
        for site, kept in list(self._idle.items()):
            for began, connection in kept:
                if began <= since:
                    connection.abort()
            kept[:] = [(began, connection) for began, connection in kept if connection.is_open]
            if not kept:
                del self._idle[site]
        self._sweep = loop.call_later(self._idle_seconds / 4, self._end_idle) if self._idle else None

    async def _connect(self, site: _Site) -> Connection:
        from aiohappyeyeballs import start_connection

        loop = asyncio.get_running_loop()
        addresses = await self._addresses(site)
        async with asyncio.timeout(self._connect_seconds):
            connected = await start_connection(
                [tuple(address) for address in addresses],  # type: ignore[misc]
                happy_eyeballs_delay=HEAD_START_SECONDS,
                interleave=1,
            )
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(self._scratch),
                    sock=connected,
                    ssl=self._secured() if site.is_secure else None,
                    server_hostname=site.host if site.is_secure else None,
                )
            except BaseException:
                connected.close()
                raise
        return connection

    async def _addresses(self, site: _Site) -> Sequence[Address]:
        now = asyncio.get_running_loop().time()
        until, look_up = self._look_ups.get(site, (0.0, None))
        if look_up is None or until < now:
            look_up = asyncio.create_task(self._look_up(site))
            self._look_ups[site] = (now + KNOWN_SECONDS, look_up)
        # Shielded: one that is cancelled must not take the answer from the others.
        return await asyncio.shield(look_up)

    async def _look_up(self, site: _Site) -> Sequence[Address]:
        try:
            return await self._resolve(site.host, site.port)
        except BaseException:
            self._look_ups.pop(site, None)
            raise

    def _secured(self) -> ssl.SSLContext:
        import ssl

        if self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust


def _lines(headers: Mapping[str, str]) -> str:
    for name, value in headers.items():
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"{name} cannot be {value[:100]!r}")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
