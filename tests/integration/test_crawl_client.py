"""The crawler's HTTP client with real servers: connections that are kept, given up and made, and who is trusted."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from imagenet_builder.crawl.http.client import Address, Client
from imagenet_builder.crawl.http.connection import Place
from imagenet_builder.crawl.http.heads import Head

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


async def ask_system(host: str, port: int) -> Sequence[Address]:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


@contextlib.asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that has `serve` talk on each connection, which are counted from 0; its port."""
    count = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        # At the end of a test servers still wait for requests.
        ends = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError)
        with contextlib.suppress(*ends):
            await serve(reader, writer, count - 1)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def a_client(
    resolve: Callable[[str, int], Awaitable[Sequence[Address]]] = ask_system, *, idle_seconds: float = 60.0
) -> AsyncIterator[Client]:
    client = Client(resolve, {"User-Agent": "test"}, connect_seconds=20.0, idle_seconds=idle_seconds)
    try:
        yield client
    finally:
        client.close()


async def body_of(client: Client, address: str, headers: Mapping[str, str] | None = None) -> bytes:
    received = memoryview(bytearray(4))

    def begin(head: Head) -> Place:
        assert head.length == 4
        return received

    await client.get(URL(address), headers or {}, begin)
    return bytes(received)


async def always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)


async def test_one_connection_serves_one_request_after_another_and_several_at_once_have_their_own() -> None:
    numbers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            numbers.append(number)
            await asyncio.sleep(0.05)
            writer.write(ANSWER)

    async with serving(serve) as port, a_client() as client:
        for _ in range(5):
            assert await body_of(client, f"http://127.0.0.1:{port}/") == b"body"
        assert numbers == [0] * 5
        numbers.clear()
        await asyncio.gather(*(body_of(client, f"http://127.0.0.1:{port}/") for _ in range(3)))
        assert sorted(numbers) == [0, 1, 2]


async def test_a_request_says_what_it_must_and_nothing_else() -> None:
    requests = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(ANSWER)

    async with serving(serve) as port, a_client() as client:
        await body_of(client, f"http://127.0.0.1:{port}/a%20b/ü?q=1&r=%26#part", {"If-None-Match": '"x"'})
        await body_of(client, f"http://me:secret@localhost:{port}")
        host = str(port).encode()
        assert requests == [
            b"GET /a%20b/%C3%BC?q=1&r=%26 HTTP/1.1\r\n"
            b"Host: 127.0.0.1:" + host + b'\r\nUser-Agent: test\r\nIf-None-Match: "x"\r\n\r\n',
            b"GET / HTTP/1.1\r\n"
            b"Host: localhost:" + host + b"\r\nUser-Agent: test\r\nAuthorization: Basic bWU6c2VjcmV0\r\n\r\n",
        ]
        for value in ("a\r\nX: y", "a\nb", "a\0b"):
            with pytest.raises(ValueError, match="If-None-Match"):
                await body_of(client, f"http://127.0.0.1:{port}/", {"If-None-Match": value})
        assert len(requests) == 2


async def test_a_kept_connection_that_the_server_has_ended_costs_no_picture() -> None:
    numbers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await reader.readuntil(b"\r\n\r\n")
        numbers.append(number)
        writer.write(ANSWER)
        # The next request is read, and gets no answer.
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with serving(serve) as port, a_client() as client:
        for _ in range(4):
            assert await body_of(client, f"http://127.0.0.1:{port}/") == b"body"
        assert numbers == [0, 1, 2, 3]


async def test_a_new_connection_that_is_ended_is_an_error_and_so_is_half_an_answer() -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        if number:
            writer.write(ANSWER)
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
            writer.write(ANSWER[:-1])
            await writer.drain()

    async with serving(serve) as port, a_client() as client:
        with pytest.raises(ConnectionError):
            await body_of(client, f"http://127.0.0.1:{port}/")
        assert asked == 1
        assert await body_of(client, f"http://127.0.0.1:{port}/") == b"body"
        with pytest.raises(ConnectionError):
            await body_of(client, f"http://127.0.0.1:{port}/")
        assert asked == 3


async def test_connections_that_nobody_uses_are_ended() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            await always(reader, writer, number)
        finally:
            ended.set()

    async with serving(serve) as port, a_client(idle_seconds=0.1) as client:
        await body_of(client, f"http://127.0.0.1:{port}/")
        await asyncio.wait_for(ended.wait(), 30)


async def test_the_address_that_answers_is_used_and_a_name_is_looked_up_once_for_many() -> None:
    looked_up = []
    with socket.socket() as taken:
        # Bound and not listening: whoever connects is refused.
        taken.bind(("127.0.0.1", 0))
        refusing = taken.getsockname()[1]

        async with serving(always) as port:

            async def resolve(host: str, asked: int) -> Sequence[Address]:
                looked_up.append((host, asked))
                await asyncio.sleep(0.05)
                kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
                return [(*kind, ("127.0.0.1", refusing)), (*kind, ("127.0.0.1", port))]

            async with a_client(resolve) as client:
                found = await asyncio.gather(*(body_of(client, "http://pictures.example/") for _ in range(8)))
    assert found == [b"body"] * 8
    assert looked_up == [("pictures.example", 80)]


async def test_a_name_that_could_not_be_looked_up_is_looked_up_again() -> None:
    async with serving(always) as port:
        answers: list[Sequence[Address]] = [
            [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        ]

        async def resolve(host: str, asked: int) -> Sequence[Address]:
            if len(answers) == 1:
                answers.append(answers[0])
                raise socket.gaierror("not now")
            return answers[0]

        async with a_client(resolve) as client:
            with pytest.raises(socket.gaierror):
                await body_of(client, "http://pictures.example/")
            assert await body_of(client, "http://pictures.example/") == b"body"


def make_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that vouches for itself, and a server's side of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, private)
    return certificate, tls


async def test_a_server_must_prove_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, tls = make_certificate(tmp_path)
    async with serving(always, tls) as port:
        async with a_client() as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                await body_of(client, f"https://127.0.0.1:{port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with a_client() as client:
            for _ in range(2):
                assert await body_of(client, f"https://127.0.0.1:{port}/") == b"body"
            # The certificate is not of this name, though the connection leads to the same server.
            with pytest.raises(ssl.SSLCertVerificationError):
                await body_of(client, f"https://localhost:{port}/")


async def test_a_connection_that_does_not_come_about_is_given_up_in_time() -> None:
    async def resolve(host: str, port: int) -> Sequence[Address]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname())]

    with socket.socket() as full, contextlib.ExitStack() as stack:
        # A listener whose line is full lets others wait.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        client = Client(resolve, {}, connect_seconds=0.3, idle_seconds=1.0)
        with pytest.raises(TimeoutError):
            await body_of(client, "http://pictures.example/")
        client.close()
