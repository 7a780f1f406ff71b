"""Pictures of an existing dataset that a crawl is to leave out, with their near-duplicates and mirror images."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .descriptors import SAME, Descriptors, correlation, mirrored, mirrored_hashes, stack
from .duplicates import HASH_MASK, NEAR
from .errors import ProjectError
from .records import Inspected

logger = logging.getLogger(__name__)

CACHE_FOLDER = ".exclusions"
MOST_THREADS = 16
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp"})


class Described(Protocol):
    """A picture as it is compared: its 64-bit hash, signed or not, and its descriptor."""

    @property
    def perceptual_hash(self) -> int: ...

    @property
    def descriptor(self) -> bytes: ...


@dataclass(frozen=True)
class Exclusion:
    """Excluded pictures: row by row their `names` (paths), hashes (uint64) and descriptors."""

    names: tuple[str, ...] = ()
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    descriptors: Descriptors = field(default_factory=lambda: stack([]))

    def match(self, image: Described) -> str | None:
        """The excluded picture that `image`, or its mirror image, nearly equals; None if there is none.

        The distance of the hashes is at most NEAR bits and the descriptors correlate at least as SAME. Every excluded
        hash is looked at: about a millisecond a million.
        """
        if not self.names:
            return None
        row = stack([image.descriptor])
        value = np.array([image.perceptual_hash & HASH_MASK], np.uint64)
        for hashes, rows in ((value, row), (mirrored_hashes(value), mirrored(row))):
            near = np.flatnonzero(np.bitwise_count(self.hashes ^ hashes[0]) <= NEAR)
            if len(near):
                alike = correlation(self.descriptors[near], np.repeat(rows, len(near), axis=0))
                if alike.max() >= SAME:
                    return self.names[int(near[int(alike.argmax())])]
        return None


@dataclass(frozen=True, slots=True)
class _Looked:
    """A file that was looked at, and in which state; `hash` is None for what is no whole picture."""

    stamp: str
    hash: int | None
    descriptor: bytes


def load_exclusion(folders: Iterable[str], project_folder: Path) -> Exclusion:
    """Look at every picture in `folders` (taken from the project folder); those seen before are not read again.

    Raises ProjectError for a folder that cannot be read or has no picture.
    """
    names: list[str] = []
    hashes: list[int] = []
    descriptors: list[bytes] = []
    for setting in dict.fromkeys(folders):
        folder = (project_folder / setting).resolve()
        looked = _look(folder, project_folder / CACHE_FOLDER)
        for name, seen in looked.items():
            if seen.hash is not None:
                names.append(str(folder / name))
                hashes.append(seen.hash & HASH_MASK)
                descriptors.append(seen.descriptor)
        if not any(seen.hash is not None for seen in looked.values()):
            raise ProjectError(f"there is no picture in {folder}, which --exclude or [crawl] exclude names")
    logger.info("%d pictures are excluded", len(names))
    return Exclusion(tuple(names), np.array(hashes, np.uint64), stack(descriptors))


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
    with ThreadPoolExecutor(min(MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
        seen = dict(
            zip(fresh, pool.map(lambda name: _inspect(folder / name, stamps[name]), fresh), strict=True)
        )
    looked = {name: seen.get(name) or before[name] for name in stamps}
    if fresh or len(looked) != len(before):
        _write(place, looked)
    return looked


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def _inspect(path: Path, stamp: str) -> _Looked:
    from .crawl.inspect import Limits, inspect

    anything = Limits(min_side=1, max_pixels=200_000_000, max_side=2**31, max_aspect=2.0**31, blank=0.0)
    try:
        found = inspect(path.read_bytes(), anything)
    except OSError as error:
        raise ProjectError(f"cannot read {path}: {error.strerror}") from error
    if isinstance(found, Inspected):
        return _Looked(stamp, found.perceptual_hash, found.descriptor)
    logger.warning("%s cannot be excluded: %s %s", path, found.reason, found.detail)
    return _Looked(stamp, None, b"")


def _read(place: Path) -> dict[str, _Looked]:
    try:
        with np.load(place, allow_pickle=False) as kept:
            rows = kept["descriptors"]
            columns: Sequence[Sequence[object]] = (kept["names"].tolist(), kept["stamps"].tolist())
            hashes, good = kept["hashes"].tolist(), kept["good"].tolist()
    except (OSError, ValueError, KeyError, EOFError):
        # Never written, or of another version: the pictures are looked at again.
        return {}
    return {
        str(name): _Looked(str(stamp), hashes[row] if good[row] else None, rows[row].tobytes())
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
        hashes=np.array([one.hash or 0 for one in seen], dtype=np.int64),
        good=np.array([one.hash is not None for one in seen], dtype=np.bool_),
        descriptors=stack([one.descriptor for one in seen]),
    )
    beside.replace(place)
