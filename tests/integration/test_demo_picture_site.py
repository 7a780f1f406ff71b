"""The rehearsal's picture site over HTTP, and as a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from imagenet_builder.demo.collection import Collection, Delivery, PictureFile, build_collection
from imagenet_builder.demo.drawing_classes import CLASSES
from imagenet_builder.demo.picture_files import Form, shown_size
from imagenet_builder.demo.picture_site import PictureSite, listening_socket

WNIDS = ("n04507155", "n07734744", "n06874185", "n04548280")
Site = tuple[aiohttp.ClientSession, str]
PROPERTIES = "url|size|mime|sha1|user|extmetadata|timestamp"


@pytest.fixture(scope="module")
def collection() -> Collection:
    return build_collection(11, WNIDS, 24)


@asynccontextmanager
async def running(collection: Collection, slow_seconds: float = 0.01) -> AsyncIterator[Site]:
    listener = listening_socket(0)
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    site = PictureSite(collection, base_url, (slow_seconds, slow_seconds))
    runner = web.AppRunner(site.application(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        async with aiohttp.ClientSession() as session:
            yield session, base_url
    finally:
        await runner.cleanup()


@pytest.fixture
async def site(collection: Collection) -> AsyncIterator[Site]:
    async with running(collection) as session_and_url:
        yield session_and_url


async def ask(site: Site, **parameters: str | int) -> Any:
    session, base_url = site
    asked = {"action": "query", "format": "json", "formatversion": "2", **parameters}
    async with session.get(f"{base_url}/w/api.php", params=asked) as response:
        assert response.status == 200
        return await response.json()


async def search(site: Site, words: str, **parameters: str | int) -> Any:
    fixed: dict[str, str | int] = {
        "generator": "search",
        "gsrnamespace": "6",
        "prop": "imageinfo",
        "iiprop": PROPERTIES,
        "maxlag": 5,
    }
    return await ask(site, gsrsearch=words, **fixed, **parameters)


def first(collection: Collection, **wanted: object) -> PictureFile:
    """The first file of a delivery, form or scale."""
    for file in collection.files:
        facts = {"delivery": file.delivery, "form": file.copy.form, "scale": file.copy.scale}
        if all(facts[name] == value for name, value in wanted.items()):
            return file
    raise AssertionError(f"the collection has no file with {wanted}")


async def fetch(site: Site, path: str) -> tuple[int, str, bytes]:
    session, base_url = site
    async with session.get(base_url + path) as response:
        return response.status, response.content_type, await response.read()


async def test_a_category_is_answered_for_as_by_a_wiki_that_has_not_got_it(site: Site) -> None:
    files: dict[str, str | int] = {
        "gcmtitle": "Category:Umbrellas",
        "gcmtype": "file",
        "gcmlimit": 50,
        "prop": "imageinfo",
    }
    assert await ask(site, generator="categorymembers", **files) == {"batchcomplete": True}
    below: dict[str, str | int] = {
        "cmtitle": "Category:Umbrellas",
        "cmtype": "subcat",
        "cmprop": "title",
        "cmlimit": 500,
    }
    found = await ask(site, list="categorymembers", **below)
    assert found == {"batchcomplete": True, "query": {"categorymembers": []}}


async def test_continuation_walks_all_results_without_loss_or_duplicates(site: Site) -> None:
    whole = await search(site, "umbrella filetype:bitmap", gsrlimit=500)
    assert "continue" not in whole
    ranked = sorted(whole["query"]["pages"], key=lambda page: page["index"])
    assert [page["index"] for page in ranked] == list(range(1, len(ranked) + 1))
    walked: list[str] = []
    further: dict[str, Any] = {}
    while True:
        part = await search(site, "umbrella filetype:bitmap", gsrlimit=7, **further)
        pages = sorted(part["query"]["pages"], key=lambda page: page["index"])
        walked += [page["title"] for page in pages]
        if "continue" not in part:
            break
        assert part["continue"] == {"gsroffset": len(walked), "continue": "gsroffset||"}
        further = part["continue"]
    assert walked == [page["title"] for page in ranked]
    assert len(walked) > 40


async def test_a_result_has_the_shape_of_commons(site: Site, collection: Collection) -> None:
    answer = await search(site, "traffic light", gsrlimit=50)
    assert answer["batchcomplete"] is True
    for page in answer["query"]["pages"]:
        file = collection.by_title[page["title"]]
        assert set(page) == {"pageid", "ns", "title", "index", "imagerepository", "imageinfo"}
        assert (page["ns"], page["pageid"]) == (6, file.page_id)
        (image,) = page["imageinfo"]
        assert {
            "url",
            "descriptionurl",
            "size",
            "width",
            "height",
            "mime",
            "sha1",
            "user",
            "timestamp",
        } <= set(image)
        assert image["url"].endswith(file.original_path)
        assert (image["width"], image["height"]) == shown_size(file.scene, file.copy)
        described = image["extmetadata"]
        assert all({"value", "source"} <= set(entry) for entry in described.values())
        assert f">{file.artist}</a>" in described["Artist"]["value"]
        assert ("License" in described) == bool(file.licence.code)
        assert described.get("LicenseUrl", {"value": ""})["value"] == file.licence.url
    assert "wnid" not in json.dumps(answer)
    assert not any(wnid in json.dumps(answer) for wnid in CLASSES)


async def test_sizes_and_hashes_in_answers_are_those_of_the_files(site: Site, collection: Collection) -> None:
    answer = await search(site, "wall clock", gsrlimit=30)
    compared = 0
    for page in answer["query"]["pages"]:
        file = collection.by_title[page["title"]]
        if file.delivery in (Delivery.PROMPT, Delivery.SLOW):
            status, mime, body = await fetch(site, file.original_path)
            (image,) = page["imageinfo"]
            assert (status, mime) == (200, image["mime"])
            assert (len(body), hashlib.sha1(body).hexdigest()) == (image["size"], image["sha1"])
            compared += 1
    assert compared > 20


async def test_the_source_of_a_page_names_the_licence_that_the_metadata_name(
    site: Site, collection: Collection
) -> None:
    asked = "|".join(str(file.page_id) for file in collection.files[:50])
    answer = await ask(site, pageids=asked, prop="revisions", rvprop="content", rvslots="main")
    assert [page["pageid"] for page in answer["query"]["pages"]] == [
        file.page_id for file in collection.files[:50]
    ]
    for page in answer["query"]["pages"]:
        file = collection.by_page_id[page["pageid"]]
        content = page["revisions"][0]["slots"]["main"]["content"]
        assert content.count("{{") == content.count("}}")
        assert f"|author=[[User:{file.artist}" in content
        assert ("{{self|" in content) == file.licence.code.startswith("cc")


async def test_thumbnails_come_in_standard_widths_only(site: Site, collection: Collection) -> None:
    file = first(collection, scale=3.0)
    full_width, full_height = shown_size(file.scene, file.copy)

    async def image(width: int) -> Any:
        answer = await ask(site, titles=file.title, prop="imageinfo", iiprop="url|size", iiurlwidth=width)
        return answer["query"]["pages"][0]["imageinfo"][0]

    small = await image(300)
    assert (small["thumbwidth"], small["thumbheight"]) == (300, round(300 * full_height / full_width))
    assert "/330px-" in small["thumburl"]
    status, mime, body = await fetch(site, file.thumbnail_path(330))
    assert (status, mime) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(body)).width == 330
    assert (await fetch(site, file.thumbnail_path(300)))[0] == 400
    assert (await fetch(site, file.thumbnail_path(330).replace("330px-", "330px-x")))[0] == 404
    large = await image(1920)
    assert (large["thumburl"], large["thumbwidth"]) == (large["url"], full_width)


async def test_a_drawing_has_a_png_thumbnail(site: Site, collection: Collection) -> None:
    file = first(collection, form=Form.SVG)
    answer = await ask(site, titles=file.title, prop="imageinfo", iiprop="url", iiurlwidth=250)
    thumbnail = answer["query"]["pages"][0]["imageinfo"][0]["thumburl"]
    assert thumbnail.endswith(".svg.png")
    status, mime, body = await fetch(site, file.thumbnail_path(250))
    assert (status, mime) == (200, "image/png")
    assert Image.open(io.BytesIO(body)).width == 250


async def test_a_category_has_no_members(site: Site) -> None:
    listed = await ask(site, list="categorymembers", cmtitle="Category:Umbrellas", cmtype="subcat")
    assert listed["query"]["categorymembers"] == []
    files = await ask(site, generator="categorymembers", gcmtitle="Category:Umbrellas", prop="imageinfo")
    assert files == {"batchcomplete": True}


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"action": "quary"}, "badvalue"),
        ({"generator": "search", "gsrnamespace": "6"}, "missingparam"),
        ({"generator": "search", "gsrsearch": "x", "gsrlimit": "many"}, "badinteger"),
        ({"generator": "allimages"}, "badvalue"),
        ({"generator": "categorymembers", "gcmtype": "file"}, "missingparam"),
        ({"maxlag": "-1"}, "maxlag"),
        ({"format": "xml"}, "badvalue"),
    ],
)
async def test_errors_come_with_status_200_and_a_header(
    site: Site, parameters: dict[str, str], code: str
) -> None:
    session, base_url = site
    asked = {"action": "query", "format": "json", "formatversion": "2", **parameters}
    async with session.get(f"{base_url}/w/api.php", params=asked) as response:
        assert response.status == 200
        assert response.headers["MediaWiki-API-Error"] == code
        assert ("Retry-After" in response.headers) == (code == "maxlag")
        body = await response.json()
        assert body["error"]["code"] == code
        assert body["error"]["info"]


async def test_values_over_a_limit_and_unknown_parameters_are_only_warned_of(site: Site) -> None:
    answer = await search(site, "umbrella", gsrlimit=9000, nonsense=1)
    assert len(answer["query"]["pages"]) > 40
    assert "between 1 and 500" in answer["warnings"]["search"]["warnings"]
    assert "nonsense" in answer["warnings"]["main"]["warnings"]


async def test_a_missing_file_is_a_page_that_says_so(site: Site, collection: Collection) -> None:
    there = collection.files[0]
    titles = f"File:No_such_thing.jpg|{there.title}"
    newer = await ask(site, titles=titles, prop="imageinfo")
    assert newer["query"]["normalized"][0]["to"] == "File:No such thing.jpg"
    assert newer["query"]["pages"][0] == {"ns": 6, "title": "File:No such thing.jpg", "missing": True}
    older = await ask(site, titles=titles, prop="imageinfo", formatversion="1")
    assert older["batchcomplete"] == ""
    assert older["query"]["pages"]["-1"]["missing"] == ""
    assert older["query"]["pages"][str(there.page_id)]["title"] == there.title


async def test_both_format_versions_hold_the_same_results(site: Site) -> None:
    newer = await search(site, "mushroom", gsrlimit=20)
    older = await search(site, "mushroom", gsrlimit=20, formatversion="1")
    assert older["query"]["pages"] == {str(page["pageid"]): page for page in newer["query"]["pages"]}
    assert older["continue"] == newer["continue"]


async def test_a_search_list_counts_and_continues(site: Site) -> None:
    answer = await ask(site, list="search", srsearch="mushroom", srnamespace="6", srlimit="5")
    assert len(answer["query"]["search"]) == 5
    assert answer["query"]["searchinfo"]["totalhits"] > 40
    assert answer["continue"] == {"sroffset": 5, "continue": "-||"}
    assert (await ask(site, list="search", srsearch="mushroom"))["query"]["search"] == []


async def test_titles_alone_can_be_searched_and_nothing_found_is_no_error(site: Site) -> None:
    assert "query" not in await search(site, "zebra")
    everywhere = await search(site, "traffic light", gsrlimit=500)
    in_titles = await search(site, "traffic light", gsrlimit=500, gsrwhat="title")
    assert 0 < len(in_titles["query"]["pages"]) < len(everywhere["query"]["pages"])


async def test_the_site_describes_itself_its_files_and_its_rules(site: Site, collection: Collection) -> None:
    general = (await ask(site, meta="siteinfo"))["query"]["general"]
    assert general["server"] == site[1]
    file = collection.files[0]
    status, mime, body = await fetch(site, file.page_path)
    assert (status, mime) == (200, "text/html")
    assert file.original_path in body.decode()
    assert (await fetch(site, "/wiki/File:Nothing.jpg"))[0] == 404
    assert (await fetch(site, "/robots.txt"))[2].startswith(b"User-agent: *\nAllow: /")


async def test_a_client_without_a_user_agent_is_refused(site: Site, collection: Collection) -> None:
    session, base_url = site
    for path in ("/w/api.php", collection.files[0].original_path):
        async with session.get(base_url + path, skip_auto_headers=["User-Agent"]) as response:
            assert response.status == 403


async def test_visits_are_counted(site: Site, collection: Collection) -> None:
    path = first(collection, delivery=Delivery.PROMPT).original_path
    await fetch(site, path)
    await fetch(site, path)
    await ask(site, meta="siteinfo")
    counted = json.loads((await fetch(site, "/statistics"))[2])
    assert (counted["originals"], counted["api"], counted["drawn"]) == (2, 1, 1)
    assert sum(counted["paths"].values()) == 4


async def test_files_that_are_gone_or_pages_in_disguise_are_served_as_such(
    site: Site, collection: Collection
) -> None:
    assert (await fetch(site, first(collection, delivery=Delivery.GONE).original_path))[0] == 404
    assert (await fetch(site, "/images/a/ab/Nothing.jpg"))[0] == 404
    status, mime, body = await fetch(site, first(collection, delivery=Delivery.HTML).original_path)
    assert (status, mime) == (200, "image/jpeg")
    assert body.startswith(b"<!DOCTYPE html>")


async def test_a_busy_file_is_refused_once_with_a_time_to_retry(site: Site, collection: Collection) -> None:
    session, base_url = site
    url = base_url + first(collection, delivery=Delivery.BUSY_ONCE).original_path
    async with session.get(url) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
    for _ in range(2):
        async with session.get(url) as response:
            assert response.status == 200
            Image.open(io.BytesIO(await response.read())).load()


async def test_a_slow_file_keeps_its_client_waiting_while_others_are_served(collection: Collection) -> None:
    async with running(collection, slow_seconds=3600) as site:
        slow = asyncio.create_task(fetch(site, first(collection, delivery=Delivery.SLOW).original_path))
        assert (await fetch(site, first(collection, delivery=Delivery.PROMPT).original_path))[0] == 200
        assert not slow.done()
        slow.cancel()


async def test_truncated_and_damaged_files_arrive_whole_and_are_bad(
    site: Site, collection: Collection
) -> None:
    status, _, body = await fetch(site, first(collection, form=Form.TRUNCATED_JPEG).original_path)
    assert status == 200
    assert not body.endswith(b"\xff\xd9")
    status, _, body = await fetch(site, first(collection, form=Form.DAMAGED_JPEG).original_path)
    assert status == 200
    assert body.endswith(b"\xff\xd9")
    assert b"\xff\xd5" in body


@contextmanager
def site_process(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "imagenet_builder.demo.picture_site", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            assert child.stdout is not None
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


def test_the_process_prints_its_address_and_ends_when_its_input_closes(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    options = ("--seed", "5", "--classes", ",".join(WNIDS), "--per-class", "4", "--truth", str(truth))
    with site_process(*options) as (child, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20):
            pass
        entries = [json.loads(line) for line in truth.read_text().splitlines()]
        assert len(entries) == 2 * 4 * len(WNIDS)
        assert all(entry["url"].startswith(f"{url}/images/") for entry in entries)
        assert {wnid for entry in entries for wnid in entry["wnids"]} >= set(WNIDS)
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(20) == 0


def test_the_process_ends_on_sigterm() -> None:
    with site_process("--per-class", "2") as (child, url):
        assert url.startswith("http://127.0.0.1:")
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0


def test_a_taken_port_and_an_unknown_class_are_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for option, value, words in (
            ("--port", str(taken.getsockname()[1]), "cannot use port"),
            ("--classes", "n02084071", "no drawing for n02084071"),
        ):
            with site_process(option, value) as (child, url):
                assert child.stderr is not None
                complaint = child.stderr.read()
                assert url == ""
                assert complaint.count("\n") == 1
                assert words in complaint
                assert child.wait(20) == 1
