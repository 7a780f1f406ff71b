"""A web that means harm, in one crawl: every good picture is stored, nothing bad is, and the run ends."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import sqlalchemy as sa
from PIL import Image

from hits import database
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.project import Project
from imagenet_builder.renditions import make_release_jpeg, make_thumbnail
from imagenet_builder.store import tables
from tests.builder_store import add_categories, empty_project
from tests.fault_server import fault_server
from tests.mediawiki_server import picture
from tests.proposing_source import ProposingSource

SCRIPT = b"<script>alert(document.domain)</script>"
# Path → state and reason.
WEB = {
    "/slow": ("failed", "timeout"),
    "/dripping": ("failed", "timeout"),
    "/hung-up": ("failed", "unreachable"),
    "/broken-off": ("failed", "interrupted"),
    "/failing": ("failed", "server-error"),
    "/endless": ("rejected", "too-large"),
    "/loop": ("failed", "too-many-redirects"),
    "/gzip-bomb": ("rejected", "too-large"),
    "/page-as-picture": ("rejected", "not-an-image"),
    "/truncated-file": ("rejected", "damaged"),
    "/good?seed=3": ("stored", None),
}


def jpeg(seed: int, **options: object) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(picture(seed))).save(file, "JPEG", **options)
    return file.getvalue()


def after_the_start(content: bytes, marker: int, body: bytes) -> bytes:
    return content[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body + content[2:]


def resized_header(content: bytes, width: int, height: int) -> bytes:
    """A JPEG that says it is of another size than its pixels."""
    frame = content.index(b"\xff\xc0")
    return content[: frame + 5] + struct.pack(">HH", height, width) + content[frame + 9 :]


def png_bomb(side: int) -> bytes:
    """A valid PNG of side × side pixels in black and white: a few kilobytes for as much memory as you like."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer, packed = zlib.compressobj(9), []
    row = b"\0" + b"\xf0" * (side // 8)
    for _ in range(side // 500):
        packed.append(packer.compress(row * 500))
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"".join(packed)) + chunk(b"IEND", b"")
    )


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.html", SCRIPT)
    return file.getvalue()


def hostile_files() -> dict[str, tuple[bytes, str, str | None]]:
    """Name → content, and how it ends. What can be a picture as well as something else is stored for the picture."""
    good = picture(10)
    return {
        "png-bomb": (png_bomb(40_000), "rejected", "too-large"),
        "wide-header": (resized_header(good, 60_000, 60_000), "rejected", "too-large"),
        "long-png": (good_png(struct.pack(">II", 100_000, 100_000)), "rejected", "too-large"),
        "taller-than-its-pixels": (resized_header(good, 500, 1_000), "rejected", "damaged"),
        "exif-garbage": (after_the_start(jpeg(11), 0xE1, b"Exif\0\0" + b"\xff" * 400), "stored", None),
        "exif-loop": (after_the_start(jpeg(12), 0xE1, exif_loop()), "stored", None),
        "icc-garbage": (jpeg(13, icc_profile=b"\xff" * 3_000), "stored", None),
        "icc-length-lies": (jpeg(14, icc_profile=struct.pack(">I", 2**31) + bytes(200)), "stored", None),
        "jpeg-and-zip": (jpeg(15) + zipped(), "stored", None),
        "jpeg-with-script": (after_the_start(jpeg(16), 0xFE, SCRIPT), "stored", None),
        "gif-and-script": (b"GIF89a/*\0\0\0\0*/=1;" + SCRIPT, "rejected", "damaged"),
        "page-with-picture": (b"<html>" + SCRIPT + jpeg(17), "rejected", "not-an-image"),
        "svg": (
            b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>",
            "rejected",
            "unsupported-format",
        ),
    }


def good_png(size: bytes) -> bytes:
    content = picture(10, 320, 240, "PNG")
    header = b"IHDR" + size + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def exif_loop() -> bytes:
    """A directory of tags whose next one is itself."""
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x0112, 3, 1, 0, 8)


def ended(project: Project) -> dict[str, tuple[str, str | None, str | None]]:
    c = tables.candidates.c
    with database.reading(project.engine) as connection:
        found = connection.execute(sa.select(c.url, c.state, c.reason, c.sha256))
        return {row.url: (row.state, row.reason, row.sha256) for row in found}


def test_a_hostile_web_costs_no_good_picture_and_gets_nothing_in(tmp_path: Path) -> None:
    files = hostile_files()
    expected = WEB | {f"/files/{name}": (state, reason) for name, (_, state, reason) in files.items()}
    with fault_server() as server:
        server.files = {name: content for name, (content, _, _) in files.items()}
        project = empty_project(
            tmp_path / "project",
            crawl={
                "allow_addresses": [server.authority],
                "timeout": 3.0,
                "attempts": 2,
                "per_host": 8,
                "max_bytes": 5_000_000,
            },
        )
        add_categories(project, "n04507155")
        crawl(project, sources=[ProposingSource([server.address + path for path in expected])])
        found = {url.removeprefix(server.address): row for url, row in ended(project).items()}
    assert {path: row[:2] for path, row in found.items()} == expected
    stored = {sha256 for _, _, sha256 in found.values() if sha256 is not None}
    assert set(project.images) == stored
    # Bytes that are something else as well never leave: workers and releases get the picture alone.
    for name in ("jpeg-and-zip", "jpeg-with-script", "exif-garbage", "icc-garbage"):
        content = project.images.get(str(found[f"/files/{name}"][2]))
        assert content == files[name][0]
        for shown in (make_thumbnail(content, 200), make_release_jpeg(content)):
            assert SCRIPT not in shown
            assert not zipfile.is_zipfile(io.BytesIO(shown))
            assert b"\xff" * 300 not in shown
