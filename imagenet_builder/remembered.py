"""Clusters of near-duplicates kept in the project folder, so that the next release compares only what is new."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from . import descriptors as looks
from .duplicates import CROWD, NEAR, Clustering, clustering
from .errors import ProjectError
from .likeness import LEAST_TEXTURE

logger = logging.getLogger(__name__)

FOLDER = ".duplicates"


def remembered_clusters(
    folder: Path, hashes: Mapping[str, int], descriptors: Mapping[str, bytes]
) -> dict[str, str]:
    """The clusters of these pictures, as `duplicates.clusters` gives them, from what the last call in `folder` knew.

    What is kept is only ever a shortcut: a file that is missing, damaged or of another method is made again. Raises
    ProjectError where it cannot be written.
    """
    place = folder / FOLDER / f"{_method()}.npz"
    before = _read(place)
    now = clustering(hashes, descriptors, before)
    same = (
        np.array_equal(getattr(before, field), getattr(now, field))
        for field in ("names", "hashes", "described")
    )
    if before is None or not all(same):
        _write(place, now)
    return now.clusters()


def _method() -> str:
    """A name for how pictures are compared: what was found by another method is not gone on from."""
    method = (
        *(NEAR, LEAST_TEXTURE, CROWD, looks.WINDOWS, looks.SAME, looks.LEAST_SPREAD),
        *(looks.FLAT, looks.SIDE, looks.LOOK, looks.HASH_ROWS, looks.HASH_COLUMNS, looks.OVERLAP),
    )
    return hashlib.sha256(repr(method).encode()).hexdigest()[:16]


def _read(place: Path) -> Clustering | None:
    try:
        with np.load(place, allow_pickle=False) as kept:
            columns = {field.name: kept[field.name] for field in fields(Clustering)}
            read = Clustering(**columns)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        logger.warning("%s cannot be read and is made again: %s", place, error)
        return None
    return read


def _write(place: Path, clusters: Clustering) -> None:
    beside = place.with_name(f"{place.stem}.{os.getpid()}.npz")
    try:
        place.parent.mkdir(exist_ok=True)
        columns = {field.name: getattr(clusters, field.name) for field in fields(Clustering)}
        np.savez(beside, **columns)
        beside.replace(place)
    except OSError as error:
        if place.parent.is_dir():
            beside.unlink(missing_ok=True)
        raise ProjectError(
            f"cannot keep the near-duplicates found in {place.parent}: {error.strerror}; make room there, or make it a "
            "folder that can be written"
        ) from error
