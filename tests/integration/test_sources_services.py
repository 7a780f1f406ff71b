"""Openverse, iNaturalist, Flickr and pages on a loopback server: limits kept, licences asked for, keys kept secret."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from imagenet_builder.config import (
    CrawlSettings,
    FlickrSettings,
    InaturalistSettings,
    OpenverseSettings,
    Settings,
    WikimediaSettings,
    override,
)
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query, Rights
from imagenet_builder.sources import Source, open_source
from imagenet_builder.sources.filtered import plain_words, write_filtered
from imagenet_builder.sources.flickr import Flickr
from imagenet_builder.sources.inaturalist import INaturalist
from imagenet_builder.sources.json_api import JsonApi
from imagenet_builder.sources.mediawiki_api import MediaWikiApi
from imagenet_builder.sources.openverse import Openverse
from imagenet_builder.sources.web_page import Place, WebPage
from imagenet_builder.sources.wikimedia import Wikimedia
from tests.omw_corpus import nltk_data
from tests.picture_services import (
    CLIENT_ID,
    CLIENT_SECRET,
    FLICKR_KEY,
    TAXON,
    TOKEN,
    PictureServices,
    picture_services,
)
from wordnet_synsets import open_graph

WNID = "n04507155"


class Waiting:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now

    def api(self, endpoint: str, interval: float, remedy: str = "correct the key") -> JsonApi:
        return JsonApi(
            endpoint,
            interval=interval,
            remedy=remedy,
            sleep=self.sleep,
            clock=self.clock,
            random_number=lambda: 0.0,
        )


@pytest.fixture
def services() -> Iterator[PictureServices]:
    with picture_services() as server:
        yield server


async def walk(source: Source, words: str) -> list[Candidate]:
    query = Query(WNID, source.name, words)
    found: list[Candidate] = []
    async with aiohttp.ClientSession() as session:
        while True:
            page = await source.search(query, session)
            found += page.candidates
            if page.continuation is None:
                return found
            query = dataclasses.replace(query, continuation=page.continuation)


# --- Openverse -----------------------------------------------------------------------------------------


async def test_openverse_without_an_account_is_asked_once_a_second_for_twenty_results(
    services: PictureServices,
) -> None:
    waiting = Waiting()
    licences = ["cc0", "pd", "by", "by-sa", "by-nc"]
    source = Openverse(OpenverseSettings(), licences, api=waiting.api(services.address, 1.0))
    found = await walk(source, "umbrella")
    assert len(found) == 45
    assert [asked["page_size"] for _, asked in services.asked] == ["20"] * 3
    assert waiting.slept == [1.0, 1.0]


async def test_openverse_is_asked_for_twenty_pages_at_most_and_for_words_that_it_takes(
    services: PictureServices,
) -> None:
    licences = ["cc0", "pd", "by", "by-sa", "by-nc"]
    api = Waiting().api(services.address, 0.0)
    source = Openverse(OpenverseSettings(), licences, page_size=2, api=api)
    assert len(await walk(source, "umbrella")) == 40
    assert [asked["page"] for _, asked in services.asked] == [str(page) for page in range(1, 21)]
    assert await walk(source, "umbrella " * 50) == []


async def test_openverse_is_asked_for_the_wanted_licences_only(services: PictureServices) -> None:
    source = Openverse(OpenverseSettings(), ["pd", "by-sa", "gfdl"], api=Waiting().api(services.address, 0.0))
    found = await walk(source, "umbrella")
    assert {asked["license"] for _, asked in services.asked} == {"pdm,by-sa"}
    assert {candidate.rights.licence for candidate in found} == {"pd", "by-sa"}
    assert {candidate.rights.author for candidate in found} == {"Ann"}
    assert found[0].page_url == "https://photos.example/2"


async def test_an_openverse_account_gets_a_token_once_and_larger_pages(services: PictureServices) -> None:
    settings = OpenverseSettings(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    source = Openverse(settings, ["by", "cc0"], api=Waiting().api(services.address, 0.0))
    assert len(await walk(source, "umbrella")) == 18
    assert len(await walk(source, "umbrella")) == 18
    assert services.tokens_given == 1
    assert services.paths().count("/v1/images/") == 2


async def test_an_openverse_token_is_renewed_before_it_ends(services: PictureServices) -> None:
    now = [0.0]
    settings = OpenverseSettings(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    api = Waiting().api(services.address, 0.0)
    source = Openverse(settings, ["by"], api=api, clock=lambda: now[0])
    await walk(source, "umbrella")
    now[0] = 43_200 - 30
    await walk(source, "umbrella")
    assert services.tokens_given == 2


async def test_a_wrong_openverse_secret_names_the_setting_and_is_not_shown(
    services: PictureServices, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = OpenverseSettings(client_id=CLIENT_ID, client_secret="wrong-secret-word")
    remedy = "correct client_id and client_secret under [openverse]"
    source = Openverse(settings, ["by"], api=Waiting().api(services.address, 0.0, remedy))
    with pytest.raises(SourceError, match=r"HTTP 401; correct client_id and client_secret") as caught:
        await walk(source, "umbrella")
    assert "wrong-secret-word" not in str(caught.value) + caplog.text + repr(settings)


async def test_no_token_gets_into_the_log(
    services: PictureServices, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = OpenverseSettings(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    await walk(Openverse(settings, ["by"], api=Waiting().api(services.address, 0.0)), "umbrella")
    assert TOKEN not in caplog.text
    assert CLIENT_SECRET not in caplog.text


async def test_a_service_that_is_overloaded_is_waited_for_as_long_as_it_asks(
    services: PictureServices,
) -> None:
    services.troubles = [429, 503]
    waiting = Waiting()
    source = Openverse(OpenverseSettings(), ["by"], api=waiting.api(services.address, 0.0))
    assert len(await walk(source, "umbrella")) == 9
    assert waiting.slept == [2.0, 2.0]


async def test_a_service_that_stays_away_is_a_source_error_after_bounded_attempts(
    services: PictureServices,
) -> None:
    services.troubles = [500] * 20
    source = Openverse(OpenverseSettings(), ["by"], api=Waiting().api(services.address, 0.0))
    with pytest.raises(SourceError, match="does not answer: HTTP 500; run the command again later"):
        await walk(source, "umbrella")
    assert len(services.asked) == 5


async def test_a_service_is_not_asked_more_often_than_it_allows_in_a_day(services: PictureServices) -> None:
    waiting = Waiting()
    api = JsonApi(f"{services.address}/v1", interval=1.0, remedy="", most=3, sleep=waiting.sleep)
    services.troubles = [503]
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            await api.get(session, "/taxa", {"q": "Amanita"})
        with pytest.raises(
            SourceError, match="as often as it allows in a day; run the command again tomorrow"
        ):
            await api.get(session, "/taxa", {"q": "Amanita"})
    assert len(services.asked) == 3, "a second try is a request too"


# --- iNaturalist ---------------------------------------------------------------------------------------


async def test_a_species_is_found_by_its_name_and_only_photos_under_wanted_licences_are_proposed(
    services: PictureServices,
) -> None:
    api = Waiting().api(f"{services.address}/v1", 0.0)
    source = INaturalist(InaturalistSettings(), ["cc0"], page_size=3, api=api)
    found = await walk(source, "Amanita muscaria")
    assert {candidate.rights.licence for candidate in found} == {"cc0"}
    assert [candidate.rank for candidate in found] == list(range(1, len(found) + 1))
    first = found[0]
    assert first.url.endswith("/large.jpg")
    assert first.original_url is not None
    assert first.original_url.endswith("/original.jpg")
    assert (first.width, first.height) == (1024, 768)
    assert first.rights.author == "Bo Example"
    observations = [asked for path, asked in services.asked if path == "/v1/observations"]
    assert {asked["taxon_id"] for asked in observations} == {str(TAXON)}
    assert {asked["photo_license"] for asked in observations} == {"cc0"}
    assert all("page" not in asked for asked in observations), "pages by number end at 10,000 results"


def test_only_scientific_lemmas_are_asked_for() -> None:
    lemmas = (
        "fly_agaric",
        "Amanita_muscaria",
        "genus_Amanita",
        "family_Canidae",
        "Canis_lupus_familiaris",
        "Java",
    )
    category = Category("n13003061", "fly_agaric.n.01", "", lemmas, "")
    source = INaturalist(InaturalistSettings(), ["by"])
    made = source.queries(category, lambda: pytest.fail("no WordNet is needed"))
    words = [plain_words(query.words) for query in made]
    assert words == ["Amanita muscaria", "genus Amanita", "family Canidae", "Canis lupus familiaris"]


async def test_a_name_that_is_no_taxon_finds_nothing(services: PictureServices) -> None:
    source = INaturalist(InaturalistSettings(), ["by"], api=Waiting().api(f"{services.address}/v1", 0.0))
    assert await walk(source, "Rhodesian ridgeback") == []
    assert await walk(source, "family Amanita") == [], "Amanita is a genus"
    assert "/v1/observations" not in services.paths()


# --- Flickr --------------------------------------------------------------------------------------------


async def test_flickr_gives_the_nearest_size_and_the_licence_by_its_id(services: PictureServices) -> None:
    api = Waiting().api(f"{services.address}/services/rest", 0.0)
    source = Flickr(FlickrSettings(key=FLICKR_KEY), ["by", "pd"], page_size=3, api=api)
    found = await walk(source, "umbrella")
    assert {asked["license"] for _, asked in services.asked} == {"4,7,8,10,11"}
    told = {
        candidate.title: (candidate.rights.licence, candidate.rights.licence_version) for candidate in found
    }
    assert told["Umbrella 4"] == ("by", "2.0")
    assert told["Umbrella 11"] == ("by", "4.0")
    assert told["Umbrella 8"] == ("pd", None)
    sizes = {candidate.title: (candidate.url[-6:], candidate.width) for candidate in found}
    assert sizes["Umbrella 4"] == ("_b.jpg", 1024)
    assert sizes["Umbrella 21"] == ("_z.jpg", 640), "it has no larger one"


@pytest.mark.parametrize(
    ("width", "ending"), [(200, "_m.jpg"), (500, "/1.jpg"), (600, "_z.jpg"), (5000, "_b.jpg")]
)
async def test_flickrs_sizes_are_known_by_their_names_in_the_extras(
    width: int, ending: str, services: PictureServices
) -> None:
    api = Waiting().api(f"{services.address}/services/rest", 0.0)
    source = Flickr(FlickrSettings(key=FLICKR_KEY, width=width), ["by-nc-sa"], api=api)
    first = (await walk(source, "umbrella"))[0]
    assert first.url.endswith(ending)
    assert first.width is not None
    assert first.width == {"_m.jpg": 240, "/1.jpg": 500, "_z.jpg": 640, "_b.jpg": 1024}[ending]


async def test_a_refused_flickr_key_names_the_setting_and_is_not_shown(services: PictureServices) -> None:
    api = Waiting().api(f"{services.address}/services/rest", 0.0)
    source = Flickr(FlickrSettings(key="wrong-key-word"), ["by"], api=api)
    with pytest.raises(SourceError, match=r"100: Invalid API Key .*; correct key under \[flickr\]") as caught:
        await walk(source, "umbrella")
    assert "wrong-key-word" not in str(caught.value) + repr(FlickrSettings(key="wrong-key-word"))


@pytest.mark.parametrize(
    ("section", "flags", "complaint"),
    [
        ("flickr", {}, r"needs `key` under \[flickr\], or IMAGENET_BUILDER_FLICKR_KEY"),
        ("openverse", {"client_id": "x"}, "needs both client_id and client_secret"),
        ("inaturalist", {"size": "huge"}, r"\[inaturalist\] size must be one of small"),
        ("inaturalist", {"quality": "good"}, r"\[inaturalist\] quality must be one of research"),
        ("web_page", {}, r"needs `pages` or `sitemaps` under \[web_page\]"),
        ("web_page", {"pages": ("dogs",)}, r"\[web_page\] pages: 'dogs' is neither"),
        ("web_page", {"pages": ("https://a.example/" + "x" * 300,)}, "over 190 characters"),
        ("web_page", {"pages": ("https://a.example/",), "licence": "mine"}, "licence = 'mine' is not known"),
    ],
)
def test_settings_that_cannot_work_are_named(
    section: str, flags: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    settings = override(Settings(), "project", contact="ann@example.org")
    with pytest.raises(ProjectError, match=complaint):
        open_source(section, override(settings, section, **flags), tmp_path)


@pytest.mark.parametrize("name", ["openverse", "inaturalist", "flickr"])
def test_licences_that_a_service_does_not_have_are_refused_at_once(name: str, tmp_path: Path) -> None:
    settings = override(Settings(), "project", contact="ann@example.org")
    settings = override(override(settings, "flickr", key="x"), "crawl", licences=("gfdl",))
    with pytest.raises(ProjectError, match="--licence"):
        open_source(name, settings, tmp_path)


# --- Pages ---------------------------------------------------------------------------------------------


def page_source(server: PictureServices, *places: Place) -> WebPage:
    crawl = CrawlSettings(allow_addresses=(server.address.removeprefix("http://"),), attempts=1, timeout=5.0)
    return WebPage(places, crawl, "tester/0.1")


async def test_a_page_is_fetched_once_however_many_categories_look_at_it(services: PictureServices) -> None:
    services.pages["/a"] = '<img src="dog.jpg"><img src="umbrella.jpg">'
    source = page_source(services, Place(f"{services.address}/a"))
    [umbrella] = await walk(source, f"umbrella @ {services.address}/a")
    [dog] = await walk(source, f"dog|hound @ {services.address}/a")
    assert (umbrella.url, dog.url) == (f"{services.address}/umbrella.jpg", f"{services.address}/dog.jpg")
    assert dog.page_url == f"{services.address}/a"
    # Their files are looked into: the page tells no licence.
    assert services.paths() == ["/robots.txt", "/a", "/umbrella.jpg", "/dog.jpg"]


async def test_a_file_is_looked_into_once_where_nothing_else_tells_a_licence(
    services: PictureServices,
) -> None:
    stated = (
        b"<x:xmpmeta><cc:license rdf:resource='https://creativecommons.org/licenses/by-nc/4.0/'/></x:xmpmeta>"
    )
    services.files = {"/dog.jpg": b"\xff\xd8\xff" + stated, "/other-dog.jpg": b"\xff\xd8\xff"}
    services.pages["/a"] = (
        '<img src="dog.jpg"><img src="other-dog.jpg"><img src="gone-dog.jpg"><img src="cat.jpg">'
        '<script type="application/ld+json">{"@type": "ImageObject", "contentUrl": "/known-dog.jpg",'
        '"license": "https://creativecommons.org/licenses/by/2.0/"}</script>'
    )
    place = f"{services.address}/a"
    source = page_source(services, Place(place))
    for words in ("dog", "dog|hound"):
        found = await walk(source, f"{words} @ {place}")
        told = {candidate.url.rpartition("/")[2]: candidate.rights.licence for candidate in found}
        assert told == {
            "dog.jpg": "by-nc",
            "other-dog.jpg": None,
            "gone-dog.jpg": None,
            "known-dog.jpg": "by",
        }
    assert services.paths() == ["/robots.txt", "/a", "/dog.jpg", "/other-dog.jpg", "/gone-dog.jpg"]


async def test_no_file_is_looked_into_where_no_licence_is_needed_or_the_settings_tell_one(
    services: PictureServices,
) -> None:
    services.pages["/a"] = '<img src="dog.jpg">'
    authority = services.address.removeprefix("http://")
    place = Place(f"{services.address}/a")
    free = CrawlSettings(allow_addresses=(authority,), licences=("by", "unknown"))
    told = CrawlSettings(allow_addresses=(authority,))
    for source in (WebPage([place], free, "t/1"), WebPage([place], told, "t/1", Rights("cc0"))):
        assert len(await walk(source, f"dog @ {place.url}")) == 1
    assert "/dog.jpg" not in services.paths()


async def test_a_page_that_robots_txt_forbids_is_not_asked_for(services: PictureServices) -> None:
    services.pages = {"/robots.txt": "User-agent: *\nDisallow: /a\n", "/a": "<img src=dog.jpg>"}
    assert await walk(page_source(services), f"dog @ {services.address}/a") == []
    assert services.paths() == ["/robots.txt"]


@pytest.mark.parametrize("opting_out", ["header", "meta"])
async def test_a_page_that_opts_out_gives_nothing(services: PictureServices, opting_out: str) -> None:
    meta = '<meta name="robots" content="index, noimageai">' if opting_out == "meta" else ""
    services.pages["/a"] = f"{meta}<img src=dog.jpg>"
    services.page_headers = {"X-Robots-Tag": "noai"} if opting_out == "header" else {}
    assert await walk(page_source(services), f"dog @ {services.address}/a") == []


async def test_a_page_on_a_private_address_is_not_asked_for(services: PictureServices) -> None:
    source = WebPage((), CrawlSettings(attempts=1), "tester/0.1")
    assert await walk(source, f"dog @ {services.address}/a") == []
    assert services.asked == []


async def test_a_site_that_is_down_is_a_source_error(services: PictureServices) -> None:
    services.troubles = [500] * 9
    with pytest.raises(SourceError, match=r"cannot be read: server-error: .*; run the command again later"):
        await walk(page_source(services), f"dog @ {services.address}/a")


async def test_nested_sitemaps_are_read_for_their_own_host_only(services: PictureServices) -> None:
    def listing(tag: str, *addresses: str) -> str:
        return "".join(f"<{tag}><loc>{address}</loc></{tag}>" for address in addresses)

    here = services.address
    maps = listing("sitemap", f"{here}/inner.xml", f"{here}/map.xml", "http://elsewhere.example/s.xml")
    services.pages["/map.xml"] = f"<sitemapindex>{maps}</sitemapindex>"
    pages = listing("url", f"{here}/a", "http://elsewhere.example/a", f"{here}/gone", f"{here}/b")
    services.pages["/inner.xml"] = f"<urlset>{pages}</urlset>"
    services.pages["/a"], services.pages["/b"] = "<img src=1.jpg alt=dog>", "<img src=2.jpg alt='two dogs'>"
    found = await walk(page_source(services), f"dog @ sitemap {here}/map.xml")
    assert [candidate.url for candidate in found] == [f"{here}/1.jpg", f"{here}/2.jpg"]
    assert [candidate.rank for candidate in found] == [1, 2]


async def test_a_sitemap_that_is_none_is_named(services: PictureServices) -> None:
    services.pages["/map.xml"] = "<urlset><url>"
    with pytest.raises(SourceError, match=r"map\.xml is not a sitemap"):
        await walk(page_source(services), f"dog @ sitemap {services.address}/map.xml")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'
    services.pages["/map.xml"] = bomb
    with pytest.raises(SourceError, match=r"map\.xml is not a sitemap"):
        await walk(page_source(services), f"dog @ sitemap {services.address}/map.xml")


# --- licences that are asked for -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("licences", "sought"),
    [
        (
            ("cc0", "by", "by-sa"),
            "haslicense:unrestricted|cc-by|attribution|cc-by-sa|attribution-same-license ",
        ),
        (("by-sa",), "haslicense:cc-by-sa|attribution-same-license "),
        (("pd", "cc0"), "haslicense:unrestricted "),
        # All that is usual there; and what its search cannot find by its licence.
        (("cc0", "pd", "by", "by-sa"), ""),
        (("by", "gfdl"), ""),
        (("by", "unknown"), ""),
    ],
)
async def test_commons_is_asked_for_the_licences_where_they_are_fewer_than_its_own(
    services: PictureServices, licences: tuple[str, ...], sought: str, wordnet_folder: Path
) -> None:
    graph = open_graph(wordnet_folder)
    services.pages["/api.php"] = '{"batchcomplete": true}'
    commons = Wikimedia(WikimediaSettings(), licences, api=MediaWikiApi(f"{services.address}/api.php"))
    first = commons.queries(Category(WNID, "umbrella.n.01", "", ("umbrella",), ""), lambda: graph)[0]
    async with aiohttp.ClientSession() as session:
        await commons.search(first, session)
    assert [asked["gsrsearch"] for _, asked in services.asked] == [f"filetype:bitmap {sought}umbrella"]


@pytest.mark.parametrize(
    "flags", [{"endpoint": "https://wiki.example/api.php"}, {"search_text": True}], ids=["other", "plain"]
)
def test_wikis_that_do_not_find_files_by_licence_are_not_asked_to(
    flags: dict[str, Any], wordnet_folder: Path
) -> None:
    graph = open_graph(wordnet_folder)
    wiki = Wikimedia(WikimediaSettings(**flags), ["cc0"])
    made = wiki.queries(Category(WNID, "umbrella.n.01", "", ("umbrella",), ""), lambda: graph)
    assert made[0].words == "umbrella"


def test_other_licences_are_another_query_and_their_order_is_not(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    graph = open_graph(wordnet_folder)
    settings = override(override(Settings(), "project", contact="a@example.org"), "flickr", key=FLICKR_KEY)
    settings = override(settings, "wordnet", languages=())
    fly_agaric = graph.resolve("fly_agaric")
    category = Category(fly_agaric.wnid, fly_agaric.name, "", fly_agaric.lemmas, fly_agaric.gloss)

    def made(name: str, *licences: str) -> set[str]:
        source = open_source(name, override(settings, "crawl", licences=licences), tmp_path)
        return {query.words for query in source.queries(category, lambda: graph)}

    for name in ("openverse", "flickr", "inaturalist"):
        assert made(name, "by", "cc0") == made(name, "cc0", "by", "unknown")
        assert made(name, "by", "cc0").isdisjoint(made(name, "by"))
        assert {plain_words(words) for words in made(name, "by")} == {
            plain_words(words) for words in made(name, "cc0")
        }
    assert "Amanita muscaria [cc0,by,research]" in made("inaturalist", "by", "cc0")
    of_dump = override(settings, "inaturalist", dump=str(tmp_path))
    source = open_source("inaturalist", of_dump, tmp_path)
    assert "dump]" in source.queries(category, lambda: graph)[0].words
    any_quality = override(settings, "inaturalist", quality="any")
    source = open_source("inaturalist", any_quality, tmp_path)
    assert "any]" in source.queries(category, lambda: graph)[0].words


def test_a_query_with_what_it_asks_for_fits_into_the_store() -> None:
    words = write_filtered("x" * 300, ["cc0", "by-nc-sa"])
    assert len(words) == 255
    assert plain_words(words) == "x" * (255 - len(" [cc0,by-nc-sa]"))
    assert plain_words("Category:Umbrellas [sic!]") == "Category:Umbrellas [sic!]"


# --- phrases of all that are asked in words ------------------------------------------------------------


@pytest.mark.parametrize("name", ["wikimedia", "openverse", "flickr"])
def test_sources_that_are_asked_in_words_are_asked_for_parents_words_and_translations_too(
    name: str, tmp_path: Path, wordnet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLTK_DATA", str(nltk_data(tmp_path / "nltk")))
    graph = open_graph(wordnet_folder)
    settings = override(override(Settings(), "project", contact="a@example.org"), "flickr", key=FLICKR_KEY)
    synset = graph.resolve("whippet")
    whippet = Category(synset.wnid, synset.name, "", synset.lemmas, synset.gloss)
    dog = Category("n02084071", "dog.n.01", "", ("dog",), "")
    source = open_source(name, settings, tmp_path)
    assert [plain_words(query.words) for query in source.queries(whippet, lambda: graph)][:3] == [
        "whippet",
        "whippet greyhound",
        "whippet dog",
    ]
    made = [
        (query.language, plain_words(query.words))
        for query in source.queries(dog, lambda: graph)
        if not query.words.startswith("Category:")
    ]
    assert made[-4:] == [("es", "perro"), ("es", "can doméstico"), ("nl", "hond"), ("it", "cane")]
    without = open_source(name, override(settings, "wordnet", languages=()), tmp_path)
    assert {query.language for query in without.queries(dog, lambda: graph)} == {"en"}
    wrong = override(settings, "wordnet", languages=("klingon",))
    with pytest.raises(ProjectError, match=r"\[wordnet\] languages: 'klingon' is no language"):
        open_source(name, wrong, tmp_path)
