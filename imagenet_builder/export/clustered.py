"""Near-duplicates of a supply, by places of images instead of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from imagenet_builder.remembered import remembered_clusters
from imagenet_builder.store.export import Places, Supply


def cluster_places(folder: Path, supply: Supply) -> Places:
    """For each image of the supply the place of the first in its cluster (see `remembered_clusters`)."""
    names: list[str] = supply.images.astype(np.str_).tolist()
    place_of = {name: place for place, name in enumerate(names)}
    hashes = dict(zip(names, supply.hashes.tolist(), strict=True))
    cluster_of = remembered_clusters(folder, hashes, _Descriptors(supply, place_of))
    return np.fromiter((place_of[cluster_of[name]] for name in names), np.int64, len(names))


class _Descriptors(Mapping[str, bytes]):
    """The descriptors of the images that have one, made when they are asked for: all of them are most of a supply."""

    def __init__(self, supply: Supply, place_of: Mapping[str, int]) -> None:
        self._rows, self._described, self._place_of = supply.descriptors, supply.described.tolist(), place_of

    def __getitem__(self, name: str) -> bytes:
        row: int = self._described[self._place_of[name]]
        if row < 0:
            raise KeyError(name)
        descriptor: bytes = self._rows[row].tobytes()
        return descriptor

    def __iter__(self) -> Iterator[str]:
        return (name for name, place in self._place_of.items() if self._described[place] >= 0)

    def __len__(self) -> int:
        return len(self._rows)
