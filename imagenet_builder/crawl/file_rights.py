"""Who made a picture, and what may be done with it, as the file itself says: EXIF, IPTC and XMP fields."""

from __future__ import annotations

import html
import re
from typing import Any

from PIL import IptcImagePlugin
from PIL.Image import Exif
from PIL.ImageFile import ImageFile

from imagenet_builder.records import FileRights

# Field numbers: EXIF 2.32 (JEITA CP-3451), table 3; IPTC-IIM 4.2, record 2.
_ARTIST, _COPYRIGHT, _ORIENTATION = 0x013B, 0x8298, 0x0112
_BYLINE, _CREDIT, _NOTICE = (2, 80), (2, 110), (2, 116)
_LONGEST = 1000
# Markers of JPEG (ITU-T T.81, table B.1): of segments that say nothing of orientation and rights (tables, frames, JFIF,
# Adobe's colours, comments), and of the scan that the picture begins with.
_MUTE = frozenset({0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xE0, 0xEE, 0xFE})
_START_OF_SCAN = 0xDA
_USAGE_TERMS = re.compile(
    rb"<xmpRights:UsageTerms[^>]*>.{0,200}?<rdf:li[^>]*>(.{0,4000}?)</rdf:li>", re.DOTALL
)


def is_mute(jpeg: bytes | memoryview) -> bool:
    """Whether a JPEG certainly says nothing of its orientation and rights: many on the web do not."""
    position = 2
    while position + 4 <= len(jpeg) and jpeg[position] == 0xFF:
        marker = jpeg[position + 1]
        if marker == _START_OF_SCAN:
            return True
        if marker not in _MUTE:
            return False
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4])
    return False


def read_exif(image: ImageFile) -> Exif | None:
    """The EXIF fields of an opened picture; None where they cannot be read: they are often malformed."""
    try:
        return image.getexif()
    except Exception:  # noqa: BLE001  Pillow's parsers raise of every kind, and no picture is lost for it.
        return None


def orientation(exif: Exif | None) -> int:
    """How the picture must be turned to stand upright: EXIF's 1 to 8, 1 if nothing valid is said."""
    value = exif.get(_ORIENTATION) if exif else None
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def read_file_rights(image: ImageFile, exif: Exif | None) -> FileRights:
    """The rights fields of an opened picture; EXIF's before IPTC's."""
    iptc = _read_iptc(image)
    terms = _USAGE_TERMS.search(_xmp(image))
    return FileRights(
        artist=_field(exif, _ARTIST) or _text(iptc.get(_BYLINE)),
        copyright=_field(exif, _COPYRIGHT) or _text(iptc.get(_NOTICE)),
        credit=_text(iptc.get(_CREDIT)),
        usage_terms=html.unescape(_text(terms[1]) or "") or None if terms else None,
    )


def _read_iptc(image: ImageFile) -> dict[tuple[int, int], Any]:
    try:
        return IptcImagePlugin.getiptcinfo(image) or {}
    except Exception:  # noqa: BLE001  As above: a malformed field costs only itself.
        return {}


def _xmp(image: ImageFile) -> bytes:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return packet.encode("utf-8", "replace") if isinstance(packet, str) else bytes(packet)


def _field(exif: Exif | None, tag: int) -> str | None:
    return _text(exif.get(tag)) if exif else None


def _text(value: Any) -> str | None:
    """`value` as one line of text; bytes are UTF-8, or Latin-1 where they are not."""
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    # EXIF separates the photographer's notice from the editor's by NUL.
    words = " ".join(value.replace("\x00", " ").split())
    return words[:_LONGEST] or None
