"""What kind of file some bytes are, by their first bytes: what a server says of them is not trusted."""

from __future__ import annotations

import re

ACCEPTED = frozenset({"jpeg", "png", "gif", "webp", "tiff", "bmp"})

_STARTS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "bigtiff"),
    (b"MM\x00+", "bigtiff"),
    (b"BM", "bmp"),
    (b"%PDF-", "pdf"),
    (b"AT&TFORM", "djvu"),
    (b"8BPS", "psd"),
    (b"\x00\x00\x01\x00", "icon"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jpeg-xl"),
    (b"\xff\x0a", "jpeg-xl"),
    (b"gimp xcf", "xcf"),
)
# Brands of the ISO base media file format that mean a still picture or a short run of them.
_PICTURE_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heif",
    b"heix": "heif",
    b"hevc": "heif",
    b"mif1": "heif",
    b"msf1": "heif",
}
# An SVG may open with a byte order mark, an XML declaration, comments and a document type.
_SVG = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:(?:<\?xml[^>]*>|<!--.*?-->|<!doctype svg[^>]*>)\s*)*<svg[\s/>]", re.I | re.S
)


def sniff(content: bytes | memoryview) -> str | None:
    """The format of `content` in a small word (`jpeg`, `png`, `heif`, …); None if it is no picture that is known."""
    head = bytes(content[:1024])
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _PICTURE_BRANDS.get(head[8:12])
    return "svg" if _SVG.match(head) else None
