"""The check at the door, on generated files, good and bad."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import zlib
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from imagenet_builder.crawl.file_rights import is_mute, read_file_rights
from imagenet_builder.crawl.formats import sniff
from imagenet_builder.crawl.inspect import inspect, is_harmless
from imagenet_builder.crawl.limits import Limits
from imagenet_builder.records import FileRights, Inspected, Reason, Rejected
from tests.mediawiki_server import picture

LIMITS = Limits()
JPEG = picture(1)


@cache
def drawn(seed: int = 1, width: int = 320, height: int = 240) -> Image.Image:
    return Image.open(io.BytesIO(picture(seed, width, height, "PNG"))).convert("RGB")


def encoded(image: Image.Image, file_format: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def reason(content: bytes, limits: Limits = LIMITS) -> Reason | None:
    found = inspect(content, limits)
    return found.reason if isinstance(found, Rejected) else None


def accepted(content: bytes) -> Inspected:
    found = inspect(content, LIMITS)
    assert isinstance(found, Inspected), found
    return found


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "L"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("GIF", "P"),
        ("WEBP", "RGB"),
        ("TIFF", "RGB"),
        ("TIFF", "F"),
        ("TIFF", "CMYK"),
        ("BMP", "RGB"),
    ],
)
def test_every_accepted_format_is_measured(file_format: str, mode: str) -> None:
    content = encoded(drawn().convert(mode), file_format)
    found = accepted(content)
    assert (found.format, found.mode) == (file_format.lower(), mode)
    assert (found.width, found.height, found.byte_count) == (320, 240, len(content))
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert -(2**63) <= found.perceptual_hash < 2**63


def test_sixteen_bit_and_progressive_pictures_are_measured() -> None:
    deep = Image.fromarray(np.asarray(drawn().convert("L"), dtype=np.uint16) * 257)
    assert accepted(encoded(deep, "PNG")).mode.startswith("I")
    assert accepted(encoded(drawn(), progressive=True)).mode == "RGB"


def test_a_header_of_a_hundred_thousand_pixels_is_refused_before_decoding() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    assert reason(bomb) is Reason.TOO_LARGE
    start = JPEG.index(b"\xff\xc0")
    tall = JPEG[: start + 5] + struct.pack(">HH", 65_000, 65_000) + JPEG[start + 9 :]
    assert reason(tall) is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("size", "expected"),
    [((99, 200), Reason.TOO_SMALL), ((100, 100), None), ((600, 110), Reason.ASPECT), ((550, 110), None)],
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_small_and_narrow_pictures_are_refused(
    size: tuple[int, int], expected: Reason | None, file_format: str
) -> None:
    assert reason(encoded(drawn(1, *size), file_format)) is expected


def test_a_picture_beyond_the_longest_side_is_refused() -> None:
    assert reason(encoded(drawn()), Limits(max_side=319)) is Reason.TOO_LARGE
    assert reason(encoded(drawn()), Limits(max_side=320)) is None


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_blank_pictures_are_refused(file_format: str) -> None:
    assert reason(encoded(Image.new("RGB", (200, 200), (90, 120, 200)), file_format)) is Reason.BLANK


def test_a_picture_that_is_transparent_all_over_is_blank() -> None:
    clear = drawn().convert("RGBA")
    clear.putalpha(0)
    assert reason(encoded(clear, "PNG")) is Reason.BLANK


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animated_and_paged_files_are_refused(file_format: str) -> None:
    content = encoded(drawn(1), file_format, save_all=True, append_images=[drawn(2)])
    assert reason(content) is Reason.ANIMATED


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Reason.NOT_AN_IMAGE),
        (b"<!DOCTYPE html><html><body>404</body></html>", Reason.NOT_AN_IMAGE),
        (b"hello world", Reason.NOT_AN_IMAGE),
        (bytes(5000), Reason.NOT_AN_IMAGE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.UNSUPPORTED_FORMAT),
        (b"<?xml version='1.0'?>\n<!-- x -->\n<svg/>", Reason.UNSUPPORTED_FORMAT),
        (b"%PDF-1.7\n", Reason.UNSUPPORTED_FORMAT),
        (b"\x00\x00\x00\x20ftypheic" + bytes(40), Reason.UNSUPPORTED_FORMAT),
        (b"\x00\x00\x00\x20ftypavif" + bytes(40), Reason.UNSUPPORTED_FORMAT),
        (b"\x00\x00\x00\x20ftypmp42" + bytes(40), Reason.NOT_AN_IMAGE),
        (b"\xff\xd8\xff", Reason.DAMAGED),
        (b"GIF89a", Reason.DAMAGED),
        (b"BM", Reason.DAMAGED),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", Reason.DAMAGED),
        (b"\x89PNG\r\n\x1a\n", Reason.DAMAGED),
    ],
)
def test_what_is_no_picture_is_refused_by_its_first_bytes(content: bytes, expected: Reason) -> None:
    assert reason(content) is expected


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_damaged(file_format: str, share: float) -> None:
    content = encoded(drawn(), file_format)
    assert reason(content[: int(len(content) * share)]) is Reason.DAMAGED


def test_a_progressive_picture_cut_short_is_damaged() -> None:
    content = encoded(drawn(), progressive=True)
    assert reason(content[: len(content) * 2 // 3]) is Reason.DAMAGED


def test_a_stretch_of_zeros_inside_a_jpeg_is_damage_that_pillow_passes() -> None:
    content = bytearray(encoded(drawn(3, 800, 600), quality=90))
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    Image.open(io.BytesIO(bytes(content))).load()
    assert reason(bytes(content)) is Reason.DAMAGED


def test_flipped_bytes_that_mislead_the_decoder_are_found_where_pillow_passes_them() -> None:
    content = encoded(drawn(3, 800, 600), quality=90, restart_marker_rows=1)
    start, found = content.index(b"\xff\xda") + 20, 0
    for place in range(start, len(content) - 2, (len(content) - start) // 40):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        Image.open(io.BytesIO(bytes(flipped))).load()
        found += reason(bytes(flipped)) is Reason.DAMAGED
    # A flipped byte that makes another valid code changes a few pixels, and nobody can know.
    assert found >= 5


def test_stray_bytes_between_segments_as_cameras_write_them_cost_no_picture() -> None:
    first_table = JPEG.index(b"\xff\xdb")
    for stray in (b"\x00", bytes(5), bytes(300)):
        assert accepted(JPEG[:first_table] + stray + JPEG[first_table:]).width == 640


@pytest.mark.parametrize("stray", [1, 12, 20])
def test_a_few_stray_bytes_before_the_end_cost_no_picture(stray: int) -> None:
    # The decoder reads up to eight bytes ahead, so that twenty strays are counted as at most sixteen.
    assert accepted(JPEG[:-2] + bytes(stray) + JPEG[-2:]).height == 480


def test_a_stray_byte_does_not_hide_a_missing_end() -> None:
    first_table = JPEG.index(b"\xff\xdb")
    assert reason(JPEG[:first_table] + bytes(3) + JPEG[first_table : len(JPEG) // 2]) is Reason.DAMAGED


def test_bytes_after_the_end_cost_no_picture() -> None:
    assert accepted(JPEG + b"MOTION PHOTO" * 100).width == 640


@pytest.mark.parametrize(
    ("warning", "harmless"),
    [
        ("Corrupt JPEG data: 4 extraneous bytes before marker 0xd9", True),
        ("Corrupt JPEG data: 900 extraneous bytes before marker 0xd9", False),
        ("Corrupt JPEG data: 900 extraneous bytes before marker 0xe1", True),
        ("Corrupt JPEG data: 4 extraneous bytes before marker 0xd3", False),
        ("Corrupt JPEG data: 900 extraneous bytes before marker 0xda", False),
        ("Warning: unknown JFIF revision number 2.01", True),
        ("Corrupt JPEG data: premature end of data segment", False),
        ("Corrupt JPEG data: bad Huffman code", False),
        ("Corrupt JPEG data: found marker 0xd1 instead of RST0", False),
        ("Premature end of JPEG file", False),
        ("Unsupported marker type 0x12", False),
    ],
)
def test_warnings_of_libjpeg_are_told_apart(warning: str, harmless: bool) -> None:
    assert is_harmless(warning) is harmless


def distance(one: int, other: int) -> int:
    return ((one ^ other) & (2**64 - 1)).bit_count()


@pytest.mark.parametrize("seed", range(5))
def test_copies_have_near_hashes_and_other_pictures_have_far_ones(seed: int) -> None:
    original = drawn(seed, 1024, 768)
    known = accepted(encoded(original)).perceptual_hash
    for copy in (
        encoded(original, quality=40),
        encoded(original, "PNG"),
        encoded(original.resize((500, 375))),
        encoded(original.convert("L")),
    ):
        assert distance(known, accepted(copy).perceptual_hash) <= 6
    for other in (drawn(seed + 50, 1024, 768), ImageOps.mirror(original)):
        assert distance(known, accepted(encoded(other)).perceptual_hash) > 12


def striped(seed: int, width: int, height: int) -> Image.Image:
    """Fine stripes with three discs on them."""
    source = np.random.default_rng(seed)
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    angle, period = source.uniform(0, math.pi), source.uniform(8, 60)
    wave = np.sin(2 * math.pi * (across * math.cos(angle) + down * math.sin(angle)) / period)
    grey = 128 + 60 * np.sign(wave)
    for _ in range(3):
        left, top, radius = source.uniform(0, width), source.uniform(0, height), source.uniform(20, 72)
        grey[(across - left) ** 2 + (down - top) ** 2 < radius**2] = source.uniform(0, 255)
    return Image.fromarray(grey.astype(np.uint8))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_small_picture_and_a_smaller_copy_of_it_have_near_hashes_also_where_both_have_fine_stripes(
    file_format: str,
) -> None:
    near = 0
    for seed in range(40):
        original = striped(seed, 320, 240)
        known, copied = (
            accepted(encoded(image, file_format)).perceptual_hash
            for image in (original, original.resize((256, 192), Image.Resampling.LANCZOS))
        )
        near += distance(known, copied) <= 6
    # Shrunk to an eighth, as large pictures are, half of them would be.
    assert near >= 36


def test_orientation_and_rights_fields_of_exif_are_read() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B], exif[0x8298] = 6, "Ann Ëxample", "(c) Ann\x00edited by Bo"
    for file_format in ("JPEG", "PNG", "WEBP", "TIFF"):
        found = accepted(encoded(drawn(), file_format, exif=exif))
        assert found.orientation == 6, file_format
        assert found.rights.copyright == "(c) Ann edited by Bo"
        assert (found.width, found.height) == (320, 240)


def test_iptc_and_xmp_rights_fields_are_read() -> None:
    def dataset(number: int, value: bytes) -> bytes:
        return b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(value)) + value

    iptc = dataset(80, b"Ann") + dataset(110, b"Agency") + dataset(116, b"(c) Agency")
    photoshop = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + struct.pack(">I", len(iptc)) + iptc
    xmp = (
        b"http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta><xmpRights:UsageTerms><rdf:Alt>"
        b'<rdf:li xml:lang="x-default">Free &amp; open</rdf:li></rdf:Alt></xmpRights:UsageTerms></x:xmpmeta>'
    )
    segments = b"".join(
        marker + struct.pack(">H", len(body) + 2) + body
        for marker, body in ((b"\xff\xed", photoshop), (b"\xff\xe1", xmp))
    )
    found = accepted(JPEG[:2] + segments + JPEG[2:])
    assert found.rights == FileRights("Ann", "(c) Agency", "Agency", "Free & open")


@pytest.mark.parametrize(
    "marker", [b"\xff\xe1", b"\xff\xe2", b"\xff\xed", b"\xff\xef", b"\xff\xff", b"\x00\x00"]
)
def test_only_a_jpeg_without_anything_to_say_is_taken_at_its_pixels(marker: bytes) -> None:
    segment = marker + struct.pack(">H", 6) + b"what"
    assert is_mute(JPEG)
    assert is_mute(encoded(drawn(), progressive=True, comment=b"a comment"))
    assert not is_mute(JPEG[:2] + segment + JPEG[2:])
    assert not is_mute(JPEG[:20] + segment + JPEG[20:])


@given(st.integers(0, len(JPEG)))
def test_a_jpeg_that_breaks_off_before_its_scan_says_nothing_certain(length: int) -> None:
    scan = JPEG.index(b"\xff\xda")
    assert is_mute(memoryview(JPEG)[:length]) == (length >= scan + 4)


def test_malformed_exif_costs_its_fields_and_not_the_picture() -> None:
    broken = b"Exif\x00\x00II*\x00\xff\xff\xff\x7f" + bytes(range(256))
    content = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(broken) + 2) + broken + JPEG[2:]
    found = accepted(content)
    assert found.orientation == 1
    assert found.rights == FileRights()


def test_rights_fields_hold_no_nul_and_are_bounded() -> None:
    exif = Image.Exif()
    exif[0x013B] = "x" * 5000
    with Image.open(io.BytesIO(encoded(drawn(), exif=exif))) as image:
        assert len(read_file_rights(image, image.getexif()).artist or "") == 1000


CORPUS = tuple(
    encoded(drawn(4, 160, 120).convert(mode), file_format, **options)
    for file_format, mode, options in (
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("GIF", "P", {}),
        ("WEBP", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("BMP", "RGB", {}),
    )
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(CORPUS),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=20)), max_size=4),
    st.floats(0.0, 1.0),
)
def test_no_mutation_of_a_file_raises_or_passes_as_other_than_measured(
    content: bytes, edits: list[tuple[float, bytes]], kept: float
) -> None:
    mutated = bytearray(content)
    for place, patch in edits:
        start = int(place * len(mutated))
        mutated[start : start + len(patch)] = patch
    found = inspect(bytes(mutated[: int(kept * len(mutated))]), LIMITS)
    assert isinstance(found, Inspected | Rejected)
    if isinstance(found, Inspected):
        assert min(found.width, found.height) >= LIMITS.min_side


@given(st.binary(max_size=400))
def test_no_bytes_raise(content: bytes) -> None:
    assert isinstance(inspect(content, LIMITS), Rejected)
    sniff(content)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("turned", "stored_as"),
    [
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_a_turned_copy_has_the_hash_of_the_upright_picture(
    file_format: str, turned: int, stored_as: Image.Transpose
) -> None:
    # A broad, uneven slope, so that no turn of it looks like another.
    slope = [
        int(127 + 70 * math.sin(x / 40) + 50 * math.sin(y / 25 + x / 90))
        for y in range(200)
        for x in range(320)
    ]
    upright = Image.new("L", (320, 200))
    upright.putdata(slope)
    exif = Image.Exif()
    exif[0x0112] = turned
    hashes = []
    for one, tags in ((upright, Image.Exif()), (upright.transpose(stored_as), exif)):
        written = io.BytesIO()
        one.convert("RGB").save(written, file_format, exif=tags, quality=95)
        found = inspect(written.getvalue(), Limits())
        assert isinstance(found, Inspected)
        hashes.append(found.perceptual_hash & (2**64 - 1))
    assert (hashes[0] ^ hashes[1]).bit_count() <= 3
