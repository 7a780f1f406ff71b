"""What every source does: wikimedia against a real MediaWiki, services by their published shapes, and files."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from imagenet_builder.config import (
    CrawlSettings,
    FlickrSettings,
    InaturalistSettings,
    OpenverseSettings,
    Settings,
    UrlListSettings,
    WikimediaSettings,
    override,
)
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query
from imagenet_builder.sources import FileSource, ScanningSource, Source, open_source, open_sources
from imagenet_builder.sources.category_walk import MOST_CATEGORIES, Walk, read_walk
from imagenet_builder.sources.flickr import Flickr
from imagenet_builder.sources.folder import Folder
from imagenet_builder.sources.inaturalist import INaturalist
from imagenet_builder.sources.inaturalist_dump import INaturalistDump
from imagenet_builder.sources.json_api import JsonApi
from imagenet_builder.sources.list_files import ListFile
from imagenet_builder.sources.mediawiki_api import MediaWikiApi
from imagenet_builder.sources.openverse import Openverse
from imagenet_builder.sources.url_list import UrlList
from imagenet_builder.sources.web_page import Place, WebPage
from imagenet_builder.sources.wikimedia import Wikimedia
from tests.inaturalist_dump import write_dump
from tests.mediawiki_server import PICTURES, picture, wiki  # noqa: F401  a fixture
from tests.picture_services import FLICKR_KEY, PictureServices, picture_services
from wordnet_synsets.graph import Graph, open_graph

UMBRELLA = Category(
    wnid="n04507155",
    name="umbrella.n.01",
    sense_key="umbrella%1:06:00::",
    lemmas=("umbrella",),
    gloss="a lightweight handheld collapsible canopy",
)
# Their queries are phrases that may find the same pictures again; the crawl ignores what it knows.
PHRASED = ("openverse", "flickr")
WITH_UMBRELLA = {picture.name for picture in PICTURES if "mbrella" in picture.name + picture.wikitext}


FLY_AGARIC = Category(
    wnid="n13003061",
    name="fly_agaric.n.01",
    sense_key="fly_agaric%1:20:00::",
    lemmas=("fly_agaric", "Amanita_muscaria"),
    gloss="poisonous (but rarely fatal) woodland fungus",
)


@dataclass(frozen=True)
class Kind:
    """A source under test with a small page size, and how many pictures it has of `category`."""

    source: Source
    expected: int
    graph: Callable[[], Graph]
    category: Category = UMBRELLA
    # A query that finds nothing.
    nothing: str = "xyzzy"


def quick(endpoint: str) -> JsonApi:
    """A service's API that is asked without waiting between requests."""
    return JsonApi(endpoint, interval=0.0, remedy="correct the key")


def no_wordnet() -> Graph:
    pytest.fail("no WordNet is needed")


def openverse_kind(request: pytest.FixtureRequest, folder: Path) -> Kind:
    server = request.getfixturevalue("services")
    graph = open_graph(request.getfixturevalue("wordnet_folder"))
    source = Openverse(OpenverseSettings(), ["cc0", "by"], page_size=4, api=quick(server.address))
    return Kind(source, 18, lambda: graph)


def inaturalist_kind(request: pytest.FixtureRequest, folder: Path) -> Kind:
    server = request.getfixturevalue("services")
    api = quick(f"{server.address}/v1")
    source = INaturalist(InaturalistSettings(), ["cc0", "by"], page_size=4, api=api)
    return Kind(source, 11, no_wordnet, FLY_AGARIC)


def dump_kind(request: pytest.FixtureRequest, folder: Path) -> Kind:
    write_dump(folder / "dump")
    settings = InaturalistSettings(dump="dump")
    source = INaturalistDump(settings, ["cc0", "by", "by-nc", "by-sa"], folder, page_size=4)
    return Kind(source, 12, no_wordnet, FLY_AGARIC)


def flickr_kind(request: pytest.FixtureRequest, folder: Path) -> Kind:
    server = request.getfixturevalue("services")
    graph = open_graph(request.getfixturevalue("wordnet_folder"))
    settings = FlickrSettings(key=FLICKR_KEY)
    source = Flickr(settings, ["by", "by-sa"], page_size=2, api=quick(f"{server.address}/services/rest"))
    return Kind(source, 6, lambda: graph)


