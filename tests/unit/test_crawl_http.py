"""Answers in HTTP/1.1 as they come over a connection: the same however they are cut, and refused where they lie."""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.crawl.http.connection import Begin, Connection, Disconnected, Later, Place
from imagenet_builder.crawl.http.heads import MOST_HEAD_BYTES, BadAnswer, Head, parse_head

BODY = bytes(range(256)) * 3
OK = b"HTTP/1.1 200 OK\r\nServer: x\r\n"
COUNTED = OK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = (
    OK
    + b"Transfer-Encoding: Chunked\r\n\r\n"
    + b"100\r\n%b\r\n1ff;name=value\r\n%b\r\n1\r\n%b\r\n" % (BODY[:256], BODY[256:767], BODY[767:])
    + b"0\r\nTrailer: x\r\n\r\n"
)
UNTIL_THE_END = OK + b"\r\n" + BODY
PROVISIONAL = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
ANSWERS = {"counted": COUNTED, "chunked": CHUNKED, "until the end": UNTIL_THE_END}


class Wire(asyncio.Transport):
    """The far end of a connection: what was written to it, and whether reading is paused."""

    def __init__(self, protocol: Connection) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.is_aborted = False
        self.pauses: list[str] = []
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.pauses.append("pause")

    def resume_reading(self) -> None:
        self.pauses.append("resume")

    def abort(self) -> None:
        self.is_aborted = True

    def receive(self, packet: bytes) -> None:
        """Give the connection a packet, as an event loop does: as much at a time as its buffer takes."""
        while packet and not self.is_aborted:
            assert self.pauses[-1:] != ["pause"]
            buffer = self.protocol.get_buffer(-1)
            count = min(len(buffer), len(packet))
            buffer[:count] = packet[:count]
            self.protocol.buffer_updated(count)
            packet = packet[count:]

    def end(self, error: Exception | None = None) -> None:
        if error is None:
            self.protocol.eof_received()
        self.protocol.connection_lost(error)


@dataclass
class Gathering:
    """Takes up to `most` bytes."""

    most: int = 1_000_000
    content: bytes = b""

    def take(self, part: bytes | memoryview) -> bool:
        self.content += bytes(part)
        return len(self.content) <= self.most


@dataclass
class Asked:
    """One request on a wire: what `begin` heard, and where the body came."""

    memory: bool = False
    taker: Gathering = field(default_factory=Gathering)
    heads: list[Head] = field(default_factory=list)
    view: memoryview = field(default_factory=lambda: memoryview(b""))

    def begin(self, head: Head) -> Place:
        self.heads.append(head)
        if self.memory and head.length is not None:
            self.view = memoryview(bytearray(head.length))
            return self.view
        return self.taker

    @property
    def body(self) -> bytes:
        return bytes(self.view) or self.taker.content


def a_wire(scratch: int = 64) -> Wire:
    return Wire(Connection(memoryview(bytearray(scratch))))


async def answered(wire: Wire, begin: Begin, packets: list[bytes], *, ends: bool = False) -> Head:
    asking = asyncio.create_task(wire.protocol.ask(b"GET", begin))
    await asyncio.sleep(0)
    for packet in packets:
        wire.receive(packet)
    if ends and not wire.is_aborted:
        wire.end()
    return await asyncio.wait_for(asking, 20)


def cut(answer: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % len(answer) for place in places} | {0, len(answer)})
    return [answer[begin:end] for begin, end in itertools.pairwise(ends)]


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
@given(
    places=st.lists(st.integers(0, 2000), max_size=12),
    provisional=st.booleans(),
    scratch=st.sampled_from([1, 64, 4096]),
)
def test_an_answer_is_the_same_however_it_is_cut(
    name: str, memory: bool, places: list[int], provisional: bool, scratch: int
) -> None:
    async def run() -> None:
        wire, asked = a_wire(scratch), Asked(memory)
        packets = cut((PROVISIONAL if provisional else b"") + ANSWERS[name], places)
        head = await answered(wire, asked.begin, packets, ends=name == "until the end")
        assert asked.heads == [head]
        assert (head.status, head.get("server"), head.length) == (
            200, "x", len(BODY) if name == "counted" else None
        )  # fmt: skip
        assert asked.body == BODY
        # One that may be asked again: but for the connection's end, nothing more comes.
        assert wire.protocol.is_open == (name != "until the end")

    asyncio.run(run())


