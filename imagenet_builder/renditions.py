"""Renditions: bytes derived from an image for a purpose, stored under their own SHA-256 and made only once."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hits import database

from .errors import ImageStoreError
from .jpeg import NotPlain, read_plain_jpeg
from .store import renditions as stored

if TYPE_CHECKING:
    import sqlalchemy as sa
    from PIL import Image

    from .images import ImageStore

# Re-encoding for a release happens to few pictures, and they should not be told by their artefacts: a high quality,
# colours at full resolution. Thumbnails are looked at once.
RELEASE_QUALITY, RELEASE_SUBSAMPLING = 95, "4:4:4"
THUMBNAIL_QUALITY = 85
WHITE = 255
ORIENTATION_TAG = 0x0112
# Pillow's methods that turn a picture of this EXIF orientation upright, by name.
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
# Part of a purpose: counted up whenever the same picture would come out as other bytes.
RELEASE_VERSION = 1


class UndecodableError(ImageStoreError):
    """These bytes are no picture that can be decoded; the caller adds which image they are."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """What was made of the image `sha256`: other bytes, with their own hash, size in pixels and in bytes."""

    sha256: str
    rendition_sha256: str
    width: int
    height: int
    byte_count: int


def release_purpose(resize: int | None) -> str:
    """The name under which release JPEGs are kept in the table of renditions."""
    return f"release-v{RELEASE_VERSION}" + (f"-{resize}" if resize else "")


def rendition(
    engine: sa.Engine, images: ImageStore, sha256: str, purpose: str, make: Callable[[bytes], bytes]
) -> Rendition:
    """The rendition of an image for a purpose; made from its bytes by `make` and kept, if it is not there yet.

    May be called from several threads and processes for the same image. Raises ImageStoreError when the image is
    missing or cannot be decoded.
    """
    with database.reading(engine) as connection:
        known = stored.find_renditions(connection, purpose, [sha256]).get(sha256)
    if known is not None and images.exists(known.rendition_sha256):
        return Rendition(sha256, *known)
    made, _ = make_rendition(images, sha256, make)
    with database.writing(engine) as connection:
        stored.record_renditions(connection, purpose, {sha256: stored_form(made)}, datetime.now(UTC))
    return made


def stored_form(made: Rendition) -> stored.StoredRendition:
    """What the store keeps of a rendition beside its image and purpose."""
    return stored.StoredRendition(made.rendition_sha256, made.width, made.height, made.byte_count)


def make_rendition(
    images: ImageStore, sha256: str, make: Callable[[bytes], bytes]
) -> tuple[Rendition, bytes]:
    """Make a rendition and put its bytes, also returned, into the image store; the caller records it.

    Raises ImageStoreError when the image is missing or cannot be decoded.
    """
    try:
        content = make(images.get(sha256))
    except UndecodableError as error:
        raise ImageStoreError(f"image {sha256} cannot be decoded: {error}") from error
    width, height = jpeg_size(content)
    return Rendition(sha256, images.put(content), width, height, len(content)), content


def make_thumbnail(content: bytes, side: int) -> bytes:
    """A JPEG for people to look at: upright sRGB without metadata, longest side at most `side` pixels, white under
    what is transparent. Raises UndecodableError (an ImageStoreError).
    """
    with _opened(content) as image:
        # A JPEG decodes at a fraction of its size for a fraction of the time; twice the size is kept for quality.
        image.draft(None, (2 * side, 2 * side))
        picture = _flat(_upright(image)).convert("RGB")
        picture.thumbnail((side, side))
        return _encoded(picture, quality=THUMBNAIL_QUALITY)


def make_release_jpeg(content: bytes, resize: int | None = None) -> bytes:
    """The JPEG of a picture for a release: upright, grey or YCbCr in sRGB, without any metadata.

    A picture that is so already keeps its compressed data: only segments are dropped. Others (turned, with another
    colour profile, CMYK, palette, transparent, not JPEG) are encoded anew at quality 95 without chroma subsampling,
    white under what is transparent. With `resize`, a picture whose shorter side is longer than that many pixels is
    reduced to it; none is enlarged. The same bytes in give the same bytes out. Raises UndecodableError (an
    ImageStoreError).
    """
    stripped = strip_for_release(content, resize)
    if stripped is not None:
        return stripped
    with _opened(content) as image:
        picture = _reduced(_flat(_upright(image)), resize)
        return _encoded(picture, quality=RELEASE_QUALITY, subsampling=RELEASE_SUBSAMPLING)


def strip_for_release(content: bytes, resize: int | None = None) -> bytes | None:
    """What `make_release_jpeg` returns where dropping segments is enough; None where decoding is needed.

    This costs no more than a copy, so callers need not keep the result.
    """
    try:
        plain = read_plain_jpeg(content)
    except NotPlain:
        return None
    if resize is not None and min(plain.width, plain.height) > resize:
        return None
    # A grey picture's profile only bends its tones, and readers ignore it.
    fits = _orientation(plain.exif) == 1 and (plain.components == 1 or _is_srgb(plain.icc))
    return plain.stripped if fits else None


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Width and height in pixels of a JPEG that this module made."""
    plain = read_plain_jpeg(content)
    return plain.width, plain.height


