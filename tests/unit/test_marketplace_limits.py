"""Limits: what passes in the long run and at once, and whose requests are whose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.errors import HitsError
from hits.marketplace.limits import Limit, Limits
from hits.marketplace.settings import MarketplaceSettings


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    rate=st.floats(0.1, 100),
    burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 5), max_size=200),
)
def test_no_more_passes_than_the_burst_and_what_came_since(
    rate: float, burst: int, steps: list[float]
) -> None:
    clock = Clock()
    limit = Limit(rate, float(burst), clock)
    passed = 0
    for step in steps:
        clock.now += step
        passed += limit.take("ada") == 0
    assert passed <= burst + clock.now * rate + 1e-6
    assert min(burst, len(steps)) <= passed


@given(rate=st.floats(0.1, 100), burst=st.integers(1, 5))
def test_who_waits_as_long_as_told_has_room(rate: float, burst: int) -> None:
    clock = Clock()
    limit = Limit(rate, float(burst), clock)
    while not (wait := limit.take("ada")):
        pass
    assert limit.wait("ada") == wait
    clock.now += wait
    assert limit.take("ada") == 0


def test_visitors_do_not_use_up_each_others_room() -> None:
    limit = Limit(1.0, 1.0, Clock())
    assert limit.take("ada") == 0
    assert limit.take("bo") == 0
    assert limit.take("ada") == 1


def test_a_rate_of_zero_is_no_limit() -> None:
    limit = Limit(0.0, 0.0, Clock())
    assert not any(limit.take("ada") for _ in range(1000))


def test_many_visitors_cost_bounded_memory_and_the_last_stay_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hits.marketplace.limits._MOST_BUCKETS", 100)
    clock = Clock()
    limit = Limit(0.001, 1.0, clock)
    for number in range(1000):
        clock.now += 0.001
        limit.take(f"visitor {number}")
        assert len(limit.buckets) <= 100
    assert limit.wait("visitor 999") > 0


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        # A stranger's own header is worth nothing.
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        # Only the last hop was written by the proxy; what stands before it anybody can write.
        ("127.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1", "10.1.2.3"], "198.51.100.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        (None, ["198.51.100.1"], "unknown"),
    ],
)
def test_the_visitors_address_is_the_last_that_no_proxy_of_ours_has(
    remote: str | None, forwarded: list[str], address: str
) -> None:
    settings = MarketplaceSettings("sqlite://", trusted_proxies=("127.0.0.1", "10.0.0.0/8"))
    assert Limits.of(settings).address_of(remote, forwarded) == address


@pytest.mark.parametrize(
    "wrong",
    [{"trusted_proxies": ("example.org",)}, {"mail_server": "mail.example.org"}, {"mail_server": "smtp://"}],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(HitsError, match=next(iter(wrong))):
        MarketplaceSettings("sqlite://", **wrong)  # type: ignore[arg-type]
