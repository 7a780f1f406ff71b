"""Addresses as strangers write them."""

from __future__ import annotations

from yarl import URL


def parse_url(text: str) -> URL:
    """`text` as an address. Raises ValueError, whatever it is that the parser cannot make out."""
    try:
        return URL(text)
    except IndexError as error:
        raise ValueError(f"{text[:200]!r} is no address") from error
