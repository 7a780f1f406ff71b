"""The files of the rehearsal's collection as bytes: many formats, some of them damaged.

A file is drawn when somebody asks for it; the same description gives the same bytes every time.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import MappingProxyType

from PIL import Image, ImageChops

from imagenet_builder.demo.drawing import draw_scene


class Form(StrEnum):
    """How a picture is written to its file."""

    JPEG = "jpeg"
    PNG = "png"
    PALETTE_PNG = "palette-png"
    GIF = "gif"
    ANIMATED_GIF = "animated-gif"
    CMYK_JPEG = "cmyk-jpeg"
    TURNED_JPEG = "turned-jpeg"
    SVG = "svg"
    TRUNCATED_JPEG = "truncated-jpeg"
    DAMAGED_JPEG = "damaged-jpeg"


ENDINGS: Mapping[Form, tuple[str, str]] = MappingProxyType(
    dict.fromkeys(Form, (".jpg", "image/jpeg"))
    | dict.fromkeys((Form.PNG, Form.PALETTE_PNG), (".png", "image/png"))
    | dict.fromkeys((Form.GIF, Form.ANIMATED_GIF), (".gif", "image/gif"))
    | {Form.SVG: (".svg", "image/svg+xml")}
)

EXIF_ORIENTATION = 0x0112

_THUMBNAIL_FORMS = {Form.TURNED_JPEG: Form.JPEG, Form.CMYK_JPEG: Form.JPEG, Form.SVG: Form.PNG}
_READABLE = (Form.JPEG, Form.CMYK_JPEG, Form.PNG, Form.PALETTE_PNG)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn: a seed, the classes on it, and its size when drawn (width, height)."""

    seed: str
    wnids: tuple[str, ...]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Copy:
    """How a scene becomes a file: `scale` times the drawn size, in a form, at a JPEG quality (1 to 95)."""

    form: Form = Form.JPEG
    quality: int = 85
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Rendered:
    """A file's bytes; width and height are those of the picture as shown."""

    body: bytes
    mime: str
    width: int
    height: int

    @property
    def sha1(self) -> str:
        """The hexadecimal SHA-1 of the bytes, as MediaWiki gives it."""
        return hashlib.sha1(self.body, usedforsecurity=False).hexdigest()


def shown_size(scene: Scene, copy: Copy) -> tuple[int, int]:
    """Width and height of the picture as shown, without drawing it."""
    return max(1, round(scene.size[0] * copy.scale)), max(1, round(scene.size[1] * copy.scale))


def render(scene: Scene, copy: Copy) -> Rendered:
    """The file of a scene at its full size."""
    size = shown_size(scene, copy)
    return Rendered(_WRITERS[copy.form](_drawn(scene, size), copy), ENDINGS[copy.form][1], *size)


def render_thumbnail(scene: Scene, copy: Copy, width: int, full: Rendered | None = None) -> Rendered:
    """The file of a scene reduced to `width` pixels, made from its `full` size where that can be read.

    Thumbnails stand upright and in RGB, drawings (SVG) become PNG, and damage stays damage.
    """
    form = _THUMBNAIL_FORMS.get(copy.form, copy.form)
    wide, high = shown_size(scene, copy)
    size = (width, max(1, round(high * width / wide)))
    if full is None or copy.form not in _READABLE:
        picture = _drawn(scene, size)
    else:
        picture = Image.open(io.BytesIO(full.body)).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return Rendered(_WRITERS[form](picture, copy), ENDINGS[form][1], *size)


def _drawn(scene: Scene, size: tuple[int, int]) -> Image.Image:
    picture = draw_scene(scene.wnids, Random(scene.seed), scene.size)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


def _bytes(picture: Image.Image, kind: str, **options: object) -> bytes:
    into = io.BytesIO()
    picture.save(into, kind, **options)
    return into.getvalue()


def _jpeg(picture: Image.Image, copy: Copy) -> bytes:
    return _bytes(picture, "JPEG", quality=copy.quality)


def _png(picture: Image.Image, copy: Copy) -> bytes:
    del copy
    return _bytes(picture, "PNG", compress_level=1)


def _palette_png(picture: Image.Image, copy: Copy) -> bytes:
    del copy
    return _bytes(picture.quantize(96, Image.Quantize.FASTOCTREE), "PNG", compress_level=3)


def _gif(picture: Image.Image, copy: Copy) -> bytes:
    del copy
    return _bytes(picture.quantize(128, Image.Quantize.FASTOCTREE), "GIF")


def _animated_gif(picture: Image.Image, copy: Copy) -> bytes:
    del copy
    frames = [
        ImageChops.offset(picture, 3 * step, 0).quantize(64, Image.Quantize.FASTOCTREE) for step in range(3)
    ]
    return _bytes(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=200, loop=0)


def _cmyk_jpeg(picture: Image.Image, copy: Copy) -> bytes:
    return _bytes(picture.convert("CMYK"), "JPEG", quality=copy.quality)


def _turned_jpeg(picture: Image.Image, copy: Copy) -> bytes:
    """Stored lying on its side; EXIF orientation 6 tells viewers to turn it a quarter clockwise."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    return _bytes(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=copy.quality, exif=exif)


def _svg(picture: Image.Image, copy: Copy) -> bytes:
    wide, high = picture.size
    inside = base64.b64encode(_png(picture, copy)).decode()
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" '
        f'height="{high}"><image width="{wide}" height="{high}" href="data:image/png;base64,{inside}"/></svg>\n'
    ).encode()


def _truncated_jpeg(picture: Image.Image, copy: Copy) -> bytes:
    whole = _jpeg(picture, copy)
    return whole[: len(whole) * 3 // 5]


def _damaged_jpeg(picture: Image.Image, copy: Copy) -> bytes:
    """Bytes in the middle overwritten; the stray restart marker among them is what strict decoders report."""
    whole = bytearray(_jpeg(picture, copy))
    start = len(whole) // 2
    noise = Random(start).randbytes(min(120, len(whole) // 20)).replace(b"\xff", b"\xfe")
    whole[start : start + len(noise)] = noise
    whole[start : start + 2] = b"\xff\xd5"
    return bytes(whole)


_WRITERS: Mapping[Form, Callable[[Image.Image, Copy], bytes]] = MappingProxyType(
    {
        Form.JPEG: _jpeg,
        Form.PNG: _png,
        Form.PALETTE_PNG: _palette_png,
        Form.GIF: _gif,
        Form.ANIMATED_GIF: _animated_gif,
        Form.CMYK_JPEG: _cmyk_jpeg,
        Form.TURNED_JPEG: _turned_jpeg,
        Form.SVG: _svg,
        Form.TRUNCATED_JPEG: _truncated_jpeg,
        Form.DAMAGED_JPEG: _damaged_jpeg,
    }
)
