"""The JPEG of every picture of a release, in order, made on several threads and bounded in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from hits import database
from imagenet_builder.project import Project
from imagenet_builder.renditions import (
    Rendition,
    make_release_jpeg,
    make_rendition,
    release_purpose,
    stored_form,
    strip_for_release,
)
from imagenet_builder.store.renditions import StoredRendition, find_renditions, record_renditions

from .description import ReleasePicture

# Two batches are in memory: one being made, one being written.
PICTURES_AT_ONCE = 64
MOST_THREADS = 16

Made = tuple[bytes, Rendition | None]
Kept = Callable[[ReleasePicture], bytes | None]


def release_contents(
    project: Project,
    pictures: Sequence[ReleasePicture],
    resize: int | None,
    kept: Kept | None = None,
) -> Iterator[list[tuple[ReleasePicture, bytes]]]:
    """Yield the pictures in order, in batches, each with its JPEG for a release.

    `kept`, which is called on several threads, gives the JPEG that an earlier run left, or None. What had to be encoded
    is kept as a rendition, and not encoded again next time; what only lost its metadata is not, because that costs less
    than keeping it. Raises ImageStoreError for a picture that is missing or damaged.
    """
    purpose = release_purpose(resize)
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        ahead: tuple[Sequence[ReleasePicture], list[Future[Made]]] | None = None
        try:
            for start in range(0, len(pictures), PICTURES_AT_ONCE):
                batch = pictures[start : start + PICTURES_AT_ONCE]
                behind, ahead = ahead, (batch, _begin(project, pool, batch, purpose, resize, kept))
                if behind is not None:
                    yield _finished(project, purpose, *behind)
            if ahead is not None:
                yield _finished(project, purpose, *ahead)
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(
    project: Project,
    pool: ThreadPoolExecutor,
    batch: Sequence[ReleasePicture],
    purpose: str,
    resize: int | None,
    kept: Kept | None,
) -> list[Future[Made]]:
    with database.reading(project.engine) as connection:
        known = find_renditions(connection, purpose, [picture.sha256 for picture in batch])
    return [
        pool.submit(_content, project, picture, known.get(picture.sha256), resize, kept) for picture in batch
    ]


def _content(
    project: Project,
    picture: ReleasePicture,
    known: StoredRendition | None,
    resize: int | None,
    kept: Kept | None,
) -> Made:
    if kept is not None and (left := kept(picture)) is not None:
        return left, None
    sha256 = picture.sha256
    if known is not None and project.images.exists(known.rendition_sha256):
        return project.images.get(known.rendition_sha256), None
    stripped = strip_for_release(project.images.get(sha256), resize)
    if stripped is not None:
        return stripped, None
    made, content = make_rendition(project.images, sha256, partial(make_release_jpeg, resize=resize))
    return content, made


def _finished(
    project: Project, purpose: str, batch: Sequence[ReleasePicture], waiting: Sequence[Future[Made]]
) -> list[tuple[ReleasePicture, bytes]]:
    contents = [future.result() for future in waiting]
    made = {new.sha256: stored_form(new) for _, new in contents if new is not None}
    if made:
        with database.writing(project.engine) as connection:
            record_renditions(connection, purpose, made, datetime.now(UTC))
    return [(picture, content) for picture, (content, _) in zip(batch, contents, strict=True)]
