"""Limits on how often one visitor may ask: token buckets in memory, one for each purpose and visitor."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .settings import MarketplaceSettings

_MOST_BUCKETS = 50_000


@dataclass(slots=True)
class Bucket:
    """What is left for one visitor, and when that was."""

    left: float
    at: float


@dataclass(slots=True)
class Limit:
    """At most `rate` a second in the long run and `burst` at once, for each visitor; a rate of 0 is no limit."""

    rate: float
    burst: float
    clock: Callable[[], float] = time.monotonic
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def take(self, visitor: str) -> int:
        """Count one request and return 0, or count nothing and return the seconds after which there is room."""
        wait = self.wait(visitor)
        if wait == 0 and self.rate > 0:
            self._bucket(visitor).left -= 1
        return wait

    def wait(self, visitor: str) -> int:
        """The seconds after which one more request has room; 0 if it has room now."""
        if self.rate <= 0:
            return 0
        bucket = self._bucket(visitor)
        return 0 if bucket.left >= 1 else max(1, math.ceil((1 - bucket.left) / self.rate))

    def _bucket(self, visitor: str) -> Bucket:
        now = self.clock()
        bucket = self.buckets.get(visitor)
        if bucket is None:
            if len(self.buckets) >= _MOST_BUCKETS:
                self._forget(now)
            bucket = self.buckets[visitor] = Bucket(self.burst, now)
        bucket.left = min(self.burst, bucket.left + (now - bucket.at) * self.rate)
        bucket.at = now
        return bucket

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full again: they limit nobody. If none are, the oldest half goes."""
        full = self.burst / self.rate
        kept = {name: bucket for name, bucket in self.buckets.items() if now - bucket.at < full}
        if len(kept) >= _MOST_BUCKETS:
            newest = sorted(kept.items(), key=lambda entry: entry[1].at)[_MOST_BUCKETS // 2 :]
            kept = dict(newest)
        self.buckets = kept


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one marketplace, and whose requests are whose."""

    sign_ins: Limit
    misses: Limit
    pages: Limit
    calls: Limit
    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @classmethod
    def of(cls, settings: MarketplaceSettings) -> Limits:
        """The limits that the settings name. A whole class may sign in within a minute: the burst is four minutes'."""
        return cls(
            sign_ins=_each_minute(settings.sign_ins_per_minute, 4),
            misses=_each_minute(settings.misses_per_minute, 2),
            pages=_each_minute(settings.pages_per_minute, 1),
            calls=Limit(settings.calls_per_second, settings.calls_per_second * 5.0),
            proxies=tuple(ipaddress.ip_network(proxy) for proxy in settings.trusted_proxies),
        )

    def address_of(self, remote: str | None, forwarded: Iterable[str]) -> str:
        """The visitor's address: the last of X-Forwarded-For that no trusted proxy has."""
        chain = [hop.strip() for value in forwarded for hop in value.split(",")]
        address = remote or "unknown"
        while chain and self._is_proxy(address):
            address = chain.pop()
        return address[:64]

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.proxies)


def _each_minute(number: int, minutes: int) -> Limit:
    return Limit(number / 60, float(number * minutes))
