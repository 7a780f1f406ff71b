"""A marketplace, its clock, a client of its API and a worker: what the tests of the marketplace have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.marketplace_server import AdjustableClock, RunningMarketplace, running_marketplace
from tests.marketplace_worker import SiteWorker


@pytest.fixture
def clock() -> AdjustableClock:
    """The marketplace's clock."""
    return AdjustableClock()


@pytest.fixture
def market(tmp_path: Path, store_url: str, clock: AdjustableClock) -> Iterator[RunningMarketplace]:
    """A marketplace on each of the two engines, which does of itself what time does only when it is asked."""
    with running_marketplace(tmp_path, database_url=store_url, clock=clock, sweep_seconds=3600) as running:
        yield running


@pytest.fixture
def client(market: RunningMarketplace) -> Any:
    """The requester's boto3 client."""
    return market.client()


@pytest.fixture
def ada(market: RunningMarketplace) -> SiteWorker:
    """A worker who has signed in."""
    return SiteWorker(market.url, market.invite("Ada"))
