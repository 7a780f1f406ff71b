"""Takes pictures down: out of the store, out of later releases, and kept out of later crawls."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from hits import database

from .descriptors import mirrored_hashes
from .duplicates import HASH_MASK, NEAR
from .errors import ProjectError
from .reconcile import PUBLISH_LOCK
from .store import tombstones as store
from .store.tombstones import Kind, KnownImage
from .taken_down import pictures_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from .project import Project

_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Takedown:
    """What was taken down, or would be: images by SHA-256, and near-duplicates and mirror images of them.

    `candidates` counts addresses that will not be fetched again; `releases` names the releases that hold one of the
    pictures; `done` is false for a look ahead.
    """

    kind: Kind
    target: str
    images: tuple[str, ...]
    near_duplicates: tuple[str, ...]
    candidates: int
    releases: tuple[str, ...]
    done: bool


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

    Bytes and renditions are deleted; candidates end as rejected; votes, which were paid for, stay. While it works no
    crawl, publication or export runs. Raises ProjectError without a reason, LockHeld, DatabaseError, ImageStoreError.
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
    return Takedown(
        kind, value, concerned.images, tuple(near), len(candidates), tuple(releases), done=not dry_run
    )


def _near_duplicates(connection: sa.Connection, sha256s: Collection[str]) -> list[str]:
    """Other images of the store that are the same pictures: encoded anew, reduced or mirrored."""
    targets = store.known_images(connection, sha256s)
    names, values = store.hashes(connection)
    if not targets or not names:
        return []
    every = np.array([value & HASH_MASK for value in values], np.uint64)
    near: set[str] = set()
    for value in _both_ways(targets):
        near.update(names[place] for place in np.flatnonzero(np.bitwise_count(every ^ value) <= NEAR))
    candidates = store.known_images(connection, near - set(sha256s))
    pictures = pictures_of(targets)
    return sorted(one.sha256 for one in candidates if pictures.match(one))


def _both_ways(targets: Sequence[KnownImage]) -> np.ndarray:
    hashes = np.array([one.perceptual_hash & HASH_MASK for one in targets], np.uint64)
    return np.concatenate([hashes, mirrored_hashes(hashes)])
