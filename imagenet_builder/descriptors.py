"""What a picture is compared by: 24 × 24 grey values, the hashes of it and of windows in it, and a finer comparison.

A hash says whether each of 8 × 8 fields is darker than its right neighbour. The fields overlap, so that a picture that
is cropped a little keeps most bits, and the best-fitting slope is taken out first: skies and walls differ in little
else. A picture that was cropped, or that got a bar for a caption, looks like a window in the other one: so windows
have hashes too. Two pictures whose hashes are near are one if the windows' fields correlate.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 24
BYTES = SIDE * SIDE
# Correlation from which two pictures count as one.
SAME = 0.85
# Grey levels by which a picture must deviate from a plain slope to show anything that can be compared.
FLAT = 0.75
# Of LOOK × LOOK fields: in how many a picture must have its contrast to be compared with windows.
LEAST_SPREAD = 6
# Side of the fields that are compared.
LOOK = 12
HASH_ROWS, HASH_COLUMNS = 8, 9
# How many times as wide as their distance the hash's fields are.
OVERLAP = 2.0
# By what decoders shrink pictures, which is quick, and the pixels that must be left of a side: with fewer, fields share
# them, and stripes in a picture are others in a smaller copy.
REDUCTIONS = (8, 4, 2)
LEAST_SIDE = 60

_ROWS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
# For each eight bits these in the other order, and each the other way.
_MIRRORED_ROWS = np.packbits(1 - _ROWS[:, ::-1], axis=1).ravel()

Descriptors = npt.NDArray[np.int8]
Hashes = npt.NDArray[np.uint64]
Window = tuple[float, float, float, float]
Weights = npt.NDArray[np.float32]
Fields = npt.NDArray[Any]

_ACROSS = np.tile(np.arange(SIDE) - (SIDE - 1) / 2, (SIDE, 1))
# Two rows of length 1: how a picture grows brighter to the right, and downwards.
_SLOPES = np.stack([_ACROSS.ravel(), _ACROSS.T.ravel()]) / np.linalg.norm(_ACROSS)


def _windows() -> tuple[Window, ...]:
    """The whole; crops of two sizes in nine places; pictures that lost a bar below or above. Shares of the sides."""
    whole = (0.0, 0.0, 1.0, 1.0)
    crops = [
        (left * (1 - side), top * (1 - side), left * (1 - side) + side, top * (1 - side) + side)
        for side in (0.91, 0.82)
        for left in (0.0, 0.5, 1.0)
        for top in (0.0, 0.5, 1.0)
    ]
    bars = [bar for height in (0.93, 0.85) for bar in ((0.0, 0.0, 1.0, height), (0.0, 1 - height, 1.0, 1.0))]
    return (whole, *crops, *bars)


# The first is the whole picture.
WINDOWS = _windows()
# A product of int8 values with whole weights that sum up to less is exact in float32: a hash does not depend on how
# many pictures are looked at together, nor on the machine.
_EXACT = 2**24 // 128


def reduction_of(width: int, height: int) -> int:
    """By how much a picture may be shrunk before it is described."""
    return next((by for by in REDUCTIONS if min(width, height) >= by * LEAST_SIDE), 1)


def fields_of(grey: npt.NDArray[np.uint8], size: tuple[int, int] | None = None) -> Fields:
    """A picture (height × width, uint8) as SIDE × SIDE means of its grey values.

    `size` is the width and height of the picture that `grey` shows shrunk by its `reduction_of`: the last column and
    row then stand for fewer pixels than the others.
    """
    # Means with a fraction: rounding would drown faint pictures.
    image = Image.fromarray(grey.astype(np.float32))
    by = reduction_of(*size) if size else 1
    shown = [-(-side // by) for side in size or ()]
    covered = [side / by for side in size] if size and shown == list(image.size) else image.size
    box = (0.0, 0.0, float(covered[0]), float(covered[1]))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX, box))


def describe(fields: Fields) -> bytes:
    """The descriptor of a picture's fields: BYTES values from −127 to 127; all zero if it is flat."""
    values = fields.astype(np.float64).ravel()
    values -= values.sum() / BYTES
    if deviation(values - (_SLOPES @ values) @ _SLOPES) < FLAT:
        return bytes(BYTES)
    return np.rint(values * (127.0 / float(np.abs(values).max()))).astype(np.int8).tobytes()


def deviation(values: npt.NDArray[Any]) -> float:
    """The standard deviation of `values`, as ndarray.std gives it, which takes several times as long for a few."""
    centred = values.astype(np.float64).ravel()
    centred -= centred.sum() / centred.size
    # Not a product of BLAS, which for so little wakes its threads.
    return math.sqrt(float(np.einsum("i,i", centred, centred)) / centred.size)


def stack(descriptors: list[bytes]) -> Descriptors:
    """Descriptors as the rows of one array; an empty one becomes a row of zeros."""
    joined = b"".join(descriptor or bytes(BYTES) for descriptor in descriptors)
    return np.frombuffer(joined, np.int8).reshape(-1, BYTES)