def url_list_kind(request: pytest.FixtureRequest, folder: Path) -> Kind:
    rows = [f"http://pictures.example/{number}.jpg,A red umbrella" for number in range(9)]
    rows[3:3] = ['http://pictures.example/no.jpg,"A dog,\nasleep"'] * 5
    (folder / "list.csv").write_text("\n".join(["url,caption", *rows]), encoding="utf-8")
    lines = ["n04507155_7\thttp://lines.example/7.jpg", "http://lines.example/blue%20umbrella_2.jpg"]
    (folder / "list.txt").write_text("\n".join([*lines, "http://lines.example/3.jpg"]), encoding="utf-8")
    settings = UrlListSettings(paths=("list.csv", "list.txt"))
    lists = [ListFile(place, folder / place, settings) for place in settings.paths]
    return Kind(UrlList(lists, page_size=4), 11, no_wordnet, nothing="xyzzy @ list.csv")


def web_page_kind(request: pytest.FixtureRequest, folder: Path) -> Kind:
    server = request.getfixturevalue("services")
    shown = "".join(f'<img src="/p/{number}.jpg" alt="Umbrella {number}">' for number in range(3))
    server.pages["/one"] = f"<title>Rain</title>{shown}<img src=dog.jpg alt=Dog>"
    server.pages["/two"] = '<img src="/p/9.jpg" alt="An umbrella">'
    server.pages["/map.xml"] = (
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        f"<url><loc>{server.address}/one</loc></url><url><loc>{server.address}/two</loc></url></urlset>"
    )
    server.pages["/three"] = '<img src="/p/a.jpg"><img src="/p/b.jpg">'
    crawl = CrawlSettings(allow_addresses=(server.address.removeprefix("http://"),))
    places = [
        Place(f"{server.address}/map.xml", is_sitemap=True),
        Place(f"{server.address}/three", "n04507155"),
        Place(f"{server.address}/three", "n02084071"),
    ]
    source = WebPage(places, crawl, "tester/0.1")
    return Kind(source, 6, no_wordnet, nothing=f"xyzzy @ {server.address}/three")


SERVICES = {
    "openverse": openverse_kind,
    "inaturalist": inaturalist_kind,
    "inaturalist dump": dump_kind,
    "flickr": flickr_kind,
    "url_list": url_list_kind,
    "web_page": web_page_kind,
}


SCANNED = ("url_list",)


@pytest.fixture
def services() -> Iterator[PictureServices]:
    with picture_services() as server:
        yield server


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["wikimedia", "folder", *SERVICES])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param in SERVICES:
        return SERVICES[request.param](request, tmp_path)
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
    return Kind(Folder(tmp_path, page_size=4), 10, no_wordnet)


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
    queries = kind.source.queries(kind.category, kind.graph)
    urls = []
    for query in queries:
        pages = await walk(kind.source, query)
        urls += [candidate.url for page in pages for candidate in page]
        assert len(set(urls)) == len(urls)
        if kind.source.name in PHRASED and urls:
            break
    assert len(urls) == kind.expected


async def test_queries_are_of_the_source_and_the_category_and_none_twice(kind: Kind) -> None:
    queries = kind.source.queries(kind.category, kind.graph)
    assert queries
    assert {query.source for query in queries} == {kind.source.name}
    assert {query.wnid for query in queries} == {kind.category.wnid}
    assert all(len(query.words) <= 255 for query in queries)
    assert all(query.words and query.continuation is None for query in queries)
    assert len({query.words for query in queries}) == len(queries)
    assert kind.source.queries(kind.category, kind.graph) == queries


async def test_the_same_query_gives_the_same_page(kind: Kind) -> None:
    query = kind.source.queries(kind.category, kind.graph)[0]
    async with aiohttp.ClientSession() as session:
        first, second = [await kind.source.search(query, session) for _ in range(2)]
    assert first == second


async def test_candidates_say_where_they_come_from(kind: Kind) -> None:
    for query in kind.source.queries(kind.category, kind.graph):
        for page in await walk(kind.source, query):
            assert [candidate.rank for candidate in page] == sorted(candidate.rank for candidate in page)
            for candidate in page:
                assert (candidate.wnid, candidate.source) == (kind.category.wnid, kind.source.name)
                assert candidate.url.startswith(("http://", "https://", "file:///"))
                assert candidate.title
                assert candidate.rank >= 1


