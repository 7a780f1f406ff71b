"""The records that flow through the pipeline: frozen, built where they enter, never dictionaries.

The words are those of ARCHITECTURE.md's vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Category:
    """A synset that this project collects; `position` is the order of selection."""

    wnid: str
    name: str
    sense_key: str
    lemmas: tuple[str, ...]
    gloss: str
    position: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """Words sent to one source for one category; `continuation` is the source's mark of where to go on."""

    wnid: str
    source: str
    words: str
    language: str = "en"
    continuation: str | None = None


@dataclass(frozen=True, slots=True)
class Rights:
    """What a source says of who made a picture and what may be done with it; unknown fields are None.

    `licence` is a short lower-case code without its version (`cc0`, `pd`, `by`, `by-sa`, `by-nc`, …).
    """

    licence: str | None = None
    licence_version: str | None = None
    licence_url: str | None = None
    author: str | None = None
    credit: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that a source proposed for a category.

    `url` is what is fetched. Where that is a reduced size, `original_url` and `original_sha1` name the
    original that the source keeps. `width` and `height` are the source's claims, in pixels.
    """

    wnid: str
    url: str
    source: str
    rank: int
    title: str | None = None
    page_url: str | None = None
    rights: Rights = Rights()
    original_url: str | None = None
    original_sha1: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One answer of a source: its candidates, and where to go on (None: the query is exhausted)."""

    candidates: tuple[Candidate, ...]
    continuation: str | None


class Reason(StrEnum):
    """Why a candidate was rejected or failed: every one that the pipeline can name."""

    # Rejected: the picture was seen, or its owner's rules were, and it will not be taken.
    LICENCE = "licence"
    ROBOTS = "robots"
    OPT_OUT = "opt-out"
    NOT_AN_IMAGE = "not-an-image"
    UNSUPPORTED_FORMAT = "unsupported-format"
    ANIMATED = "animated"
    DAMAGED = "damaged"
    TOO_SMALL = "too-small"
    TOO_LARGE = "too-large"
    ASPECT = "aspect"
    BLANK = "blank"
    EXCLUDED = "excluded"
    TAKEN_DOWN = "taken-down"
    # Failed: the picture was not seen.
    FORBIDDEN_ADDRESS = "forbidden-address"
    BAD_URL = "bad-url"
    NOT_FOUND = "not-found"
    REFUSED = "refused"
    RATE_LIMITED = "rate-limited"
    SERVER_ERROR = "server-error"
    HOST_DOWN = "host-down"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    TOO_MANY_REDIRECTS = "too-many-redirects"


@dataclass(frozen=True, slots=True)
class FileRights:
    """Rights fields found inside the file (EXIF, IPTC); unknown ones are None."""

    artist: str | None = None
    copyright: str | None = None
    credit: str | None = None
    usage_terms: str | None = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """An image that passed inspection.

    `sha256` is of the bytes as fetched; `width` and `height` are the stored pixels'; `perceptual_hash` is
    a 64-bit difference hash, `descriptor` what confirms it (`descriptors.describe`); `orientation` is EXIF's, 1 to 8.
    """

    sha256: str
    format: str
    mode: str
    width: int
    height: int
    byte_count: int
    perceptual_hash: int
    orientation: int = 1
    rights: FileRights = FileRights()
    descriptor: bytes = b""


@dataclass(frozen=True, slots=True)
class Known:
    """What was stored from an address before: the image, when, and what its server said with it."""

    sha256: str
    at: datetime
    etag: str | None = None
    last_modified: str | None = None
    robots: str | None = None
    rights: FileRights = FileRights()


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The address still shows what was stored from it before."""

    known: Known


@dataclass(frozen=True, slots=True)
class Changed:
    """The address shows something else than what was stored from it; the new bytes are not kept."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The candidate was looked at and refused; final."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The candidate could not be looked at; `retryable` says whether another run may succeed."""

    reason: Reason
    retryable: bool
    detail: str = ""


Outcome = Inspected | Unchanged | Changed | Rejected | Failed


@dataclass(frozen=True, slots=True)
class Fetched:
    """How the fetch of one candidate went, whatever came of it; `at` is aware UTC."""

    outcome: Outcome
    at: datetime
    attempts: int = 1
    http_status: int | None = None
    robots: str | None = None
    opt_out: str | None = None
    etag: str | None = None
    last_modified: str | None = None


class Split(StrEnum):
    """The parts of a release; the labels of the `hidden` ones are secret, `replicate` is a second test."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    REPLICATE = "replicate"

    @property
    def hidden(self) -> bool:
        """Whether nothing may be published of what its pictures show."""
        return self in {Split.TEST, Split.REPLICATE}
