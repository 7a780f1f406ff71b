"""Hierarchical error of ILSVRC-2010: how far up WordNet a guess and the truth have something in common.

A wrong guess costs the height of the lowest common ancestor, the longest path from it down to a leaf in the whole of
WordNet; a right one costs nothing, a missing one as much as the root. The hierarchy is the release's own meta.mat.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imagenet_builder.errors import ReleaseError

from .evaluate import IntArray, padded
from .files import ReleaseFiles

DEVKIT = "ILSVRC2012_devkit_t12"
META = f"{DEVKIT}/data/meta.mat"
ARCHIVE = f"archives/{DEVKIT}.tar.gz"


@dataclass(frozen=True)
class Hierarchy:
    """The synsets of a meta.mat, by ILSVRC2012_ID: their children and their heights; `classes` have no children."""

    children: Mapping[int, tuple[int, ...]]
    height: Mapping[int, int]

    @property
    def classes(self) -> int:
        """How many there are; their ids count from 1."""
        return sum(not below for below in self.children.values())

    @property
    def most(self) -> int:
        """The height of the root: what a missing guess costs."""
        return max(self.height.values())

    @cached_property
    def _below(self) -> dict[int, IntArray]:
        """Every synset → the classes at or below it."""
        found: dict[int, frozenset[int]] = {}
        for top in self.children:
            waiting = [top]
            while waiting:
                synset = waiting[-1]
                below = self.children[synset]
                if missing := [child for child in below if child not in found]:
                    waiting += missing
                    continue
                found[synset] = (
                    frozenset().union(*(found[child] for child in below)) if below else frozenset([synset])
                )
                waiting.pop()
        return {synset: np.array(sorted(classes), np.int64) for synset, classes in found.items()}

    @cached_property
    def _highest_first(self) -> list[int]:
        return sorted(self.children, key=lambda synset: (-self.height[synset], synset))

    def costs(self, truth: int) -> IntArray:
        """What every guess costs when `truth` is right: (classes + 1,) by id; at 0 stands that of no guess."""
        costs = np.full(self.classes + 1, self.most, np.int64)
        for synset in self._highest_first:
            below = self._below[synset]
            place = int(np.searchsorted(below, truth))
            if place < len(below) and below[place] == truth:
                costs[below] = self.height[synset]
        costs[truth] = 0
        return costs


def hierarchical_errors(
    hierarchy: Hierarchy, truth: IntArray, predictions: Sequence[Sequence[int]], guesses: int = 5
) -> tuple[float, ...]:
    """The mean over pictures of the cheapest of the first guess, the first two … `guesses`, in levels of WordNet.

    `truth`: (n,) class ids from 1; `predictions`: n rows of ids; what is no class costs as a missing guess.
    """
    rows = padded(predictions, guesses)
    rows[(rows < 1) | (rows > hierarchy.classes)] = 0
    costs = np.empty(rows.shape, np.int64)
    for one in np.unique(truth):
        of_one = truth == one
        costs[of_one] = hierarchy.costs(int(one))[rows[of_one]]
    cheapest = np.minimum.accumulate(costs, axis=1)
    return tuple(float(mean) for mean in cheapest.mean(axis=0))


def read_hierarchy(release: ReleaseFiles) -> Hierarchy | None:
    """The hierarchy of a release, from its development kit; None for a release in formats that have none.

    Raises ReleaseError for a kit that cannot be read.
    """
    from scipy.io.matlab import MatReadError

    try:
        with suppress(FileNotFoundError):
            return _parsed(release.read(META))
        with suppress(FileNotFoundError), tarfile.open(fileobj=io.BytesIO(release.read(ARCHIVE))) as archive:
            file = archive.extractfile(META)
            return _parsed(file.read()) if file is not None else None
    except (OSError, tarfile.TarError, MatReadError, KeyError, ValueError, TypeError, IndexError) as error:
        raise ReleaseError(f"the hierarchy of {release.name} (meta.mat) cannot be read: {error}") from error
    return None


def _parsed(content: bytes) -> Hierarchy:
    from scipy.io import loadmat

    synsets: Any = loadmat(io.BytesIO(content))["synsets"][:, 0]
    ids = [int(row["ILSVRC2012_ID"].item()) for row in synsets]
    return Hierarchy(
        {
            number: tuple(int(child) for child in row["children"].ravel())
            for number, row in zip(ids, synsets, strict=True)
        },
        {number: int(row["wordnet_height"].item()) for number, row in zip(ids, synsets, strict=True)},
    )