async def test_scans_give_what_searches_give_and_each_gives_something_of_some_query(kind: Kind) -> None:
    if not isinstance(kind.source, ScanningSource):
        assert kind.source.name not in SCANNED
        return
    queries = kind.source.queries(kind.category, kind.graph)
    searched = {query: await walk(kind.source, query) for query in queries}
    scanned: dict[Query, list[Candidate]] = {query: [] for query in queries}
    asked = {query: query for query in queries}
    async with aiohttp.ClientSession() as session:
        while asked:
            pages = await kind.source.scan(list(asked), session)
            assert set(pages) <= set(asked)
            assert pages
            for query, page in pages.items():
                first = asked.pop(query)
                scanned[first] += page.candidates
                if page.continuation is not None:
                    assert page.continuation != query.continuation
                    asked[dataclasses.replace(query, continuation=page.continuation)] = first
    assert scanned == {query: [one for page in pages for one in page] for query, pages in searched.items()}


async def test_a_query_without_results_is_exhausted_at_once(kind: Kind) -> None:
    query = Query(kind.category.wnid, kind.source.name, kind.nothing)
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


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0, ["Plate.jpg", "Two licences.jpg"]),
        (1, ["Plate.jpg", "Two licences.jpg", "Two licences.jpg"]),
        (9, ["Plate.jpg", "Two licences.jpg", "Two licences.jpg", "Mushroom.jpg"]),
    ],
)
@pytest.mark.parametrize("page_size", [1, 50])
async def test_a_category_is_walked_with_those_below_it_and_ends_where_they_lead_back(
    wiki: str,  # noqa: F811
    depth: int,
    expected: list[str],
    page_size: int,
) -> None:
    settings = WikimediaSettings(endpoint=f"{wiki}/api.php", search_text=True, category_depth=depth)
    source = Wikimedia(settings, page_size=page_size)
    pages = await walk(source, Query(UMBRELLA.wnid, source.name, "Category:Brollies"))
    found = [candidate for page in pages for candidate in page]
    assert [str(candidate.title).removeprefix("File:") for candidate in found] == expected
    assert [candidate.rank for candidate in found] == list(range(1, len(expected) + 1))
    assert [candidate.rights.licence for candidate in found[:2]] == ["by-nc", "by-sa"]
    assert await walk(source, Query(UMBRELLA.wnid, source.name, "Category:No such thing")) == [()]


def test_the_wikis_categories_are_asked_for_by_lemma_and_plural_unless_that_is_switched_off(
    wordnet_folder: Path,
) -> None:
    graph = open_graph(wordnet_folder)
    lemmas = ("fly_agaric", "Amanita_muscaria", "wolf_fish", "cherry", "day")
    category = dataclasses.replace(FLY_AGARIC, lemmas=lemmas)
    made = Wikimedia(WikimediaSettings()).queries(category, lambda: graph)
    assert [query.words for query in made if query.words.startswith("Category:")] == [
        "Category:Fly agarics",
        "Category:Fly agaric",
        "Category:Amanita muscaria",
        "Category:Wolf fishes",
        "Category:Wolf fish",
        "Category:Cherries",
        "Category:Cherry",
        "Category:Days",
        "Category:Day",
    ]
    without = Wikimedia(WikimediaSettings(category_depth=-1)).queries(category, lambda: graph)
    assert without == made[: len(without)]
    assert not [query for query in without if query.words.startswith("Category:")]


def test_a_walk_through_many_categories_ends() -> None:
    step: Walk | None = Walk("Category:0")
    seen = 0
    while step is not None:
        seen += 1
        assert read_walk(Query("n", "wikimedia", "Category:0", continuation=step.written())) == step
        step = step.following([f"{step.title}{number}" for number in range(9)])
    assert seen == MOST_CATEGORIES
    with pytest.raises(SourceError, match="continuation of 'Category:0' is unreadable"):
        read_walk(Query("n", "wikimedia", "Category:0", continuation="[1]"))


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


@pytest.mark.parametrize(("licence", "told"), [("", "no licence that is told"), ("by-nc", "by-nc")])
def test_a_folder_whose_pictures_would_all_be_refused_is_named_before_any_is(
    licence: str, told: str, tmp_path: Path
) -> None:
    settings = override(Settings(), "folder", path=".", licence=licence)
    with pytest.raises(
        ProjectError, match=rf"are under {told}: set `licence` under \[folder\] .* with --licence"
    ):
        open_source("folder", settings, tmp_path)
    taken = override(settings, "crawl", licences=(licence or "unknown",))
    assert open_source("folder", taken, tmp_path).name == "folder"


def test_an_unknown_source_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"no source 'bing'; known are .*folder.*wikimedia"):
        open_sources(["bing"], Settings(), tmp_path)


def test_a_source_asked_for_twice_is_opened_once(tmp_path: Path) -> None:
    settings = override(Settings(), "folder", path=".", licence="cc0")
    assert len(open_sources(["folder", "folder"], settings, tmp_path)) == 1
