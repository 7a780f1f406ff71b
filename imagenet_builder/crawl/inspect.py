"""The check at the door: bytes in; an image, or a named rejection, out. No I/O.

It runs in worker processes (`executors.local`), because decoders are where hostile files do harm.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, cast

import numpy as np
import simplejpeg
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from imagenet_builder.descriptors import describe, deviation, fields_of, hashes_of, reduction_of, stack
from imagenet_builder.records import FileRights, Inspected, Reason, Rejected

from .file_rights import is_mute, orientation, read_exif, read_file_rights
from .formats import ACCEPTED, sniff
from .limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from imagenet_builder.descriptors import Fields

    Grey = npt.NDArray[np.uint8]
    Content = bytes | memoryview

# Pillow must not guess: only the plug-in of the format that was sniffed is tried.
PILLOW_NAMES = {"jpeg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP"}
JPEG_MODES = {"Gray": "L", "CMYK": "CMYK", "YCCK": "CMYK"}
FEW_BYTES = 16
# What decoding one picture may take, so that a worker stays under 512 MiB with its content and its own code.
DECODING_BYTES = 360 * 2**20
# Bytes that Pillow holds for a pixel, by mode: 4 for all others.
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
# Times that: libwebp draws on canvases of its own, libtiff may decode one strip that is the whole picture.
_COPIES = {"webp": 4, "tiff": 2}
# Values a pixel that libjpeg keeps, two bytes each, where a picture comes in several scans; 4 for all others.
_SCANNED_VALUES = {"Gray": 1.0, "444": 3.0, "422": 2.0, "440": 2.0, "420": 1.5, "411": 1.5}
_SCANNED_BYTES = 8
# So much of a picture is turned into grey at once: copies of all of it would take several times its memory.
_BAND_PIXELS = 4_000_000

# Markers (ITU-T T.81, table B.1): restarts stand below the end, segments without pixels above the start of a scan.
_END, _FIRST_SEGMENT = 0xD9, 0xDB
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_NO_MEMORY = "Insufficient memory"
_HARMLESS = ("unknown jfif revision", "unknown adobe color transform", "inconsistent progression sequence")


# EXIF orientation → what turns the stored picture upright.
UPRIGHT: dict[int, Callable[[Fields], Fields]] = {
    1: lambda fields: fields,
    2: np.fliplr,
    3: lambda fields: np.rot90(fields, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda fields: np.rot90(fields, -1),
    7: lambda fields: np.rot90(fields, 2).T,
    8: np.rot90,
}

FIRST_ON_ITS_SIDE = 5


_TOO_MUCH_MEMORY = "decoding it takes more memory than a worker may use"


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What a file says of its picture in front of the pixels."""

    width: int
    height: int
    orientation: int
    rights: FileRights


