"""A real marketplace on a loopback port, served from a thread of the test process: the package's own."""

from __future__ import annotations

from hits.marketplace.testing import AdjustableClock, RunningMarketplace, running_marketplace

__all__ = ["AdjustableClock", "RunningMarketplace", "running_marketplace"]
