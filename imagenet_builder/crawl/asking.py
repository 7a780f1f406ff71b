"""Asking a server once: its answer is judged by its head, and its body received where there is room for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from yarl import URL

from imagenet_builder.config import CrawlSettings
from imagenet_builder.executors.shared import SharedMemory, Slot
from imagenet_builder.records import Failed, Reason, Rejected

from .answers import CODINGS, PLAIN, Gathered, classified, coding_of, one_line, refused
from .download import Download, is_conditional
from .http.client import Client, Resolve
from .http.connection import Later, Place
from .http.heads import BadAnswer, Head
from .permission import opt_out
from .politeness import Host, retry_after_seconds
from .room import Room

CONNECT_SECONDS = 10.0
# Idle connections count as open files: of a crawl of many hosts there are this many seconds' worth.
IDLE_SECONDS = 5.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Asker:
    """Asks for addresses, within one event loop; bodies of known length come into `memory`, if it is given and fits."""

    def __init__(
        self,
        settings: CrawlSettings,
        resolve: Resolve,
        headers: Mapping[str, str],
        memory: SharedMemory | None,
    ) -> None:
        self._timeout = settings.timeout
        self._connect_seconds = min(CONNECT_SECONDS, settings.timeout)
        self._client = Client(
            resolve, headers, connect_seconds=self._connect_seconds, idle_seconds=IDLE_SECONDS
        )
        self._memory = memory
        self.room = Room(settings.bytes_in_flight)

    def close(self) -> None:
        """End idle connections."""
        self._client.close()

    async def ask(
        self,
        address: URL,
        host: Host,
        most_bytes: int,
        conditions: Mapping[str, str],
        robots: str | None,
        *,
        cut: bool,
    ) -> Download:
        """What came of asking for `address`; `host` learns how it went. Its room is to be given back.

        A body over `most_bytes` is refused, or ended there if `cut`.
        """
        answer = _Answer(self.room, self._memory, host, most_bytes, is_conditional(conditions), cut=cut)
        try:
            async with asyncio.timeout(self._timeout) as answer.limit:
                await self._client.get(address, conditions, answer.begin)
            return answer.download(str(address), robots)
        except TimeoutError:
            late = f"not done after {self._timeout:.0f} s"
            if answer.head is None and not answer.limit.expired():
                late = f"no connection after {self._connect_seconds:.0f} s"
            failed = Failed(Reason.TIMEOUT, True, late)
        except (BadAnswer, OSError) as error:
            failed = classified(error, body_begun=answer.head is not None)
        except ValueError as error:
            failed = Failed(Reason.BAD_URL, False, one_line(error))
        finally:
            answer.give_back()
        return answer.download(str(address), robots, failed)


class _Answer:
    """An answer while it comes."""

    limit: asyncio.Timeout

    def __init__(
        self,
        room: Room,
        memory: SharedMemory | None,
        host: Host,
        most_bytes: int,
        is_conditional: bool,
        *,
        cut: bool,
    ) -> None:
        self._room = room
        self._memory = memory
        self._host = host
        self._most_bytes = most_bytes
        self._is_conditional = is_conditional
        self._cut = cut
        self._clock = asyncio.get_running_loop().time
        self._asked = self._clock()
        self._reserved = 0
        self._refusal: Rejected | Failed | None = None
        self._location: str | None = None
        self._opt_out: str | None = None
        self._unchanged = False
        self._slot: Slot | None = None
        self._body: memoryview | Gathered | None = None
        self.head: Head | None = None

    def begin(self, head: Head) -> Place | Later:
        """Judge the answer by its head: where its body goes, None if it is not wanted."""
        self.head = head
        self._tell_host(head)
        # Only who asked with a condition is told that nothing has changed.
        self._unchanged = head.status == 304 and self._is_conditional
        if head.status in REDIRECTS and head.get("location") is not None:
            self._location = head.get("location")
        elif head.status not in (200, 203) and not self._unchanged:
            self._refusal = refused(head.status)
        elif stated := opt_out(head.all("x-robots-tag"), head.all("tdm-reservation")):
            self._opt_out, self._refusal, self._unchanged = stated, Rejected(Reason.OPT_OUT, stated), False
        elif not self._unchanged:
            return self._admit(head)
        return None

    def _tell_host(self, head: Head) -> None:
        asked_for = head.get("retry-after")
        if head.status in (429, 503) or (head.status >= 500 and asked_for is not None):
            self._host.troubled(retry_after_seconds(asked_for), too_fast=head.status == 429)
        elif head.status < 400:
            self._host.satisfied(self._clock() - self._asked)

    def _admit(self, head: Head) -> Place | Later:
        """Find room for the body, if it is not too large by what its head says."""
        coding, most = coding_of(head), self._most_bytes
        if coding not in CODINGS and coding not in PLAIN:
            self._refusal = Failed(Reason.REFUSED, False, f"sent as {coding[:40]}, which was not asked for")
            return None
        length = head.length
        if length is not None and length > most and not self._cut:
            self._refusal = Rejected(Reason.TOO_LARGE, f"over {most} bytes")
            return None
        known = length if coding in PLAIN and length is not None and length <= most else None
        wanted = most if known is None else known
        if not self._room.take_now(wanted):
            return Later(lambda: self._when_there_is_room(wanted, known, coding))
        self._reserved = wanted
        return self._place(known, coding)

    async def _when_there_is_room(self, wanted: int, known: int | None, coding: str) -> Place:
        # Waiting for others is not this server's fault: the time for its answer stops.
        left = (self.limit.when() or 0.0) - self._clock()
        self.limit.reschedule(None)
        await self._room.take(wanted)
        self._reserved = wanted
        self.limit.reschedule(self._clock() + left)
        return self._place(known, coding)

    def _place(self, known: int | None, coding: str) -> Place:
        if known is None:
            self._body = Gathered(coding, self._most_bytes, cut=self._cut)
            return self._body
        self._slot = self._memory.take(known) if self._memory is not None else None
        self._body = self._slot.view if self._slot is not None else memoryview(bytearray(known))
        return self._body

    def download(self, address: str, robots: str | None, failed: Failed | None = None) -> Download:
        """What came of it; with its content if it did not fail, whose room is the caller's then."""
        content: bytes | memoryview | None = None
        refusal, reserved, head = failed or self._refusal, 0, self.head
        if refusal is None and self._body is not None:
            found = self._body.result() if isinstance(self._body, Gathered) else self._body
            if isinstance(found, Rejected | Failed):
                refusal = found
            else:
                content, reserved, self._reserved = found, self._reserved, 0
        return Download(
            content=content,
            slot=self._slot if content is not None else None,
            refusal=refusal,
            location=self._location if refusal is None else None,
            unchanged=self._unchanged and refusal is None,
            address=address if content is not None else None,
            reserved=reserved,
            http_status=head.status if head else None,
            robots=robots,
            opt_out=self._opt_out,
            etag=head.get("etag") if head else None,
            last_modified=head.get("last-modified") if head else None,
        )

    def give_back(self) -> None:
        """Let go of the room, unless a download has it."""
        self._room.give_back(self._reserved)
        self._reserved = 0
