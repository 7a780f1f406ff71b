"""What the operations share: on whose behalf they run, the protocol's values, pages of lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy.engine import Engine

from ...errors import RequestRefused
from ..courier import Courier
from ..paging import page_token, requested_place, row_number

Request = Mapping[str, Any]
Answer = dict[str, Any]
Row = TypeVar("Row")

DEAREST_CENTS = 100_000_000_00


class Numbered(Protocol):
    """A row of a list, which has a number in the store."""

    @property
    def number(self) -> int: ...


NumberedRow = TypeVar("NumberedRow", bound=Numbered)


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf, when and where an operation runs; `secret` signs page tokens and the addresses of files."""

    engine: Engine
    requester_id: str
    now: datetime
    secret: str
    courier: Courier
    files_url: str


Operation = Callable[[Caller, Request], Answer]


def cents_of(amount: str) -> int:
    """A CurrencyAmount ("0.05", "5", "5.") in cents."""
    whole, _, fraction = amount.partition(".")
    cents = int(whole) * 100 + int(fraction.ljust(2, "0")) if len(whole) <= 10 else DEAREST_CENTS + 1
    if cents > DEAREST_CENTS:
        raise RequestRefused(f"the amount {amount[:40]} is too large", "InvalidParameterValue")
    return cents


def amount_of(cents: int) -> str:
    """Cents as a CurrencyAmount."""
    return f"{cents // 100}.{cents % 100:02d}"


def within(request: Request, name: str, least: int, most: int, default: int | None = None) -> int:
    value = request.get(name, default)
    if value is None or not least <= value <= most:
        raise RequestRefused(f"{name} must be from {least} to {most}", "InvalidParameterValue")
    return int(value)


def text_of(request: Request, name: str, most: int, *, least: int = 0) -> str:
    value = str(request.get(name, ""))
    if not least <= len(value.strip()) or len(value) > most:
        raise RequestRefused(f"{name} must have {least} to {most} characters", "InvalidParameterValue")
    return value


def page_of(
    caller: Caller, rows: list[Row], size: int, place_of: Callable[[Row], str]
) -> tuple[list[Row], Answer]:
    """The first `size` rows; one more was asked for, to know whether another page follows."""
    shown = rows[:size]
    more = len(rows) > size
    token = page_token(caller.secret, caller.requester_id, place_of(shown[-1])) if more else None
    return shown, {"NumResults": len(shown), "NextToken": token}


def numbered_page(
    caller: Caller, request: Request, fetch: Callable[[int, int | None], list[NumberedRow]], size: int = 10
) -> tuple[list[NumberedRow], Answer]:
    """A page of a list in the order of row numbers; `fetch` takes how many rows, and the number before them."""
    size = int(request.get("MaxResults", size))
    place = row_number(requested_place(caller.secret, caller.requester_id, request))
    return page_of(caller, fetch(size + 1, place), size, lambda row: str(row.number))
