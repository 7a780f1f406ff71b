"""A first test of pairs whose hashes are near: cheaper than `likeness.confirmed`, all of whose pairs pass it.

Natural pictures have many such pairs, which grow with the square of their number, and nearly all are of two different
pictures. Two looks (`descriptors.looks_of`) are vectors of length 1. Of the asker's its longest waves `a` are kept and
the length `r` of the rest, of the answer's only the direction `x` of these waves. If `t` is their length in it, the
looks correlate at most by t (a · x) + √(1 - t²) r (Cauchy and Schwarz), and whatever `t` is by √((a · x)² + r²), or by
`r` where `a · x` is negative. So the length of the answer's look, the larger part of the work, is not needed.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np

from .descriptors import LOOK, WINDOWS, Descriptors, Weights, look_weights, looks_of
from .likeness import SIDES, Mask, Pictures, Places

# The half waves down and across a look, each squared, add up to no more in the waves that are kept.
SHORTEST_WAVES = 44
# More than what rounding to 32 bits can take from a correlation.
ROUNDING = 1e-4
# Pictures whose waves are found in one go.
READ_AT_ONCE = 2_048


class FirstTest:
    """Tests pairs of these pictures; the waves of askers are kept, 164 bytes for each that was in a pair."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        count, waves = len(pictures.shows), _waves().shape[1]
        self._asking = np.zeros((count, waves + 1), np.float32)
        self._made = np.zeros(count, np.bool_)

    def likely(self, one: Places, other: Places, same: float) -> Mask:
        """Of pairs of codes all that `confirmed` confirms, and few others.

        A picture is read once as an answer, and its waves in a window made once, however many of the pairs it is in.
        """
        pictures, count = self._pictures, len(self._made)
        asker, answer = one // SIDES, other // len(WINDOWS)
        maybe: Mask = ~(pictures.described[asker] & pictures.described[answer])
        shown = np.flatnonzero(pictures.shows[asker] & pictures.shows[answer])
        shown = shown[other[shown].argsort()]
        self._make(asker[shown])
        answers, answer_row = _numbered(answer[shown], count)
        for start in range(0, len(answers), READ_AT_ONCE):
            begin, end = answer_row.searchsorted((start, start + READ_AT_ONCE))
            rows = pictures.rows(answers[start : start + READ_AT_ONCE]).astype(np.float32)
            pairs = shown[begin:end]
            window = (other[pairs] % len(WINDOWS)).astype(np.uint8)
            for number in np.unique(window).tolist():
                there = np.flatnonzero(window == number)
                seen, row = _numbered(answer_row[begin:end][there] - start, len(rows))
                there = pairs[there]
                known = _directions(rows[seen] @ _window_waves(number))[row]
                maybe[there] = _most(self._asking[asker[there]], known, one[there] % SIDES == 1) >= same
        return maybe

    def _make(self, askers: Places) -> None:
        missing = np.zeros(len(self._made), np.bool_)
        missing[askers] = True
        missing &= ~self._made
        self._made |= missing
        places = np.flatnonzero(missing)
        for start in range(0, len(places), READ_AT_ONCE):
            some = places[start : start + READ_AT_ONCE]
            self._asking[some] = waves_and_rest(self._pictures.rows(some))


def most_alike(asked: Weights, mirrored: Mask, known: Descriptors, windows: Places) -> Weights:
    """Row by row how much a picture of these waves, or its mirror image, and a window correlate at most."""
    order = windows.argsort(kind="stable")
    rows = known[order].astype(np.float32)
    waves = np.empty((len(rows), _waves().shape[1]), np.float32)
    edges = windows[order].searchsorted(np.arange(len(WINDOWS) + 1)).tolist()
    for window, (begin, end) in enumerate(pairwise(edges)):
        if end > begin:
            np.matmul(rows[begin:end], _window_waves(window), out=waves[begin:end])
    most = np.empty(len(rows), np.float32)
    most[order] = _most(asked[order], _directions(waves), mirrored[order])
    return most


def waves_and_rest(rows: Descriptors) -> Weights:
    """For each picture the waves of its look, and the length of what else is in it."""
    found = np.empty((len(rows), _waves().shape[1] + 1), np.float32)
    for start in range(0, len(rows), READ_AT_ONCE):
        looks = looks_of(rows[start : start + READ_AT_ONCE])
        waves = looks @ _waves()
        rest = np.einsum("ij,ij->i", looks, looks) - np.einsum("ij,ij->i", waves, waves)
        found[start : start + READ_AT_ONCE, :-1] = waves
        found[start : start + READ_AT_ONCE, -1] = np.sqrt(rest.clip(0))
    return found


def _numbered(places: Places, count: int) -> tuple[Places, Places]:
    """The places that are there, of `count` in order, and for each of `places` which of these it is."""
    there = np.zeros(count, np.bool_)
    there[places] = True
    return np.flatnonzero(there), (there.cumsum() - 1)[places]


def _directions(waves: Weights) -> Weights:
    length = np.sqrt(np.einsum("ij,ij->i", waves, waves))
    directions: Weights = waves / np.maximum(length, np.finfo(np.float32).tiny)[:, None]
    return directions


def _most(asking: Weights, known: Weights, mirrored: Mask) -> Weights:
    """How much each two looks may correlate as computed, the asker's as it is or `mirrored`."""
    odd, rest = _odd_waves(), asking[:, -1]
    along = np.einsum("ij,ij->i", asking[:, odd:-1], known[:, odd:])
    turning = np.einsum("ij,ij->i", asking[:, :odd], known[:, :odd])
    along += np.where(mirrored, -turning, turning)
    most: Weights = np.hypot(along.clip(0), rest) + np.float32(ROUNDING)
    return most


@cache
def _frequencies() -> tuple[tuple[int, int], ...]:
    """Half waves down and across a look, which has no mean; first those that the mirror image has with minus."""
    each = [(down, across) for down in range(LOOK) for across in range(LOOK) if down or across]
    kept = [one for one in each if one[0] ** 2 + one[1] ** 2 <= SHORTEST_WAVES]
    return tuple(sorted(kept, key=lambda one: 1 - one[1] % 2))


@cache
def _odd_waves() -> int:
    return sum(across % 2 for _, across in _frequencies())


@cache
def _waves() -> Weights:
    """Waves as columns of length 1, at right angles to each other (those of the discrete cosine transform)."""
    waves = np.cos(np.pi / LOOK * np.outer(np.arange(LOOK), np.arange(LOOK) + 0.5))
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    columns = [np.outer(waves[down], waves[across]).ravel() for down, across in _frequencies()]
    return np.stack(columns, axis=1).astype(np.float32)


@cache
def _window_waves(window: int) -> Weights:
    weights: Weights = look_weights(window) @ _waves()
    return weights
