"""What every source does: the wikimedia source against a real MediaWiki, and the folder source."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from imagenet_builder.config import Settings, WikimediaSettings, override
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query
from imagenet_builder.sources import FileSource, Source, open_source, open_sources
from imagenet_builder.sources.folder import Folder
from imagenet_builder.sources.mediawiki_api import MediaWikiApi
from imagenet_builder.sources.wikimedia import Wikimedia
from tests.mediawiki_server import PICTURES, picture, wiki  # noqa: F401  a fixture
from wordnet_synsets.graph import Graph, open_graph

UMBRELLA = Category(
    wnid="n04507155",
    name="umbrella.n.01",
    sense_key="umbrella%1:06:00::",
    lemmas=("umbrella",),
    gloss="a lightweight handheld collapsible canopy",
)
WITH_UMBRELLA = {picture.name for picture in PICTURES if "mbrella" in picture.name + picture.wikitext}


@dataclass(frozen=True)
class Kind:
    """A source under test with a small page size, and how many pictures it has of an umbrella."""

    source: Source
    expected: int
    graph: Callable[[], Graph]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["wikimedia", "folder"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param == "wikimedia":
        address = request.getfixturevalue("wiki")
        wordnet = request.getfixturevalue("wordnet_folder")
        settings = WikimediaSettings(endpoint=f"{address}/api.php", search_text=True)
        return Kind(Wikimedia(settings, page_size=4), len(WITH_UMBRELLA), lambda: open_graph(wordnet))
    (tmp_path / "umbrella").mkdir()
    (tmp_path / "n04507155" / "deeper").mkdir(parents=True)
    for number in range(9):
        (tmp_path / "umbrella" / f"{number}.jpg").write_bytes(picture(number))
    (tmp_path / "n04507155" / "deeper" / "one ü.jpg").write_bytes(picture(9))
    (tmp_path / "mushroom").mkdir()
    (tmp_path / "mushroom" / "other.jpg").write_bytes(picture(10))
    return Kind(Folder(tmp_path, page_size=4), 10, lambda: pytest.fail("no WordNet is needed"))


async def walk(source: Source, query: Query) -> list[tuple[Candidate, ...]]:
    """Every page of a query."""
    pages = []
    async with aiohttp.ClientSession() as session:
        while True:
            page = await source.search(query, session)
            pages.append(page.candidates)
            if page.continuation is None:
                return pages
            assert page.continuation != query.continuation
            query = dataclasses.replace(query, continuation=page.continuation)
            assert len(pages) < 50


async def test_all_pages_together_give_every_picture_once(kind: Kind) -> None:
    queries = kind.source.queries(UMBRELLA, kind.graph)
    urls = []
    for query in queries:
        pages = await walk(kind.source, query)
        urls += [candidate.url for page in pages for candidate in page]
    assert len(urls) == len(set(urls)) == kind.expected


async def test_queries_are_of_the_source_and_the_category_and_none_twice(kind: Kind) -> None:
    queries = kind.source.queries(UMBRELLA, kind.graph)
    assert queries
    assert {query.source for query in queries} == {kind.source.name}
    assert {query.wnid for query in queries} == {UMBRELLA.wnid}
    assert all(query.words and query.continuation is None for query in queries)
    assert len({query.words for query in queries}) == len(queries)
    assert kind.source.queries(UMBRELLA, kind.graph) == queries


async def test_the_same_query_gives_the_same_page(kind: Kind) -> None:
    query = kind.source.queries(UMBRELLA, kind.graph)[0]
    async with aiohttp.ClientSession() as session:
        first, second = [await kind.source.search(query, session) for _ in range(2)]
    assert first == second


async def test_candidates_say_where_they_come_from(kind: Kind) -> None:
    for query in kind.source.queries(UMBRELLA, kind.graph):
        for page in await walk(kind.source, query):
            assert [candidate.rank for candidate in page] == sorted(candidate.rank for candidate in page)
            for candidate in page:
                assert (candidate.wnid, candidate.source) == (UMBRELLA.wnid, kind.source.name)
                assert candidate.url.startswith(("http://", "file:///"))
                assert candidate.title
                assert candidate.rank >= 1


async def test_a_query_without_results_is_exhausted_at_once(kind: Kind) -> None:
    query = Query(UMBRELLA.wnid, kind.source.name, "xyzzy")
    assert await walk(kind.source, query) == [()]


def test_a_source_is_of_the_protocol(kind: Kind) -> None:
    assert isinstance(kind.source, Source)
    assert isinstance(kind.source, FileSource) == (kind.source.name == "folder")


# --- wikimedia -----------------------------------------------------------------------------------------


@pytest.fixture
def commons(wiki: str) -> Wikimedia:  # noqa: F811
    return Wikimedia(WikimediaSettings(endpoint=f"{wiki}/api.php", search_text=True))


async def umbrellas(source: Wikimedia) -> dict[str, Candidate]:
    pages = await walk(source, Query(UMBRELLA.wnid, source.name, "umbrella"))
    return {str(candidate.title).removeprefix("File:"): candidate for page in pages for candidate in page}


async def test_wide_pictures_are_proposed_at_the_standard_width_with_their_original(
    commons: Wikimedia,
) -> None:
    found = await umbrellas(commons)
    beach = found["Beach.jpg"]
    assert beach.url.endswith("/960px-Beach.jpg")
    assert beach.original_url is not None
    assert beach.original_url.endswith("/Beach.jpg")
    assert (beach.width, beach.height) == (960, 720)
    original = next(picture for picture in PICTURES if picture.name == "Beach.jpg")
    assert beach.original_sha1 == hashlib.sha1(original.content).hexdigest()
    small = found["Street scene 0.jpg"]
    assert (small.original_url, small.original_sha1, small.width) == (None, None, 640)


async def test_licence_and_author_come_from_the_description_page(commons: Wikimedia) -> None:
    found = await umbrellas(commons)
    told = {
        name: (candidate.rights.licence, candidate.rights.licence_version)
        for name, candidate in found.items()
    }
    assert told["Street scene 0.jpg"] == ("by-sa", "4.0")
    assert told["Old umbrella.png"] == ("pd", None)
    assert told["Small.jpg"] == ("cc0", None)
    assert told["Plate.jpg"] == ("by-nc", "2.0")
    assert told["Two licences.jpg"] == ("by-sa", "3.0")
    assert told["Nobody knows.jpg"] == (None, None)
    assert found["Beach.jpg"].rights.author == "Ann Example"
    assert found["Beach.jpg"].page_url is not None
    assert "Beach" in found["Beach.jpg"].page_url


async def test_a_wiki_that_lags_is_waited_for_as_long_as_it_asks(wiki: str) -> None:  # noqa: F811
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    api = MediaWikiApi(f"{wiki}/api.php", attempts=3, sleep=sleep, random_number=lambda: 0.0, maxlag=-2)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(SourceError, match=r"does not answer: maxlag: .*; run the command again later"):
            await api.ask(session, {"action": "query", "meta": "siteinfo"})
    assert slept == [5.0, 5.0]


async def test_an_error_that_waiting_does_not_cure_is_one_line_at_once(wiki: str) -> None:  # noqa: F811
    async def sleep(seconds: float) -> None:
        pytest.fail("it waited")

    api = MediaWikiApi(f"{wiki}/api.php", sleep=sleep)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(SourceError, match="refused the search: badvalue") as caught:
            await api.ask(session, {"action": "no-such-action"})
        assert "\n" not in str(caught.value)
        with pytest.raises(SourceError, match=r"HTTP 404; is it the wiki's api\.php"):
            await MediaWikiApi(f"{wiki}/nothing.php", sleep=sleep).ask(session, {"action": "query"})


async def test_a_source_that_is_down_is_a_source_error_after_bounded_retries() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    api = MediaWikiApi("http://127.0.0.1:9/api.php", attempts=4, sleep=sleep)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(SourceError, match=r"http://127.0.0.1:9/api.php does not answer"):
            await api.ask(session, {"action": "query"})
    assert len(slept) == 3


async def test_an_unreadable_continuation_is_a_source_error(commons: Wikimedia) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(SourceError, match="unreadable"):
            await commons.search(Query("n04507155", "wikimedia", "umbrella", "en", "{broken"), session)


def test_a_wiki_of_others_must_be_told_a_contact(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"commons.wikimedia.org .*contact = .* under \[project\]"):
        open_source("wikimedia", Settings(), tmp_path)
    named = override(Settings(), "project", contact="ann@example.org")
    assert open_source("wikimedia", named, tmp_path).name == "wikimedia"
    local = override(Settings(), "wikimedia", endpoint="http://127.0.0.1:8080/api.php")
    assert open_source("wikimedia", local, tmp_path).name == "wikimedia"


# --- folder, and finding sources by name --------------------------------------------------------------


def test_the_folder_source_vouches_for_its_own_files_only(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    (mine / "a b.jpg").write_bytes(b"x")
    (other / "secret").write_bytes(b"x")
    (mine / "link.jpg").symlink_to(other / "secret")
    source = Folder(mine)
    assert source.file((mine / "a b.jpg").as_uri()) == mine / "a b.jpg"
    for url in (
        (other / "secret").as_uri(),
        (mine / "link.jpg").as_uri(),
        f"{mine.as_uri()}/../other/secret",
        f"{mine.as_uri()}/%2e%2e/other/secret",
        "file://host/share/x.jpg",
        "http://example.org/a.jpg",
        "file:///etc/passwd",
    ):
        assert source.file(url) is None, url


def test_a_folder_that_is_not_there_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"`path` under \[folder\]"):
        open_source("folder", Settings(), tmp_path)
    with pytest.raises(ProjectError, match=r"there is no folder .*nowhere"):
        open_source("folder", override(Settings(), "folder", path="nowhere"), tmp_path)


def test_the_licence_of_a_folder_is_read_from_the_settings(tmp_path: Path) -> None:
    settings = override(Settings(), "folder", path=".", licence="by-sa", author="Ann")
    (tmp_path / "umbrella").mkdir()
    (tmp_path / "umbrella" / "a.jpg").write_bytes(b"x")
    source = open_source("folder", settings, tmp_path)
    [[candidate]] = asyncio.run(walk(source, Query(UMBRELLA.wnid, "folder", "umbrella")))
    assert (candidate.rights.licence, candidate.rights.author) == ("by-sa", "Ann")
    with pytest.raises(ProjectError, match="licence = 'mine' is not known"):
        open_source("folder", override(settings, "folder", licence="mine"), tmp_path)


def test_an_unknown_source_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"no source 'bing'; known are .*folder.*wikimedia"):
        open_sources(["bing"], Settings(), tmp_path)


def test_a_source_asked_for_twice_is_opened_once(tmp_path: Path) -> None:
    settings = override(Settings(), "folder", path=".")
    assert len(open_sources(["folder", "folder"], settings, tmp_path)) == 1
