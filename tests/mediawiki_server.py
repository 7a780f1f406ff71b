"""A real MediaWiki (Debian's package, SQLite, PHP's built-in server) with pictures, for the wikimedia source."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from . import real_parts

CODE = Path("/usr/share/mediawiki")
ROUTER = Path(__file__).with_name("mediawiki_router.php")
SETTINGS = r"""
$wgServer = getenv( 'WIKI_SERVER' ) ?: 'http://127.0.0.1:1';
$wgSQLiteDataDir = __DIR__ . '/db';
$wgUploadDirectory = __DIR__ . '/uploads';
$wgUploadPath = '/images';
$wgCacheDirectory = __DIR__ . '/cache';
$wgEnableUploads = true;
$wgMainCacheType = CACHE_NONE;
$wgRateLimits = [];
$wgJobRunRate = 0;
$wgUseImageMagick = false;
// As on Wikimedia: a thumbnail is made when it is first asked for, not when the API names it.
$wgGenerateThumbnailOnParse = false;
"""


@dataclass(frozen=True)
class WikiPicture:
    """A file of the wiki: its name without `File:`, its bytes, and the wikitext of its description page."""

    name: str
    content: bytes
    wikitext: str


def picture(
    seed: int, width: int = 640, height: int = 480, file_format: str = "JPEG", **options: object
) -> bytes:
    """An encoded picture of its own for each seed: smooth enough to compress, busy enough not to be blank."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, size=(12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def page(description: str, licence: str, author: str = "[[User:Ann|Ann Example]]") -> str:
    """A description page as Commons has them."""
    return (
        f"== {{{{int:filedesc}}}} ==\n{{{{Information\n|description={{{{en|1={description}}}}}\n"
        f"|source={{{{own}}}}\n|author={author}\n}}}}\n\n== {{{{int:license-header}}}} ==\n{licence}\n"
    )


PICTURES = (
    *(
        WikiPicture(
            f"Street scene {seed}.jpg",
            picture(seed),
            page(f"An umbrella in the rain, number {seed}", "{{self|cc-by-sa-4.0}}"),
        )
        for seed in range(5)
    ),
    WikiPicture("Beach.jpg", picture(10, 1600, 1200), page("A beach umbrella, wide", "{{cc-by-2.0}}")),
    WikiPicture("Old umbrella.png", picture(11, 300, 200, "PNG"), page("An old umbrella", "{{PD-old-100}}")),
    WikiPicture("Small.jpg", picture(12, 60, 40), page("A small umbrella", "{{cc-zero}}")),
    WikiPicture(
        "Plate.jpg", picture(13), page("Umbrella, engraved", "{{cc-by-nc-2.0}}\n[[Category:Brollies]]")
    ),
    WikiPicture("Nobody knows.jpg", picture(14), "An umbrella of unknown origin."),
    WikiPicture(
        "Two licences.jpg",
        picture(15),
        page(
            "Umbrella", "{{self|GFDL|cc-by-sa-3.0,2.5}}\n[[Category:Brollies]]\n[[Category:Small brollies]]"
        ),
    ),
    WikiPicture(
        "Mushroom.jpg",
        picture(16),
        page("A mushroom in a wood", "{{cc-by-4.0}}\n[[Category:Tiny brollies]]", "Bo <b>B.</b>"),
    ),
)
# A category in a category, another below that, and back to the first.
CATEGORIES = {
    "Category:Small brollies": "[[Category:Brollies]]",
    "Category:Tiny brollies": "[[Category:Small brollies]]",
    "Category:Brollies": "[[Category:Tiny brollies]]",
}


def build_wiki(folder: Path, pictures: Sequence[WikiPicture]) -> None:
    """Install a wiki with `pictures` into `folder`, which does not exist yet."""
    (folder / "db").mkdir(parents=True)
    for name in ("uploads", "cache"):
        (folder / name).mkdir()
    environment = {**os.environ, "MW_CONFIG_FILE": str(folder / "LocalSettings.php")}
    _maintain(
        "install",
        "--confpath", str(folder), "--dbtype", "sqlite", "--dbpath", str(folder / "db"), "--dbname", "wiki",
        "--scriptpath", "", "--server", "http://127.0.0.1:1", "--pass", "a-long-pass-word-1", "Test", "admin",
        environment={name: value for name, value in environment.items() if name != "MW_CONFIG_FILE"},
    )  # fmt: skip
    with (folder / "LocalSettings.php").open("a", encoding="utf-8") as settings:
        settings.write(SETTINGS)
    originals = folder / "originals"
    originals.mkdir()
    for wiki_picture in pictures:
        (originals / wiki_picture.name).write_bytes(wiki_picture.content)
        (originals / wiki_picture.name).with_suffix(".txt").write_text(wiki_picture.wikitext, "utf-8")
    _maintain("importImages", "--comment-ext=txt", str(originals), environment=environment)
    for title, wikitext in CATEGORIES.items():
        _maintain("edit", title, environment=environment, typed=wikitext)
    _maintain("runJobs", environment=environment)
    _maintain("rebuildtextindex", environment=environment)


def _maintain(script: str, *arguments: str, environment: dict[str, str], typed: str = "") -> None:
    done = subprocess.run(
        ["php", str(CODE / "maintenance" / f"{script}.php"), *arguments],
        env=environment, input=typed, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"


@contextlib.contextmanager
def serve_wiki(folder: Path) -> Iterator[str]:
    """Serve an installed wiki on loopback; the value is its address, `…/api.php` the API's."""
    port = real_parts.free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "MW_CONFIG_FILE": str(folder / "LocalSettings.php"),
        "WIKI_SERVER": address,
        "WIKI_CODE": str(CODE),
        "WIKI_FOLDER": str(folder),
        "PHP_CLI_SERVER_WORKERS": "2",
    }
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            ["php", "-S", f"127.0.0.1:{port}", str(ROUTER)],
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        _await_answer(f"{address}/api.php?action=query&format=json", server)
        yield address
    finally:
        # PHP's workers do not end with it: its whole session is ended.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _await_answer(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, "php ended"
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def wiki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a MediaWiki with PICTURES. It is installed once a test run and copied for each process."""
    real_parts.need("mediawiki", (CODE / "api.php").exists() or None)
    real_parts.need("php-cli", shutil.which("php"))
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    with (shared / "mediawiki.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = shared / "mediawiki"
        if not (installed / "complete").exists():
            shutil.rmtree(installed, ignore_errors=True)
            build_wiki(installed, PICTURES)
            (installed / "complete").touch()
    own = tmp_path_factory.mktemp("mediawiki-served") / "wiki"
    shutil.copytree(installed, own)
    with serve_wiki(own) as address:
        yield address
