"""Wikimedia Commons, or any MediaWiki: a search of files and a walk through categories, with licence and author.

The action API is documented at https://www.mediawiki.org/wiki/API:Search, API:Categorymembers and API:Imageinfo,
what it asks of programs at https://www.mediawiki.org/wiki/API:Etiquette.
"""

from __future__ import annotations

import dataclasses
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from imagenet_builder.config import Settings, WikimediaSettings
from imagenet_builder.errors import SourceError
from imagenet_builder.records import Candidate, Category, Query, Rights, SearchPage

from .category_walk import CATEGORY, Walk, category_titles, read_walk
from .filtered import asked_for, plain_words
from .licences import parse_licence
from .mediawiki_api import MediaWikiApi
from .phrases import phrase_queries, translations_of
from .source import require_contact
from .wikitext import read_rights

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph
    from wordnet_synsets.translations import Translations

NAME = "wikimedia"
FILE_NAMESPACE = 6
# The API's limit for a search by those without special rights.
PAGE_SIZE = 50
# The most that the API lists at once.
MOST_SUBCATEGORIES = 500
LANGUAGE = "en"
# Commons finds files by the licences that their structured data name. It calls them as its configuration does
# (https://phabricator.wikimedia.org/T257938) or as its own search page does, and passes over a name that it has not.
COMMONS = "commons.wikimedia.org"
HASLICENSE = {
    "cc0": ("unrestricted",),
    "pd": ("unrestricted",),
    "by": ("cc-by", "attribution"),
    "by-sa": ("cc-by-sa", "attribution-same-license"),
}


