"""Pages and sitemaps that the user names: the pictures on them, within robots.txt and as politely as pictures.

A picture's licence is what its page says (`page_pictures`), or else its own file (`file_licence`), which is looked into
only where it would be refused without one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import re
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from imagenet_builder.config import CrawlSettings, Settings
from imagenet_builder.crawl.fetch import Fetcher
from imagenet_builder.crawl.permission import KnownRobots
from imagenet_builder.crawl.politeness import Hosts, user_agent
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Failed, Query, Rights, SearchPage

from .file_licence import licence_in_file
from .json_api import read_position
from .licences import UNKNOWN, licence_of_setting
from .matching import EVERYTHING, check_place, compiled, read_query, write_query
from .page_pictures import PageContents, PagePicture, read_page
from .source import require_contact

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph

logger = logging.getLogger(__name__)

NAME = "web_page"
SITEMAP = "sitemap "
PAGES = "text/html,application/xhtml+xml,application/xml;q=0.9"
PAGE_BYTES = 10_000_000
# The protocol's own limits: https://www.sitemaps.org/protocol.html
SITEMAP_BYTES, MOST_ADDRESSES, MOST_SITEMAPS = 50 * 1024 * 1024, 50_000, 1000
# Pages kept in memory, so that one is fetched once in a run however many categories look at it.
MOST_PAGES = 5000
_ENTRY = re.compile(r"(?:(?P<wnid>n\d{8})\s+)?(?P<url>https?://\S+)")
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?\s*([A-Za-z0-9_-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """A page or sitemap that the settings name; with a `wnid` all its pictures belong to that category."""

    url: str
    wnid: str | None = None
    is_sitemap: bool = False

    @property
    def name(self) -> str:
        """How a query names it."""
        return f"{SITEMAP if self.is_sitemap else ''}{self.url}"


class WebPage:
    """The `web_page` source. A query is one page or one sitemap, of which each page of results takes one page."""

    name = NAME

    def __init__(
        self, places: Sequence[Place], settings: CrawlSettings, agent: str, rights: Rights | None = None
    ) -> None:
        self._places = places
        self._settings = settings
        self._agent = agent
        self._rights = rights or Rights()
        self._pages: OrderedDict[str, PageContents] = OrderedDict()
        self._sitemaps: dict[str, tuple[str, ...]] = {}
        # What the files of pictures state whose pages tell no licence.
        self._files: dict[str, Rights | None] = {}
        # Of one event loop: a source that is used in another begins afresh.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hosts: Hosts
        self._robots: KnownRobots

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """The pages and sitemaps that are for this category or for any; none needs WordNet."""
        return tuple(
            Query(category.wnid, self.name, write_query(category, place.name, everything=bool(place.wnid)))
            for place in self._places
            if place.wnid in (None, category.wnid)
        )

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """The pictures of the next page; raises SourceError for a site that is down, not for one that refuses."""
        sought, place = read_query(query.words)
        position = read_position(query.continuation, self.name)
        number, rank = position.get("page", 0), position.get("rank", 0)
        async with self._fetcher() as fetcher:
            addresses: Sequence[str] = (place,)
            if place.startswith(SITEMAP):
                addresses = await self._sitemap(place.removeprefix(SITEMAP), fetcher)
            if number >= len(addresses):
                return SearchPage((), None)
            contents = await self._page(addresses[number], fetcher)
        pattern = compiled(sought)
        shown = [picture for picture in contents.pictures if self._wanted(picture, sought, pattern)]
        told = [await self._with_file_rights(picture) for picture in shown]
        found = tuple(
            self._candidate(query, picture, addresses[number], rank + count)
            for count, picture in enumerate(told, start=1)
        )
        if number + 1 >= len(addresses):
            return SearchPage(found, None)
        return SearchPage(found, json.dumps({"page": number + 1, "rank": rank + len(found)}))

    def _wanted(self, picture: PagePicture, sought: str, pattern: re.Pattern[str]) -> bool:
        """Whether the words match, and the page does not itself say that the picture is too small."""
        sides = [side for side in (picture.width, picture.height) if side is not None]
        if sides and min(sides) < self._settings.min_side:
            return False
        return sought == EVERYTHING or bool(pattern.search(picture.words))

    async def _with_file_rights(self, picture: PagePicture) -> PagePicture:
        """`picture` with the licence that its file states, where nothing else tells one and one is needed."""
        if picture.rights.licence or self._rights.licence or UNKNOWN in self._settings.licences:
            return picture
        if picture.url not in self._files:
            async with self._fetcher(accept="image/*") as fetcher:
                download = await fetcher.fetch_page(picture.url, self._settings.max_bytes)
            self._files[picture.url] = await asyncio.to_thread(
                licence_in_file, bytes(download.content or b"")
            )
        stated = self._files[picture.url]
        if stated is None:
            return picture
        own = picture.rights
        rights = dataclasses.replace(stated, author=own.author or stated.author, credit=own.credit)
        return dataclasses.replace(picture, rights=rights)

    def _candidate(self, query: Query, picture: PagePicture, page: str, rank: int) -> Candidate:
        rights = picture.rights
        if rights.licence is None:
            rights = dataclasses.replace(self._rights, author=rights.author, credit=rights.credit)
        return Candidate(
            wnid=query.wnid,
            url=picture.url,
            source=self.name,
            rank=rank,
            title=picture.title or picture.url,
            page_url=page,
            rights=rights,
        )

    def _fetcher(self, accept: str = PAGES) -> Fetcher:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._robots = loop, {}
            self._hosts = Hosts(self._settings.per_host, self._settings.host_delay, clock=loop.time)
        return Fetcher(
            self._settings,
            self._agent,
            {},
            accept=accept,
            hosts=self._hosts,
            robots=self._robots,
        )

    async def _page(self, url: str, fetcher: Fetcher) -> PageContents:
        if url in self._pages:
            self._pages.move_to_end(url)
            return self._pages[url]
        content, address = await _fetched(fetcher, url, PAGE_BYTES)
        contents = await asyncio.to_thread(read_page, _decoded(content), address)
        if contents.opt_out:
            logger.warning("nothing is taken from %s: %s", url, contents.opt_out)
        self._pages[url] = contents
        if len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        return contents

    async def _sitemap(self, url: str, fetcher: Fetcher) -> tuple[str, ...]:
        """The pages of a sitemap and of those that it lists, of its own host only, as the protocol has it."""
        if url in self._sitemaps:
            return self._sitemaps[url]
        pages: dict[str, None] = {}
        waiting, seen = [url], {url}
        while waiting and len(pages) < MOST_ADDRESSES:
            content, address = await _fetched(fetcher, waiting.pop(0), SITEMAP_BYTES)
            listed, further = await asyncio.to_thread(read_sitemap, content, address) if content else ([], [])
            pages.update(dict.fromkeys(page for page in listed if _same_host(page, url)))
            fresh = [other for other in further if _same_host(other, url) and other not in seen]
            seen.update(fresh)
            waiting += fresh[: MOST_SITEMAPS - len(seen)]
        self._sitemaps[url] = tuple(pages)[:MOST_ADDRESSES]
        return self._sitemaps[url]


async def _fetched(fetcher: Fetcher, url: str, most_bytes: int) -> tuple[bytes, str]:
    """What is at `url` and where it was found; nothing where it is refused for good. SourceError where it may pass."""
    download = await fetcher.fetch_page(url, most_bytes)
    if download.content is not None:
        return bytes(download.content), download.address or url
    refusal = download.refusal
    said = f"{refusal.reason}: {refusal.detail}" if refusal else "no answer"
    if isinstance(refusal, Failed) and refusal.retryable:
        raise SourceError(f"{url} cannot be read: {said}; run the command again later")
    logger.warning("nothing is taken from %s: %s", url, said)
    return b"", url


def read_sitemap(content: bytes, address: str) -> tuple[list[str], list[str]]:
    """The pages and the further sitemaps that a sitemap lists; raises SourceError for what is none."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    pages: list[str] = []
    sitemaps: list[str] = []
    try:
        if content.startswith(b"\x1f\x8b"):
            # A sitemap's limit holds unpacked too; what lies beyond it is cut, and found to be broken.
            content = zlib.decompressobj(wbits=47).decompress(content, SITEMAP_BYTES)
        parent = ""
        for event, element in iterparse(BytesIO(content), events=("start", "end")):
            tag = element.tag.rpartition("}")[2]
            if event == "start" and tag in ("url", "sitemap"):
                parent = tag
            elif event == "end" and tag == "loc" and element.text:
                (pages if parent == "url" else sitemaps).append(urljoin(address, element.text.strip()))
            if event == "end" and tag in ("url", "sitemap"):
                parent = ""
                element.clear()
    except (ParseError, zlib.error, DefusedXmlException, ValueError) as error:
        raise SourceError(f"{address} is not a sitemap: {error}") from error
    return pages, sitemaps


