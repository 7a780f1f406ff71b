"""The address guard: pictures are fetched from public addresses only, unless one is allowed by name.

Proposed URLs come from strangers. Without the guard they could reach this machine's own services, its
network's, or a cloud's metadata service.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from hits.addresses import is_public

from .http.client import Address

# Names looked up at once. The event loop's own threads are few, and the store and the image store work in them.
LOOKUPS = 64


class ForbiddenAddress(OSError):
    """A name or literal leads to an address that must not be asked; an OSError, as resolvers raise."""


class AddressGuard:
    """Resolves names, and lets through public addresses and those in `allowed` (`host:port`).

    The client connects to the very addresses that `resolve` returns, so a name that answers differently the
    second time gains nothing. What needs no connection is not resolved: ask `check_literal` before each hop.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(address.lower() for address in allowed)
        self._threads = ThreadPoolExecutor(LOOKUPS, "look-up")
        # Hosts and ports that `check_literal` let through: a site has many pictures.
        self._let_through: set[tuple[str, int]] = set()

    async def resolve(self, host: str, port: int = 0) -> Sequence[Address]:
        """The addresses of `host`; raises ForbiddenAddress if any of them is not public."""
        look_up = functools.partial(
            socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        if not self._is_allowed(host, port):
            for *_, address in found:
                self._require_public(str(address[0]), host)
        return found

    def close(self) -> None:
        """Let no look-up begin any more; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def check_literal(self, host: str, port: int) -> None:
        """Raise ForbiddenAddress if `host` is an address, written as numbers, that must not be asked."""
        if (host, port) in self._let_through:
            return
        if _is_literal(host) and not self._is_allowed(host, port):
            self._require_public(host, host)
        self._let_through.add((host, port))

    def _is_allowed(self, host: str, port: int) -> bool:
        name = f"[{host}]" if ":" in host else host
        return f"{name.lower()}:{port}" in self._allowed

    def _require_public(self, address: str, host: str) -> None:
        if not is_public(address):
            raise ForbiddenAddress(f"{host} is at {address}, which is not a public address")


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
