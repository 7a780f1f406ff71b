"""How long work takes, and what it pays for an hour: figures that workers and requesters both see."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa


def hourly(reward_cents: float, seconds: float | None) -> int | None:
    """Pay for an hour at this pace; None where no time was measured."""
    return round(reward_cents * 3600 / seconds) if seconds and seconds >= 1 else None


def seconds_between(
    dialect: str, begun: sa.ColumnElement[datetime], ended: sa.ColumnElement[datetime | None]
) -> sa.ColumnElement[float]:
    """The seconds from one time to another, in SQL."""
    if dialect == "sqlite":
        return (sa.func.julianday(ended) - sa.func.julianday(begun)) * 86400.0
    return sa.cast(sa.extract("epoch", ended - begun), sa.Float)
