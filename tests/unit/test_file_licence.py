"""The licence in a file's XMP and IPTC fields, as programs write them, in formats that carry them."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imagenet_builder.records import Rights
from imagenet_builder.sources.file_licence import licence_in_file

BY = "https://creativecommons.org/licenses/by/4.0/"
FIELDS = {
    "attribute": f'<rdf:Description xmpRights:WebStatement="{BY}"/>',
    "element": f"<rdf:Description><xmpRights:WebStatement>{BY}</xmpRights:WebStatement></rdf:Description>",
    "resource": f'<rdf:Description><cc:license rdf:resource="{BY}"/></rdf:Description>',
    "terms": (
        "<rdf:Description><xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang='x-default'>This work is licensed to "
        f"the public under the Creative Commons Attribution 4.0 International license {BY}</rdf:li></rdf:Alt>"
        "</xmpRights:UsageTerms></rdf:Description>"
    ),
    "notice": "<rdf:Description><dc:rights><rdf:Alt><rdf:li>CC BY 4.0</rdf:li></rdf:Alt></dc:rights></rdf:Description>",
}


def packet(fields: str) -> bytes:
    return f"<?xpacket?><x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF>{fields}</rdf:RDF></x:xmpmeta>".encode()


def written(kind: str, xmp: bytes) -> bytes:
    file, image = io.BytesIO(), Image.new("RGB", (64, 48), "red")
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        image.save(file, kind, pnginfo=info)
    else:
        image.save(file, kind, xmp=xmp)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_licence_in_xmp_is_found_in_every_form_and_format(kind: str, field: str) -> None:
    creator = "<dc:creator><rdf:Seq><rdf:li>Ann &amp; Bo</rdf:li></rdf:Seq></dc:creator>"
    found = licence_in_file(written(kind, packet(FIELDS[field] + creator)))
    assert found == Rights("by", "4.0", BY, author="Ann & Bo")


def older(**fields: str) -> bytes:
    """A JPEG with IPTC's older fields: 2:116 the notice, 2:80 who made it."""
    numbers = {"notice": 116, "byline": 80}
    sets = b"".join(
        bytes((0x1C, 2, numbers[name])) + len(text.encode()).to_bytes(2, "big") + text.encode()
        for name, text in fields.items()
    )
    block = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + len(sets).to_bytes(4, "big") + sets
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "JPEG")
    content = file.getvalue()
    return content[:2] + b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block + content[2:]


def test_a_licence_in_iptcs_older_form_is_found() -> None:
    found = licence_in_file(older(byline="Ann Éxample", notice="CC BY-SA 3.0"))
    assert found is not None
    assert (found.licence, found.licence_version, found.author) == ("by-sa", "3.0", "Ann Éxample")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        written("JPEG", packet("<rdf:Description xmpRights:Marked='True'/>")),
        written("JPEG", packet('<rdf:Description xmpRights:WebStatement="https://ann.example/terms"/>')),
        older(notice="(c) Ann Example, all rights reserved"),
        # The words of a licence outside of any field of rights are no statement.
        written("JPEG", packet(f"<rdf:Description><dc:title>{BY}</dc:title></rdf:Description>")),
    ],
)
def test_a_file_that_states_no_known_licence_tells_none(content: bytes) -> None:
    assert licence_in_file(content) is None


@pytest.mark.parametrize(
    "hostile",
    [
        b"<x:xmpmeta " * 500_000,
        b"<x:xmpmeta>" + b"<cc:license " * 400_000,
        b"<x:xmpmeta>" + b"<xmpRights:UsageTerms>" * 200_000,
        b"Photoshop 3.0\x00" + b"\x1c\x02\x74\xff\xff" * 500_000,
    ],
)
def test_a_hostile_file_costs_little(hostile: bytes) -> None:
    began = time.process_time()
    assert licence_in_file(hostile) is None
    assert time.process_time() - began < 5


@given(st.binary(max_size=300))
def test_no_bytes_raise(content: bytes) -> None:
    assert licence_in_file(content) is None
    licence_in_file(b"<x:xmpmeta>" + content + b"</x:xmpmeta>")
    licence_in_file(b"Photoshop 3.0\x00" + content)
