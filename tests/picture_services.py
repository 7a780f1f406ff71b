"""The published APIs of Openverse, iNaturalist and Flickr, and a web site with pages, on one loopback server.

They answer in the shapes that their documentation gives, and hold callers to the limits that it sets.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

FLICKR_KEY = "0123456789abcdef-key"
CLIENT_ID, CLIENT_SECRET, TOKEN = "application-7", "very-secret-word", "token-of-application-7"
OPENVERSE_LICENCES = ("by", "cc0", "by-sa", "by-nc", "pdm")
TAXON = 117520


@dataclass
class PictureServices:
    """The running server; `asked` has the query of every request, `troubles` are statuses given first."""

    address: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    troubles: list[int] = field(default_factory=list)
    pages: dict[str, str] = field(default_factory=dict)
    # Pictures of the web site, by path.
    files: dict[str, bytes] = field(default_factory=dict)
    # The headers that pages have beside their type.
    page_headers: dict[str, str] = field(default_factory=dict)
    tokens_given: int = 0

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


def _openverse_pictures() -> list[dict[str, Any]]:
    return [
        {
            "id": f"00000000-0000-4000-8000-{number:012d}",
            "title": f"Umbrella {number}",
            "foreign_landing_url": f"https://photos.example/{number}",
            "url": f"https://photos.example/{number}.jpg",
            "creator": "Ann",
            "license": OPENVERSE_LICENCES[number % len(OPENVERSE_LICENCES)],
            "license_version": "2.0",
            "license_url": "https://creativecommons.org/licenses/by/2.0/",
            "provider": "photos",
            "source": "photos",
            "attribution": f"Umbrella {number} by Ann",
            "height": 768,
            "width": 1024,
            "thumbnail": "https://api.example/thumb/",
        }
        for number in range(45)
    ]


async def openverse(server: PictureServices, request: web.Request) -> web.Response:
    asked = request.query
    token = request.headers.get("Authorization")
    if token is not None and token != f"Bearer {TOKEN}":
        return web.json_response({"detail": "Invalid token"}, status=401)
    size, page = int(asked.get("page_size", 20)), int(asked.get("page", 1))
    if token is None and size > 20:
        return web.json_response({"detail": "Ensure this value is less than or equal to 20."}, status=401)
    if page > 20 or len(asked["q"]) > 200:
        return web.json_response({"detail": {"page": ["Ensure this value is at most 20."]}}, status=400)
    licences = asked["license"].split(",")
    found = [
        picture
        for picture in _openverse_pictures()
        if picture["license"] in licences and asked["q"].lower() in picture["title"].lower()
    ]
    return web.json_response(
        {
            "result_count": len(found),
            "page_count": -(-len(found) // size),
            "page_size": size,
            "page": page,
            "results": found[(page - 1) * size : page * size],
        }
    )


async def openverse_token(server: PictureServices, request: web.Request) -> web.Response:
    form = await request.post()
    if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
        return web.json_response({"error": "invalid_client"}, status=401)
    assert form.get("grant_type") == "client_credentials"
    server.tokens_given += 1
    return web.json_response(
        {"access_token": TOKEN, "expires_in": 43200, "token_type": "Bearer", "scope": "read write"}
    )


async def taxa(server: PictureServices, request: web.Request) -> web.Response:
    known = [
        {"id": TAXON, "name": "Amanita muscaria", "rank": "species", "is_active": True},
        {"id": TAXON + 1, "name": "Amanita muscaria flavivolvata", "rank": "subspecies", "is_active": True},
        {"id": 47348, "name": "Amanita", "rank": "genus", "is_active": True},
    ]
    rank = request.query.get("rank")
    found = [
        taxon
        for taxon in known
        if request.query["q"].lower() in str(taxon["name"]).lower() and rank in (None, taxon["rank"])
    ]
    return web.json_response({"total_results": len(found), "page": 1, "per_page": 30, "results": found})


def _observations() -> list[dict[str, Any]]:
    codes = ("cc-by", "cc-by-nc", "cc0", None)
    return [
        {
            "id": 1000 + number,
            "uri": f"https://www.inaturalist.org/observations/{1000 + number}",
            "species_guess": "Fly agaric",
            "quality_grade": "research",
            "user": {"login": "bo", "name": "Bo Example"},
            "photos": [
                {
                    "id": 10 * number + place,
                    "license_code": codes[(number + place) % len(codes)],
                    "url": f"https://open-data.example/photos/{10 * number + place}/square.jpg",
                    "attribution": "(c) Bo Example, some rights reserved",
                    "original_dimensions": {"width": 2048, "height": 1536},
                }
                for place in range(2)
            ],
        }
        for number in range(11)
    ]


async def observations(server: PictureServices, request: web.Request) -> web.Response:
    asked = request.query
    size = int(asked["per_page"])
    if size > 200:
        return web.json_response({"error": "per_page"}, status=422)
    codes = asked["photo_license"].split(",")
    below = int(asked.get("id_below", 10**9))
    found = [
        observation
        for observation in reversed(_observations())
        if asked["taxon_id"] == str(TAXON)
        and observation["id"] < below
        and any(photo["license_code"] in codes for photo in observation["photos"])
    ]
    return web.json_response(
        {"total_results": len(found), "page": 1, "per_page": size, "results": found[:size]}
    )


async def flickr(server: PictureServices, request: web.Request) -> web.Response:
    asked = request.query
    if asked.get("api_key") != FLICKR_KEY:
        said = f"Invalid API Key (Key has invalid format): {asked.get('api_key')}"
        return web.json_response({"stat": "fail", "code": 100, "message": said})
    size, page = int(asked["per_page"]), int(asked["page"])
    wanted = asked["license"].split(",")
    found = []
    for number in range(24):
        photo = {
            "id": str(5000 + number),
            "owner": "12345678@N00",
            "secret": "abc",
            "server": "65535",
            "title": f"Umbrella {number}",
            "license": str(number % 17),
            "ownername": "Cy",
            # The extras call sizes otherwise than the addresses do.
            "url_s": f"https://live.example/{number}_m.jpg",
            "width_s": "240",
            "height_s": "180",
            "url_m": f"https://live.example/{number}.jpg",
            "width_m": "500",
            "height_m": "375",
            "url_z": f"https://live.example/{number}_z.jpg",
            "width_z": 640,
            "height_z": 480,
        }
        if number % 3:
            photo |= {"url_l": f"https://live.example/{number}_b.jpg", "width_l": "1024", "height_l": "768"}
        if photo["license"] in wanted and asked["text"].lower() in str(photo["title"]).lower():
            found.append(photo)
    shown = found[(page - 1) * size : page * size]
    photos = {
        "page": page,
        "pages": -(-len(found) // size),
        "perpage": size,
        "total": len(found),
        "photo": shown,
    }
    return web.json_response({"photos": photos, "stat": "ok"})


async def site(server: PictureServices, request: web.Request) -> web.Response:
    if request.path in server.files:
        return web.Response(body=server.files[request.path], content_type="image/jpeg")
    text = server.pages.get(request.path)
    if text is None:
        return web.Response(status=404)
    kind = "application/xml" if request.path.endswith(".xml") else "text/plain"
    kind = kind if "." in request.path else "text/html"
    return web.Response(text=text, content_type=kind, headers=server.page_headers)


HANDLERS = {
    "/v1/images/": openverse,
    "/v1/auth_tokens/token/": openverse_token,
    "/v1/taxa": taxa,
    "/v1/observations": observations,
    "/services/rest/": flickr,
}


@contextlib.contextmanager
def picture_services() -> Iterator[PictureServices]:
    """Run the server on loopback in a thread of its own."""
    server = PictureServices()
    ready, loop, stopping = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        server.asked.append((request.path, dict(request.query)))
        if server.troubles:
            return web.Response(status=server.troubles.pop(0), headers={"Retry-After": "2"})
        return await HANDLERS.get(request.path, site)(server, request)

    async def serve() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        server.address = f"http://{host}:{port}"
        ready.set()
        await stopping.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(30)
        loop.close()
