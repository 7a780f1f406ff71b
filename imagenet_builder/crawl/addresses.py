"""The address guard: pictures are fetched from public addresses only, unless one is allowed by name.

Proposed URLs come from strangers. Without the guard they could reach this machine's own services, its
network's, or a cloud's metadata service.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from hits.addresses import is_public


class ForbiddenAddress(OSError):
    """A name or literal leads to an address that must not be asked; an OSError, as resolvers raise."""


class AddressGuard(AbstractResolver):
    """Resolves names, and lets through public addresses and those in `allowed` (`host:port`).

    aiohttp connects to the very addresses that `resolve` returns, so a name that answers differently the
    second time gains nothing. Literal addresses never reach a resolver: ask `check_literal` before each hop.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(address.lower() for address in allowed)
        self._resolver: ThreadedResolver | None = None
        # Hosts and ports that `check_literal` let through: a site has many pictures.
        self._let_through: set[tuple[str, int]] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host`; raises ForbiddenAddress if any of them is not public."""
        if self._resolver is None:
            self._resolver = ThreadedResolver()
        found = await self._resolver.resolve(host, port, family)
        if not self._is_allowed(host, port):
            for result in found:
                self._require_public(result["host"], host)
        return found

    async def close(self) -> None:
        """Nothing is held open."""

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