def hashes_of(descriptors: Descriptors, window: int = 0) -> Hashes:
    """The 64-bit hash of a window in each picture; 0 for flat ones."""
    brighter = descriptors.astype(np.float32) @ _hash_weights(window) > 0
    packed = np.packbits(brighter, axis=1)
    return np.ascontiguousarray(packed).view(">u8").reshape(-1).astype(np.uint64)


def all_hashes_of(descriptors: Descriptors) -> Hashes:
    """The hashes of every window in each picture (rows × windows), as `hashes_of` gives them."""
    brighter = descriptors.astype(np.float32) @ _all_hash_weights() > 0
    packed = np.packbits(brighter.reshape(-1, HASH_ROWS * (HASH_COLUMNS - 1)), axis=1)
    return packed.view(">u8").reshape(-1, len(WINDOWS)).astype(np.uint64)


def looks_of(descriptors: Descriptors, window: int = 0) -> Weights:
    """The fields of a window in each picture, without slope: rows of LOOK × LOOK, of length 1 (0 for flat ones)."""
    fields = descriptors.astype(np.float32) @ look_weights(window)
    length = np.sqrt(np.einsum("ij,ij->i", fields, fields, dtype=np.float64))[:, None]
    looks: Weights = np.divide(fields, length, out=np.zeros_like(fields), where=length > 0)
    return looks


def correlation(asking: Weights, known: Weights, window: int = 0) -> npt.NDArray[np.float32]:
    """The correlation (−1 to 1) of each look in `asking`, of whole pictures, with the same row of `known`.

    `known` has looks of one window. Of a picture in which a small thing stands in front of nothing much, a crop shows
    the same thing elsewhere, and so do other pictures: in a window such a picture counts as 0.
    """
    result: npt.NDArray[np.float32] = np.einsum("ij,ij->i", asking, known)
    if window:
        # How many fields share the contrast, were it the same in each (the participation ratio).
        concentration = np.einsum("ij,ij,ij,ij->i", asking, asking, asking, asking)
        result[concentration > 1 / LEAST_SPREAD] = 0
    return result


def mirrored_looks(looks: Weights) -> Weights:
    """The looks of the pictures' mirror images."""
    flipped: Weights = looks.reshape(-1, LOOK, LOOK)[:, :, ::-1].reshape(-1, LOOK * LOOK)
    return flipped


def mirrored_hashes(hashes: Hashes) -> Hashes:
    """The hashes of the pictures' mirror images, but for fields that are equally dark."""
    # A row of a hash is an octet of it, wherever in the number that is.
    return _MIRRORED_ROWS.take(np.ascontiguousarray(hashes).view(np.uint8)).view(np.uint64)


@cache
def _hash_weights(window: int) -> Weights:
    left, top, right, bottom = WINDOWS[window]
    fields = np.kron(_shares(top, bottom, HASH_ROWS, OVERLAP), _shares(left, right, HASH_COLUMNS, OVERLAP))
    fields = _without_slope(HASH_ROWS, HASH_COLUMNS) @ fields
    fields = fields.reshape(HASH_ROWS, HASH_COLUMNS, BYTES)
    return _whole((fields[:, 1:] - fields[:, :-1]).reshape(-1, BYTES))


@cache
def _all_hash_weights() -> Weights:
    return np.concatenate([_hash_weights(window) for window in range(len(WINDOWS))], axis=1)


@cache
def look_weights(window: int) -> Weights:
    """The weights (BYTES × LOOK · LOOK) of a picture's values in the fields of a window, without slope."""
    left, top, right, bottom = WINDOWS[window]
    fields = np.kron(_shares(top, bottom, LOOK, 1.0), _shares(left, right, LOOK, 1.0))
    return _whole(_without_slope(LOOK, LOOK) @ fields)


def _whole(weights: npt.NDArray[np.float64]) -> Weights:
    scale = (_EXACT - BYTES) / np.abs(weights).sum(axis=1).max()
    return np.ascontiguousarray(np.rint(weights * scale).astype(np.float32).T)


def _shares(begin: float, end: float, count: int, width: float) -> npt.NDArray[np.float64]:
    """`count` fields over a stretch of a side: the share that each of SIDE cells has in each (count × SIDE).

    A field is `width` times as wide as the distance to the next one, but ends where the stretch does.
    """
    distance = (end - begin) / count
    middle = begin + (np.arange(count)[:, None] + 0.5) * distance
    low = np.maximum(begin, middle - distance * width / 2) * SIDE
    high = np.minimum(end, middle + distance * width / 2) * SIDE
    cells = np.arange(SIDE)[None, :]
    overlap = np.clip(np.minimum(high, cells + 1) - np.maximum(low, cells), 0, None)
    shares: npt.NDArray[np.float64] = overlap / (high - low)
    return shares


@cache
def _without_slope(rows: int, columns: int) -> npt.NDArray[np.float64]:
    """The projection of rows × columns fields that takes out their mean and the best-fitting slope."""
    down, across = np.mgrid[0:rows, 0:columns].reshape(2, -1).astype(np.float64)
    plain = np.stack([np.ones(rows * columns), down - down.mean(), across - across.mean()])
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)
    projection: npt.NDArray[np.float64] = np.eye(rows * columns) - plain.T @ plain
    return projection