def _orientation(exif: bytes) -> int:
    from PIL import Image

    if not exif:
        return 1
    tags = Image.Exif()
    try:
        tags.load(b"Exif\x00\x00" + exif)
        orientation = tags.get(ORIENTATION_TAG, 1)
    except (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, struct.error):
        # Damaged metadata says nothing of the picture, and it is dropped anyway.
        return 1
    return orientation if orientation in UPRIGHT else 1


def _is_srgb(icc: bytes) -> bool:
    if not icc:
        return True
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        description = ImageCms.getProfileDescription(profile).strip().lower()
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError):
        return True  # A broken profile is ignored by every viewer.
    if profile.profile.xcolor_space.strip() != "RGB":
        return True  # So is one that does not fit the picture.
    # "c2" is the compact sRGB profile that large picture sites embed.
    return "srgb" in description or description in {"c2", "uc2"}


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            yield image
    except (
        OSError,
        SyntaxError,
        ValueError,
        IndexError,
        struct.error,
        EOFError,
        Image.DecompressionBombError,
    ) as error:
        raise UndecodableError(str(error)) from error


def _upright(image: Image.Image) -> Image.Image:
    from PIL import Image

    exif = image.info.get("exif", b"")
    orientation = _orientation(exif.removeprefix(b"Exif\x00\x00") if isinstance(exif, bytes) else b"")
    if image.format == "TIFF":
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    if orientation not in UPRIGHT:
        image.load()
        return image
    # Transposing keeps `info`, where the colour profile is.
    return image.transpose(Image.Transpose[UPRIGHT[orientation]])


def _flat(image: Image.Image) -> Image.Image:
    """The picture as 8-bit grey or sRGB, on white where it is transparent."""
    from PIL import Image

    icc = image.info.get("icc_profile") or b""
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.mode in {"1", "L", "LA", "La"} and "transparency" not in image.info:
        alpha, opaque = (image.getchannel("A"), image.convert("L")) if image.mode == "LA" else (None, image)
        opaque = opaque.convert("L")
    elif image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        alpha, opaque = with_alpha.getchannel("A"), _in_srgb(with_alpha.convert("RGB"), icc)
    else:
        alpha = None
        opaque = _in_srgb(image if image.mode in {"RGB", "CMYK"} else image.convert("RGB"), icc)
    if alpha is None:
        return opaque
    white = Image.new(opaque.mode, opaque.size, WHITE if opaque.mode == "L" else (WHITE,) * 3)
    return Image.composite(opaque, white, alpha)


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return image.point(lambda level: level * (1 / 256)).convert("L")
    extrema: Any = image.getextrema()
    low, high = extrema
    scale = 255 / (high - low) if high > low else 0.0
    return image.point(lambda level: level * scale - low * scale).convert("L")


def _in_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """`image` (RGB or CMYK) through its profile into sRGB; without a usable profile by Pillow's plain conversion."""
    from PIL import ImageCms

    if icc and not (image.mode == "RGB" and _is_srgb(icc)):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            if profile.profile.xcolor_space.strip() == image.mode:
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
                if converted is not None:
                    return converted
        except (OSError, ImageCms.PyCMSError, ValueError, TypeError):
            return image.convert("RGB")
    return image.convert("RGB")


def _reduced(image: Image.Image, resize: int | None) -> Image.Image:
    from PIL import Image

    shorter = min(image.size)
    if resize is None or shorter <= resize:
        return image
    width, height = (max(1, round(side * resize / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _encoded(image: Image.Image, *, quality: int, subsampling: str = "4:2:0") -> bytes:
    # A copy without `info`: the encoder would write the comment and profile that it finds there.
    image.info = {}
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality, subsampling=subsampling)
    return written.getvalue()
