"""Pictures of an existing dataset that a crawl is to leave out, with their near-duplicates and mirror images."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .coarse import most_alike, waves_and_rest
from .descriptors import (
    BYTES,
    SAME,
    WINDOWS,
    Descriptors,
    all_hashes_of,
    correlation,
    looks_of,
    mirrored_hashes,
    mirrored_looks,
    stack,
)
from .duplicates import NEAR
from .errors import ProjectError
from .likeness import HASHED_AT_ONCE, Mask, Places
from .near_index import NearIndex
from .records import Inspected

logger = logging.getLogger(__name__)


CACHE_FOLDER = ".exclusions"
MOST_THREADS = 16
# Files that are named in one line of the log.
MOST_NAMED = 5
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp"})


class Described(Protocol):
    """A picture as it is compared: by its descriptor."""

    @property
    def descriptor(self) -> bytes: ...


class Exclusion:
    """Excluded pictures, by what they and the windows in them look like: about three kilobytes each."""

    def __init__(
        self, names: Sequence[str] = (), descriptors: Descriptors | None = None, *, same: float = SAME
    ) -> None:
        self.names = tuple(names)
        self.descriptors = stack([]) if descriptors is None else descriptors
        self._same = same
        shown = np.flatnonzero(self.descriptors.any(axis=1))
        self._rows = shown
        rows = self.descriptors[shown]
        self._waves = waves_and_rest(rows)
        parts = [
            all_hashes_of(rows[start : start + HASHED_AT_ONCE])
            for start in range(0, len(rows), HASHED_AT_ONCE)
        ]
        hashes = np.concatenate([np.zeros((0, len(WINDOWS)), np.uint64), *parts])
        # Window by window.
        self._windows = NearIndex(hashes.T.reshape(-1), NEAR)
        self._wholes = NearIndex(hashes[:, 0], NEAR, many_ask=True)

    def match(self, image: Described) -> str | None:
        """The excluded picture that `image` equals or nearly equals; None if there is none."""
        return self.matches([image])[0]

    def matches(self, images: Sequence[Described]) -> list[str | None]:
        """For each image the excluded picture that it is most like, None without one; many together cost far less.

        As among a collection's own pictures (`duplicates.clusters`), one is compared with the other and the windows
        in it, and with its mirror image.
        """
        found: list[str | None] = [None] * len(images)
        rows = stack([image.descriptor for image in images])
        shown = np.flatnonzero(rows.any(axis=1))
        if not len(self._rows) or not len(shown):
            return found
        image, place, alike = self._alike(rows[shown])
        # The most alike comes last of its image's.
        order = np.lexsort((place, alike, image))
        for one in order[alike[order] >= self._same].tolist():
            found[shown[image[one]]] = self.names[self._rows[place[one]]]
        return found

    def _alike(self, rows: Descriptors) -> tuple[Places, Places, npt.NDArray[np.float32]]:
        """(image, excluded picture, correlation) of all that have hashes near each other."""
        hashes = all_hashes_of(rows)
        # As they are, then their mirror images.
        both = np.stack([hashes, mirrored_hashes(hashes)])
        # The images against the excluded pictures and the windows in them; then the windows in them against these.
        asked, place = self._windows.near(both[:, :, 0].reshape(-1))
        mirrored, image = np.divmod(asked, len(rows))
        window, place = np.divmod(place, len(self._rows))
        most = most_alike(waves_and_rest(rows)[image], mirrored == 1, self._excluded(place), window)
        image, mirrored, place, window = (
            column[most >= self._same] for column in (image, mirrored, place, window)
        )
        forth = _correlations(rows[image], mirrored == 1, self._excluded(place), window)
        asked, whole = self._wholes.near(both[:, :, 1:].reshape(-1))
        asked, inside = np.divmod(asked, len(WINDOWS) - 1)
        mirrored, holder = np.divmod(asked, len(rows))
        most = most_alike(self._waves[whole], mirrored == 1, rows[holder], inside + 1)
        holder, mirrored, whole, inside = (
            column[most >= self._same] for column in (holder, mirrored, whole, inside)
        )
        back = _correlations(self._excluded(whole), mirrored == 1, rows[holder], inside + 1)
        return np.append(image, holder), np.append(place, whole), np.append(forth, back)

    def _excluded(self, places: Places) -> Descriptors:
        return self.descriptors[self._rows[places]]


def _correlations(
    asking: Descriptors, mirrored: Mask, known: Descriptors, windows: Places
) -> npt.NDArray[np.float32]:
    """Row by row the correlation of a picture, or of its mirror image, with a window in another."""
    looks = looks_of(asking)
    looks[mirrored] = mirrored_looks(looks[mirrored])
    found = np.zeros(len(asking), np.float32)
    for window in np.unique(windows).tolist():
        there = np.flatnonzero(windows == window)
        found[there] = correlation(looks[there], looks_of(known[there], window), window)
    return found


@dataclass(frozen=True, slots=True)
class _Looked:
    """A file that was looked at, and in which state; `descriptor` is None for what is no whole picture.

    Which `problem` that has is only known of one that was looked at just now.
    """

    stamp: str
    descriptor: bytes | None
    problem: str = ""


def load_exclusion(folders: Iterable[str], project_folder: Path) -> Exclusion:
    """Look at every picture in `folders` (taken from the project folder); those seen before are not read again.

    Raises ProjectError for a folder that cannot be read or has no picture.
    """
    names: list[str] = []
    descriptors: list[bytes] = []
    for setting in dict.fromkeys(folders):
        folder = (project_folder / setting).resolve()
        looked = _look(folder, project_folder / CACHE_FOLDER)
        for name, seen in looked.items():
            if seen.descriptor is not None:
                names.append(str(folder / name))
                descriptors.append(seen.descriptor)
        if not any(seen.descriptor is not None for seen in looked.values()):
            raise ProjectError(f"there is no picture in {folder}, which --exclude or [crawl] exclude names")
    if names:
        logger.info("%d pictures, and what nearly equals them, are excluded", len(names))
    return Exclusion(names, stack(descriptors))


def _look(folder: Path, cache: Path) -> dict[str, _Looked]:
    if not folder.is_dir():
        raise ProjectError(f"there is no folder {folder}, which --exclude or [crawl] exclude names")
    place = cache / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.npz"
    before = _read(place)
    stamps = {
        path.relative_to(folder).as_posix(): _stamp(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    }
    fresh = [name for name, stamp in stamps.items() if name not in before or before[name].stamp != stamp]
    if fresh:
        logger.info("looking at %d pictures in %s, once", len(fresh), folder)
    with ThreadPoolExecutor(min(MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
        seen = dict(
            zip(fresh, pool.map(lambda name: _inspect(folder / name, stamps[name]), fresh), strict=True)
        )
    broken = [f"{name} ({one.problem})" for name, one in seen.items() if one.problem]
    if broken:
        more = f" and {len(broken) - MOST_NAMED} more" if len(broken) > MOST_NAMED else ""
        logger.warning(
            "%d files in %s are no whole pictures, so nothing is compared with them: %s%s",
            *(len(broken), folder, ", ".join(broken[:MOST_NAMED]), more),
        )
    looked = {name: seen.get(name) or before[name] for name in stamps}
    if fresh or len(looked) != len(before):
        _write(place, looked)
    return looked


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def _inspect(path: Path, stamp: str) -> _Looked:
    from .crawl.inspect import inspect
    from .crawl.limits import Limits

    anything = Limits(min_side=1, max_pixels=200_000_000, max_side=2**31, max_aspect=2.0**31, blank=0.0)
    try:
        found = inspect(path.read_bytes(), anything)
    except OSError as error:
        raise ProjectError(f"cannot read {path}: {error.strerror}") from error
    if isinstance(found, Inspected):
        return _Looked(stamp, found.descriptor)
    return _Looked(stamp, None, f"{found.reason}: {found.detail}" if found.detail else str(found.reason))


def _read(place: Path) -> dict[str, _Looked]:
    try:
        with np.load(place, allow_pickle=False) as kept:
            rows = kept["descriptors"]
            columns: Sequence[Sequence[object]] = (kept["names"].tolist(), kept["stamps"].tolist())
            good = kept["good"].tolist()
            if rows.shape[1:] != (BYTES,):
                return {}
    except (OSError, ValueError, KeyError, EOFError):
        # Never written, or of another version: the pictures are looked at again.
        return {}
    return {
        str(name): _Looked(str(stamp), rows[row].tobytes() if good[row] else None)
        for row, (name, stamp) in enumerate(zip(*columns, strict=True))
    }


def _write(place: Path, looked: dict[str, _Looked]) -> None:
    place.parent.mkdir(exist_ok=True)
    beside = place.with_name(f"{place.stem}.{os.getpid()}.npz")
    seen = list(looked.values())
    np.savez(
        beside,
        names=np.array(list(looked), dtype=np.str_),
        stamps=np.array([one.stamp for one in seen], dtype=np.str_),
        good=np.array([one.descriptor is not None for one in seen], dtype=np.bool_),
        descriptors=stack([one.descriptor or b"" for one in seen]),
    )
    beside.replace(place)
