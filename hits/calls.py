"""Calls of the MTurk API through a boto3 client: what comes back is read at once, or named as what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from .protocol import speaks_protocol, translated, unreadable

Found = TypeVar("Found")
Members = dict[str, Any]

PAGE_SIZE = 100


class Calls:
    """The API at an endpoint.

    Every method may raise MarketplaceUnavailable (not reached, keys refused), MarketplaceFaulty (out of order, or an
    answer without what it must have) or RequestRefused.
    """

    def __init__(self, client: Any, endpoint_url: str) -> None:
        self._client = client
        self.endpoint_url = endpoint_url

    def tell(self, operation: str, **parameters: object) -> None:
        """Call what answers nothing that is needed."""
        with translated(self.endpoint_url):
            answer: Members = getattr(self._client, operation)(**parameters)
        speaks_protocol(self.endpoint_url, answer)

    def ask(self, operation: str, read: Callable[[Members], Found], **parameters: object) -> Found:
        """Return what `read` finds in the answer."""
        with translated(self.endpoint_url):
            answer: Members = getattr(self._client, operation)(**parameters)
        return self._read(read, speaks_protocol(self.endpoint_url, answer))

    def each(
        self, operation: str, key: str, read: Callable[[Members], Found], **parameters: object
    ) -> Iterator[Found]:
        """Yield what `read` finds in each element of the list `key`, over all of its pages."""
        pages = iter(
            self._client.get_paginator(operation).paginate(
                **parameters, PaginationConfig={"PageSize": PAGE_SIZE}
            )
        )
        while True:
            with translated(self.endpoint_url):
                page = next(pages, None)
            if page is None:
                return
            speaks_protocol(self.endpoint_url, page)
            yield from self._read(lambda found: [read(one) for one in found[key]], page)

    def _read(self, read: Callable[[Members], Found], answer: Members) -> Found:
        try:
            return read(answer)
        # botocore takes a body that breaks off for an answer without members.
        except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise unreadable(self.endpoint_url, error) from error
