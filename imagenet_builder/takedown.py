"""Takes pictures down: out of the store, out of later releases, and kept out of later crawls."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from hits import database
from hits.errors import MarketplaceUnavailable, RequestRefused

from . import marketplace_keys
from .descriptors import WINDOWS, hashes_of, mirrored_hashes, stack
from .duplicates import NEAR
from .errors import ProjectError
from .hamming import pairs_between
from .likeness import Hashes
from .reconcile import PUBLISH_LOCK
from .store import tombstones as store
from .store.tombstones import Kind, KnownImage
from .taken_down import pictures_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from .project import Project

logger = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Takedown:
    """What was taken down, or would be: images by SHA-256, and their near-duplicates, mirror images and crops.

    `candidates` counts addresses that will not be fetched again; `releases` names the releases that hold one of the
    pictures; `pages` counts HITs that showed one and are offered to nobody from now on, `unreached` those whose
    marketplace did not answer; `done` is false for a look ahead.
    """

    kind: Kind
    target: str
    images: tuple[str, ...]
    near_duplicates: tuple[str, ...]
    candidates: int
    releases: tuple[str, ...]
    done: bool
    pages: int = 0
    unreached: int = 0


def parse_target(text: str) -> tuple[Kind, str]:
    """A SHA-256 or an address as it is kept on a tombstone; raises ProjectError for what is neither."""
    if _SHA256.fullmatch(text.strip().lower()):
        return Kind.IMAGE, text.strip().lower()
    if _URL.fullmatch(text.strip()):
        return Kind.URL, text.strip()
    raise ProjectError(
        f"{text!r} is neither a SHA-256 (64 hexadecimal digits) nor an address with https://; "
        "for a person's pictures give --author NAME"
    )


def parse_author(name: str) -> tuple[Kind, str]:
    """An author as kept on a tombstone; raises ProjectError for a name of nothing but blanks."""
    if not store.author_key(name):
        raise ProjectError("an author without a name cannot be taken down")
    return Kind.AUTHOR, store.author_key(name)


def take_down(
    project: Project,
    target: tuple[Kind, str],
    reason: str,
    *,
    dry_run: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Takedown:
    """Take down an image, what an address gave, or all pictures of an author; a second time changes nothing.

    Bytes and renditions are deleted; candidates end as rejected; open HITs that show one expire; votes, which were paid
    for, stay. While it works no crawl, publication or export runs. Raises ProjectError without a reason, LockHeld,
    DatabaseError, ImageStoreError.
    """
    if not reason.strip():
        raise ProjectError("a takedown needs a reason: it is what is left of the picture")
    kind, value = target
    with ExitStack() as locks:
        if not dry_run:
            for name in ("crawl", PUBLISH_LOCK, "export"):
                locks.enter_context(database.exclusive_lock(project.engine, name))
        with database.reading(project.engine) as connection:
            concerned = store.concerned_by(connection, kind, value)
            near = _near_duplicates(connection, concerned.images)
            everything = [*concerned.images, *near]
            candidates = {*concerned.candidates, *store.candidates_of(connection, everything)}
            releases = store.releases_with(connection, everything)
        if not dry_run:
            stones = [(kind, value), *((Kind.IMAGE, sha256) for sha256 in everything)]
            with database.writing(project.engine) as connection:
                store.lay(connection, stones, reason.strip(), now())
                store.reject(connection, candidates, f"taken down: {reason.strip()}", now())
                dropped = store.drop_renditions(connection, everything)
                gone = store.taken_down_images(connection)
            # All that ever were: a run that was killed before this line is made good by the next.
            for sha256 in (*dropped, *gone):
                project.images.delete(sha256)
        pages, unreached = (0, 0) if dry_run else _expire_pages(project)
    return Takedown(
        kind,
        value,
        concerned.images,
        tuple(near),
        len(candidates),
        tuple(releases),
        done=not dry_run,
        pages=pages,
        unreached=unreached,
    )


def _expire_pages(project: Project) -> tuple[int, int]:
    """Offer no open HIT with a picture that was ever taken down to anybody any more; what is answered is paid.

    Returns how many HITs these are, and of how many the marketplace did not answer.
    """
    with database.reading(project.engine) as connection:
        pages = store.open_pages_with_taken_down(connection)
    unreached = 0
    for endpoint in sorted({page.endpoint for page in pages}):
        here = [page.platform_hit_id for page in pages if page.endpoint == endpoint]
        try:
            requester = marketplace_keys.requester(project, endpoint)
            for hit_id in here:
                requester.expire(hit_id)
        except (MarketplaceUnavailable, RequestRefused, ProjectError) as error:
            # What is taken down is gone already; the next takedown, of anything, tries again.
            logger.warning(
                "HITs with pictures that were taken down are still open on %s: %s", endpoint, error
            )
            unreached += len(here)
    return len(pages) - unreached, unreached


def _near_duplicates(connection: sa.Connection, sha256s: Collection[str]) -> list[str]:
    """Other images of the store that show the same pictures, as export finds them: encoded anew, reduced, mirrored,
    parts of them, and pictures of which they are a part."""
    targets = [one for one in store.known_images(connection, sha256s) if any(one.descriptor)]
    if not targets:
        return []
    known, pictures = frozenset(sha256s), pictures_of(targets)
    whole, windows = _hashes(targets)
    wanted = _both_ways(whole), _both_ways(np.concatenate([whole, *windows]))
    return sorted(
        one.sha256
        for batch in store.standing_images(connection)
        for one in _perhaps(batch, *wanted)
        if one.sha256 not in known and pictures.match(one)
    )


def _perhaps(batch: Sequence[KnownImage], whole: Hashes, parts: Hashes) -> list[KnownImage]:
    """Those of which a hash is near: of a window in them to those of `whole` pictures, or their own to `parts`."""
    shown = [one for one in batch if any(one.descriptor)]
    if not shown:
        return []
    own, windows = _hashes(shown)
    perhaps = _is_near(own, parts)
    for window in windows:
        perhaps |= _is_near(window, whole)
    return [one for one, near in zip(shown, perhaps.tolist(), strict=True) if near]


def _hashes(pictures: Sequence[KnownImage]) -> tuple[Hashes, list[Hashes]]:
    """The hashes of the pictures, and those of each window in them."""
    rows = stack([one.descriptor for one in pictures])
    return hashes_of(rows), [hashes_of(rows, window) for window in range(1, len(WINDOWS))]


def _both_ways(hashes: Hashes) -> Hashes:
    return np.unique(np.concatenate([hashes, mirrored_hashes(hashes)]))


def _is_near(hashes: Hashes, wanted: Hashes) -> np.ndarray:
    """Which of the hashes are near one of those wanted (distinct, sorted)."""
    distinct, place = np.unique(hashes, return_inverse=True)
    near = np.zeros(len(distinct), np.bool_)
    for found, _ in pairs_between(distinct, wanted, NEAR):
        near[np.searchsorted(distinct, found)] = True
    return near[place]
