"""Near-duplicates: what is found after each transformation, beside imagehash and imagededup; and a million hashes.

    python benchmarks/duplicates.py [--pictures 400] [--hashes 1000000] [--quick]

Recall: of the changed pictures, those that are paired with their original. Precision: of all pairs between originals
and changed pictures, those that are right. A third of the pictures has little texture. The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from imagenet_builder.crawl.inspect import difference_hash
from imagenet_builder.descriptors import SAME, describe, mirrored, mirrored_hashes, stack
from imagenet_builder.duplicates import HASH_MASK, NEAR, clusters

Matches = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
SIDE = (480, 360)
# The distances that imagehash's and imagededup's users take: their documentation's own.
THEIR_DISTANCE = 10


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
        left, top = source.integers(0, width - 80), source.integers(0, height - 80)
        size = source.integers(25, 80 if faint else 160, 2)
        draw.ellipse((left, top, left + size[0], top + size[1]), tuple(source.integers(0, 256, 3).tolist()))
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


def captioned(image: Image.Image) -> Image.Image:
    """With a bar of a twelfth of its height and words below."""
    width, height = image.size
    wide = Image.new("RGB", (width, height + height // 12), "white")
    wide.paste(image)
    ImageDraw.Draw(wide).text((10, height + 8), "A caption that somebody added", "black")
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
    "flip": ImageOps.mirror,
    "caption bar": captioned,
    "watermark": watermarked,
    "colour shift": shifted,
}


class Ours:
    """Our hash; with `descriptor` confirmed, with `mirror` for mirror images too, as `crawl --exclude` does."""

    def __init__(self, *, descriptor: bool, mirror: bool) -> None:
        self._descriptor, self._mirror = descriptor, mirror

    def measure(self, image: Image.Image) -> tuple[int, bytes]:
        grey = np.asarray(image.convert("L").reduce(4))
        return difference_hash(grey) & HASH_MASK, describe(grey)

    def match(self, originals: list[Any], changed: list[Any]) -> Matches:
        found = self._pairs(originals, changed, flipped=False)
        return found | self._pairs(originals, changed, flipped=True) if self._mirror else found

    def _pairs(self, originals: list[Any], changed: list[Any], *, flipped: bool) -> Matches:
        hashes = [np.array([hash_ for hash_, _ in side], np.uint64) for side in (originals, changed)]
        rows = [stack([row for _, row in side]) for side in (originals, changed)]
        if flipped:
            hashes[1], rows[1] = mirrored_hashes(hashes[1]), mirrored(rows[1])
        near = distances(*hashes) <= NEAR
        if self._descriptor:
            floats = [row.astype(np.float32) for row in rows]
            units = [row / np.maximum(np.linalg.norm(row, axis=1, keepdims=True), 1e-9) for row in floats]
            near &= units[0] @ units[1].T >= SAME
        return near


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
    return np.bitwise_count(left[:, None] ^ right[None, :])


def tools() -> dict[str, Any]:
    """Ours, and those of others that are installed."""
    found: dict[str, Any] = {
        "hash": Ours(descriptor=False, mirror=False),
        "hash, descriptor": Ours(descriptor=True, mirror=False),
        "… and mirror": Ours(descriptor=True, mirror=True),
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


def quality(count: int) -> list[dict[str, Any]]:
    """Recall and precision of each tool for each transformation."""
    images = [encoded(drawn(seed)) for seed in range(count)]
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


def hashes_of(kind: str, count: int) -> Hashes:
    """Uniform hashes; or clustered ones: a tenth are a few bits away from another, and some hashes are common."""
    source = np.random.default_rng(7)
    values = source.integers(0, 2**64, count, dtype=np.uint64)
    if kind == "clustered":
        copies = source.choice(count, count // 10, replace=False)
        origin = source.zipf(1.6, len(copies)) % (count // 100 + 1)
        flips = np.uint64(1) << source.integers(0, 64, (3, len(copies)), dtype=np.uint64)
        values[copies] = values[origin] ^ flips[0] ^ flips[1] ^ flips[2]
    return values


def all_pairs(kind: str, count: int, sample: int = 200) -> dict[str, Any]:
    """CPU seconds for all pairs within NEAR bits of `count` hashes, and how many of a sample's pairs were missed."""
    values = hashes_of(kind, count)
    named = {f"{number:016x}": value for number, value in enumerate(values.tolist())}
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    found = clusters(named)
    after = resource.getrusage(resource.RUSAGE_SELF)
    keys = list(named)
    missed = pairs = 0
    for place in np.random.default_rng(1).choice(count, sample, replace=False).tolist():
        if not 8 <= int(values[place]).bit_count() <= 56:
            continue
        for other in np.flatnonzero(np.bitwise_count(values ^ values[place]) <= NEAR).tolist():
            pairs += other != place
            missed += found[keys[other]] != found[keys[place]] and 8 <= int(values[other]).bit_count() <= 56
    return {
        "hashes": kind,
        "count": count,
        "cpu_s": round(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, 2),
        "wall_s": round(time.monotonic() - started, 2),
        "peak_mib": round(after.ru_maxrss / 1024),
        "clusters": len(set(found.values())),
        "sampled_pairs": pairs,
        "missed": missed,
    }


def main() -> None:
    """Run it all, print two tables and a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="60 pictures, 100,000 hashes")
    asked = parser.parse_args()
    count, largest = (60, 100_000) if asked.quick else (asked.pictures, asked.hashes)
    # First: the peak of memory is the process's own.
    scales = [all_pairs(kind, size) for size in (largest // 10, largest) for kind in ("uniform", "clustered")]
    lines = quality(count)
    names = list(dict.fromkeys(line["tool"] for line in lines))
    print(f"{'recall / precision':18}" + "".join(f"{name:>18}" for name in names))
    for transformation in TRANSFORMATIONS:
        row = {line["tool"]: line for line in lines if line["transformation"] == transformation}
        figures = (f"{row[name]['recall']:.2f} / {row[name]['precision']:.2f}" for name in names)
        print(f"{transformation:18}" + "".join(f"{figure:>18}" for figure in figures))
    print(
        f"\n{'hashes':12}{'count':>10}{'CPU s':>8}{'wall s':>8}{'peak MiB':>10}{'pairs sampled':>15}{'missed':>8}"
    )
    for scale in scales:
        print(
            f"{scale['hashes']:12}{scale['count']:10}{scale['cpu_s']:8}{scale['wall_s']:8}{scale['peak_mib']:10}"
            f"{scale['sampled_pairs']:15}{scale['missed']:8}"
        )
    print(json.dumps({"benchmark": "duplicates", "pictures": count, "quality": lines, "all_pairs": scales}))


if __name__ == "__main__":
    main()
