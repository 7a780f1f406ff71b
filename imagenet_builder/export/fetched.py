"""A release in a bucket as a folder, for what reads folders."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from imagenet_builder.errors import ReleaseError

from .documents import MANIFEST_NAME
from .places import BucketPlace, is_bucket

REQUESTS_AT_ONCE = 16


@contextmanager
def on_disk(release: str, only: Collection[str] = ()) -> Iterator[Path]:
    """The folder of a release; one in a bucket is fetched into the temporary folder, or `only` some files of it.

    Raises ReleaseError where it cannot be fetched.
    """
    if not is_bucket(release):
        yield Path(release)
        return
    place = BucketPlace(release)
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        folder = Path(name)

        def fetch(path: str) -> None:
            target = folder / path
            if ".." in PurePosixPath(path).parts:
                raise ReleaseError(f"{release} has a file whose name leads out of it: {path}")
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(place.read(path))
            except OSError as error:
                raise ReleaseError(
                    f"cannot fetch {path} of {release}: {error.strerror}; make room in the temporary folder (TMPDIR)"
                ) from error

        paths = place.paths()
        if MANIFEST_NAME not in paths:
            raise ReleaseError(f"{release} is not a release: there is no {MANIFEST_NAME}")
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
            list(threads.map(fetch, [path for path in paths if not only or path in only]))
        try:
            yield folder
        except ReleaseError as error:
            # Nobody knows of this folder.
            raise ReleaseError(str(error).replace(name, release.rstrip("/"))) from error
