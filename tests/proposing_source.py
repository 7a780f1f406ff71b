"""Sources for tests: they propose what they are told to, through the Protocol that every source follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from imagenet_builder.errors import SourceError
from imagenet_builder.records import Candidate, Category, Query, Rights, SearchPage
from wordnet_synsets.graph import Graph


@dataclass
class ProposingSource:
    """Proposes `urls` to every category, `page_size` a page, under `licences` in turn.

    It notes the words that it was asked for, and takes `seconds` for each answer.
    """

    urls: Sequence[str]
    name: str = "proposing"
    page_size: int = 10
    licences: Sequence[str | None] = ("cc0",)
    seconds: float = 0.0
    phrases: Sequence[str] = ("anything",)
    asked: list[str] = field(default_factory=list)
    # The search fails with this error from the given page on.
    failure: SourceError | None = None
    failing_from: int = 0

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        return tuple(Query(category.wnid, self.name, phrase) for phrase in self.phrases)

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        start = int(query.continuation or 0)
        if self.failure is not None and start // self.page_size >= self.failing_from:
            raise self.failure
        self.asked.append(query.words)
        await asyncio.sleep(self.seconds)
        end = start + self.page_size
        candidates = tuple(
            Candidate(
                wnid=query.wnid,
                url=url,
                source=self.name,
                rank=start + number,
                title=f"picture {start + number}",
                rights=Rights(licence=self.licences[(start + number) % len(self.licences)]),
            )
            for number, url in enumerate(self.urls[start:end], start=1)
        )
        return SearchPage(candidates, str(end) if end < len(self.urls) else None)
