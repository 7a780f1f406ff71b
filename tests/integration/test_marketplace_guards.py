"""What keeps the marketplace from being misused: limits, headers, and the guard of what it posts to and mails."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp.test_utils import TestClient, TestServer
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from botocore.exceptions import ClientError

from hits.database import open_engine, upgrade
from hits.marketplace.app import create_app
from hits.marketplace.courier import Courier
from hits.marketplace.mail import Mailer, send_invitation
from hits.marketplace.outbound import DeliveryFailed, DestinationRule, post
from hits.marketplace.people import RequesterKeys, invite
from hits.marketplace.settings import MarketplaceSettings
from hits.marketplace.tables import MIGRATIONS

from ..marketplace_server import running_marketplace
from ..marketplace_worker import SiteWorker
from ..real_parts import free_port
from ..webhook_server import webhook_server

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


# --- limits ---------------------------------------------------------------------------------------------


def test_guessing_at_links_and_ids_ends_soon_and_hinders_nobody_else(tmp_path: Path) -> None:
    with running_marketplace(tmp_path, misses_per_minute=3) as market:
        ada = SiteWorker(market.url, market.invite("Ada"))

        def guess(place: str) -> requests.Response:
            headers = {"X-Forwarded-For": "203.0.113.7"}
            return requests.get(market.url + place, headers=headers, allow_redirects=False, timeout=30)

        guesses = [guess(f"/invitation/guess-{number}").status_code for number in range(8)]
        assert guesses == [404] * 6 + [429] * 2
        blocked = guess("/frame/3GUESS")
        assert blocked.status_code == 429
        assert 1 <= int(blocked.headers["Retry-After"]) <= 20
        assert ada.get("/hits").status_code == 200


def test_sign_ins_of_one_address_are_limited(tmp_path: Path) -> None:
    with running_marketplace(tmp_path, sign_ins_per_minute=1, misses_per_minute=0) as market:
        answers = [
            requests.post(
                f"{market.url}/requester/sign-in", data={"access_key": "HITS", "secret_key": "x"}, timeout=30
            )
            for _ in range(6)
        ]
        assert [answer.status_code for answer in answers] == [403] * 4 + [429] * 2


def test_pages_of_one_worker_are_limited_and_hers_alone(tmp_path: Path) -> None:
    with running_marketplace(tmp_path, pages_per_minute=10) as market:
        ada, bo = (SiteWorker(market.url, market.invite(name)) for name in ("Ada", "Bo"))
        statuses = [ada.get("/hits").status_code for _ in range(13)]
        assert statuses.count(200) == 10
        assert statuses[-1] == 429
        assert bo.get("/hits").status_code == 200


def test_calls_of_one_key_are_throttled_as_boto3_expects(tmp_path: Path) -> None:
    with running_marketplace(tmp_path, calls_per_second=2) as market:
        hasty, patient = market.client(), market.client(retries={"mode": "standard", "total_max_attempts": 5})

        def hurry() -> None:
            for _ in range(30):
                hasty.get_account_balance()

        with pytest.raises(ClientError) as caught:
            hurry()
        assert caught.value.response["Error"]["Code"] == "ThrottlingException"
        assert patient.get_account_balance()["AvailableBalance"]
        other = market.client(market.requester("other"))
        assert other.get_account_balance()["AvailableBalance"]


def test_wrong_signatures_are_misses(tmp_path: Path) -> None:
    with running_marketplace(tmp_path, misses_per_minute=2) as market:
        wrong = market.client(RequesterKeys(market.keys.access_key, "wrong"))
        codes = []
        for _ in range(6):
            with pytest.raises(ClientError) as caught:
                wrong.get_account_balance()
            codes.append(caught.value.response["Error"]["Code"])
        assert codes == ["InvalidSignatureException"] * 4 + ["ThrottlingException"] * 2


# --- headers --------------------------------------------------------------------------------------------


def test_every_answer_carries_the_headers_that_harden_it(tmp_path: Path) -> None:
    with running_marketplace(tmp_path) as market:
        for place in ("/", "/static/site.css", "/nowhere", "/requester/sign-in", "/invitation/none"):
            headers = requests.get(market.url + place, timeout=30).headers
            assert headers["X-Content-Type-Options"] == "nosniff", place
            assert headers["Permissions-Policy"].startswith("camera=()"), place
            assert "aiohttp" not in headers["Server"], place
            assert "Strict-Transport-Security" not in headers, place


def test_a_site_behind_tls_says_that_it_is_always_so(tmp_path: Path) -> None:
    settings = MarketplaceSettings(
        f"sqlite:///{tmp_path / 'm.sqlite3'}",
        public_url="https://work.example.org",
        frame_url="https://f.example.org",
    )
    engine = open_engine(settings.database_url)
    upgrade(engine, MIGRATIONS)

    async def visit() -> tuple[str, str]:
        async with TestClient(TestServer(create_app(settings, engine=engine))) as client:
            answer = await client.get("/")
            return answer.headers["Strict-Transport-Security"], answer.headers["Set-Cookie"]

    transport, cookie = asyncio.run(visit())
    assert transport.startswith("max-age=")
    assert "Secure" in cookie
    engine.dispose()


# --- destinations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "[::1]", "localhost", "169.254.169.254", "10.0.0.1", "192.168.1.1", "0.0.0.0", "[::ffff:127.0.0.1]",
     "2130706433", "0x7f000001"],
)  # fmt: skip
def test_nothing_inside_is_posted_to(address: str) -> None:
    with webhook_server() as webhook:
        port = webhook.url.rpartition(":")[2]
        with pytest.raises(DeliveryFailed, match="not a public address"):
            post(f"http://{address}:{port}/queue", b"x", {}, DestinationRule())
        assert webhook.received == []


def test_what_the_settings_allow_is_posted_to_and_loopback_only_from_loopback() -> None:
    with webhook_server() as webhook:
        port = webhook.url.rpartition(":")[2]
        allowed = DestinationRule(frozenset({f"localhost:{port}"}))
        post(f"http://localhost:{port}/queue?a=b", b"one", {}, allowed)
        with pytest.raises(DeliveryFailed, match="not a public address"):
            post(webhook.url, b"two", {}, allowed)
        here = MarketplaceSettings("sqlite://")
        post(webhook.url, b"three", {}, DestinationRule.of(here))
        online = MarketplaceSettings(
            "sqlite://", public_url="https://a.example.org", frame_url="https://b.example.org"
        )
        with pytest.raises(DeliveryFailed, match="not a public address"):
            post(webhook.url, b"four", {}, DestinationRule.of(online))
        assert [(path, body) for path, _, body in webhook.received] == [("/queue?a=b", "one"), ("/", "three")]


def test_a_redirect_inside_is_not_followed() -> None:
    with webhook_server() as webhook:
        webhook.status = 302
        with pytest.raises(DeliveryFailed, match="302"):
            post(webhook.url, b"x", {}, DestinationRule(loopback=True))


def test_a_destination_that_answers_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hits.marketplace.outbound.LONGEST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1")
                for _ in range(100):
                    time.sleep(0.1)
                    try:
                        connection.sendall(b"a")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(DeliveryFailed):
            post(f"http://127.0.0.1:{port}", b"x", {}, DestinationRule(loopback=True))
        thread.join(timeout=20)


# --- e-mail ---------------------------------------------------------------------------------------------


class _Inbox:
    """What a mail server took in, and as whom."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.users: list[bytes] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(message_from_bytes(content, policy=policy.default))
        return "250 OK"

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login)
        return AuthResult(success=data.password == b"secret")


