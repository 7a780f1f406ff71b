"""Flickr, for those who have a key.

The method is https://www.flickr.com/services/api/flickr.photos.search.html; the licences' ids are those of
https://www.flickr.com/services/api/flickr.photos.licenses.getInfo.html, to which those of 4.0 came in June 2025.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builder.config import FlickrSettings, Settings
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query, Rights, SearchPage

from .filtered import asked_for, plain_words
from .json_api import JsonApi, read_position
from .licences import FREEDOM, parse_licence
from .phrases import phrase_queries, translations_of
from .source import require_contact

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph
    from wordnet_synsets.translations import Translations

NAME = "flickr"
# 3,600 requests an hour for a key; a search gives 4,000 different photos at most.
INTERVAL, PAGE_SIZE, DEPTH = 1.0, 250, 4000
# The ids of flickr.photos.licenses.getInfo. All rights reserved (0) is no licence to take.
LICENCES = {
    1: "CC BY-NC-SA 2.0",
    2: "CC BY-NC 2.0",
    3: "CC BY-NC-ND 2.0",
    4: "CC BY 2.0",
    5: "CC BY-SA 2.0",
    6: "CC BY-ND 2.0",
    7: "pd",  # "No known copyright restrictions", of the institutions in Flickr Commons
    8: "pd",  # United States government work
    9: "cc0",
    10: "pdm",
    11: "CC BY 4.0",
    12: "CC BY-SA 4.0",
    13: "CC BY-ND 4.0",
    14: "CC BY-NC 4.0",
    15: "CC BY-NC-SA 4.0",
    16: "CC BY-NC-ND 4.0",
}
# What the extras call sizes, and their longer side: not the suffix of the address, which is _m in url_s, none in url_m.
SIZES = {"s": 240, "n": 320, "w": 400, "m": 500, "z": 640, "c": 800, "l": 1024, "h": 1600, "k": 2048}
# Errors that mean "later": the service or its search is away, a write failed.
PASSING_ERRORS = (10, 105, 106)
KEY_REFUSED = 100
REMEDY = "correct key under [flickr]"


class Flickr:
    """The `flickr` source: only photos under `licences` (our codes) are asked for."""

    name = NAME

    def __init__(
        self,
        settings: FlickrSettings,
        licences: Sequence[str],
        *,
        page_size: int = PAGE_SIZE,
        api: JsonApi | None = None,
        translations: Translations | None = None,
    ) -> None:
        self._settings = settings
        self._translations = translations
        self._page_size = page_size
        self._licences = asked_for(licences, [code for code in FREEDOM if licence_ids([code])])
        self._ids = licence_ids(self._licences)
        self._api = api or JsonApi(settings.endpoint, interval=INTERVAL, remedy=REMEDY)
        # The nearest size first; a photo has no sizes over its own.
        self._sizes = sorted(SIZES, key=lambda size: abs(SIZES[size] - settings.width))

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """The phrases of the category's synset, translations last. Raises UnknownSynset, WordNetNotFound."""
        return phrase_queries(self.name, category, graph, self._translations, self._licences)

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """One page of photos that match; raises SourceError."""
        page = read_position(query.continuation, self.name).get("page", 1)
        answer = await self._api.get(session, "/", self._parameters(query, page))
        if answer.get("stat") != "ok":
            raise self._refused(answer)
        try:
            photos = answer["photos"]
            found = [photo for photo in photos["photo"] if self._size(photo)]
            first = (page - 1) * self._page_size + 1
            candidates = tuple(
                self._candidate(query, photo, rank) for rank, photo in enumerate(found, start=first)
            )
            last = page >= int(photos["pages"]) or page * self._page_size >= DEPTH
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceError(
                f"{self._settings.endpoint} answered something that is not Flickr's format: {error!r}"
            ) from error
        return SearchPage(candidates, None if last else json.dumps({"page": page + 1}))

    def _parameters(self, query: Query, page: int) -> dict[str, str | int]:
        sizes = ",".join(f"url_{size}" for size in SIZES)
        return {
            "method": "flickr.photos.search",
            "api_key": self._settings.key,
            "text": plain_words(query.words),
            "license": ",".join(map(str, self._ids)),
            "media": "photos",
            "content_types": 0,  # photographs, not screenshots and drawings
            "safe_search": 1,
            "sort": "relevance",
            "extras": f"license,owner_name,o_dims,url_o,{sizes}",
            "per_page": self._page_size,
            "page": page,
            "format": "json",
            "nojsoncallback": 1,
        }

    def _refused(self, answer: Mapping[str, Any]) -> SourceError:
        code, words = answer.get("code"), " ".join(str(answer.get("message", "")).split())[:200]
        remedy = REMEDY if code == KEY_REFUSED else "run the command again later"
        if code not in (KEY_REFUSED, *PASSING_ERRORS):
            remedy = "is [flickr] endpoint right?"
        words = words.replace(self._settings.key, "…")
        return SourceError(f"{self._settings.endpoint} refused the search: {code}: {words}; {remedy}")

    def _size(self, photo: Mapping[str, Any]) -> str | None:
        return next((size for size in self._sizes if photo.get(f"url_{size}")), None)

    def _candidate(self, query: Query, photo: Mapping[str, Any], rank: int) -> Candidate:
        size = self._size(photo)
        rights = parse_licence(LICENCES.get(int(photo["license"]), "")) or Rights()
        return Candidate(
            wnid=query.wnid,
            url=str(photo[f"url_{size}"]),
            source=NAME,
            rank=rank,
            title=photo.get("title") or str(photo["id"]),
            page_url=f"https://www.flickr.com/photos/{photo['owner']}/{photo['id']}",
            rights=dataclasses.replace(rights, author=photo.get("ownername") or str(photo["owner"])),
            original_url=photo.get("url_o"),
            width=int(photo[f"width_{size}"]),
            height=int(photo[f"height_{size}"]),
        )


def licence_ids(codes: Sequence[str]) -> tuple[int, ...]:
    """The ids of Flickr's licences that are among our `codes`."""
    known = {number: parse_licence(name) for number, name in LICENCES.items()}
    return tuple(number for number, rights in known.items() if rights and rights.licence in codes)


def build(settings: Settings, folder: Path) -> Flickr:
    """The `flickr` source of a project; raises ProjectError where its settings cannot work."""
    require_contact(settings, settings.flickr.endpoint)
    if not settings.flickr.key:
        raise ProjectError("the flickr source needs `key` under [flickr], or IMAGENET_BUILDER_FLICKR_KEY")
    if not licence_ids(settings.crawl.licences):
        raise ProjectError("no licence that is asked for is one of Flickr's: ask for another with --licence")
    return Flickr(settings.flickr, settings.crawl.licences, translations=translations_of(settings))
