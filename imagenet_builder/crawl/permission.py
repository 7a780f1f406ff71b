"""What a site's owner allows: robots.txt (RFC 9309) before a picture is asked for, headers before its body."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from imagenet_builder.records import Failed

from .politeness import AGENT_TOKEN

if TYPE_CHECKING:
    from protego import Protego

# robots.txt beyond this is not read (RFC 9309, section 2.5).
ROBOTS_BYTES = 500 * 1024
OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
# Rules of X-Robots-Tag that have a value after a colon, and so look like the name of a robot.
VALUED_RULES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_AGENT = re.compile(r"\s*([A-Za-z0-9_.*-]+)\s*:(.*)", re.DOTALL)


class RobotsState(StrEnum):
    """What robots.txt says of a URL; the word is stored with the candidate."""

    ALLOWED = "allowed"
    DISALLOWED = "disallowed"
    # The file could not be had: everything counts as disallowed until it can.
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class RobotsFile:
    """What came of asking for a robots.txt: its text ("" where there is none), or how it failed."""

    text: str = ""
    failure: Failed | None = None


KnownRobots = dict[str, "asyncio.Task[tuple[Protego, Failed | None]]"]


class Robots:
    """robots.txt of every site met in a run, each asked for once.

    `fetch` gets the file at a URL: a 4xx answer is an empty file, anything else that is not the file a failure.
    `known` holds what others have asked for already, by origin.
    """

    def __init__(
        self, fetch: Callable[[str], Awaitable[RobotsFile]], known: KnownRobots | None = None
    ) -> None:
        self._fetch = fetch
        self._known: KnownRobots = {} if known is None else known

    async def judge(self, origin: str, url: str) -> tuple[RobotsState, Failed | None]:
        """The state of `url` on `origin` (scheme://host:port), and the failure where it is UNREACHABLE."""
        if origin not in self._known:
            self._known[origin] = asyncio.create_task(self._read(f"{origin}/robots.txt"))
        reading = self._known[origin]
        if not reading.done():
            # Shielded: one cancelled candidate must not take the file from the others.
            await asyncio.shield(reading)
        rules, failure = reading.result()
        if failure is not None:
            return RobotsState.UNREACHABLE, failure
        allowed = rules.can_fetch(url, AGENT_TOKEN)
        return RobotsState.ALLOWED if allowed else RobotsState.DISALLOWED, None

    def crawl_delay(self, origin: str) -> float:
        """Seconds between requests that the robots.txt of `origin`, by which a URL was judged, asks for; 0 if none."""
        return self._known[origin].result()[0].crawl_delay(AGENT_TOKEN) or 0.0

    async def _read(self, url: str) -> tuple[Protego, Failed | None]:
        from protego import Protego

        file = await self._fetch(url)
        return Protego.parse(file.text), file.failure


def opt_out(x_robots_tags: Iterable[str], tdm_reservations: Iterable[str]) -> str | None:
    """The opt-out that two headers of an answer state, in a few words; None if there is none.

    Read are `X-Robots-Tag` rules for every robot or for this one, and the W3C's TDM reservation
    (https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240510/).
    """
    for tag in x_robots_tags:
        rules = tag
        match = _AGENT.fullmatch(tag)
        if match and match[1].lower() not in VALUED_RULES:
            if match[1].lower() not in (AGENT_TOKEN, "*"):
                continue
            rules = match[2]
        stated = {rule.strip().lower() for rule in rules.split(",")}
        found = sorted(stated & OPT_OUTS)
        if found:
            return f"X-Robots-Tag: {', '.join(found)}"
    if "1" in tdm_reservations:
        return "tdm-reservation: 1"
    return None