@contextmanager
def mail_server(**options: Any) -> Iterator[tuple[_Inbox, int]]:
    inbox = _Inbox()
    port = free_port()
    controller = Controller(
        inbox, hostname="127.0.0.1", port=port, authenticator=inbox.authenticate, **options
    )
    controller.start()
    try:
        yield inbox, port
    finally:
        controller.stop()


def test_an_invitation_goes_through_a_mail_server_and_its_link_works(tmp_path: Path) -> None:
    with mail_server() as (inbox, port), running_marketplace(tmp_path, contact="desk@example.org") as market:
        mailer = Mailer(server=f"smtp://127.0.0.1:{port}", sender="desk@example.org")
        send_invitation(mailer, market.settings, invite(market.engine, "Ada"), "ada@example.org", NOW)
        [message] = inbox.messages
        assert (message["To"], message["From"]) == ("ada@example.org", "desk@example.org")
        [link] = re.findall(r"http://\S+/invitation/\S+", message.get_content())
        assert SiteWorker(market.url, link).get("/hits").status_code == 200


def test_notices_by_e_mail_go_through_the_mail_server() -> None:
    with mail_server() as (inbox, port):
        courier = Courier.of(MarketplaceSettings("sqlite://", mail_server=f"smtp://127.0.0.1:{port}"))
        courier.deliver("Email", "me@example.org", '{"Events": []}', NOW)
        assert inbox.messages[0].get_content().strip() == '{"Events": []}'


def test_a_password_is_sent_over_tls_and_over_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with mail_server(tls_context=context, require_starttls=True) as (inbox, port):
        mailer = Mailer(server=f"smtp://localhost:{port}", user="desk", password="secret")
        with pytest.raises(DeliveryFailed, match="certificate"):
            mailer.send("ada@example.org", "s", "b", NOW)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        mailer.send("ada@example.org", "s", "b", NOW)
        assert (len(inbox.messages), inbox.users) == (1, [b"desk"])
        wrong = Mailer(server=f"smtp://localhost:{port}", user="desk", password="guess")
        with pytest.raises(DeliveryFailed, match="did not take"):
            wrong.send("ada@example.org", "s", "b", NOW)
    with mail_server(auth_require_tls=False) as (inbox, port):
        mailer = Mailer(server=f"smtp://127.0.0.1:{port}", user="desk", password="secret")
        with pytest.raises(DeliveryFailed, match="no password is sent"):
            mailer.send("ada@example.org", "s", "b", NOW)
        assert (inbox.messages, inbox.users) == ([], [])
    assert "secret" not in repr(mailer)


def test_mail_as_files_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    Mailer(folder=folder).send("ada@example.org", "Über uns", "ß", NOW)
    [path] = folder.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert message["Subject"] == "Über uns"


@pytest.mark.parametrize("recipient", ["ada@example.org\r\nBcc: all@example.org", "ada@example.org\nX: y"])
def test_a_recipient_smuggles_no_header(tmp_path: Path, recipient: str) -> None:
    with pytest.raises(DeliveryFailed, match="no e-mail address"):
        Mailer(folder=tmp_path).send(recipient, "s", "b", NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_mail_server_that_is_not_there_and_none_at_all_are_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DeliveryFailed, match=f"smtp://127.0.0.1:{port}"):
        Mailer(server=f"smtp://127.0.0.1:{port}").send("a@example.org", "s", "b", NOW)
    with pytest.raises(DeliveryFailed, match="set mail_server or mail_folder"):
        Mailer().send("a@example.org", "s", "b", NOW)
