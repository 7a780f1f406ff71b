"""What every image store does: a folder, and a bucket on an S3 server."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imagenet_builder.errors import ImageStoreError
from imagenet_builder.images import ImageStore, open_image_store
from tests import real_parts

MISSING = "0" * 64


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """An S3 server on loopback (moto's); the value is its address."""
    real_parts.need("moto[server]", _importable("moto.server"), "pip install imagenet-builder[test]")
    port = real_parts.free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert server.poll() is None, "the S3 server ended"
            assert time.monotonic() < deadline, "the S3 server does not answer"
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _importable(module: str) -> bool | None:
    import importlib.util

    try:
        return True if importlib.util.find_spec(module) else None
    except ModuleNotFoundError:
        return None


@pytest.fixture
def s3_keys(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a process that may use the S3 server."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["folder", "s3"])
def store_address(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """An address of an empty store, and the folder that it is relative to."""
    if request.param == "folder":
        return "images", tmp_path
    request.getfixturevalue("s3_keys")
    import boto3

    bucket = f"images-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/pictures", tmp_path


@pytest.fixture
def images(store_address: tuple[str, Path]) -> ImageStore:
    url, folder = store_address
    return open_image_store(url, relative_to=folder)


def test_bytes_come_back_under_their_sha256(images: ImageStore) -> None:
    for content in (b"a picture", b"", bytes(range(256)) * 8000):
        sha256 = images.put(content)
        assert sha256 == hashlib.sha256(content).hexdigest()
        assert images.get(sha256) == content
        assert images.exists(sha256)


def test_storing_twice_stores_once(images: ImageStore) -> None:
    assert images.put(b"one") == images.put(b"one")
    assert list(images) == [hashlib.sha256(b"one").hexdigest()]


def test_many_are_stored_in_one_call(images: ImageStore) -> None:
    contents = {hashlib.sha256(content).hexdigest(): content for content in (b"a", b"b" * 300_000, b"")}
    images.put_all(contents)
    images.put_all(contents)
    images.put_all({})
    assert {sha256: images.get(sha256) for sha256 in images} == contents


def test_every_stored_hash_is_listed_and_nothing_else(images: ImageStore) -> None:
    stored = {images.put(str(number).encode()) for number in range(20)}
    assert sorted(images) == sorted(stored)


def test_a_deleted_image_is_gone_and_deleting_again_is_nothing(images: ImageStore) -> None:
    sha256 = images.put(b"gone")
    images.delete(sha256)
    images.delete(sha256)
    assert not images.exists(sha256)
    assert list(images) == []
    with pytest.raises(ImageStoreError, match="missing"):
        images.get(sha256)


def test_what_was_never_stored_is_missing_by_name(images: ImageStore) -> None:
    assert not images.exists(MISSING)
    with pytest.raises(ImageStoreError, match=f"image {MISSING} is missing"):
        images.get(MISSING)


@pytest.mark.parametrize("name", ["", "abc", "../../etc/passwd", "A" * 64, "0" * 63 + "\n"])
def test_only_a_sha256_names_an_image(images: ImageStore, name: str) -> None:
    for call in (images.get, images.exists, images.delete):
        with pytest.raises(ImageStoreError, match="not a SHA-256"):
            call(name)


def test_many_threads_share_a_store(images: ImageStore) -> None:
    contents = [bytes([number % 7]) * 50_000 for number in range(56)]
    start = threading.Barrier(8)

    def store(part: int) -> list[str]:
        start.wait()
        return [images.put(content) for content in contents[part::8]]

    with ThreadPoolExecutor(8) as threads:
        stored = {sha256 for part in threads.map(store, range(8)) for sha256 in part}
    assert sorted(images) == sorted(stored)
    assert len(stored) == 7
    for sha256 in stored:
        assert hashlib.sha256(images.get(sha256)).hexdigest() == sha256


def test_another_opening_of_the_same_address_sees_the_same_images(
    store_address: tuple[str, Path], images: ImageStore
) -> None:
    sha256 = images.put(b"shared")
    url, folder = store_address
    assert open_image_store(url, relative_to=folder).get(sha256) == b"shared"


@pytest.mark.usefixtures("s3_keys")
def test_a_bucket_that_does_not_exist_is_one_clear_line(tmp_path: Path) -> None:
    images = open_image_store("s3://there-is-no-such-bucket", relative_to=tmp_path)
    with pytest.raises(
        ImageStoreError, match="cannot write images in s3://there-is-no-such-bucket"
    ) as caught:
        images.put(b"x")
    assert "\n" not in str(caught.value)