def test_a_short_head_behind_a_long_provisional_one_is_found() -> None:
    async def run() -> None:
        packets = [PROVISIONAL[:-2], PROVISIONAL[-2:] + b"HTTP/1.1 204 X\r\n\r\n"]
        head = await answered(a_wire(4096), Asked().begin, packets)
        assert head.status == 204

    asyncio.run(run())


def test_an_answer_of_single_bytes_is_read_too() -> None:
    async def run() -> None:
        for name, answer in ANSWERS.items():
            asked = Asked(memory=True)
            packets = [bytes([byte]) for byte in answer]
            await answered(a_wire(), asked.begin, packets, ends=name == "until the end")
            assert asked.body == BODY

    asyncio.run(run())


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 05\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: 5,\r\n",
        b"Content-Length: 5, 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\n 6\r\n",
        b"Content-Length: 5\nContent-Length: 6\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\nTransfer-Encoding:\n chunked\n",
        b" Content-Length: 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length : 5\r\n",
        b"A: b\0c\r\n",
        b"A: b\rB: c\r\n",
        b"A: b\r\rB: c\n",
        b"no colon\r\n",
        b": no name\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_no_answer(head: bytes) -> None:
    status = b"101 Switching" if b"Upgrade" in head else b"200 OK"
    with pytest.raises(BadAnswer):
        parse_head(b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n")


@pytest.mark.parametrize(
    ("head", "length", "tags"),
    [
        (b"Content-Length: 5\r\nX-Robots-Tag: noai\r\nContent-Length:5\r\n", 5, ["noai"]),
        (b"content-length: 5, 5 ,5\r\n", 5, []),
        (b"Content-Length: 5\nX-Robots-Tag: a\nX-Robots-Tag: b\r\n", 5, ["a", "b"]),
        (b"X-Robots-Tag: a,\r\n\t noai\r\nContent-Length: 5\r\n", 5, ["a, noai"]),
        (b"X-Robots-Tag:\n noai\n \nContent-Length:\n 5\n", 5, ["noai"]),
        (b"Transfer-Encoding: chunked\nX-Robots-Tag: a\n", None, ["a"]),
    ],
)
@given(places=st.lists(st.integers(0, 200), max_size=8), bare=st.booleans(), scratch=st.sampled_from([1, 64]))
def test_what_old_servers_write_is_taken_where_it_can_be_read_in_one_way_only(
    head: bytes, length: int | None, tags: list[str], places: list[int], bare: bool, scratch: int
) -> None:
    async def run() -> None:
        # The content holds what ends heads: the first empty line does.
        content = b"5\r\n\n\r\n\r\n\r\n0\r\n\r\n" if length is None else b"\n\r\n\r\n"
        end = b"\n" if bare else b"\r\n"
        answer = b"HTTP/1.1 200 OK" + end + head + end + content
        wire, asked = a_wire(scratch), Asked()
        found = await answered(wire, asked.begin, cut(answer, places))
        assert (found.length, found.all("x-robots-tag")) == (length, tags)
        assert asked.body == b"\n\r\n\r\n"
        assert wire.protocol.is_open

    asyncio.run(run())


@pytest.mark.parametrize(
    "start",
    [b"ICY 200 OK", b"HTTP/1.1 99 Low", b"HTTP/1.1 OK", b"", b"SSH-2.0-OpenSSH", b"<html>", b"HTTP/1.1"],
)
def test_what_does_not_begin_as_an_answer_is_none(start: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_head(start + b"\r\n\r\n")


def test_headers_are_found_by_small_names_and_keep_all_their_values() -> None:
    head = parse_head(
        b'HTTP/1.1 200 OK\r\nX-Robots-Tag:  noai \r\nETag: "\xe9:"\r\nx-robots-TAG: a: b\t\r\n\r\n'
    )
    assert head.all("x-robots-tag") == ["noai", "a: b"]
    assert head.get("x-robots-tag") == "noai, a: b"
    assert (head.get("etag") or "").encode("utf-8", "surrogateescape") == b'"\xe9:"'
    assert head.get("absent") is None
    assert head.all("absent") == []


@pytest.mark.parametrize(
    ("start", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nTransfer-Encoding: chunked\r\n", False),
    ],
)
def test_a_connection_is_kept_as_the_answer_says(start: bytes, keeps: bool) -> None:
    async def run() -> None:
        wire = a_wire()
        body = b"\r\n1\r\nx\r\n0\r\n\r\n" if b"chunked" in start else b"Content-Length: 1\r\n\r\nx"
        await answered(wire, Asked().begin, [start + body])
        assert (wire.protocol.is_open, wire.is_aborted) == (keeps, not keeps)

    asyncio.run(run())


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_are_over_with_their_head(status: int) -> None:
    async def run() -> None:
        wire, asked = a_wire(), Asked(memory=True)
        head = await answered(wire, asked.begin, [b"HTTP/1.1 %d X\r\nContent-Length: 500\r\n\r\n" % status])
        assert (head.status, head.length, asked.body, wire.protocol.is_open) == (status, 0, b"", True)

    asyncio.run(run())


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("answer", [COUNTED, CHUNKED])
@pytest.mark.parametrize("forged", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"\0"])
def test_what_comes_behind_an_answer_is_never_taken_for_the_next(
    forged: bytes, answer: bytes, memory: bool, together: bool
) -> None:
    async def run() -> None:
        wire, asked = a_wire(4096), Asked(memory)
        await answered(wire, asked.begin, [answer + forged] if together else [answer])
        assert asked.body == BODY
        if not together:
            assert wire.protocol.is_open
            wire.receive(forged)
        assert wire.is_aborted
        with pytest.raises(Disconnected):
            await wire.protocol.ask(b"GET", asked.begin)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (COUNTED[:-1], None),
        (CHUNKED[:-1], None),
        (UNTIL_THE_END, ConnectionResetError()),
        (OK, None),
        (b"", None),
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(answer: bytes, error: Exception | None) -> None:
    async def run() -> None:
        wire, asked = a_wire(), Asked()
        asking = asyncio.create_task(wire.protocol.ask(b"GET", asked.begin))
        await asyncio.sleep(0)
        wire.receive(answer)
        wire.end(error)
        with pytest.raises(ConnectionError):
            await asking
        assert wire.protocol.is_answering == bool(answer)

    asyncio.run(run())


@pytest.mark.parametrize(
    "packets",
    [
        [OK + b"A: " + bytes([97]) * MOST_HEAD_BYTES],
        [OK, *[b"A: " + b"a" * 1000 + b"\r\n"] * 70],
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * (MOST_HEAD_BYTES // 20),
        [b"HTTP/1.1 100 Continue\r\n\r\n" * (MOST_HEAD_BYTES // 20)],
        [b"\r\n" * MOST_HEAD_BYTES],
        [b"SSH-2.0-OpenSSH\r\n\r\n"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n", b"five\r\n"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n1;", *[b"a" * 1000] * 70],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1;%b\r\nx\r\n" % (b"a" * 1000)] * 70],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", *[b"A: %b\r\n" % (b"a" * 1000)] * 70],
    ],
)
def test_heads_without_end_and_what_is_not_http_are_given_up(packets: list[bytes]) -> None:
    async def run() -> None:
        wire = a_wire()
        with pytest.raises(BadAnswer):
            await answered(wire, Asked().begin, packets)
        assert wire.is_aborted

    asyncio.run(run())


def test_a_body_that_nobody_wants_is_not_read() -> None:
    async def run() -> None:
        for answer in (COUNTED[:-1], COUNTED + b"HTTP", UNTIL_THE_END):
            wire = a_wire(4096)
            head = await answered(wire, lambda head: None, [answer])
            assert head.status == 200
            assert wire.is_aborted
        # One that has come already costs nothing.
        wire = a_wire(4096)
        await answered(wire, lambda head: None, [COUNTED])
        assert wire.protocol.is_open

    asyncio.run(run())


def test_who_takes_a_body_may_have_enough() -> None:
    async def run() -> None:
        for answer in (COUNTED, CHUNKED, UNTIL_THE_END):
            wire, asked = a_wire(), Asked(taker=Gathering(most=100))
            await answered(wire, asked.begin, cut(answer, list(range(0, len(answer), 50))))
            assert 100 < len(asked.body) <= 100 + 64
            assert wire.is_aborted

    asyncio.run(run())


def paused(place: Callable[[], Place]) -> tuple[Begin, asyncio.Event]:
    """A `begin` that does not know the place until the event is set."""
    known = asyncio.Event()

    async def wait() -> Place:
        await known.wait()
        return place()

    return lambda head: Later(wait), known


@given(at_once=st.integers(0, len(BODY)), memory=st.booleans())
def test_a_server_waits_until_there_is_room_and_is_asked_again_after(at_once: int, memory: bool) -> None:
    async def run() -> None:
        taker, view = Gathering(), memoryview(bytearray(len(BODY)))
        begin, known = paused(lambda: view if memory else taker)
        wire = a_wire(4096)
        asking = asyncio.create_task(wire.protocol.ask(b"GET", begin))
        await asyncio.sleep(0)
        begins = len(COUNTED) - len(BODY)
        wire.receive(COUNTED[: begins + at_once])
        assert wire.pauses == ["pause"]
        assert not asking.done()
        known.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert wire.pauses == ["pause", "resume"]
        wire.receive(COUNTED[begins + at_once :])
        await asking
        assert (bytes(view) if memory else taker.content) == BODY
        asked = Asked()
        await answered(wire, asked.begin, [COUNTED])
        assert asked.body == BODY

    asyncio.run(run())


def test_a_server_that_leaves_while_it_waits_is_noticed() -> None:
    async def run() -> None:
        begin, known = paused(lambda: memoryview(bytearray(len(BODY))))
        wire = a_wire()
        asking = asyncio.create_task(wire.protocol.ask(b"GET", begin))
        await asyncio.sleep(0)
        wire.receive(COUNTED[: len(COUNTED) - len(BODY)])
        wire.end(ConnectionResetError())
        known.set()
        with pytest.raises(ConnectionError):
            await asking

    asyncio.run(run())


def test_an_error_of_who_judges_the_head_reaches_who_asked() -> None:
    def refuse(head: Head) -> Place:
        raise LookupError("no")

    async def run() -> None:
        wire = a_wire()
        with pytest.raises(LookupError, match="no"):
            await answered(wire, refuse, [COUNTED])
        assert wire.is_aborted

    asyncio.run(run())


@pytest.mark.parametrize("memory", [True, False])
def test_an_idle_connection_keeps_nothing_of_what_was_asked(memory: bool) -> None:
    async def run() -> None:
        wire, asked = a_wire(), Asked(memory)
        await answered(wire, asked.begin, [COUNTED])
        gone = weakref.ref(asked)
        del asked
        assert wire.protocol.is_open
        assert gone() is None

    asyncio.run(run())


def test_memory_of_one_who_was_cancelled_is_not_written_any_more() -> None:
    async def run() -> None:
        wire, asked = a_wire(), Asked(memory=True)
        asking = asyncio.create_task(wire.protocol.ask(b"GET", asked.begin))
        await asyncio.sleep(0)
        wire.receive(COUNTED[:-100])
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        before = bytes(asked.view)
        # Had it been received already when the task was cancelled.
        wire.protocol.get_buffer(-1)[:50] = BODY[-50:]
        wire.protocol.buffer_updated(50)
        assert bytes(asked.view) == before
        assert wire.is_aborted

    asyncio.run(run())
