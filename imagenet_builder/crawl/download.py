"""What came of fetching a candidate, how a fetch may end without that, and what it asks on the condition of."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from imagenet_builder.executors.shared import Slot
from imagenet_builder.records import Failed, Known, Rejected
from imagenet_builder.store.crawl import PendingCandidate

_IF_NONE_MATCH, _IF_MODIFIED_SINCE = "If-None-Match", "If-Modified-Since"
NO_CONDITIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Download:
    """What came of fetching a candidate: `content`, or the refusal, and what the servers said on the way.

    `slot` is what keeps the content's memory, where others may have it afterwards.
    """

    content: bytes | memoryview | None = None
    slot: Slot | None = None
    refusal: Rejected | Failed | None = None
    location: str | None = None
    redirects: int = 0
    unchanged: bool = False
    address: str | None = None
    reserved: int = 0
    attempts: int = 1
    http_status: int | None = None
    robots: str | None = None
    opt_out: str | None = None
    etag: str | None = None
    last_modified: str | None = None


class Stopped(Exception):
    """The run is stopping, and this fetch had not begun: the candidate stays as it was."""


class Elsewhere(Exception):
    """A redirect led to a host that has another owner: `candidate` says where to go on, and how far this one came."""

    def __init__(self, candidate: PendingCandidate) -> None:
        super().__init__(candidate)
        self.candidate = candidate


def conditions_of(known: Known | None) -> Mapping[str, str]:
    """Headers that ask for a picture only if it is not the known one (RFC 9110, section 13.1)."""
    if known is None:
        return NO_CONDITIONS
    stated = {_IF_NONE_MATCH: known.etag, _IF_MODIFIED_SINCE: known.last_modified}
    # A validator came from the server: what cannot stand in a header is not sent back.
    return {name: value for name, value in stated.items() if value and value.isprintable()}


def is_conditional(headers: Container[str]) -> bool:
    """Whether a request with these headers asks for a picture only if it has changed."""
    return _IF_NONE_MATCH in headers or _IF_MODIFIED_SINCE in headers
