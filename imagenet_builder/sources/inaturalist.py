"""iNaturalist: living things, by their scientific names.

API v1 is documented at https://api.inaturalist.org/v1/docs/, what it asks of programs at
https://www.inaturalist.org/pages/api+recommended+practices: 60 requests a minute and under 10,000 a day, 200 results
a page. It is not meant for collecting in bulk; the open-data dump is (`inaturalist_dump`).
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builder.config import InaturalistSettings, Settings
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query, Rights, SearchPage

from .filtered import asked_for, plain_words, write_filtered
from .json_api import JsonApi, read_position
from .licences import parse_licence
from .remote_files import is_bucket
from .source import Source, require_contact

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph

NAME = "inaturalist"
INTERVAL, PAGE_SIZE, MOST_REQUESTS = 1.0, 200, 9_900
SIZES = {"small": 240, "medium": 500, "large": 1024, "original": 2048}
QUALITIES = ("research", "needs_id", "any")
# Our codes of licences, and iNaturalist's.
LICENCES = {
    "cc0": "cc0",
    "by": "cc-by",
    "by-sa": "cc-by-sa",
    "by-nd": "cc-by-nd",
    "by-nc": "cc-by-nc",
    "by-nc-sa": "cc-by-nc-sa",
    "by-nc-nd": "cc-by-nc-nd",
}
REMEDY = "it asks for no key: try again later, and slower"
# The ranks that WordNet writes in front of names.
RANKS = (
    "kingdom",
    "phylum",
    "subphylum",
    "class",
    "subclass",
    "order",
    "suborder",
    "family",
    "subfamily",
    "genus",
)
_RANKED = re.compile(rf"(?P<rank>{'|'.join(RANKS)}) (?P<name>[A-Z][a-z]+)")
# Canis familiaris, Canis lupus familiaris: the service decides whether it is the name of a taxon.
_SPECIES = re.compile(r"[A-Z][a-z]+(?: [a-z][a-z-]+){1,2}")


class INaturalist:
    """The `inaturalist` source. A query's words are a scientific name, with its rank where WordNet gives it."""

    name = NAME

    def __init__(
        self,
        settings: InaturalistSettings,
        licences: Sequence[str],
        *,
        page_size: int = PAGE_SIZE,
        api: JsonApi | None = None,
    ) -> None:
        self._settings = settings
        self._licences = asked_for(licences, LICENCES)
        self._page_size = page_size
        self._api = api or JsonApi(settings.endpoint, interval=INTERVAL, remedy=REMEDY, most=MOST_REQUESTS)

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """The category's scientific lemmas; none for what is no living thing, and WordNet is not needed."""
        return scientific_queries(category, (*self._licences, self._settings.quality))

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """One page of observations of the taxon, newest first; raises SourceError."""
        position = read_position(query.continuation, self.name)
        try:
            taxon = (
                position["taxon"]
                if "taxon" in position
                else await self._taxon(plain_words(query.words), session)
            )
            if taxon is None:
                return SearchPage((), None)
            answer = await self._api.get(session, "/observations", self._parameters(taxon, position))
            observations = list(answer["results"])
            rank = position.get("rank", 0)
            candidates = tuple(self._candidates(query, observations, rank))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceError(
                f"{self._settings.endpoint} answered something that is not iNaturalist's format: {error!r}"
            ) from error
        if len(observations) < self._page_size:
            return SearchPage(candidates, None)
        # Pages by number end at 10,000 results; those below an id do not, and new observations do not shift them.
        next_part = {"taxon": taxon, "below": int(observations[-1]["id"]), "rank": rank + len(candidates)}
        return SearchPage(candidates, json.dumps(next_part))

    def _parameters(self, taxon: int, position: Mapping[str, int]) -> dict[str, str | int]:
        parameters: dict[str, str | int] = {
            "taxon_id": taxon,
            "photos": "true",
            "photo_license": ",".join(LICENCES[code] for code in self._licences),
            "order_by": "id",
            "order": "desc",
            "per_page": self._page_size,
        }
        if self._settings.quality != "any":
            parameters["quality_grade"] = self._settings.quality
        if "below" in position:
            parameters["id_below"] = position["below"]
        return parameters

    async def _taxon(self, words: str, session: aiohttp.ClientSession) -> int | None:
        """The id of the taxon of exactly this name; None if there is none, or the name means several."""
        ranked = _RANKED.fullmatch(words)
        name, rank = (ranked["name"], ranked["rank"]) if ranked else (words, "")
        parameters: dict[str, str | int] = {"q": name, "is_active": "true", "per_page": 30}
        answer = await self._api.get(session, "/taxa", parameters | ({"rank": rank} if rank else {}))
        found = {
            int(taxon["id"])
            for taxon in answer["results"]
            if str(taxon["name"]).casefold() == name.casefold() and (not rank or taxon["rank"] == rank)
        }
        # A genus of plants may be called as one of animals is: nothing is better than the wrong one.
        return found.pop() if len(found) == 1 else None

    def _candidates(
        self, query: Query, observations: Sequence[Mapping[str, Any]], rank: int
    ) -> Iterator[Candidate]:
        allowed = {LICENCES[code] for code in self._licences}
        for observation in observations:
            for photo in observation["photos"]:
                code = str(photo.get("license_code") or "")
                # An observation comes for any of its photos; each photo has a licence of its own.
                rights = parse_licence(code) if code in allowed else None
                if rights is not None:
                    rank += 1
                    yield self._candidate(query, observation, photo, rights, rank)

    def _candidate(
        self,
        query: Query,
        observation: Mapping[str, Any],
        photo: Mapping[str, Any],
        rights: Rights,
        rank: int,
    ) -> Candidate:
        size, square = self._settings.size, str(photo["url"])
        original = re.sub(r"/square(?=\.\w+$)", "/original", square)
        sides = photo.get("original_dimensions") or {}
        width, height = sides.get("width"), sides.get("height")
        if width and height:
            scale = min(1.0, SIZES[size] / max(width, height))
            width, height = round(width * scale), round(height * scale)
        user = observation.get("user") or {}
        return Candidate(
            wnid=query.wnid,
            url=re.sub(r"/square(?=\.\w+$)", f"/{size}", square),
            source=NAME,
            rank=rank,
            title=observation.get("species_guess") or plain_words(query.words),
            page_url=observation.get("uri"),
            rights=dataclasses.replace(
                rights, author=user.get("name") or user.get("login"), credit=photo.get("attribution")
            ),
            original_url=original if size != "original" else None,
            width=width,
            height=height,
        )


