"""Which candidate a picture of a release is said to come from. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imagenet_builder.store.export import Places, Supply

from .description import ReleasePictures

NONE = np.iinfo(np.int64).max


class Origins:
    """The first candidate of every accepted image, by the category it was accepted for and by any."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._number_of = {wnid: number for number, wnid in enumerate(supply.accepted)}
        # A number for each category and image; ascending, as both are.
        self._labels = self._label(
            np.repeat(np.arange(len(supply.accepted)), [len(own) for own in supply.accepted.values()]),
            np.concatenate([np.zeros(0, np.int64), *supply.accepted.values()]),
        )
        self._own = np.full(len(self._labels), NONE)
        self._any = np.full(len(supply.images), NONE)

    def take(self, rows: Places, wnids: Sequence[str], places: Places) -> None:
        """Candidates by their rows in the store, with the places of their images, -1 where these do not matter."""
        known = places >= 0
        numbers = np.array([self._number_of.get(wnid, -1) for wnid in wnids])[known]
        rows, places = rows[known], places[known]
        np.minimum.at(self._any, places, rows)
        label = self._label(numbers, places)
        found = np.minimum(np.searchsorted(self._labels, label), len(self._labels) - 1)
        own = self._labels[found] == label
        np.minimum.at(self._own, found[own], rows[own])

    def known(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which images have any candidate."""
        return self._any < NONE

    def of(self, pictures: ReleasePictures, places: Places) -> tuple[Places, Places]:
        """The rows of the candidates and of the questions that pictures of a release, with images at `places`, rest on.

        Of several candidates with the same bytes the first of the category is taken, else the first of any; -1 where
        there is none.
        """
        numbers = np.array([self._number_of[wnid] for wnid in pictures.wnids])[pictures.labels]
        labels = np.searchsorted(self._labels, self._label(numbers, places))
        first = np.where(self._own[labels] < NONE, self._own[labels], self._any[places])
        return np.where(first < NONE, first, -1), self._supply.questions[labels]

    def _label(self, numbers: Places, places: Places) -> Places:
        return numbers * len(self._supply.images) + places
