"""The segments of a JPEG file: read, and written again without metadata, leaving the compressed picture alone.

ITU-T T.81 (segments and markers) and the JFIF 1.02 and Adobe conventions (what the three components mean).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

START, END = b"\xff\xd8", b"\xff\xd9"
# Version 1.01, square pixels, no thumbnail: says "grey or YCbCr" and nothing else.
JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
EXIF_PREFIX, ICC_PREFIX, ADOBE_PREFIX = b"Exif\x00\x00", b"ICC_PROFILE\x00", b"Adobe"
ADOBE_YCC = 1

_SOF_HUFFMAN = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended sequential, progressive
_TABLES = frozenset({0xC4, 0xDB, 0xDD})  # Huffman tables, quantisation tables, restart interval
_FRAME_SIZE = struct.Struct(">HH")
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})
_SOS, _EOI, _APP1, _APP2, _APP14 = 0xDA, 0xD9, 0xE1, 0xE2, 0xEE
# In a scan, 0xFF stands before a stuffed zero, a restart mark, another (filling) 0xFF, or the marker that ends it.
_END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


class NotPlain(Exception):
    """The file is not a complete 8-bit grey or YCbCr JPEG with Huffman coding."""


@dataclass(frozen=True, slots=True)
class PlainJpeg:
    """An 8-bit grey or YCbCr JPEG: its size in pixels, its metadata, and its bytes without any.

    `exif` is the TIFF structure of the first Exif segment, `icc` the assembled colour profile; empty if there is none.
    """

    width: int
    height: int
    components: int
    exif: bytes
    icc: bytes
    stripped: bytes


@dataclass(slots=True)
class _Reading:
    kept: list[bytes] = field(default_factory=lambda: [START, JFIF])
    frame: tuple[int, int, int] | None = None
    exif: bytes = b""
    icc_parts: dict[int, bytes] = field(default_factory=dict)
    scans: int = 0


def frame_size(content: bytes) -> tuple[int, int]:
    """Width and height in pixels, of a JPEG that `read_plain_jpeg` would take; of others anything, or IndexError."""
    position = len(START)
    while content[position + 1] not in _SOF_HUFFMAN:
        position += 2 + (content[position + 2] << 8 | content[position + 3])
    height, width = _FRAME_SIZE.unpack_from(content, position + 5)
    return width, height


def read_plain_jpeg(content: bytes) -> PlainJpeg:
    """Read the segments of `content`; nothing is decoded, and what follows the end marker is dropped.

    Raises NotPlain for anything else than a complete 8-bit grey or YCbCr JPEG with Huffman coding.
    """
    if not content.startswith(START):
        raise NotPlain("no start marker")
    reading = _Reading()
    position = len(START)
    while True:
        marker, position = _next_marker(content, position)
        if marker == _EOI:
            break
        body_end = position + int.from_bytes(content[position : position + 2], "big")
        if body_end < position + 2 or body_end > len(content):
            raise NotPlain("a segment is cut off")
        body = content[position + 2 : body_end]
        if marker == _SOS:
            body_end = _end_of_scan(content, body_end)
            reading.scans += 1
        _take(reading, marker, body, content[position:body_end])
        position = body_end
    if reading.frame is None or not reading.scans:
        raise NotPlain("no picture before the end marker")
    height, width, components = reading.frame
    icc = b"".join(part for _, part in sorted(reading.icc_parts.items()))
    return PlainJpeg(width, height, components, reading.exif, icc, b"".join([*reading.kept, END]))


def _next_marker(content: bytes, position: int) -> tuple[int, int]:
    if content[position : position + 1] != b"\xff":
        raise NotPlain("no marker where one belongs")
    while content[position : position + 1] == b"\xff":
        position += 1
    if position >= len(content):
        raise NotPlain("no end marker")
    return content[position], position + 1


def _end_of_scan(content: bytes, position: int) -> int:
    found = _END_OF_SCAN.search(content, position)
    if found is None:
        raise NotPlain("a scan has no end")
    return found.start()


def _take(reading: _Reading, marker: int, body: bytes, segment: bytes) -> None:
    if marker in _METADATA:
        _take_metadata(reading, marker, body)
        return
    if marker in _SOF_HUFFMAN:
        if reading.frame is not None:
            raise NotPlain("two frames")
        reading.frame = _frame(body)
    elif marker == _SOS:
        if reading.frame is None:
            raise NotPlain("a scan before the frame")
    elif marker not in _TABLES:
        raise NotPlain(f"marker {marker:#04x}")
    reading.kept.append(bytes((0xFF, marker)) + segment)


def _take_metadata(reading: _Reading, marker: int, body: bytes) -> None:
    if marker == _APP14 and body.startswith(ADOBE_PREFIX) and len(body) >= 12:
        # Adobe's mark says how colours are coded: 0 is RGB (or CMYK), 2 is YCCK.
        if body[11] != ADOBE_YCC:
            raise NotPlain("colours are not coded as YCbCr")
    elif marker == _APP1 and body.startswith(EXIF_PREFIX) and not reading.exif:
        reading.exif = body[len(EXIF_PREFIX) :]
    elif marker == _APP2 and body.startswith(ICC_PREFIX) and len(body) > len(ICC_PREFIX) + 2:
        reading.icc_parts.setdefault(body[len(ICC_PREFIX)], body[len(ICC_PREFIX) + 2 :])


def _frame(body: bytes) -> tuple[int, int, int]:
    if len(body) < 6:
        raise NotPlain("a frame header is cut off")
    precision, components = body[0], body[5]
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if precision != 8 or components not in (1, 3) or not height or not width:
        raise NotPlain(f"{components} components of {precision} bits")
    if len(body) != 6 + 3 * components:
        raise NotPlain("a frame header of the wrong length")
    # Without either mark, libjpeg takes components named R, G, B as such.
    if body[6::3] == b"RGB":
        raise NotPlain("colours are coded as RGB")
    return height, width, components