def scientific_queries(category: Category, filters: Sequence[str]) -> tuple[Query, ...]:
    """The category's scientific lemmas, asked for `filters`, none twice; none for what is no living thing."""
    words = (lemma.replace("_", " ") for lemma in category.lemmas)
    names = dict.fromkeys(name for name in words if _RANKED.fullmatch(name) or _SPECIES.fullmatch(name))
    return tuple(Query(category.wnid, NAME, write_filtered(name, filters), language="la") for name in names)


def build(settings: Settings, folder: Path) -> Source:
    """The `inaturalist` source of a project, on a dump where the settings name one.

    Raises ProjectError where its settings cannot work.
    """
    if settings.inaturalist.size not in SIZES:
        raise ProjectError(f"[inaturalist] size must be one of {', '.join(SIZES)}")
    if settings.inaturalist.quality not in QUALITIES:
        raise ProjectError(f"[inaturalist] quality must be one of {', '.join(QUALITIES)}")
    if not set(settings.crawl.licences) & set(LICENCES):
        raise ProjectError(
            f"iNaturalist has photos under {', '.join(LICENCES)} only: ask for one with --licence"
        )
    dump = settings.inaturalist.dump
    if not dump:
        require_contact(settings, settings.inaturalist.endpoint)
        return INaturalist(settings.inaturalist, settings.crawl.licences)
    from .inaturalist_dump import INaturalistDump

    if not is_bucket(dump) and not (folder / dump).is_dir():
        raise ProjectError(f"there is no folder {folder / dump}: correct `dump` under [inaturalist]")
    return INaturalistDump(settings.inaturalist, settings.crawl.licences, folder)
