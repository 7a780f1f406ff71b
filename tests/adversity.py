"""What can go wrong around a project: servers that answer nonsense, disks that are full, settings that are changed."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from imagenet_builder.config import SETTINGS_NAME
from imagenet_builder.demo.stagehands import server, start_picture_site
from tests.builder_store import empty_project
from tests.command import done, marketplace_settings
from tests.export_parts import TENCH, UMBRELLA, add_verified, some_pictures
from tests.real_parts import absent, free_port
from tests.verification_project import add_pictures

NOWHERE = "http://127.0.0.1:9"


def build_template(folder: Path, wordnet_folder: Path) -> Path:
    """A project with six verified pictures of tenches, and four umbrellas or not that nobody was asked about.

    Nothing listens where its source and its marketplace should be.
    """
    project = empty_project(
        folder,
        wordnet={"folder": str(wordnet_folder)},
        wikimedia={"endpoint": f"{NOWHERE}/w/api.php"},
        marketplace=marketplace_settings(free_port()),
    )
    add_verified(project, some_pictures({TENCH: 6}))
    project.engine.dispose()
    done(folder, "synsets", "select", "umbrella")
    add_pictures(project, UMBRELLA, range(4))
    project.engine.dispose()
    # All of the store in its one file: tests copy it, and damage it.
    with closing(sqlite3.connect(folder / "store.sqlite3")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


def set_setting(project: Path, section: str, **settings: object) -> None:
    """Write settings into a section, in place of those that it has there."""
    path = project / SETTINGS_NAME
    text = path.read_text(encoding="utf-8")
    if f"[{section}]" not in text:
        text += f"[{section}]\n"
    for name, value in settings.items():
        written = f'"{value}"' if isinstance(value, str) else str(value).lower()
        text = re.sub(rf"(?m)(?<=^\[{section}\]\n)((?:[^\[\n].*\n)*?){name} = .*\n", r"\1", text)
        text = text.replace(f"[{section}]\n", f"[{section}]\n{name} = {written}\n")
    path.write_text(text, encoding="utf-8")


def port_of(project: Path) -> int:
    """Where the project's own marketplace answers."""
    found = re.search(r'endpoint = "http://127\.0\.0\.1:(\d+)"', (project / SETTINGS_NAME).read_text())
    assert found is not None
    return int(found[1])


@contextmanager
def answering(
    status: int, content: bytes, kind: str, *, hangs: bool = False
) -> Iterator[tuple[str, threading.Event]]:
    """A server that answers everything alike, or never; its address, and an event that is set when it is asked."""
    asked, leave = threading.Event(), threading.Event()

    class Answerer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.set()
            if hangs:
                leave.wait(600)
                return
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Answerer)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_address[1]}", asked
    finally:
        leave.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


HTML = b"<!doctype html><title>Log in</title><h1>Log in to the hotel's network</h1>"


@contextmanager
def picture_site(folder: Path) -> Iterator[str]:
    """The offline picture site with a few umbrellas; its address."""
    site, url = start_picture_site(
        port=0, seed=3, classes=[UMBRELLA], per_class=6, truth=folder / "truth.jsonl", log=folder / "site.log"
    )
    with server(lambda: site):
        yield url


def search_at(project: Path, url: str) -> None:
    set_setting(project, "wikimedia", endpoint=f"{url}/w/api.php", width=330)
    path = project / SETTINGS_NAME
    text = re.sub(r"(?m)^\[crawl\]\n(.*\n)*?(?=\[|\Z)", "", path.read_text(encoding="utf-8"))
    path.write_text(
        f'{text}\n[crawl]\nallow_addresses = ["{url.removeprefix("http://")}"]\n', encoding="utf-8"
    )


def outcomes(project: Path) -> dict[str, int]:
    """Candidates of the umbrella by state."""
    return {
        name: count
        for name, count in done(project, "candidates", "--category", UMBRELLA, "--json").document[0].items()
        if name in {"pending", "stored", "rejected", "failed"}
    }


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Callable[[str], None]]:
    """A file system of its own at `folder`; the function remounts it with other options."""
    folder.mkdir()

    def mount(options: str) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True
        )

    try:
        mount(f"size={kib}k")
    except (OSError, subprocess.CalledProcessError):
        absent("a small disk", "mounting one needs root and CAP_SYS_ADMIN")
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def stored_without_bytes(project: Path, folder: Path) -> set[str]:
    """Images that the store names, but whose bytes are not in `folder`."""
    with closing(sqlite3.connect(project / "store.sqlite3")) as connection:
        named = {sha256 for (sha256,) in connection.execute("SELECT sha256 FROM images")}
    return named - {path.name for path in folder.rglob("*") if path.is_file()}
