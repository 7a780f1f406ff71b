"""Near-duplicates of a supply, by places of images instead of names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imagenet_builder.remembered import remembered_clusters
from imagenet_builder.store.export import Places, Supply


def cluster_places(folder: Path, supply: Supply) -> Places:
    """For each image of the supply the place of the first in its cluster (see `remembered_clusters`)."""
    names: list[str] = supply.images.astype(np.str_).tolist()
    hashes = dict(zip(names, supply.hashes.tolist(), strict=True))
    cluster_of = remembered_clusters(folder, hashes, supply.descriptors)
    place_of = {name: place for place, name in enumerate(names)}
    return np.fromiter((place_of[cluster_of[name]] for name in names), np.int64, len(names))
