"""What a picture must be to be taken. Light: who only says so needs no decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagenet_builder.records import Inspected, Rejected


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture must be; sides in pixels, `max_pixels` for width × height, `blank` in grey levels.

    A picture whose grey values deviate less than `blank` from their mean shows nothing.
    """

    min_side: int = 100
    max_side: int = 20_000
    max_pixels: int = 100_000_000
    max_aspect: float = 5.0
    blank: float = 2.0

    def inspect(self, content: bytes | memoryview) -> Inspected | Rejected:
        """`inspect.inspect` within these limits."""
        from .inspect import inspect

        return inspect(content, self)
