"""A marketplace whose answers have faults: a proxy before the real one that spoils chosen calls."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from .killing_proxy import Answered, body_of, listening, operation_of, relay

# What a call asked for, and how its answer is spoiled; None leaves it as it is.
Fault = Callable[[dict[str, Any], Answered], Answered | None]


class FaultyMarketplace:
    """Forwards Requester API calls; `faults` spoils the answers of operations, `calls` counts them."""

    def __init__(self) -> None:
        self.upstream = ""
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, Fault] = {}

    def forward(self, handler: BaseHTTPRequestHandler) -> None:
        operation, body = operation_of(handler), body_of(handler)
        self.calls[operation] += 1
        answer = relay(self.upstream, handler, body)
        fault = self.faults.get(operation)
        spoiled = fault(json.loads(body), answer) if fault else None
        (spoiled or answer).send(handler)


def with_content(answer: Answered, status: int, content: bytes) -> Answered:
    """The answer with another status and body, of a length that is told rightly."""
    headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
    return Answered(status, [*headers, ("Content-Length", str(len(content)))], content)


def rewritten(answer: Answered, change: Callable[[dict[str, Any]], None]) -> Answered:
    """The answer with its document changed."""
    document = json.loads(answer.content)
    change(document)
    return with_content(answer, answer.status, json.dumps(document).encode())


def failing(_request: dict[str, Any], answer: Answered) -> Answered:
    """The marketplace breaks down over it."""
    return with_content(answer, 500, b'{"__type": "ServiceFault", "Message": "out of order"}')


def refusing(_request: dict[str, Any], answer: Answered) -> Answered:
    """The marketplace will not do it, whatever the reason."""
    refusal = {"__type": "RequestError", "Message": "no", "TurkErrorCode": "AWS.MechanicalTurk.Unheard"}
    return with_content(answer, 400, json.dumps(refusal).encode())


def cut_off(_request: dict[str, Any], answer: Answered) -> Answered:
    """The answer ends in the middle, and says that it is whole."""
    return with_content(answer, answer.status, answer.content[: len(answer.content) // 2])


@contextmanager
def faulty_marketplace() -> Iterator[tuple[FaultyMarketplace, str]]:
    """The proxy and its address; set its `upstream` before it is used."""
    proxy = FaultyMarketplace()
    with listening(proxy.forward) as address:
        yield proxy, address
