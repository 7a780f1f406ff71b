"""What a marketplace needs to be told: where its records are, and under which addresses people reach it."""

from __future__ import annotations

from dataclasses import dataclass
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
    not by port. An empty `session_secret` means one that is made once and kept in the database. Raises
    HitsError for addresses that cannot be used. E-mail goes into `mail_folder` as files; without it there is none.
    """

    database_url: str
    public_url: str = "http://127.0.0.1:8700"
    frame_url: str = "http://localhost:8700"
    site_name: str = "Picture Desk"
    contact: str = ""
    play_money: bool = True
    session_secret: str = ""
    session_days: int = 30
    held_assignments: int = 10
    sweep_seconds: float = 5.0
    mail_folder: str = ""

    def __post_init__(self) -> None:
        for name in ("public_url", "frame_url"):
            object.__setattr__(self, name, _base_url(name, getattr(self, name)))
        if urlsplit(self.public_url).hostname == urlsplit(self.frame_url).hostname:
            raise HitsError(
                f"public_url {self.public_url} and frame_url {self.frame_url} share a hostname; "
                "give the question frame another one (locally: 127.0.0.1 and localhost)"
            )

    @property
    def public_host(self) -> str:
        """The hostname of the worker site, without its port."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def frame_host(self) -> str:
        """The hostname of the question frames, without its port."""
        return urlsplit(self.frame_url).hostname or ""


def _base_url(name: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise HitsError(f"{name} {url!r} is no address; give scheme and host, as in https://work.example.org")
    return f"{parts.scheme}://{parts.netloc}"
