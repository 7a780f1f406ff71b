"""Posting to addresses that requesters name, without letting them reach into this machine's own network.

The connection goes to the very address that was checked, so that a name which answers differently the second
time gains nothing; redirects are not followed.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from ..addresses import is_public
from ..errors import HitsError
from .settings import MarketplaceSettings

TIMEOUT_SECONDS = 5
LONGEST_SECONDS = 20
_PORTS = {"http": 80, "https": 443}


class DeliveryFailed(HitsError):
    """A message did not reach its destination."""


@dataclass(frozen=True, slots=True)
class DestinationRule:
    """What may be posted to: public addresses, those in `allowed` (`host:port`), with `loopback` this machine's."""

    allowed: frozenset[str] = frozenset()
    loopback: bool = False

    @classmethod
    def of(cls, settings: MarketplaceSettings) -> DestinationRule:
        """The settings' rule: this machine itself can be reached only by a marketplace that is on loopback too."""
        return cls(frozenset(name.lower() for name in settings.allow_destinations), settings.on_loopback)

    def permits(self, host: str, port: int, address: str) -> bool:
        """Whether a connection to `address` may be made, to which the name `host` led."""
        name = f"[{host}]" if ":" in host else host
        if f"{name.lower()}:{port}" in self.allowed:
            return True
        if self.loopback and ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            return True
        return is_public(address)


def post(url: str, body: bytes, headers: Mapping[str, str], rule: DestinationRule) -> None:
    """POST `body`; raises DeliveryFailed unless it is taken with a 2xx status."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        connection = _Guarded(host, port, rule, secure=parts.scheme == "https")
        # An answer that comes byte by byte never times out by itself.
        cut = threading.Timer(LONGEST_SECONDS, connection.cut)
        cut.start()
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, {"User-Agent": "hits-marketplace", **headers})
            status = connection.getresponse().status
        finally:
            cut.cancel()
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        raise DeliveryFailed(f"{url} cannot be reached: {error}") from error
    if not 200 <= status < 300:
        raise DeliveryFailed(f"{url} answered HTTP {status}")


class _Guarded(HTTPConnection):
    """A connection to an address that the rule permits, with TLS if it is `secure`."""

    def __init__(self, host: str, port: int, rule: DestinationRule, *, secure: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT_SECONDS)
        self.rule, self.secure = rule, secure

    def connect(self) -> None:
        """Resolve, check, connect; raises OSError."""
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = [str(place[4][0]) for place in found]
        forbidden = [address for address in addresses if not self.rule.permits(self.host, self.port, address)]
        if forbidden:
            raise OSError(f"it is at {forbidden[0]}, which is not a public address")
        self.sock = socket.create_connection((addresses[0], self.port), TIMEOUT_SECONDS)
        if self.secure:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End the connection from another thread."""
        if self.sock is not None:
            with contextlib.suppress(OSError):  # It ended by itself meanwhile.
                self.sock.shutdown(socket.SHUT_RDWR)
