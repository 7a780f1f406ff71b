"""Pictures in a bucket, on each of two S3 servers: written before their rows, swept, compared, refused when wrong."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.doctor import State, examine
from imagenet_builder.errors import ImageStoreError
from imagenet_builder.gc import Sweep, compare, sweep
from imagenet_builder.images import open_image_store
from imagenet_builder.project import Project, find_project
from imagenet_builder.store import tables
from tests.builder_store import add_categories, empty_project
from tests.children import child
from tests.fault_server import FaultServer, fault_server
from tests.many_hosts import ended, soon
from tests.proposing_source import ProposingSource
from tests.s3_servers import S3Server, new_bucket, use_server

WNID = "n04507155"


@pytest.fixture(params=["moto", "swift"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def web() -> Iterator[FaultServer]:
    with fault_server(delay=0.02) as running:
        yield running


@pytest.fixture
def project(
    s3_server: S3Server, web: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Project:
    url = new_bucket(s3_server, monkeypatch)
    made = empty_project(
        tmp_path / "project", images={"url": url}, crawl={"allow_addresses": [web.authority], "per_host": 2}
    )
    add_categories(made, WNID)
    return made


def pictures(address: str) -> ProposingSource:
    return ProposingSource([f"{address}/good?seed={number}" for number in range(30)])


def crawl_here(folder: str, address: str) -> None:
    """What a crawling process runs."""
    crawl(find_project(Path(folder)), sources=[pictures(address)])


def stored(project: Project) -> set[str]:
    with database.reading(project.engine) as connection:
        return set(connection.scalars(sa.select(tables.images.c.sha256)))


def later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=2)


def overwrite(project: Project, sha256: str, content: bytes) -> None:
    """Put other bytes in the place of an image, past the image store."""
    from obstore.store import from_url

    key = f"{sha256[:2]}/{sha256}"
    obstore.put(from_url(project.settings.images.url), key, content)


def test_a_killed_crawl_leaves_no_row_without_bytes_and_gc_sweeps_what_has_no_row(
    project: Project, web: FaultServer
) -> None:
    with child(__name__, "crawl_here", str(project.folder), web.address) as process:
        soon(lambda: ended(project, "stored") >= 5)
        process.kill()
        process.wait()
    assert stored(project) <= set(project.images)
    orphan = project.images.put(b"what a run stored that was killed before its commit")
    orphans = set(project.images) - stored(project)
    assert sweep(project.engine, project.images, delete=True, now=datetime.now(UTC)).young == len(orphans)
    assert project.images.exists(orphan)
    swept = sweep(project.engine, project.images, delete=True, now=later())
    assert (swept.orphans, swept.leftovers, swept.young) == (len(orphans), 0, 0)
    assert set(project.images) == stored(project)
    crawl(project, sources=[pictures(web.address)])
    assert len(stored(project)) == 30
    assert set(project.images) == stored(project)
    assert sweep(project.engine, project.images, delete=False, now=later()) == Sweep(0, 0, 0, 0, 0, False)


def test_doctor_compares_the_store_with_the_bucket(project: Project, web: FaultServer) -> None:
    crawl(project, sources=[pictures(web.address)])
    whole, missing, damaged, *_ = sorted(stored(project))
    [finding] = [found for found in examine(project, deep=True) if found.part == "bytes"]
    assert finding.state is State.GOOD
    project.images.delete(missing)
    overwrite(project, damaged, b"something else")
    project.images.put(b"orphan")
    found = compare(project.engine, project.images)
    assert sorted(found.lost) == sorted([(missing, "is missing"), (damaged, "is damaged")])
    assert (found.images, found.orphans) == (28, 1)
    findings = {finding.part: finding for finding in examine(project, deep=True)}
    assert "2 images are lost" in findings["bytes"].found
    assert whole not in findings["bytes"].found


def test_a_wrong_key_is_one_clear_line(
    swift_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_bucket(swift_server, monkeypatch)
    use_server(swift_server, monkeypatch, secret="wrong")
    images = open_image_store(url, relative_to=tmp_path)
    for call in (lambda: images.put(b"x"), lambda: images.get("0" * 64), lambda: list(images)):
        with pytest.raises(ImageStoreError, match="check the address, the keys") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_missing_keys_are_named_and_not_the_place_where_machines_of_a_cloud_ask_for_theirs(
    web: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    # No machine of a cloud: nothing there gives keys.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://{web.authority}/nowhere")
    images = open_image_store("s3://pictures", relative_to=tmp_path)
    with pytest.raises(ImageStoreError, match=r"; no keys are in the environment \(AWS_…, .*\): set them"):
        images.put(b"x")


def test_bytes_that_change_on_their_way_are_refused_by_the_server(
    swift_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_bucket(swift_server, monkeypatch)
    content = b"a picture of " + bytes(1000) + b"an umbrella"
    with changing_proxy(swift_server.address, b"an umbrella", b"an UMBRELLA") as address:
        use_server(swift_server, monkeypatch, address=address)
        images = open_image_store(url, relative_to=tmp_path)
        assert images.get(images.put(b"passes the proxy")) == b"passes the proxy"
        with pytest.raises(ImageStoreError, match="cannot write"):
            images.put(content)
    use_server(swift_server, monkeypatch)
    assert not open_image_store(url, relative_to=tmp_path).exists(hashlib.sha256(content).hexdigest())


@contextlib.contextmanager
def changing_proxy(address: str, before: bytes, after: bytes) -> Iterator[str]:
    """A TCP proxy to `address` that replaces bytes of what clients send."""
    host, _, port = address.removeprefix("http://").partition(":")

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, int(port))) as server:
                back = threading.Thread(target=copy, args=(server, self.request), daemon=True)
                back.start()
                copy(self.request, server, change=True)
                back.join()

    def copy(source: socket.socket, target: socket.socket, *, change: bool = False) -> None:
        with contextlib.suppress(OSError):
            while sent := source.recv(65536):
                target.sendall(sent.replace(before, after) if change else sent)
            target.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
