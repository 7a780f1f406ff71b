"""A finer look at a picture than its 64-bit hash: 16 × 16 grey values, compared by normalised correlation.

It confirms that two pictures whose hashes are near are one. The mean and the best-fitting slope are taken out first:
skies, walls and pages differ from each other in little else, and would otherwise all look alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 16
BYTES = SIDE * SIDE
# Correlation from which two pictures count as one.
SAME = 0.8
# Grey levels by which a picture must deviate from a plain slope to show anything that can be compared.
FLAT = 0.75

Descriptors = npt.NDArray[np.int8]

_ACROSS = np.tile(np.arange(SIDE) - (SIDE - 1) / 2, (SIDE, 1))
_SLOPES = tuple(slope / np.linalg.norm(slope) for slope in (np.ones((SIDE, SIDE)), _ACROSS, _ACROSS.T))


def describe(grey: npt.NDArray[np.uint8]) -> bytes:
    """The descriptor of a picture (height × width, uint8): BYTES values from −127 to 127; all zero if it is flat."""
    # Means of fields as numbers with a fraction: rounding would drown faint pictures.
    image = Image.fromarray(grey.astype(np.float32))
    fields = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    for slope in _SLOPES:
        fields = fields - slope * float((fields * slope).sum())
    if float(fields.std()) < FLAT:
        return bytes(BYTES)
    return np.rint(fields * (127.0 / float(np.abs(fields).max()))).astype(np.int8).tobytes()


def stack(descriptors: list[bytes]) -> Descriptors:
    """Descriptors as the rows of one array; an empty one becomes a row of zeros."""
    joined = b"".join(descriptor or bytes(BYTES) for descriptor in descriptors)
    return np.frombuffer(joined, np.int8).reshape(-1, BYTES)


def correlation(left: Descriptors, right: Descriptors) -> npt.NDArray[np.float32]:
    """The correlation (−1 to 1) of each row of `left` with the same row of `right`; 0 where one is flat."""
    one, other = left.astype(np.float32), right.astype(np.float32)
    product = np.einsum("ij,ij->i", one, other)
    length = np.sqrt(np.einsum("ij,ij->i", one, one) * np.einsum("ij,ij->i", other, other))
    result: npt.NDArray[np.float32] = np.divide(product, length, out=np.zeros_like(product), where=length > 0)
    return result


def mirrored(descriptors: Descriptors) -> Descriptors:
    """The descriptors of the pictures' mirror images."""
    flipped: Descriptors = descriptors.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(-1, BYTES)
    return flipped


def mirrored_hashes(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The difference hashes of the pictures' mirror images, but for fields that are equally dark."""
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1).reshape(-1, 8, 8)
    flipped = np.packbits(1 - bits[:, :, ::-1], axis=2).reshape(-1, 8)
    return np.ascontiguousarray(flipped).view(">u8").reshape(-1).astype(np.uint64)