class _Refusal(Exception):
    """Carries a rejection out of the depth of a check; never leaves `inspect`."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.rejected = Rejected(reason, detail)


def inspect(content: Content, limits: Limits) -> Inspected | Rejected:
    """Decode `content` far enough to know that it is whole, and measure it. Never raises for bad bytes.

    JPEG is decoded strictly at an eighth of its size (small ones at more), everything else in full.
    """
    try:
        kind = sniff(content)
        if kind is None:
            raise _Refusal(Reason.NOT_AN_IMAGE, _beginning(content))
        if kind not in ACCEPTED:
            raise _Refusal(Reason.UNSUPPORTED_FORMAT, kind)
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of sizes; the limits here decide on the latter.
            warnings.simplefilter("ignore")
            return _inspect_jpeg(content, limits) if kind == "jpeg" else _inspect_other(content, kind, limits)
    except _Refusal as refusal:
        return refusal.rejected
    except MemoryError:
        return Rejected(Reason.TOO_LARGE, _TOO_MUCH_MEMORY)
    except Exception as error:  # noqa: BLE001  Decoders raise of every kind: each means that the file is bad.
        return Rejected(Reason.DAMAGED, _one_line(error))


def _inspect_jpeg(content: Content, limits: Limits) -> Inspected:
    try:
        height, width, colours, sampling = simplejpeg.decode_jpeg_header(content, strict=False)
    except ValueError as error:
        raise _Refusal(Reason.DAMAGED, _one_line(error)) from error
    except KeyError as error:
        # What libjpeg did not find in the header is a key of simplejpeg's tables.
        raise _Refusal(Reason.DAMAGED, "its jpeg header cannot be read") from error
    _check_size(width, height, limits)
    if width * height * _SCANNED_BYTES > DECODING_BYTES and _is_progressive(content):
        _check_memory(2 * _SCANNED_VALUES.get(colours, _SCANNED_VALUES.get(sampling, 4.0)), width, height)
    grey = _decode_jpeg(content, width, height)
    _check_blank(grey, limits)
    mode = JPEG_MODES.get(colours, "RGB")
    if is_mute(content):
        return _measured(content, "jpeg", mode, _Metadata(width, height, 1, FileRights()), grey)
    # Opening reads the segments in front of the picture and decodes nothing.
    with Image.open(BytesIO(content), formats=["JPEG", "MPO"]) as image:
        return _measured(content, "jpeg", mode, _metadata(image), grey)


def _decode_jpeg(content: Content, width: int, height: int) -> Grey:
    """The picture in grey, shrunk by its `reduction_of`; refuses it if libjpeg finds damage."""
    by = reduction_of(width, height)
    try:
        grey: Grey = simplejpeg.decode_jpeg(
            content,
            "GRAY",
            min_height=-(-height // by),
            min_width=-(-width // by),
            min_factor=by,
            strict=True,
        )
        return grey[:, :, 0]
    except ValueError as error:
        if _NO_MEMORY in str(error):
            raise _Refusal(Reason.TOO_LARGE, _TOO_MUCH_MEMORY) from error
        if not is_harmless(str(error)):
            raise _Refusal(Reason.DAMAGED, _one_line(error)) from error
    # libjpeg stopped at a warning that real cameras cause. Pillow goes on over it, to the end of the picture.
    with Image.open(BytesIO(content), formats=["JPEG", "MPO"]) as image:
        image.draft("L", (max(1, width // by), max(1, height // by)))
        return np.asarray(image.convert("L"))


def _is_progressive(content: Content) -> bool:
    with Image.open(BytesIO(content), formats=["JPEG", "MPO"]) as image:
        return "progressive" in image.info


def is_harmless(warning: str) -> bool:
    """Whether a warning of libjpeg leaves the picture whole.

    Any number of stray bytes between segments does, and a few before the end of the file, which cameras write to
    fill up. More of them there, or any before a restart, are left over because the decoder lost its way.
    """
    lowered = warning.lower()
    stray = _EXTRANEOUS.search(lowered)
    if stray:
        count, marker = int(stray[1]), int(stray[2], 16)
        return marker >= _FIRST_SEGMENT or (marker == _END and count <= FEW_BYTES)
    return any(text in lowered for text in _HARMLESS)


def _inspect_other(content: Content, kind: str, limits: Limits) -> Inspected:
    try:
        image = Image.open(BytesIO(content), formats=[PILLOW_NAMES[kind]])
    except UnidentifiedImageError as error:
        raise _Refusal(Reason.DAMAGED, f"its {kind} header cannot be read") from error
    except Image.DecompressionBombError as error:
        raise _Refusal(Reason.TOO_LARGE, _one_line(error)) from error
    with image:
        _check_size(*image.size, limits)
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise _Refusal(Reason.ANIMATED, f"{frames} {'pages' if kind == 'tiff' else 'frames'}")
        mode = image.mode
        # Before all else: to find a PNG's metadata, Pillow decodes it.
        _check_memory(_PIXEL_BYTES.get(mode, 4) * _COPIES.get(kind, 1), *image.size)
        metadata = _metadata(image)
        # From here on Pillow has turned a TIFF upright: what is stored was read before.
        image.load()
        grey = _grey(image)
        _check_blank(grey, limits)
        return _measured(content, kind, mode, metadata, grey)


def _grey(image: Image.Image) -> Grey:
    """Grey, shrunk as for JPEG; what is transparent counts as white, as viewers show it."""
    by = reduction_of(*image.size)
    rows = max(8, _BAND_PIXELS // image.width // 8 * 8)
    measured = image.mode.startswith(("I", "F"))
    # One pair, because these modes have one band.
    darkest, brightest = cast("tuple[float, float]", image.getextrema()) if measured else (0.0, 255.0)
    bands = []
    for top in range(0, image.height, rows):
        band = image
        if rows < image.height:
            band = image.crop((0, top, image.width, min(top + rows, image.height)))
        if measured:
            values = np.asarray(band.convert("F").reduce(by))
            bands.append(((values - darkest) * (255.0 / (brightest - darkest or 1.0))).astype(np.uint8))
        else:
            bands.append(np.asarray(_on_white(band, by).convert("L")))
    return np.concatenate(bands)


def _on_white(band: Image.Image, by: int) -> Image.Image:
    """`band` shrunk `by` times, without transparency."""
    if band.mode not in ("RGBA", "LA", "PA") and "transparency" not in band.info:
        direct = band if band.mode in ("L", "RGB", "CMYK") else band.convert("RGB")
        return direct.reduce(by)
    clear = band.convert("RGBA").reduce(by)
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)


def _check_size(width: int, height: int, limits: Limits) -> None:
    size = f"{width}×{height}"
    if min(width, height) < limits.min_side:
        raise _Refusal(Reason.TOO_SMALL, size)
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise _Refusal(Reason.TOO_LARGE, size)
    if max(width, height) > limits.max_aspect * min(width, height):
        raise _Refusal(Reason.ASPECT, size)


def _check_memory(pixel_bytes: float, width: int, height: int) -> None:
    if pixel_bytes * width * height > DECODING_BYTES:
        raise _Refusal(Reason.TOO_LARGE, f"{width}×{height}: {_TOO_MUCH_MEMORY}")


def _check_blank(grey: Grey, limits: Limits) -> None:
    deviating = deviation(grey)
    if deviating < limits.blank:
        raise _Refusal(Reason.BLANK, f"grey values deviate by {deviating:.2f}")


def _metadata(image: ImageFile.ImageFile) -> _Metadata:
    exif = read_exif(image)
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Pillow gives the size that a TIFF has when turned upright; its tags have the stored one.
        width, height = int(image.tag_v2[256]), int(image.tag_v2[257])
    return _Metadata(width, height, orientation(exif), read_file_rights(image, exif))


def _measured(content: Content, kind: str, mode: str, metadata: _Metadata, grey: Grey) -> Inspected:
    size = (metadata.width, metadata.height)
    if kind == "tiff":
        # Pillow has turned it upright already.
        fields = fields_of(grey, size if metadata.orientation < FIRST_ON_ITS_SIDE else size[::-1])
    else:
        # Of the picture as people see it: a turned copy is a copy.
        fields = UPRIGHT[metadata.orientation](fields_of(grey, size))
    descriptor = describe(fields)
    return Inspected(
        sha256=hashlib.sha256(content).hexdigest(),
        format=kind,
        mode=mode,
        width=metadata.width,
        height=metadata.height,
        byte_count=len(content),
        perceptual_hash=int(hashes_of(stack([descriptor]))[0].astype(np.int64)),
        orientation=metadata.orientation,
        rights=metadata.rights,
        descriptor=descriptor,
    )


def _beginning(content: Content) -> str:
    start = bytes(content[:512])
    if not start:
        return "empty"
    head = start.lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")) or b"<html" in head:
        return "an HTML page"
    return "begins with " + start[:16].hex(" ")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
