"""What a marketplace needs to be told: where its records are, and under which addresses people reach it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ..errors import HitsError


def utc_now() -> datetime:
    """The marketplace's clock, unless a test brings its own."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class MarketplaceSettings:
    """Settings of one marketplace.

    `public_url` is how the world reaches the worker site and the API. `frame_url` reaches the same server
    under another hostname: requesters' pages run there, because browsers keep cookies apart by hostname and
    not by port. An empty `session_secret` means one that is made once and kept in the database.

    E-mail goes through `mail_server` (`smtp://host:25`, `smtps://host:465`), else into `mail_folder` as files, else
    nowhere. Notifications go to public addresses and to those in `allow_destinations` (`host:port`); to this
    machine's own only while `public_url` is on loopback too.

    Limits are per minute, and per second for `calls_per_second`: sign-ins and misses (requests for what is not
    there or not theirs) of one address, pages of one worker or one stranger's address, API calls of one key; 0 is
    no limit. Addresses are told by X-Forwarded-For where a request comes from one of `trusted_proxies`.

    Raises HitsError for addresses that cannot be used.
    """

    database_url: str
    public_url: str = "http://127.0.0.1:8700"
    frame_url: str = "http://localhost:8700"
    site_name: str = "Picture Desk"
    contact: str = ""
    play_money: bool = True
    session_secret: str = field(default="", repr=False)
    session_days: int = 30
    held_assignments: int = 10
    sweep_seconds: float = 5.0
    mail_folder: str = ""
    mail_server: str = ""
    mail_sender: str = "marketplace@localhost"
    mail_user: str = ""
    mail_password: str = field(default="", repr=False)
    allow_destinations: tuple[str, ...] = ()
    sign_ins_per_minute: int = 60
    misses_per_minute: int = 60
    pages_per_minute: int = 600
    calls_per_second: int = 100
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")

    def __post_init__(self) -> None:
        for name in ("public_url", "frame_url"):
            object.__setattr__(self, name, _base_url(name, getattr(self, name)))
        if urlsplit(self.public_url).hostname == urlsplit(self.frame_url).hostname:
            raise HitsError(
                f"public_url {self.public_url} and frame_url {self.frame_url} share a hostname; "
                "give the question frame another one (locally: 127.0.0.1 and localhost)"
            )
        server = urlsplit(self.mail_server)
        if self.mail_server and (server.scheme not in {"smtp", "smtps"} or not server.hostname):
            raise HitsError(
                f"mail_server {self.mail_server!r} is none: give smtp://host:port or smtps://host:port"
            )
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise HitsError(f"trusted_proxies: {proxy!r} is no address or network") from error

    @property
    def public_host(self) -> str:
        """The hostname of the worker site, without its port."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def on_loopback(self) -> bool:
        """Whether the marketplace is for this machine alone."""
        return _is_loopback(self.public_host)

    @property
    def frame_host(self) -> str:
        """The hostname of the question frames, without its port."""
        return urlsplit(self.frame_url).hostname or ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _base_url(name: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise HitsError(f"{name} {url!r} is no address; give scheme and host, as in https://work.example.org")
    return f"{parts.scheme}://{parts.netloc}"