class Wikimedia:
    """The `wikimedia` source: pictures of a MediaWiki, at a standard width where they are wider.

    It is searched for phrases, and its categories of a synset's words are walked.
    """

    name = NAME

    def __init__(
        self,
        settings: WikimediaSettings,
        licences: Sequence[str] = (),
        *,
        page_size: int = PAGE_SIZE,
        api: MediaWikiApi | None = None,
        translations: Translations | None = None,
    ) -> None:
        self._settings = settings
        self._translations = translations
        self._page_size = page_size
        self._api = api or MediaWikiApi(settings.endpoint)
        self._licences = _narrower(settings, licences)

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """The phrases of the category's synset, translations last, and the wiki's own categories of its words.

        Raises UnknownSynset, WordNetNotFound.
        """
        found = phrase_queries(self.name, category, graph, self._translations, self._licences)
        if self._settings.category_depth < 0:
            return found
        return (*found, *(Query(category.wnid, self.name, title) for title in category_titles(category)))

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """One page of files that match, or that are in the category; raises SourceError."""
        if query.words.startswith(CATEGORY):
            return await self._walk(query, session)
        answer = await self._api.ask(session, {**self._search_parameters(query), **_read_continuation(query)})
        candidates = await self._candidates(query, answer, session, lambda page: int(page["index"]))
        next_part = answer.get("continue")
        return SearchPage(candidates, json.dumps(next_part, sort_keys=True) if next_part else None)

    async def _walk(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """The next files of a category, then of those below it, level by level, each once."""
        walk = read_walk(query)
        answer = await self._api.ask(session, {**self._members(walk.title), **walk.going_on})
        try:
            titles = sorted(str(page["title"]) for page in answer.get("query", {}).get("pages", ()))
            ranks = {title: rank for rank, title in enumerate(titles, start=walk.rank + 1)}
            going_on = dict(answer.get("continue") or {})
        except (KeyError, TypeError, AttributeError) as error:
            raise self._strange(error) from error
        candidates = await self._candidates(query, answer, session, lambda page: ranks[str(page["title"])])
        walked = dataclasses.replace(walk, going_on=going_on, rank=walk.rank + len(ranks))
        following = walked if going_on else walked.following(await self._below(walk, session))
        return SearchPage(candidates, following.written() if following else None)

    async def _below(self, walk: Walk, session: aiohttp.ClientSession) -> list[str]:
        """The categories in the one where `walk` is, if it goes down to them."""
        if walk.depth >= self._settings.category_depth:
            return []
        asked = {"action": "query", "list": "categorymembers", "cmtitle": walk.title, "cmtype": "subcat"}
        answer = await self._api.ask(session, {**asked, "cmprop": "title", "cmlimit": MOST_SUBCATEGORIES})
        try:
            return [str(one["title"]) for one in answer.get("query", {}).get("categorymembers", ())]
        except (KeyError, TypeError, AttributeError) as error:
            raise self._strange(error) from error

    def _strange(self, error: Exception) -> SourceError:
        return SourceError(
            f"{self._settings.endpoint} answered something that is not MediaWiki's format: {error!r}"
        )

    async def _candidates(
        self,
        query: Query,
        answer: Mapping[str, Any],
        session: aiohttp.ClientSession,
        rank: Callable[[Mapping[str, Any]], int],
    ) -> tuple[Candidate, ...]:
        """The pictures of an answer, by `rank`, with their rights; raises SourceError."""
        try:
            pages = sorted(answer.get("query", {}).get("pages", ()), key=rank)
            # A page without imageinfo comes again, with it, under the next continuation.
            found = [page for page in pages if _is_picture(page)]
            rights = {page["pageid"]: _extended_rights(page) for page in found}
            untold = [page for page, told in rights.items() if told.licence is None]
            if untold:
                rights |= await self._described_rights(session, untold, rights)
            return tuple(self._candidate(query, page, rights[page["pageid"]], rank(page)) for page in found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._strange(error) from error

    def _search_parameters(self, query: Query) -> dict[str, str | int]:
        text = self._settings.search_text
        words = plain_words(query.words)
        names = dict.fromkeys(name for code in self._licences for name in HASLICENSE[code])
        licensed = f"haslicense:{'|'.join(names)} " if names else ""
        parameters: dict[str, str | int] = {
            "generator": "search",
            # Plain MediaWiki knows no filetype: and looks at titles only, unless told to look at texts.
            "gsrsearch": words if text else f"filetype:bitmap {licensed}{words}",
            "gsrnamespace": FILE_NAMESPACE,
            "gsrlimit": self._page_size,
            **self._described(),
        }
        return parameters | ({"gsrwhat": "text"} if text else {})

    def _members(self, title: str) -> dict[str, str | int]:
        return {
            "generator": "categorymembers",
            "gcmtitle": title,
            "gcmtype": "file",
            "gcmlimit": self._page_size,
            **self._described(),
        }

    def _described(self) -> dict[str, str | int]:
        """What is asked of each file."""
        return {
            "action": "query",
            "prop": "imageinfo",
            "iiprop": "url|size|mime|sha1|extmetadata",
            "iiurlwidth": self._settings.width,
            "iiextmetadatafilter": "License|LicenseShortName|LicenseUrl|Artist|Credit",
            "iiextmetadatalanguage": LANGUAGE,
        }

    def _candidate(self, query: Query, page: Mapping[str, Any], rights: Rights, rank: int) -> Candidate:
        picture = page["imageinfo"][0]
        reduced = int(picture["width"]) > self._settings.width and bool(picture.get("thumburl"))
        original = self._address(picture["url"])
        return Candidate(
            wnid=query.wnid,
            url=self._address(picture["thumburl"]) if reduced else original,
            source=self.name,
            rank=rank,
            title=str(page["title"]),
            page_url=self._address(picture["descriptionurl"]),
            rights=rights,
            original_url=original if reduced else None,
            original_sha1=str(picture["sha1"]) if reduced else None,
            width=int(picture["thumbwidth"] if reduced else picture["width"]),
            height=int(picture["thumbheight"] if reduced else picture["height"]),
        )

    def _address(self, url: str) -> str:
        """`url` made absolute, without the campaign marks that would make one picture look like two."""
        parts = urlsplit(urljoin(self._settings.endpoint, url))
        kept = [(name, value) for name, value in parse_qsl(parts.query) if not name.startswith("utm_")]
        return urlunsplit(parts._replace(query=urlencode(kept)))

    async def _described_rights(
        self, session: aiohttp.ClientSession, pages: list[int], told: Mapping[int, Rights]
    ) -> dict[int, Rights]:
        """What the templates of the description pages say, in one request for all of them."""
        # Page numbers, not titles: fifty long titles do not fit into an address.
        answer = await self._api.ask(
            session,
            {
                "action": "query",
                "prop": "revisions",
                "rvprop": "content",
                "rvslots": "main",
                "pageids": "|".join(str(page) for page in pages),
            },
        )
        rights: dict[int, Rights] = {}
        for page in answer["query"]["pages"]:
            if "revisions" not in page:
                continue
            described = read_rights(page["revisions"][0]["slots"]["main"]["content"])
            known = told[page["pageid"]]
            rights[page["pageid"]] = dataclasses.replace(
                described,
                author=known.author or described.author,
                credit=known.credit or described.credit,
            )
        return rights


def build(settings: Settings, folder: Path) -> Wikimedia:
    """The `wikimedia` source of a project; raises ProjectError where the wiki must be told a contact."""
    require_contact(settings, settings.wikimedia.endpoint)
    return Wikimedia(settings.wikimedia, settings.crawl.licences, translations=translations_of(settings))


def _narrower(settings: WikimediaSettings, licences: Sequence[str]) -> tuple[str, ...]:
    """What to ask for in a search: nothing where that would leave out only what structured data do not tell yet.

    Nearly everything on Commons is under one of HASLICENSE; files under others cannot be found by them.
    """
    wanted = asked_for(licences, HASLICENSE)
    on_commons = urlsplit(settings.endpoint).hostname == COMMONS and not settings.search_text
    return wanted if on_commons and set(licences) == set(wanted) < set(HASLICENSE) else ()


def _read_continuation(query: Query) -> dict[str, str | int]:
    if query.continuation is None:
        return {}
    try:
        going_on: dict[str, str | int] = json.loads(query.continuation)
    except ValueError as error:
        raise SourceError(f"the store's continuation of {query.words!r} is unreadable") from error
    return going_on


def _is_picture(page: Mapping[str, Any]) -> bool:
    mime = str(page["imageinfo"][0].get("mime", "")) if page.get("imageinfo") else ""
    return mime.startswith("image/") and not mime.startswith(("image/svg", "image/vnd.djvu"))


def _extended_rights(page: Mapping[str, Any]) -> Rights:
    """Rights from `extmetadata`, which holds a licence only where CommonsMetadata is installed."""
    told = page["imageinfo"][0].get("extmetadata") or {}
    values = {name: str(field["value"]) for name, field in told.items()}
    texts = (values.get(name, "") for name in ("License", "LicenseShortName", "LicenseUrl"))
    licence = next((found for text in texts if (found := parse_licence(text))), Rights())
    return dataclasses.replace(
        licence,
        licence_url=(values.get("LicenseUrl") or licence.licence_url) if licence.licence else None,
        author=_text(values.get("Artist", "")),
        credit=_text(values.get("Credit", "")),
    )


def _text(markup: str) -> str | None:
    """The words of a piece of HTML; None if there are none."""
    return " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", markup)).split()) or None
