"""Renditions: what is kept of a picture, what is encoded anew, and what hostile bytes do."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw

from imagenet_builder.errors import ImageStoreError
from imagenet_builder.jpeg import JFIF, NotPlain, read_plain_jpeg
from imagenet_builder.renditions import make_release_jpeg, make_thumbnail, release_purpose

ORIENTATION = 0x0112


def drawn(width: int = 96, height: int = 64, mode: str = "RGB") -> Image.Image:
    """A picture whose four corners differ: red, green, blue and yellow on grey."""
    image = Image.new("RGB", (width, height), (128, 128, 128))
    pen = ImageDraw.Draw(image)
    for corner, colour in zip(
        [(0, 0), (width * 3 // 4, 0), (0, height * 3 // 4), (width * 3 // 4, height * 3 // 4)],
        ["red", "lime", "blue", "yellow"],
        strict=True,
    ):
        pen.rectangle((*corner, corner[0] + width // 4, corner[1] + height // 4), fill=colour)
    return image.convert(mode)


def saved(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    written = io.BytesIO()
    if form == "JPEG":
        options = {"quality": 92, **options}
    image.save(written, form, **options)
    return written.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def exif(**tags: object) -> Image.Exif:
    block = Image.Exif()
    for name, value in tags.items():
        block[{"orientation": ORIENTATION, "artist": 0x013B}[name]] = value
    return block


def pixels(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(opened(content))


def corner_colours(image: Image.Image) -> list[str]:
    """The nearest pure colour of each corner: top left, top right, bottom left, bottom right."""
    pure = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
    width, height = image.size
    corners = [(4, 4), (width - 5, 4), (4, height - 5), (width - 5, height - 5)]

    def nearest(point: tuple[int, int]) -> str:
        colour = np.asarray(image.convert("RGB").getpixel(point))
        return min(pure, key=lambda name: int(np.abs(colour - np.asarray(pure[name])).sum()))

    return [nearest(corner) for corner in corners]


def only_picture_segments(content: bytes) -> bool:
    """True when the only application segment is the plain JFIF mark and there is no comment."""
    return read_plain_jpeg(content).stripped == content and content[2 : 2 + len(JFIF)] == JFIF


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_fit_picture_loses_its_metadata_and_not_one_pixel(mode: str, progressive: bool) -> None:
    original = saved(
        drawn(mode=mode),
        progressive=progressive,
        exif=exif(artist="Somebody"),
        comment=b"taken in the garden",
        xmp=b"<x:xmpmeta>private</x:xmpmeta>",
    )
    made = make_release_jpeg(original + b"a film hidden behind the picture")
    assert np.array_equal(pixels(made), pixels(original))
    assert opened(made).mode == mode
    assert only_picture_segments(made)
    for secret in (b"Somebody", b"garden", b"private", b"film"):
        assert secret not in made


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_baked_in(orientation: int) -> None:
    turns = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        # EXIF says how to turn the stored pixels clockwise, Pillow turns counter-clockwise; these undo it.
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = drawn()
    for turn in turns[orientation]:
        stored = stored.transpose(turn)
    content = saved(stored, exif=exif(orientation=orientation))
    for made in (make_release_jpeg(content), make_thumbnail(content, 96)):
        assert opened(made).size == (96, 64)
        assert corner_colours(opened(made)) == ["red", "lime", "blue", "yellow"]
        assert only_picture_segments(made)


@pytest.mark.parametrize(
    ("form", "mode", "expected"),
    [
        ("PNG", "RGB", "RGB"),
        ("PNG", "P", "RGB"),
        ("PNG", "L", "L"),
        ("PNG", "1", "L"),
        ("GIF", "P", "RGB"),
        ("WEBP", "RGB", "RGB"),
        ("TIFF", "RGB", "RGB"),
        ("TIFF", "CMYK", "RGB"),
        ("JPEG", "CMYK", "RGB"),
        ("BMP", "RGB", "RGB"),
    ],
)
def test_other_formats_and_colour_models_become_plain_jpeg(form: str, mode: str, expected: str) -> None:
    content = saved(drawn(mode=mode), form)
    made = opened(make_release_jpeg(content))
    assert (made.format, made.mode, made.size) == ("JPEG", expected, (96, 64))
    if expected == "RGB":
        assert corner_colours(made) == ["red", "lime", "blue", "yellow"]
    assert opened(make_thumbnail(content, 50)).mode == "RGB"


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))])
def test_what_is_transparent_becomes_white(mode: str, colour: tuple[int, ...]) -> None:
    content = saved(Image.new(mode, (40, 40), colour), "PNG")
    for made in (make_release_jpeg(content), make_thumbnail(content, 40)):
        assert pixels(made).min() >= 250


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert pixels(make_release_jpeg(saved(image, "PNG", transparency=0))).min() >= 250


def test_sixteen_bits_are_scaled_and_not_cut_off() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None, :].repeat(48, axis=0)
    made = pixels(make_release_jpeg(saved(Image.fromarray(ramp), "PNG")))
    assert np.abs(made[24].astype(int) - (ramp[24] // 256).astype(int)).max() <= 6


def test_an_srgb_profile_is_dropped_and_another_is_converted() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    original = saved(drawn(), icc_profile=srgb)
    made = make_release_jpeg(original)
    assert np.array_equal(pixels(made), pixels(original))
    assert srgb[:64] not in made
    lab = ImageCms.createProfile("XYZ")
    foreign = saved(drawn(), icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    assert only_picture_segments(make_release_jpeg(foreign))
    swapped = saved(drawn(), icc_profile=swapped_primaries(srgb))
    assert corner_colours(opened(make_release_jpeg(swapped)))[:3] == ["lime", "red", "blue"]


def swapped_primaries(srgb: bytes) -> bytes:
    """An RGB profile under another name, in which red means green and green red."""
    swapped = srgb.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")
    return swapped.replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be")).replace(
        b"sRGB b", b"odd! b"
    )


def test_a_broken_profile_is_ignored() -> None:
    original = saved(drawn(), icc_profile=b"nonsense" * 20)
    assert np.array_equal(pixels(make_release_jpeg(original)), pixels(original))


def test_resize_reduces_the_shorter_side_and_never_enlarges() -> None:
    content = saved(drawn(300, 200))
    assert opened(make_release_jpeg(content, 100)).size == (150, 100)
    assert make_release_jpeg(content, 200) == make_release_jpeg(content)
    assert opened(make_release_jpeg(saved(drawn(300, 200), "PNG"), 500)).size == (300, 200)


def test_a_thumbnail_is_no_longer_than_its_side_and_never_enlarged() -> None:
    assert opened(make_thumbnail(saved(drawn(2000, 1000)), 300)).size == (300, 150)
    assert opened(make_thumbnail(saved(drawn(60, 40)), 300)).size == (60, 40)


def test_the_same_bytes_in_give_the_same_bytes_out() -> None:
    for content in (saved(drawn(), "PNG"), saved(drawn(), exif=exif(orientation=6)), saved(drawn())):
        assert make_release_jpeg(content) == make_release_jpeg(content)
        once = make_release_jpeg(content)
        assert make_release_jpeg(once) == once


def test_a_jpeg_coded_as_rgb_is_encoded_anew() -> None:
    content = saved(drawn(), keep_rgb=True)
    with pytest.raises(NotPlain):
        read_plain_jpeg(content)
    made = make_release_jpeg(content)
    assert only_picture_segments(made)
    assert corner_colours(opened(made)) == ["red", "lime", "blue", "yellow"]


@pytest.mark.parametrize("make", [make_release_jpeg, lambda content: make_thumbnail(content, 64)])
@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"<html>no picture</html>", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_picture_raise_the_package_s_own_error(make: object, content: bytes) -> None:
    assert callable(make)
    with pytest.raises(ImageStoreError):
        make(content)


PLAIN = saved(drawn(32, 32), progressive=True, exif=exif(artist="Somebody"))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(PLAIN) - 1), st.binary(max_size=6), st.integers(0, len(PLAIN)))
def test_damaged_files_are_read_or_refused_and_what_is_read_is_stable(
    place: int, patch: bytes, length: int
) -> None:
    damaged = (PLAIN[:place] + patch + PLAIN[place + len(patch) :])[:length]
    try:
        read = read_plain_jpeg(damaged)
    except NotPlain:
        return
    assert read_plain_jpeg(read.stripped).stripped == read.stripped
    assert b"Somebody" not in read.stripped or b"Somebody" not in damaged[: damaged.find(b"\xff\xda")]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for candidate in (content, b"\xff\xd8" + content):
        with contextlib.suppress(NotPlain):
            assert read_plain_jpeg(candidate).stripped.endswith(b"\xff\xd9")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_hostile_exif_never_stops_a_picture(block: bytes) -> None:
    content = saved(drawn(32, 32), exif=b"Exif\x00\x00II*\x00" + block)
    assert only_picture_segments(make_release_jpeg(content))
    assert only_picture_segments(make_thumbnail(content, 16))


def test_purposes_differ_where_bytes_differ() -> None:
    assert len({release_purpose(None), release_purpose(256), release_purpose(512)}) == 3
