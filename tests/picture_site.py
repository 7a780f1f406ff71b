"""A small site with pictures on loopback, and verification pages that show them."""

from __future__ import annotations

import io
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hits.model import Cell, Concept, HitTerms, Page

UMBRELLA = Concept(
    name="umbrella",
    synonyms=("brolly", "gamp"),
    definition="a lightweight handheld collapsible canopy",
    parents=("canopy",),
    wikipedia_url="https://en.wikipedia.org/wiki/Umbrella",
    not_counting=("awning",),
)


class PictureSite:
    """Serves a drawn JPEG at /NAME.jpg for every name that is not in `missing`; counts what was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.missing: set[str] = set()
        self.asked: Counter[str] = Counter()

    def page(self, *names: str, concept: Concept = UMBRELLA) -> Page:
        """A page with one cell a name, shown under that name."""
        return Page(concept, tuple(Cell(name, f"{self.url}/{name}.jpg") for name in names))


def draw(name: str) -> bytes:
    """A JPEG that differs with the name."""
    from PIL import Image, ImageDraw

    chance = random.Random(name)
    width, height = chance.choice([(256, 192), (192, 256), (256, 256)])
    picture = Image.new("RGB", (width, height), tuple(chance.randrange(90, 230) for _ in range(3)))
    brush = ImageDraw.Draw(picture)
    for _ in range(8):
        left, top, side = chance.randrange(width), chance.randrange(height), chance.randrange(20, 90)
        brush.ellipse(
            (left, top, left + side, top + side), fill=tuple(chance.randrange(256) for _ in range(3))
        )
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=80)
    return content.getvalue()


@contextmanager
def running_picture_site() -> Iterator[PictureSite]:
    class Answerer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/").removesuffix(".jpg")
            site.asked[name] += 1
            content = b"" if name in site.missing else draw(name)
            self.send_response(404 if name in site.missing else 200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: requests are counted."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answerer)
    server.daemon_threads = True
    site = PictureSite(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def terms(
    reward_cents: int = 10, max_assignments: int = 3, title: str = "Which pictures show it?"
) -> HitTerms:
    """Terms of a HIT that stays open for an hour."""
    return HitTerms(
        title=title,
        description="Look at pictures and say what they show.",
        keywords=("pictures", "yes or no"),
        reward_cents=reward_cents,
        assignment_duration=1800,
        lifetime=3600,
        auto_approval_delay=86_400,
        max_assignments=max_assignments,
    )
