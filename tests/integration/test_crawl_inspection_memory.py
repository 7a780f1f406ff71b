"""What inspecting the largest pictures takes: a worker stays under 512 MiB, whatever a file makes its decoder do."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagenet_builder.crawl.inspect import inspect
from imagenet_builder.crawl.limits import Limits
from imagenet_builder.executors.local import ProcessPool
from imagenet_builder.executors.worker import MEBIBYTE
from imagenet_builder.records import Inspected, Reason, Rejected

MOST = 512 * MEBIBYTE
LIMITS = Limits()
PROC = Path("/proc/self")

pytestmark = pytest.mark.skipif(not (PROC / "clear_refs").exists(), reason="needs /proc with clear_refs")


def inspect_and_measure(content: bytes | memoryview) -> tuple[Inspected | Rejected, int]:
    """What came of it, and the most memory that this process had meanwhile, in bytes."""
    (PROC / "clear_refs").write_text("5")
    outcome = inspect(content, LIMITS)
    most = re.search(r"VmHWM:\s+(\d+) kB", (PROC / "status").read_text(encoding="ascii"))
    assert most is not None
    return outcome, int(most[1]) * 1024


@pytest.fixture
def pool() -> Iterator[ProcessPool[tuple[Inspected | Rejected, int]]]:
    with ProcessPool(inspect_and_measure, workers=1, preload=(__name__,)) as running:
        yield running


def plain(mode: str, width: int, height: int) -> Image.Image:
    """Two halves and a bar: large, not blank, and quickly compressed."""
    image = Image.new("L", (width, height), 30)
    image.paste(200, (0, 0, width // 2, height))
    image.paste(90, (width // 3, height // 4, width // 2, height // 2))
    return image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)


def encoded(file_format: str, mode: str, width: int, height: int, **options: Any) -> bytes:
    file = io.BytesIO()
    if file_format == "PNG":
        options["compress_level"] = 1
    plain(mode, width, height).save(file, file_format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("file_format", "mode", "side", "options"),
    [
        ("JPEG", "RGB", 10_000, {}),
        ("JPEG", "RGB", 7_000, {"progressive": True, "subsampling": 0}),
        ("PNG", "RGB", 9_600, {}),
        ("PNG", "RGBA", 9_600, {}),
        ("PNG", "P", 10_000, {}),
        ("PNG", "1", 10_000, {}),
        ("PNG", "LA", 9_600, {}),
        ("PNG", "I;16", 10_000, {}),
        ("GIF", "P", 10_000, {}),
        ("WEBP", "RGB", 4_800, {"quality": 10, "method": 0}),
        ("TIFF", "F", 6_500, {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", 6_500, {"compression": "tiff_lzw"}),
    ],
)
async def test_large_pictures_are_inspected_in_bounded_memory(
    pool: ProcessPool[tuple[Inspected | Rejected, int]],
    file_format: str,
    mode: str,
    side: int,
    options: dict[str, Any],
) -> None:
    content = encoded(file_format, mode, side, side, **options)
    outcome, most = await pool.run(content)
    assert isinstance(outcome, Inspected), outcome
    assert (outcome.width, outcome.height) == (side, side)
    assert most < MOST


@pytest.mark.parametrize(
    ("file_format", "mode", "side", "options"),
    [
        ("WEBP", "RGB", 6_000, {"quality": 10, "method": 0}),
        ("TIFF", "RGB", 9_000, {"compression": "tiff_lzw"}),
        ("JPEG", "CMYK", 9_000, {"progressive": True}),
        ("PNG", "RGB", 9_900, {}),
    ],
)
async def test_what_would_take_more_is_too_large_before_it_is_decoded(
    pool: ProcessPool[tuple[Inspected | Rejected, int]],
    file_format: str,
    mode: str,
    side: int,
    options: dict[str, Any],
) -> None:
    outcome, most = await pool.run(encoded(file_format, mode, side, side, **options))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.detail.partition(":")[0]) == (Reason.TOO_LARGE, f"{side}×{side}")
    assert most < 200 * MEBIBYTE


async def test_a_decompression_bomb_takes_no_memory(
    pool: ProcessPool[tuple[Inspected | Rejected, int]],
) -> None:
    small = encoded("PNG", "L", 200, 200)
    for side in (30_000, 100_000, 2**31 - 1):
        # IHDR: its length and name, then width and height. The checksum no longer fits: no decoder gets that far.
        bomb = small[:16] + struct.pack(">II", side, side) + small[24:]
        outcome, most = await pool.run(bomb)
        assert isinstance(outcome, Rejected)
        assert outcome.reason in (Reason.TOO_LARGE, Reason.DAMAGED)
        assert most < 200 * MEBIBYTE


async def test_scans_that_no_header_tells_of_end_at_the_workers_own_limit(
    pool: ProcessPool[tuple[Inspected | Rejected, int]],
) -> None:
    # A baseline picture in three scans makes libjpeg keep all of it, as a progressive one does, and says so nowhere.
    outcome, most = await pool.run(in_separate_scans(9_984))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.TOO_LARGE
    assert most < MOST


def in_separate_scans(side: int) -> bytes:
    """The start of a baseline JPEG of `side` × `side` pixels in 4:4:4 whose first scan is of one component."""
    whole = encoded("JPEG", "RGB", 320, 320, subsampling=0)
    frame, scan = whole.index(b"\xff\xc0"), whole.index(b"\xff\xda")
    sized = whole[: frame + 5] + struct.pack(">HH", side, side) + whole[frame + 9 : scan]
    return sized + bytes.fromhex("ffda0008 01 01 00 00 3f 00") + bytes(2_000) + b"\xff\xd9"
