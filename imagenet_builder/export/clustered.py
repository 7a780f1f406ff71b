"""Near-duplicates of a supply, by places of images instead of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from imagenet_builder.remembered import remembered_clusters
from imagenet_builder.store.export import Places, Supply


def cluster_places(folder: Path, supply: Supply) -> Places:
    """For each image of the supply the place of the first in its cluster (see `remembered_clusters`)."""
    cluster_of = remembered_clusters(folder, _Hashes(supply), supply.descriptors)
    # Dictionaries keep their order, and that of a clustering is the names' own.
    place_of = {name: place for place, name in enumerate(cluster_of)}
    return np.fromiter(map(place_of.__getitem__, cluster_of.values()), np.int64, len(place_of))


class _Hashes(Mapping[str, int]):
    """The hash of each image, by its SHA-256: a dictionary would hold every hash and name as an object."""

    def __init__(self, supply: Supply) -> None:
        self._images, self._hashes = supply.images, supply.hashes

    def __getitem__(self, sha256: str) -> int:
        encoded = sha256.encode()
        place = self._images.searchsorted(encoded)
        if place == len(self._images) or self._images[place] != encoded:
            raise KeyError(sha256)
        return int(self._hashes[place])

    def __iter__(self) -> Iterator[str]:
        return (image.decode() for image in self._images.tolist())

    def __len__(self) -> int:
        return len(self._images)
