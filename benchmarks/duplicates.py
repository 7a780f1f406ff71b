"""Near-duplicates: what is found after each transformation, beside imagehash and imagededup; and what many cost.

    python benchmarks/duplicates.py [--pictures 400] [--photographs FOLDER] [--hashes 1000000] [--quick]

What many cost is in duplicates_scale.py.

Recall: of the changed pictures, those that are paired with their original. Precision: of all pairs between originals
and changed pictures, those that are right. Pictures are made up, a third of them with little texture, or those of a
folder. All go through a JPEG file and the crawler's inspection. The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from duplicates_scale import scale
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from imagenet_builder.crawl.inspect import inspect
from imagenet_builder.crawl.limits import Limits
from imagenet_builder.descriptors import (
    SAME,
    WINDOWS,
    correlation,
    hashes_of,
    looks_of,
    mirrored_hashes,
    mirrored_looks,
    stack,
)
from imagenet_builder.duplicates import NEAR
from imagenet_builder.records import Inspected

Matches = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
SIDE = (480, 360)
# The distances that imagehash's and imagededup's users take: their documentation's own.
THEIR_DISTANCE = 10
# Far from the seeds of pictures that thresholds and windows were chosen on.
FIRST_SEED = 1_000_000
ANYTHING = Limits(min_side=1, max_side=2**31, max_pixels=2**62, max_aspect=2.0**31, blank=0.0)


def drawn(seed: int) -> Image.Image:
    """A picture with structure at every scale and some things in it; every third is faint, as skies and walls are."""
    source = np.random.default_rng(seed)
    width, height = SIDE
    across, down = np.fft.rfftfreq(width)[None, :], np.fft.fftfreq(height)[:, None]
    spectrum = source.normal(size=(3, height, width // 2 + 1)) + 1j * source.normal(
        size=(3, height, width // 2 + 1)
    )
    noise = np.fft.irfft2(spectrum / np.maximum(np.hypot(across, down), 0.003) ** 1.2, s=(height, width))
    noise = noise / noise.std()
    faint = seed % 3 == 0
    slope = np.linspace(-25, 25, height)[:, None] if faint else 0.0
    pixels = 128 + slope + noise * (4 if faint else 45)
    image = Image.fromarray(np.moveaxis(pixels.clip(0, 255).astype(np.uint8), 0, 2))
    draw = ImageDraw.Draw(image)
    for _ in range(1 if faint else 4):
        left, top = int(source.integers(0, width - 80)), int(source.integers(0, height - 80))
        across, down = source.integers(25, 80 if faint else 160, 2).tolist()
        draw.ellipse((left, top, left + across, top + down), tuple(source.integers(0, 256, 3).tolist()))
    return image


def encoded(image: Image.Image, quality: int = 85) -> Image.Image:
    """As it comes back from a JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Without `share` of its width and height, half of it on each side."""
    width, height = image.size
    left, top = round(width * share / 2), round(height * share / 2)
    return image.crop((left, top, width - left, height - top))


def cornered(image: Image.Image, share: float) -> Image.Image:
    """Without `share` of its width and height, all of it on the left and at the top."""
    return image.crop((round(image.width * share), round(image.height * share), *image.size))


def captioned(image: Image.Image) -> Image.Image:
    """With a bar of a twelfth of its height and words below."""
    width, height = image.size
    wide = Image.new("RGB", (width, height + height // 12), "white")
    wide.paste(image)
    ImageDraw.Draw(wide).text((10, height + 8), "A caption that somebody added", "black")
    return wide


def headed(image: Image.Image) -> Image.Image:
    """With a black bar of a sixth of its height and large words above."""
    width, height = image.size
    wide = Image.new("RGB", (width, height + height // 6), "black")
    wide.paste(image, (0, height // 6))
    ImageDraw.Draw(wide).text((width // 10, height // 40), "WHEN YOU SEE IT", "white", font_size=height // 10)
    return wide


def watermarked(image: Image.Image) -> Image.Image:
    """With large half-transparent words across its middle."""
    width, height = image.size
    layer = Image.new("RGBA", image.size)
    ImageDraw.Draw(layer).text((width // 8, height // 2 - 30), "SAMPLE", (255, 255, 255, 110), font_size=80)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def shifted(image: Image.Image) -> Image.Image:
    """Warmer, brighter, less colourful."""
    red, green, blue = image.split()
    warm = Image.merge(
        "RGB", (red.point(lambda v: min(255, v * 1.15)), green, blue.point(lambda v: v * 0.85))
    )
    return ImageEnhance.Brightness(ImageEnhance.Color(warm).enhance(0.6)).enhance(1.1)


TRANSFORMATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resize to half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "re-encode at 40": lambda image: encoded(image, 40),
    "crop 5 %": lambda image: cropped(image, 0.05),
    "crop 10 %": lambda image: cropped(image, 0.10),
    "crop 20 %": lambda image: cropped(image, 0.20),
    "crop 5 % corner": lambda image: cornered(image, 0.05),
    "crop 10 % corner": lambda image: cornered(image, 0.10),
    "crop 20 % corner": lambda image: cornered(image, 0.20),
    "flip": ImageOps.mirror,
    "flip, crop 10 %": lambda image: cropped(ImageOps.mirror(image), 0.10),
    "caption bar": captioned,
    "heading, 1/6": headed,
    "watermark": watermarked,
    "colour shift": shifted,
}


class Ours:
    """Our hash; `confirmed` on the descriptor; with `windows` and mirror images too, as the product does it."""

    def __init__(self, *, confirmed: bool, windows: bool) -> None:
        self._confirmed, self._windows = confirmed, windows

    def measure(self, image: Image.Image) -> bytes:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=95)
        found = inspect(file.getvalue(), ANYTHING)
        if not isinstance(found, Inspected):
            raise RuntimeError(f"a picture of the benchmark is {found.reason}")
        return found.descriptor

    def match(self, originals: list[bytes], changed: list[bytes]) -> Matches:
        one, other = stack(originals), stack(changed)
        found = self._seen(one, other)
        return found | self._seen(other, one).T if self._windows else found

    def _seen(self, asking: npt.NDArray[np.int8], known: npt.NDArray[np.int8]) -> Matches:
        """Which of `asking`, or their mirror images, look like which of `known` or a window in it."""
        hashes, looks = hashes_of(asking), looks_of(asking)
        sides = [(hashes, looks)]
        if self._windows:
            sides.append((mirrored_hashes(hashes), mirrored_looks(looks)))
        found = np.zeros((len(asking), len(known)), np.bool_)
        for window in range(len(WINDOWS) if self._windows else 1):
            there, there_looks = hashes_of(known, window), looks_of(known, window)
            for here, here_looks in sides:
                near = distances(here, there) <= NEAR
                if self._confirmed:
                    one, other = np.nonzero(near)
                    near[one, other] = correlation(here_looks[one], there_looks[other], window) >= SAME
                found |= near
        return found


class ImageHash:
    """The `imagehash` package: its perceptual or difference hash."""

    def __init__(self, name: str, distance: int) -> None:
        import imagehash

        self._hash, self._distance = getattr(imagehash, name), distance

    def measure(self, image: Image.Image) -> int:
        return int(str(self._hash(image)), 16)

    def match(self, originals: list[Any], changed: list[Any]) -> Matches:
        sides = [np.array(side, np.uint64) for side in (originals, changed)]
        return distances(*sides) <= self._distance


class ImageDedup(ImageHash):
    """The `imagededup` package: PHash, with its default distance."""

    def __init__(self) -> None:
        from imagenet_builder.train.compatibility import load_torchvision

        # imagededup imports torchvision for its other methods.
        load_torchvision()
        from imagededup.methods import PHash

        self._hasher, self._distance = PHash(verbose=False), THEIR_DISTANCE

    def measure(self, image: Image.Image) -> int:
        return int(self._hasher.encode_image(image_array=np.asarray(image)), 16)


def distances(left: Hashes, right: Hashes) -> npt.NDArray[np.uint8]:
    """Hamming distances, len(left) × len(right)."""
    counts: npt.NDArray[np.uint8] = np.bitwise_count(left[:, None] ^ right[None, :])
    return counts


def tools() -> dict[str, Any]:
    """Ours, and those of others that are installed."""
    found: dict[str, Any] = {
        "hash alone": Ours(confirmed=False, windows=False),
        "hash confirmed": Ours(confirmed=True, windows=False),
        "ours": Ours(confirmed=True, windows=True),
    }
    others: dict[str, Callable[[], Any]] = {
        "imagehash dhash": lambda: ImageHash("dhash", NEAR),
        "imagehash phash": lambda: ImageHash("phash", THEIR_DISTANCE),
        "imagededup phash": ImageDedup,
    }
    for name, build in others.items():
        try:
            found[name] = build()
        except ImportError as error:
            print(f"left out: {name} ({error})")
    return found


def pictures(count: int, folder: Path | None) -> list[Image.Image]:
    """Made-up pictures, or those of a folder, no longer than 640 pixels."""
    if folder is None:
        return [encoded(drawn(FIRST_SEED + number)) for number in range(count)]
    found = []
    for path in sorted(folder.iterdir())[:count]:
        with Image.open(path) as image:
            image.draft("RGB", (640, 640))
            small = image.convert("RGB")
        small.thumbnail((640, 640))
        found.append(encoded(small))
    return found


def quality(images: list[Image.Image]) -> list[dict[str, Any]]:
    """Recall and precision of each tool for each transformation."""
    count = len(images)
    compared = tools()
    known = {name: [tool.measure(image) for image in images] for name, tool in compared.items()}
    lines = []
    for transformation, change in TRANSFORMATIONS.items():
        changed = [encoded(change(image)) for image in images]
        for name, tool in compared.items():
            matches = tool.match(known[name], [tool.measure(image) for image in changed])
            right = int(matches.diagonal().sum())
            lines.append(
                {
                    "transformation": transformation,
                    "tool": name,
                    "recall": round(right / count, 4),
                    "precision": round(right / max(1, int(matches.sum())), 4),
                }
            )
    return lines


def main() -> None:
    """Run it all, print two tables and a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--photographs", type=Path, help="a folder of pictures, instead of made-up ones")
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--largest", type=int, default=10_000_000, help="for the search alone")
    parser.add_argument("--only", choices=("quality", "scale"))
    parser.add_argument("--quick", action="store_true", help="60 pictures, 100,000 hashes")
    asked = parser.parse_args()
    count, most, largest = asked.pictures, asked.hashes, asked.largest
    if asked.quick:
        count, most, largest = 60, 100_000, 100_000
    scales = [] if asked.only == "quality" else scale(most, largest)
    images = [] if asked.only == "scale" else pictures(count, asked.photographs)
    lines = quality(images) if images else []
    names = list(dict.fromkeys(line["tool"] for line in lines))
    print(f"{'recall / precision':18}" + "".join(f"{name:>18}" for name in names))
    for transformation in TRANSFORMATIONS if lines else ():
        row = {line["tool"]: line for line in lines if line["transformation"] == transformation}
        figures = (f"{row[name]['recall']:.2f} / {row[name]['precision']:.2f}" for name in names)
        print(f"{transformation:18}" + "".join(f"{figure:>18}" for figure in figures))
    for line in scales:
        print("  ".join(f"{key} {value}" for key, value in line.items()))
    print(json.dumps({"benchmark": "duplicates", "pictures": len(images), "quality": lines, "scale": scales}))


if __name__ == "__main__":
    main()
