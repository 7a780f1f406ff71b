"""Openverse: openly licensed pictures of many collections.

Its API is documented at https://api.openverse.org/v1/, its limits at
https://docs.openverse.org/api/reference/authentication_and_throttling.html, the 20 pages at
https://make.wordpress.org/openverse/2022/08/11/openverse-api-results-constrained-to-20-pages/. Its terms
(https://docs.openverse.org/terms_of_service.html) forbid getting round the limits with several machines: the crawl's
one searching process asks, wherever pictures are fetched.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builder.config import OpenverseSettings, Settings
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query, Rights, SearchPage

from .filtered import asked_for, plain_words
from .json_api import JsonApi, read_position
from .phrases import phrase_queries, translations_of
from .source import require_contact

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph
    from wordnet_synsets.translations import Translations

logger = logging.getLogger(__name__)

NAME = "openverse"
# Without a token a request a second and 20 results a page; the service counts by minute and day too, and says so with
# a 429. With one 100 requests a minute; a page may then be larger than the 50 that are asked for.
ANONYMOUS_INTERVAL, ANONYMOUS_PAGE = 1.0, 20
TOKEN_INTERVAL, TOKEN_PAGE = 0.6, 50
MOST_PAGES = 20
MOST_CHARACTERS = 200
# A token is asked for again this long before it ends.
TOKEN_MARGIN = 60.0
# Our codes of licences, and Openverse's.
LICENCES = {
    "cc0": "cc0",
    "pd": "pdm",
    "by": "by",
    "by-sa": "by-sa",
    "by-nd": "by-nd",
    "by-nc": "by-nc",
    "by-nc-sa": "by-nc-sa",
    "by-nc-nd": "by-nc-nd",
}
REMEDY = "correct client_id and client_secret under [openverse]"


class Openverse:
    """The `openverse` source: only pictures under `licences` (our codes) are asked for."""

    name = NAME

    def __init__(
        self,
        settings: OpenverseSettings,
        licences: Sequence[str],
        *,
        page_size: int | None = None,
        api: JsonApi | None = None,
        translations: Translations | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._translations = translations
        self._licences = asked_for(licences, LICENCES)
        named = bool(settings.client_id)
        self._page_size = page_size or (TOKEN_PAGE if named else ANONYMOUS_PAGE)
        interval = TOKEN_INTERVAL if named else ANONYMOUS_INTERVAL
        self._api = api or JsonApi(settings.endpoint, interval=interval, remedy=REMEDY)
        self._clock = clock
        self._token = ""
        self._token_ends = clock()

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """The phrases of the category's synset, translations last. Raises UnknownSynset, WordNetNotFound."""
        return phrase_queries(self.name, category, graph, self._translations, self._licences)

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """One page of pictures that match; raises SourceError."""
        page = read_position(query.continuation, self.name).get("page", 1)
        parameters: dict[str, str | int] = {
            "q": plain_words(query.words)[:MOST_CHARACTERS],
            "license": ",".join(LICENCES[code] for code in self._licences),
            "page": page,
            "page_size": self._page_size,
            "mature": "false",
        }
        answer = await self._api.get(session, "/v1/images/", parameters, await self._authorisation(session))
        try:
            found = list(answer["results"])
            candidates = tuple(
                _candidate(query, picture, rank)
                for rank, picture in enumerate(found, start=(page - 1) * self._page_size + 1)
                if picture.get("url")
            )
            last = page >= min(int(answer["page_count"]), MOST_PAGES) or not found
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceError(
                f"{self._settings.endpoint} answered something that is not Openverse's format: {error!r}"
            ) from error
        return SearchPage(candidates, None if last else json.dumps({"page": page + 1}))

    async def _authorisation(self, session: aiohttp.ClientSession) -> dict[str, str]:
        if not self._settings.client_id:
            return {}
        if self._clock() >= self._token_ends:
            answer = await self._api.post_form(
                session,
                "/v1/auth_tokens/token/",
                {
                    "grant_type": "client_credentials",
                    "client_id": self._settings.client_id,
                    "client_secret": self._settings.client_secret,
                },
            )
            try:
                self._token = str(answer["access_token"])
                self._token_ends = self._clock() + float(answer["expires_in"]) - TOKEN_MARGIN
            except (KeyError, TypeError, ValueError):
                # The answer is not quoted: it may hold a token.
                raise SourceError(f"{self._settings.endpoint} gave no token; {REMEDY}") from None
        return {"Authorization": f"Bearer {self._token}"}


def _candidate(query: Query, picture: Mapping[str, Any], rank: int) -> Candidate:
    code = str(picture.get("license") or "").lower()
    licence = next((ours for ours, theirs in LICENCES.items() if theirs == code), None)
    return Candidate(
        wnid=query.wnid,
        url=str(picture["url"]),
        source=NAME,
        rank=rank,
        title=picture.get("title") or str(picture["id"]),
        page_url=picture.get("foreign_landing_url"),
        rights=Rights(
            licence=licence,
            licence_version=(picture.get("license_version") or None) if licence else None,
            licence_url=(picture.get("license_url") or None) if licence else None,
            author=picture.get("creator") or None,
            credit=picture.get("attribution") or picture.get("source") or None,
        ),
        width=picture.get("width"),
        height=picture.get("height"),
    )


def build(settings: Settings, folder: Path) -> Openverse:
    """The `openverse` source of a project; raises ProjectError where its settings cannot work."""
    require_contact(settings, settings.openverse.endpoint)
    if bool(settings.openverse.client_id) != bool(settings.openverse.client_secret):
        raise ProjectError("[openverse] needs both client_id and client_secret, or neither")
    if not set(settings.crawl.licences) & set(LICENCES):
        raise ProjectError(
            f"Openverse has pictures under {', '.join(LICENCES)} only: ask for one with --licence"
        )
    return Openverse(settings.openverse, settings.crawl.licences, translations=translations_of(settings))
