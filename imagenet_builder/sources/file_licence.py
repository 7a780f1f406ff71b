"""The licence that a picture's own file states: its XMP and IPTC rights fields, found without decoding anything.

Read are, the plainest first: cc:license (https://wiki.creativecommons.org/wiki/XMP), and of the IPTC Photo Metadata
Standard (https://iptc.org/std/photometadata/specification/) Web Statement of Rights, Rights Usage Terms and Copyright
Notice, the last in its older form (IIM) too.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Iterator

from imagenet_builder.records import Rights

from .licences import parse_licence

# So much is looked at of a file's fields: whatever a hostile file holds, this costs little.
MOST_BYTES = 65_536
_STARTS = (b"<x:xmpmeta", b"<rdf:RDF")
_FIELD = r"""{name}\s{{0,9}}=\s{{0,9}}["']([^"']{{1,2000}})["']
|<{name}\b[^>]{{0,500}}?rdf:resource\s{{0,9}}=\s{{0,9}}["']([^"']{{1,2000}})["']
|<{name}\b[^>]{{0,500}}>\s{{0,99}}([^<]{{1,4000}})</{name}>
|<{name}\b[^>]{{0,500}}>.{{0,200}}?<rdf:li\b[^>]{{0,500}}>([^<]{{1,4000}})</rdf:li>"""
_NAMES = ("cc:license", "xmpRights:WebStatement", "xmpRights:UsageTerms", "dc:rights")
_FIELDS = {
    name: re.compile(_FIELD.format(name=re.escape(name)), re.DOTALL | re.VERBOSE)
    for name in (*_NAMES, "dc:creator")
}
# Photoshop's segment of a JPEG holds IPTC's older fields: of record 2 the copyright notice (116) and who made it (80).
_SEGMENT = b"Photoshop 3.0\x00"
_NOTICE, _BYLINE = b"\x1c\x02\x74", b"\x1c\x02\x50"


def licence_in_file(content: bytes) -> Rights | None:
    """The licence that the file `content` states, with who made it; None if it states none that is known."""
    text = next((part for mark in _STARTS if (part := _part(content, mark))), b"").decode("utf-8", "replace")
    older = _part(content, _SEGMENT)
    statements = [*(_field(text, name) for name in _NAMES), _older_field(older, _NOTICE)]
    known = next((rights for statement in statements for rights in _licences(statement)), None)
    if known is None:
        return None
    return dataclasses.replace(
        known, author=_field(text, "dc:creator") or _older_field(older, _BYLINE) or None
    )


def _part(content: bytes, mark: bytes) -> bytes:
    place = content.find(mark)
    return content[place : place + MOST_BYTES] if place >= 0 else b""


def _licences(statement: str) -> Iterator[Rights]:
    rights = parse_licence(statement) if statement else None
    if rights is not None:
        yield rights


def _field(text: str, name: str) -> str:
    match = _FIELDS[name].search(text)
    value = next((part for part in match.groups() if part), "") if match else ""
    return " ".join(html.unescape(value).split())


def _older_field(segment: bytes, mark: bytes) -> str:
    """The first field of IPTC's older form that begins with `mark`: two bytes of length, and the text."""
    place = segment.find(mark)
    if place < 0:
        return ""
    length = int.from_bytes(segment[place + 3 : place + 5], "big")
    value = segment[place + 5 : place + 5 + length]
    try:
        return " ".join(value.decode("utf-8").split())
    except UnicodeDecodeError:
        return " ".join(value.decode("latin-1").split())
