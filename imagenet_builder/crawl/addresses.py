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

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")


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
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return
        if not self._is_allowed(host, port):
            self._require_public(host, host)

    def _is_allowed(self, host: str, port: int) -> bool:
        name = f"[{host}]" if ":" in host else host
        return f"{name.lower()}:{port}" in self._allowed

    def _require_public(self, address: str, host: str) -> None:
        if not is_public(address):
            raise ForbiddenAddress(f"{host} is at {address}, which is not a public address")


def is_public(address: str) -> bool:
    """Whether `address` can be reached by anyone; an IPv4 address inside an IPv6 one is judged by itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = _embedded(parsed)
        if inner is not None:
            return is_public(str(inner))
        if parsed in _LOCAL_NAT64 or parsed.is_site_local:
            return False
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a mapped, 6to4, Teredo or NAT64 address leads to."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