def _same_host(one: str, other: str) -> bool:
    return urlsplit(one).netloc.lower() == urlsplit(other).netloc.lower()


def _decoded(content: bytes) -> str:
    """A page as text, by the encoding that it names itself, or as UTF-8."""
    stated = _CHARSET.search(content[:2048])
    try:
        return content.decode(stated[1].decode("ascii") if stated else "utf-8-sig", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def build(settings: Settings, folder: Path) -> WebPage:
    """The `web_page` source of a project; raises ProjectError where its settings cannot work."""
    places = [
        *(_place(entry, "pages", is_sitemap=False) for entry in settings.web_page.pages),
        *(_place(entry, "sitemaps", is_sitemap=True) for entry in settings.web_page.sitemaps),
    ]
    if not places:
        raise ProjectError("the web_page source needs `pages` or `sitemaps` under [web_page]")
    for place in places:
        require_contact(settings, place.url)
    rights = licence_of_setting(NAME, settings.web_page.licence)
    return WebPage(tuple(dict.fromkeys(places)), settings.crawl, user_agent(settings.project), rights)


def _place(entry: str, setting: str, *, is_sitemap: bool) -> Place:
    match = _ENTRY.fullmatch(entry.strip())
    if match is None:
        raise ProjectError(f"[web_page] {setting}: {entry!r} is neither an address nor a wnid and an address")
    place = Place(match["url"], match["wnid"], is_sitemap)
    check_place(place.name, f"[web_page] {setting}")
    return place
